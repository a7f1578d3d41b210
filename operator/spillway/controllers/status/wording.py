"""The lists of names in the messages of conditions, and of workloads in a status."""

from collections.abc import Mapping, Sequence
from typing import Final

NAMED: Final = 5
"""The number of names in a message; the others are counted."""
LISTED: Final = 64
"""The number of workloads in a list of a status."""


def first_names(names: Sequence[str], total: int = 0, *, most: int = NAMED) -> str:
    """The first names, and how many more there are of `total`, or of `names` if these are more."""
    left = max(total, len(names)) - min(len(names), most)
    more = f" and {left} more" if left else ""
    return f"{', '.join(names[:most])}{more}"


def ignored(entries: Sequence[str]) -> str:
    """The message about entries of a spec that are not valid, each with its reason."""
    return f"{first_names(entries)}. These entries are ignored; the others are in force."


def largest(numbers: Mapping[str, float]) -> list[str]:
    """The workloads that a list of a status has: those with the highest numbers, in order of their names."""
    return sorted(sorted(numbers, key=lambda workload: (-numbers[workload], workload))[:LISTED])
