"""The pods that have come to nodes and left them lately, and the loads that plans of moves go by.

Contract: it follows the state from the subscription on, reads metrics.k8s.io, and never writes. A pod that has come
counts with the mean use of the pods of its workload that have been ready for `SETTLED_SECONDS`: what it uses itself
while it starts says little. One that has left takes off what it used itself in the last reading, and if it came lately,
its arrival counts with the same. If that is not known, or it was never ready, it counts neither as come nor as left:
otherwise pods that are created and deleted again would move those of others. Where no pod of the workload has been
ready for so long, and for pods without a ReplicaSet, the reading alone counts. Moves that other resources have asked
for count with what the pod uses, as far as it has not left and its successor has not come.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from spillway.api.zonalbalance import Load, ZonalBalance
from spillway.controllers.balance.readings import Readings
from spillway.controllers.balance.under_way import MoveUnderWay
from spillway.controllers.base import Unsubscribe, World
from spillway.domain.balance.in_transit import Transit, expected_loads
from spillway.domain.balance.load import COUNTED_SECONDS, SMOOTHING_SECONDS, Loads, load_points, weights_of
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.kube.resource_metrics import PodMetrics
from spillway.kube.slices import in_slices
from spillway.state.pod_passage import passage_of

SETTLED_SECONDS: Final = SMOOTHING_SECONDS
_KEPT_SECONDS: Final = 2 * COUNTED_SECONDS
"""A reading that is acted on may be some minutes old."""


@dataclass(frozen=True, slots=True)
class _Passage:
    """A pod that came to a node, or left it."""

    owner: OwnerUid
    node: NodeName
    at: float
    use: PodMetrics | None = None
    """What the pod itself used; None while it is there."""


class PodsInTransit:
    """The pods of one cluster that are in transit."""

    def __init__(self, world: World, readings: Readings) -> None:
        self._world = world
        self._readings = readings
        self._came: OrderedDict[PodUid, _Passage] = OrderedDict()
        """In the order in which they were seen."""
        self._left: OrderedDict[PodUid, _Passage] = OrderedDict()
        self._were_ready: set[PodUid] = set()
        """The pods that were ready and are not."""

    def subscribe(self) -> Unsubscribe:
        """Follow the pods, beginning with those that are there."""
        since = self._world.now() - _KEPT_SECONDS
        for pod in self._world.state.pods.values():
            if pod.started > since or pod.created > since:
                self._pod_changed(None, pod)
        return self._world.state.subscribe(PodRecord, self._pod_changed)

    async def expected(
        self, balance: ZonalBalance, nodes: Mapping[NodeName, NodeRecord], moves: Iterable[MoveUnderWay] = ()
    ) -> Mapping[NodeName, float]:
        """The load of each of these nodes of a ZonalBalance, in percent; those without a reading are left out.

        `moves` are those of other resources.

        Raises:
            RequestError: what pods use could not be read.
        """
        loads = self._world.board.loads.get(balance.metadata.name, Loads())
        weights, since = weights_of(balance.spec.effective_load), loads.at - COUNTED_SECONDS
        uses: dict[str, PodMetrics | None] = {}
        transits: list[Transit] = []
        passages = ((sign, one) for sign, found in ((1, self._came), (-1, self._left)) for one in found.values())
        async for sign, one in in_slices([(sign, one) for sign, one in passages if one.at > since]):
            owner, node = self._world.state.replicasets.get(one.owner), nodes.get(one.node)
            if owner is None or node is None:
                continue
            use = one.use
            if use is None:
                key = workload_of(owner).key
                if key not in uses:
                    uses[key] = await self._use_of(owner, balance.spec.effective_load)
                use = uses[key]
            if use is not None:
                points = load_points(use.cpu_millis, use.memory_bytes, node.allocatable, weights)
                transits.append(Transit(node.name, one.at, sign * points))
        for move in moves:
            transits += await self._transits_of(move, balance.spec.effective_load, nodes)
        expected = expected_loads(loads, transits)
        return {name: expected[name] for name in nodes if name in expected}

    async def _transits_of(
        self, move: MoveUnderWay, load: Load, nodes: Mapping[NodeName, NodeRecord]
    ) -> Sequence[Transit]:
        """What a move will change that no load shows; nothing if it is not known what the pod uses."""
        changes = ((-1, move.pod.node, move.leaves), (1, move.target, move.comes))
        awaited = [(sign, nodes[name]) for sign, name, counts in changes if counts and name in nodes]
        if not awaited:
            return ()
        use, owner = (await self._readings.pods(move.pod.namespace, load)).get(move.pod.name), move.pod.owner_uid
        if use is None and (known := self._world.state.replicasets.get(owner)) is not None:
            use = await self._use_of(known, load)
        if use is None:
            return ()
        weights, now = weights_of(load), self._world.now()
        used = use.cpu_millis, use.memory_bytes
        return [Transit(node.name, now, sign * load_points(*used, node.allocatable, weights)) for sign, node in awaited]

    async def _use_of(self, owner: ReplicaSetRecord, load: Load) -> PodMetrics | None:
        """What a pod of this workload uses, in the mean; None if that is not known."""
        state, since = self._world.state, self._world.now() - SETTLED_SECONDS
        owners = {owner.uid, *(one.uid for one in state.siblings_of(owner))}
        settled = [
            pod.name for uid in owners for pod in state.active_pods_of(uid) if pod.ready and pod.ready_since <= since
        ]
        used = await self._readings.pods(owner.namespace, load) if settled else {}
        known = [used[name] for name in settled if name in used]
        if not known:
            return None
        return PodMetrics(fmean(one.cpu_millis for one in known), fmean(one.memory_bytes for one in known))

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        # Without a ZonalBalance no plan needs it, and nothing is kept.
        if not self._world.governance.balances:
            self._came.clear()
            self._left.clear()
            self._were_ready.clear()
            return
        now, ran = self._world.now(), self._ran(old, new)
        change = passage_of(old, new, now)
        if change is None:
            return
        for passages in (self._came, self._left):
            while passages and next(iter(passages.values())).at <= now - _KEPT_SECONDS:
                passages.popitem(last=False)
        if old is not None and change.before:
            self._leaves(old, change.before, now, ran=ran)
        if new is not None and change.after and change.came_at > now - _KEPT_SECONDS:
            self._came[new.uid] = _Passage(new.owner_uid, change.after, change.came_at)

    def _leaves(self, pod: PodRecord, node: NodeName, now: float, *, ran: bool) -> None:
        # What never ran is in no reading.
        use = self._readings.last_use(pod.namespace, pod.name) if ran else None
        if use is None:
            self._came.pop(pod.uid, None)
            return
        if (came := self._came.get(pod.uid)) is not None:
            self._came[pod.uid] = replace(came, use=use)
        self._left[pod.uid] = _Passage(pod.owner_uid, node, now, use)

    def _ran(self, old: PodRecord | None, new: PodRecord | None) -> bool:
        """Whether a pod was ready before this change; it may not be any more while it is being deleted."""
        if old is None:
            return False
        ran = old.ready or old.uid in self._were_ready
        if new is not None and not new.ready and ran:
            self._were_ready.add(old.uid)
        else:
            self._were_ready.discard(old.uid)
        return ran
