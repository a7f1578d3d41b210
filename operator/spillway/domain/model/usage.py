"""A number of pods, and what they request or what a provider bills of them together."""

from typing import Final

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """How many pods, and their amounts together. Sums and differences are taken field by field."""

    pods: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.pods + other.pods, self.cpu_millis + other.cpu_millis, self.memory_bytes + other.memory_bytes)

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.pods - other.pods, self.cpu_millis - other.cpu_millis, self.memory_bytes - other.memory_bytes)

    def __mul__(self, factor: int) -> "Usage":
        """So many times as much; -1 gives what has to be added to take it away."""
        return Usage(self.pods * factor, self.cpu_millis * factor, self.memory_bytes * factor)


NOTHING: Final = Usage()
