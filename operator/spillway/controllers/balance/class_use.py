"""What the pods of each load class use on each node of a ZonalBalance, as metrics.k8s.io reports it.

Contract: it reads the state, the board and metrics.k8s.io, and never writes. The class of a pod is what its template's
label says, else what was measured of its workload; a label of the user's own that is no load class counts for nothing.
A ReplicaSet or StatefulSet is left out while less than `LEAST_MEASURED` of its ready pods were measured, and holds up
no other.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from spillway.api.zonalbalance import ZonalBalance
from spillway.controllers.balance.readings import Readings
from spillway.controllers.balance.selected import owners_by_namespace
from spillway.controllers.base import World
from spillway.domain.balance.class_moves import Shares, class_points
from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.move_board import LoadedNode
from spillway.domain.balance.zone_loads import LEAST_MEASURED
from spillway.domain.model.names import LOAD_CLASS, NodeName, PodUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import OwnerRecord
from spillway.kube.slices import in_slices

_CLASSES: Final = frozenset(one.value for one in LoadClass)


@dataclass(frozen=True, slots=True)
class ClassUse:
    """The use of each class."""

    classes: Mapping[PodUid, LoadClass] = field(default_factory=dict)
    """The pods that have a class, on any of the nodes."""
    shares: Shares = field(default_factory=dict)


async def class_use(
    world: World, readings: Readings, balance: ZonalBalance, nodes: Mapping[NodeName, LoadedNode]
) -> ClassUse:
    """The use of each class on these nodes.

    Raises:
        RequestError: metrics.k8s.io has no answer.
    """
    name = balance.metadata.name
    measured = world.board.load_classes.get(name, {})
    classes: dict[PodUid, LoadClass] = {}
    shares: dict[LoadClass, dict[NodeName, float]] = {}
    for namespace, owners in (await owners_by_namespace(world, name)).items():
        used = await readings.pods(namespace, balance.spec.effective_load)
        async for owner in in_slices(owners):
            load_class = _class_of(owner, measured)
            if load_class is None:
                continue
            pods = [pod for pod in world.state.active_pods_of(owner.uid) if pod.node in nodes]
            ready = [pod.name in used for pod in pods if pod.ready]
            if sum(ready) < LEAST_MEASURED * len(ready):
                continue
            of = shares.setdefault(load_class, defaultdict(float))
            for pod in pods:
                classes[pod.uid] = load_class
                if (usage := used.get(pod.name)) is not None:
                    node = nodes[pod.node]
                    of[node.name] += class_points(load_class, node, usage.cpu_millis, usage.memory_bytes)
    return ClassUse(classes, shares)


def _class_of(owner: OwnerRecord, measured: Mapping[str, LoadClass]) -> LoadClass | None:
    label = owner.labels.get(LOAD_CLASS)
    if label is None:
        return measured.get(workload_of(owner).key)
    return LoadClass(label) if label in _CLASSES else None
