"""The free room of nodes for one more pod, counted so that it is not assigned twice (the scheduler's NodeResourcesFit).

Contract: pure. Conservative: what placeholder pods (balloons) hold is not free (headroom is kept for a peak, not for
tidying up), pods that wait for a node are served first, and each promise is taken off before the next is made. Where a
pod lands is decided by the scheduler, which may still find no node for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, Phase, PodRecord

PodRequests = tuple[int, int]
"""Requested (millicores, bytes)."""


@dataclass(frozen=True, slots=True)
class Free:
    """What a node has left of requests: allocatable less what its pods ask for."""

    cpu_millis: int
    memory_bytes: int
    pods: int

    @classmethod
    def of(cls, node: NodeRecord, *, pods: int, cpu_millis: int, memory_bytes: int) -> Self:
        """Of a node on which so many pods request so much."""
        return cls(node.cpu_millis - cpu_millis, node.memory_bytes - memory_bytes, node.pods_allocatable - pods)

    def holds(self, cpu_millis: int, memory_bytes: int) -> bool:
        """Whether one more pod with these requests fits in."""
        return self.pods >= 1 and cpu_millis <= self.cpu_millis and memory_bytes <= self.memory_bytes

    def less(self, cpu_millis: int, memory_bytes: int) -> "Free":
        """With one more such pod on it."""
        return Free(self.cpu_millis - cpu_millis, self.memory_bytes - memory_bytes, self.pods - 1)


def waiting_requests(pods: Iterable[PodRecord]) -> tuple[PodRequests, ...]:
    """What those of the pods ask for that wait for a node; give it none that can start on a pool alone."""
    return tuple(
        (pod.cpu_millis, pod.memory_bytes)
        for pod in pods
        if not pod.node and not pod.terminating and pod.phase is Phase.PENDING
    )


class NodeRoom:
    """What is free on each node, and who waits for it."""

    def __init__(self, free: Mapping[NodeName, Free], waiting: Iterable[PodRequests] = ()) -> None:
        self._free = {name: one for name, one in free.items() if one.pods > 0 and one.cpu_millis >= 0}
        self._widest_first = sorted(((one.cpu_millis, name) for name, one in self._free.items()), reverse=True)
        self._cpu = sum(one.cpu_millis for one in self._free.values())
        self._memory = sum(max(one.memory_bytes, 0) for one in self._free.values())
        for request in waiting:
            # One that fits nowhere waits for something else; counting it would hide what is free from all others.
            if self.holds(*request):
                self._cpu -= request[0]
                self._memory -= request[1]

    def holds(self, cpu_millis: int, memory_bytes: int) -> bool:
        """Whether some node would hold one more such pod, with room to spare. Cheap also where there is none."""
        if cpu_millis > self._cpu or memory_bytes > self._memory:
            return False
        for cpu, name in self._widest_first:
            if cpu < cpu_millis:
                break
            if self._free[name].holds(cpu_millis, memory_bytes):
                return True
        return False

    def find(
        self, cpu_millis: int, memory_bytes: int, admits: Callable[[NodeName], bool] = lambda _: True
    ) -> NodeName | None:
        """The node that was the emptiest of those that would hold one more such pod; None where there is none."""
        if cpu_millis > self._cpu or memory_bytes > self._memory:
            return None
        for cpu, name in self._widest_first:
            if cpu < cpu_millis:
                break
            if self._free[name].holds(cpu_millis, memory_bytes) and admits(name):
                return name
        return None

    def take(self, node: NodeName, cpu_millis: int, memory_bytes: int) -> None:
        """Reserve room on a node, so that it is not promised again."""
        self._free[node] = self._free[node].less(cpu_millis, memory_bytes)
        self._cpu -= cpu_millis
        self._memory -= memory_bytes
