"""The room on physical nodes for replicas that are brought back, on the nodes where a workload's pods may run.

Contract: a node that the pods may not use (a taint, a selector) is no room for them. Where they may run is known once
the workload's template was read, which happens once per ReplicaSet, because its template does not change; until then
there is no room for it. Room that is taken is not given to another workload before the next refresh. Other pods, and
what admission adds to a replica, are looked at only when room is taken.
"""

from collections.abc import Iterable

from spillway.controllers.base import World
from spillway.controllers.spill.virtual_replicas import SpilledWorkload
from spillway.controllers.surge.moves import admitted_fit, incoming
from spillway.controllers.surge.room import physical_room
from spillway.domain.fit.placement import placement
from spillway.domain.fit.room import NodeRoom
from spillway.domain.model.documents import Json
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.domain.model.usage import Usage
from spillway.kube.slices import in_slices
from spillway.state.node_room import FreeNodes, PodFit
from spillway.state.nodes_left import nodes_left


class BringBackRoom:
    """The room for one more replica of each workload."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._free = FreeNodes(world.state, NodeRoom({}))
        self._fits: dict[OwnerUid, PodFit] = {}
        self._with_room: frozenset[OwnerUid] = frozenset()
        self.unread: set[OwnerUid] = set()
        """The ReplicaSets whose workload has to be read."""

    async def refresh(self, workloads: Iterable[SpilledWorkload], without_node: Iterable[PodRecord]) -> None:
        """Find out which of these workloads have room; pods without a node are served before them."""
        workloads = list(workloads)
        room = await physical_room(self._world, without_node) if workloads else NodeRoom({})
        self._free = FreeNodes(self._world.state, room)
        known: dict[tuple[bytes, Usage], bool] = {}
        found: set[OwnerUid] = set()
        self.unread = {one.uid for one in workloads} - self._fits.keys()
        async for one in in_slices(workloads):
            fit = self._fits.get(one.uid)
            if fit is None:
                continue
            key = (fit.key, one.request)
            if key not in known:
                known[key] = self._free.find(fit, one.request) is not None
            if known[key]:
                found.add(one.uid)
        self._with_room = frozenset(found)

    def holds(self, uid: OwnerUid) -> bool:
        """Whether there was room for one more replica at the last refresh."""
        return uid in self._with_room

    def learn(self, uid: OwnerUid, workload: Json) -> None:
        """Remember where the pods of a ReplicaSet may run, from its workload as the API server gave it."""
        self._fits[uid] = PodFit(placement(workload["spec"]["template"].get("spec") or {}))
        self.unread.discard(uid)

    def take(self, one: SpilledWorkload) -> bool:
        """Reserve room for one more replica; False if there is none left."""
        known = self._fits.get(one.uid)
        if known is None:
            return False
        state, fit = self._world.state, admitted_fit(self._world, one.replicaset, known.spec)
        left = nodes_left(state, incoming(fit, one.replicaset), filter(fit.admits, state.nodes.values()))
        return self._free.take(fit, one.request, among=left)

    def forget(self, uid: OwnerUid) -> None:
        """Forget a ReplicaSet."""
        self._fits.pop(uid, None)
        self.unread.discard(uid)
