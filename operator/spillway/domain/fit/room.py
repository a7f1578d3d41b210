"""The free room of nodes for one more pod, counted so that it is not assigned twice (the scheduler's NodeResourcesFit).

Contract: pure. Conservative: what placeholder pods (balloons) hold is not free (headroom is kept for a peak, not for
tidying up), pods that wait for a node are served first, and each promise is taken off before the next is made. Where a
pod lands is decided by the scheduler, which may still find no node for it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase, PodRecord
from spillway.domain.model.usage import Usage

LONGEST_WAIT_SECONDS: Final = 600.0
"""A pod that has found no node for so long waits for something else than room."""


def waits_for_room(pod: PodRecord, now: float) -> bool:
    """Whether the pod waits for free room on a node.

    Anybody who may create pods can make one that never gets a node, by a scheduling gate, a selector that no node has
    or the name of a scheduler that does not exist. Such a pod does not count, or not for long.
    """
    pending = pod.pending
    if pod.node or pod.terminating or pod.phase is not Phase.PENDING or (pending is not None and pending.gated):
        return False
    since = pending.unschedulable_since if pending is not None else 0.0
    return now - (since or pod.created) < LONGEST_WAIT_SECONDS


def waiting_requests(pods: Iterable[PodRecord], now: float) -> tuple[Usage, ...]:
    """What each of the pods that wait for a node asks for; give it none that can start on a pool alone."""
    return tuple(pod.requests for pod in pods if waits_for_room(pod, now))


class NodeRoom:
    """What is free on each node, and who waits for it. A request is that of one pod."""

    def __init__(self, free: Mapping[NodeName, Usage], waiting: Iterable[Usage] = ()) -> None:
        self._free = {name: one for name, one in free.items() if one.pods > 0 and one.cpu_millis >= 0}
        self._widest_first = sorted(((one.cpu_millis, name) for name, one in self._free.items()), reverse=True)
        self._cpu = sum(one.cpu_millis for one in self._free.values())
        self._memory = sum(max(one.memory_bytes, 0) for one in self._free.values())
        for request in waiting:
            # One that fits nowhere waits for something else; counting it would hide what is free from all others.
            if self.find(request) is not None:
                self._cpu -= request.cpu_millis
                self._memory -= request.memory_bytes

    def find(self, request: Usage, admits: Callable[[NodeName], bool] = lambda _: True) -> NodeName | None:
        """The node that was the emptiest of those that would hold one more such pod; None where there is none.

        Cheap also where there is none.
        """
        if request.cpu_millis > self._cpu or request.memory_bytes > self._memory:
            return None
        for cpu, name in self._widest_first:
            if cpu < request.cpu_millis:
                break
            if self._free[name].covers(request) and admits(name):
                return name
        return None

    def take(self, node: NodeName, request: Usage) -> None:
        """Reserve room on a node, so that it is not promised again."""
        self._free[node] -= request
        self._cpu -= request.cpu_millis
        self._memory -= request.memory_bytes
