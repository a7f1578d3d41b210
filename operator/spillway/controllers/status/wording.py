"""The message about ignored entries, and the lists of workloads in a status."""

from collections.abc import Mapping, Sequence
from typing import Final

from spillway.domain.model.wording import first_names

LISTED: Final = 64
"""The number of workloads in a list of a status."""


def ignored(entries: Sequence[str]) -> str:
    """The message about entries of a spec that are not valid, each with its reason."""
    return f"{first_names(entries)}. These entries are ignored; the others are in force."


def largest(numbers: Mapping[str, float]) -> list[str]:
    """The workloads that a list of a status has: those with the highest numbers, in order of their names."""
    return sorted(sorted(numbers, key=lambda workload: (-numbers[workload], workload))[:LISTED])
