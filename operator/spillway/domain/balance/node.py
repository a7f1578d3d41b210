"""A node as plans of moves see it: its room, whether new pods may come, and which other nodes' pods it takes.

Contract: pure. A pod that runs on one node is expected to run on another one that has no hard taint beside those of the
first, because it tolerates these. Room is CPU, memory and a number of pods; what pods take beside that is compared by
`offers`. A zone is open to a pod if a node is there to which it may come, whether that has room or not: so the
scheduler counts zones for a spread.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.fit.taint_toleration import hard_taints
from spillway.domain.model.host_ports import HostPort, first_taken
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.records import NodeRecord, Taint
from spillway.domain.model.usage import NO_AMOUNTS, Usage


class PlannedPod(Protocol):
    """What a pod takes of its node beside CPU and memory; `PodRecord` says more."""

    @property
    def extended(self) -> Mapping[str, int] | None:
        """The amounts by resource; None for most pods."""

    @property
    def host_ports(self) -> tuple[HostPort, ...]:
        """The ports of its node."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node, and its room."""

    name: NodeName
    zone: Zone
    allocatable: Usage
    free: Usage
    """What no pod has requested."""
    taints: frozenset[Taint] = frozenset()
    """Its hard taints."""
    accepts: bool = True
    """Whether new pods may come: it is ready, schedulable, carries no soft taint of nodes from which pods move, and
    stays as far as taints of node autoscalers show it."""
    extended: Mapping[str, int] = field(default_factory=dict)
    """What no pod has requested beside CPU and memory, by resource."""
    host_ports: Collection[HostPort] = ()
    """The ports that pods take."""

    @classmethod
    def of(cls, node: NodeRecord, free: Usage, zone_key: str, **more: Any) -> Self:  # noqa: ANN401 - of the subclass
        """The node of a record, with what is free on it, and what a plan asks for beside that."""
        return cls(
            name=node.name,
            zone=node.zone_by(zone_key),
            allocatable=node.allocatable,
            free=free,
            taints=frozenset(hard_taints(node)),
            accepts=takes_pods(node) and not node.avoided,
            **more,
        )

    def requested(self, free: Usage) -> float:
        """The larger share of the node, from 0 to 1, that is requested while so much is free."""
        there = self.allocatable
        cpu = 1 - free.cpu_millis / there.cpu_millis if there.cpu_millis else 1.0
        memory = 1 - free.memory_bytes / there.memory_bytes if there.memory_bytes else 1.0
        return max(cpu, memory)

    def offers(self, pod: PlannedPod, coming: Iterable[PlannedPod]) -> bool:
        """Whether it has free what the pod takes beside CPU and memory, once other pods that are `coming` are there."""
        if not pod.extended and not pod.host_ports:
            return True
        others = tuple(coming)
        taken = (*self.host_ports, *(port for other in others for port in other.host_ports))
        if first_taken(pod.host_ports, taken) is not None:
            return False
        return all(
            amount + sum((other.extended or NO_AMOUNTS).get(name, 0) for other in others) <= self.extended.get(name, 0)
            for name, amount in (pod.extended or NO_AMOUNTS).items()
        )

    def tolerated_from(self, source: "PlannedNode") -> bool:
        """Whether pods of another node tolerate the hard taints of this one, as far as those of the other show it."""
        return self.taints <= source.taints


N = TypeVar("N", bound=PlannedNode)


class OpenZones(Generic[N]):
    """The zones that are open to the pods of workloads; for each workload they are found once."""

    def __init__(self, nodes: Iterable[N], zone_of: Callable[[N], Zone]) -> None:
        self._nodes: dict[Zone, list[N]] = {}
        """The nodes to which pods may come, by their zones; one without a zone is left out."""
        for node in nodes:
            if node.accepts and (zone := zone_of(node)):
                self._nodes.setdefault(zone, []).append(node)
        self._empty: dict[tuple[str, frozenset[Taint]], Collection[Zone]] = {}
        """By workload, and the hard taints of the node of its pod."""

    def empty(
        self, workload: str, pods: Mapping[Zone, int], source: PlannedNode, admits: Callable[[N], bool]
    ) -> Collection[Zone]:
        """The zones that are open to a pod of a workload, which runs on `source`, and in which it had no pod."""
        key = workload, source.taints
        if key not in self._empty:
            self._empty[key] = [
                zone
                for zone, nodes in self._nodes.items()
                if not pods.get(zone) and any(node.tolerated_from(source) and admits(node) for node in nodes)
            ]
        return self._empty[key]
