"""A number of pods, and what they request, what a provider bills of them, or what is left for them, together."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

K = TypeVar("K")


class Usage(msgspec.Struct, frozen=True, gc=False):
    """How many pods, and their amounts together. Sums and differences are taken field by field."""

    pods: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.pods + other.pods, self.cpu_millis + other.cpu_millis, self.memory_bytes + other.memory_bytes)

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.pods - other.pods, self.cpu_millis - other.cpu_millis, self.memory_bytes - other.memory_bytes)

    def covers(self, other: "Usage") -> bool:
        """Whether each field is at least as large as the other's."""
        return (
            self.pods >= other.pods and self.cpu_millis >= other.cpu_millis and self.memory_bytes >= other.memory_bytes
        )

    def at_most(self, other: "Usage") -> "Usage":
        """The smaller of each field."""
        return Usage(
            min(self.pods, other.pods),
            min(self.cpu_millis, other.cpu_millis),
            min(self.memory_bytes, other.memory_bytes),
        )

    def at_least(self, other: "Usage") -> "Usage":
        """The larger of each field."""
        if self is other:
            return self
        return Usage(
            max(self.pods, other.pods),
            max(self.cpu_millis, other.cpu_millis),
            max(self.memory_bytes, other.memory_bytes),
        )

    def __mul__(self, factor: int) -> "Usage":
        """So many times as much; -1 gives what has to be added to take it away."""
        return Usage(self.pods * factor, self.cpu_millis * factor, self.memory_bytes * factor)


NOTHING: Final = Usage()
NO_AMOUNTS: Final[Mapping[str, int]] = MappingProxyType({})
"""Amounts by name where there are none."""


def add_amounts(sums: dict[K, dict[str, int]], key: K, amounts: Mapping[str, int], sign: int) -> None:
    """Add amounts by name to one of several sums, or with the sign -1 take them away; one of nothing is not kept."""
    totals = sums.setdefault(key, {})
    for name, amount in amounts.items():
        add_count(totals, name, amount * sign)
    if not totals:
        del sums[key]


def add_count(counts: dict[K, int], key: K, by: int) -> None:
    """Add to one of several counts; a count that has come to nothing is not kept."""
    total = counts.get(key, 0) + by
    if total:
        counts[key] = total
    else:
        counts.pop(key, None)
