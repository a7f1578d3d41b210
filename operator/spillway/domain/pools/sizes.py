"""The sizes that a provider sells, and the step of a ladder that fits a pod.

Contract: a step is the number in a pool's verdict and status. Step 0 is the pod's own request; step `k` requests the
`k`-th size of the ladder, or the first one after it that is large enough for the pod. Amounts are thousandths of a core
and bytes; a size is never smaller than what the pod requests, in neither of the two.
"""

import re
from collections.abc import Sequence
from typing import Final, Self

from spillway.api.virtualnodebudget import PodSpecSize
from spillway.domain.model.pod_size import PodSize
from spillway.domain.model.units import GIB

_MARK: Final = re.compile(r"([0-9]{1,9})m-([0-9]{1,18})", re.ASCII)


class Size(PodSize):
    """Requested CPU and memory of a whole pod."""

    __slots__ = ()

    @classmethod
    def of(cls, spec: PodSpecSize) -> Self:
        """The size of an entry of a ladder."""
        return cls(spec.cpu.millis, spec.memory.bytes)

    @classmethod
    def parse(cls, mark: str) -> Self | None:
        """The size in the text of a mark; None if it is not valid."""
        found = _MARK.fullmatch(mark)
        return None if found is None else cls(int(found[1]), int(found[2]))

    @property
    def mark(self) -> str:
        """The text of the mark `names.SIZE`: `4000m-8589934592`."""
        return f"{self.cpu_millis}m-{self.memory_bytes}"

    def written(self, template: str) -> str:
        """The size in the form of a provider's annotation; `{cpu}` stands for the cores, `{memoryGiB}` for the GiB."""
        cores, gib = _decimal(self.cpu_millis, 1000), _decimal(self.memory_bytes, GIB)
        return template.replace("{cpu}", cores).replace("{memoryGiB}", gib)


def sizes_from(ladder: Sequence[PodSpecSize], step: int, asked: Size) -> tuple[Size, ...]:
    """The sizes to request at `step`, in order, for a pod that requests `asked`; empty for the pod's own request."""
    if step < 1:
        return ()
    return tuple(size for size in map(Size.of, ladder[step - 1 :]) if size.covers(asked))


def _decimal(amount: int, unit: int) -> str:
    """An amount in units of `unit`: `2`, `0.5`."""
    whole, rest = divmod(amount, unit)
    return str(whole) if not rest else f"{amount / unit:.3f}".rstrip("0")
