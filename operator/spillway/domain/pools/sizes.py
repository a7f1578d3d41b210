"""Sizes that a provider sells, what a pod asks for, and which step of a ladder fits it.

Contract: a step is what stands in a pool's verdict and status. Step 0 is what the pod itself requests; step `k` asks
for the `k`-th size of the ladder, or for the first one after it that is big enough for the pod. Amounts are thousandths
of a core and bytes; a size is never smaller than what the pod requests, in neither of the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from spillway.api.virtualnodebudget import PodSpecSize

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Size:
    """Requested CPU and memory of a whole pod."""

    cpu_millis: int
    memory_bytes: int

    @classmethod
    def of(cls, spec: PodSpecSize) -> Self:
        """As a ladder gives it."""
        return cls(spec.cpu.millis, spec.memory.bytes)

    @classmethod
    def parse(cls, mark: str) -> Self | None:
        """From our mark on a pod; None where it is not one."""
        cpu, dash, memory = mark.partition("m-")
        # `isdecimal` alone takes other scripts' digits.
        if not dash or not (cpu + memory).isascii() or not (cpu.isdecimal() and memory.isdecimal()):
            return None
        return cls(int(cpu), int(memory))

    @property
    def mark(self) -> str:
        """As `names.SIZE` has it: `4000m-8589934592`."""
        return f"{self.cpu_millis}m-{self.memory_bytes}"

    def holds(self, other: "Size") -> bool:
        """Whether a pod that asks for `other` has room in this size."""
        return self.cpu_millis >= other.cpu_millis and self.memory_bytes >= other.memory_bytes

    def written(self, template: str) -> str:
        """As a provider's annotation wants it; `{cpu}` stands for the cores, `{memoryGiB}` for the GiB."""
        cores, gib = _decimal(self.cpu_millis, 1000), _decimal(self.memory_bytes, GIB)
        return template.replace("{cpu}", cores).replace("{memoryGiB}", gib)


def sizes_from(ladder: Sequence[PodSpecSize], step: int, asked: Size) -> tuple[Size, ...]:
    """The sizes to ask for at `step`, in order, for a pod that requests `asked`; empty where it asks for itself."""
    if step < 1:
        return ()
    return tuple(size for size in map(Size.of, ladder[step - 1 :]) if size.holds(asked))


def _decimal(amount: int, unit: int) -> str:
    """An amount in units of `unit`: `2`, `0.5`."""
    whole, rest = divmod(amount, unit)
    return str(whole) if not rest else f"{amount / unit:.3f}".rstrip("0")
