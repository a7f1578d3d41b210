"""The lists of names in messages."""

from collections.abc import Sequence
from typing import Final

NAMED: Final = 5
"""The number of names in a message; the others are counted."""


def first_names(names: Sequence[str], total: int = 0, *, most: int = NAMED) -> str:
    """The first names, and how many more there are of `total`, or of `names` if these are more."""
    left = max(total, len(names)) - min(len(names), most)
    more = f" and {left} more" if left else ""
    return f"{', '.join(names[:most])}{more}"
