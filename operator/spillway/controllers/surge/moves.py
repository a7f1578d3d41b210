"""The controller of moves by surge: a chosen pod leaves its node once an additional replica of its workload is ready.

Contract: one key per ReplicaSet, its uid. Whoever wants a pod moved asks for it and learns by `ended` what came of it:
the outcome of the surge, or why there was none. A workload is left as it is during a rollout, while it is paused, not
whole, at the maximum of its HorizontalPodAutoscaler, at its ResourceQuota, or without room on another node, while one
of its replicas is on a held pool, if its class has `scheduleOnly`, and if another client writes its deletion costs. A
surge that another leader left is continued for the resource that its mark names, and withdrawn if that no longer asks
for moves. The additional replica prefers the planned node if that still has room for it and the zones stay within
`maxSkew`; the preference ends with the surge.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from spillway.api.virtualnodebudget import Cordon
from spillway.api.zonalbalance import ZonalBalanceSpec
from spillway.controllers.base import World
from spillway.controllers.surge.base import SurgeController
from spillway.controllers.surge.namespace_bounds import NamespaceBounds
from spillway.controllers.surge.room import physical_nodes, physical_room
from spillway.controllers.surge.runner import STEP_SECONDS
from spillway.controllers.surge.scaler import SurgeScaler, proven_surge, target_of
from spillway.domain.balance.arrivals import CLOCK_SECONDS, Arrivals
from spillway.domain.balance.skew import keeps_zones
from spillway.domain.balance.zone_loads import pods_by_zone
from spillway.domain.fit.neighbours import Incoming
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.model.documents import Json
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Zone
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.domain.scale_down.foreign_writer import foreign_pods
from spillway.domain.surge.hindrance import Left, all_ready, at_quota, available_replicas, cannot_surge
from spillway.domain.surge.steps import Progress, Purpose, Surge, SurgeOutcome, progress_of
from spillway.kube.errors import RequestError, UnreachableError
from spillway.kube.slices import in_slices
from spillway.state.claims import balance_of
from spillway.state.node_room import FreeNodes, PodFit
from spillway.state.nodes_left import nodes_left
from spillway.state.signal import Signal
from spillway.state.zone_spread import admitted_spec
from spillway.telemetry import surge as metrics

PURPOSES = frozenset({Purpose.REBALANCE, Purpose.CONSOLIDATE})
_UNKNOWN: Final = NodeName("")


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """A pod that is to be moved, and the resource that asks for it."""

    owner: OwnerUid
    pod: PodUid
    purpose: Purpose
    asker: str
    target: NodeName
    """The node that the plan expects it to go to."""
    at: float
    """When it is asked for."""


@dataclass(frozen=True, slots=True)
class MoveEnd:
    """What came of a move: how its surge ended, or why there was none."""

    replicaset: ReplicaSetRecord
    pod: PodUid
    purpose: Purpose
    asker: str
    result: SurgeOutcome | Left
    node: NodeName
    """The node of the pod; empty if the pod was gone before this leader saw it."""
    to: NodeName = _UNKNOWN
    """The node of the additional replica; empty if there is none, or it is not known which pod that is."""
    successor: str = ""
    """The name of the additional replica; as empty as its node."""

    @property
    def moved(self) -> bool:
        return self.result is SurgeOutcome.SUCCEEDED

    @property
    def where(self) -> str:
        """The node, in a sentence."""
        return f"node {self.node}" if self.node else "its node"


class SurgeMovesController(SurgeController):
    """The controller of moves by surge, with one key per ReplicaSet that surges or is about to."""

    name: ClassVar = "moves"
    workers: ClassVar = 4

    def __init__(self, world: World, scaler: SurgeScaler, *, ready_seconds: float) -> None:
        super().__init__(world, scaler, PURPOSES, ready_seconds=ready_seconds)
        self._asked: dict[OwnerUid, MoveRequest] = {}
        self._surges: dict[OwnerUid, Surge] = {}
        self._nodes: dict[OwnerUid, NodeName] = {}
        """The node of the pod that each surge moves; the pod may be gone before its surge has ended."""
        self._targets: dict[OwnerUid, NodeName] = {}
        """The node to which the plan of each surge expects the pod to go; none for those that a former leader began."""
        self.arrivals = Arrivals()
        """The pods that came by a move, also by one of the rebalancer's evictions."""
        self.ended: Signal[MoveEnd] = Signal("MoveEnd", lambda end: end.replicaset.key)
        """Emitted when a move has ended, or was given back."""

    def ask(self, request: MoveRequest) -> bool:
        """Move this pod; False if its workload is about to surge, or does, already."""
        if request.owner in self._asked or request.owner in self.scaler.busy:
            return False
        self._asked[request.owner] = request
        self.queue.add(request.owner)
        return True

    def in_progress(self, purpose: Purpose, asker: str) -> int:
        """How many moves go on that this resource asked for."""
        asked = sum((one.purpose, one.asker) == (purpose, asker) for one in self._asked.values())
        return asked + sum((one.purpose, one.asker) == (purpose, asker) for one in self._surges.values())

    def going(self, purpose: Purpose, asker: str) -> Mapping[str, float]:
        """The workloads of which moves go on that this resource asked for, and since when."""
        mine = (purpose, asker)
        found = {uid: one.at for uid, one in self._asked.items() if (one.purpose, one.asker) == mine}
        found |= {uid: one.since for uid, one in self._surges.items() if (one.purpose, one.asker) == mine}
        owners = self.world.state.replicasets
        return {workload_of(owners[uid]).key: since for uid, since in found.items() if uid in owners}

    def under_way(self) -> Sequence[MoveRequest]:
        """The moves that go on, of all who asked; without a target where a former leader began the surge."""
        surges = (
            MoveRequest(uid, one.pod, one.purpose, one.asker, self._targets.get(uid, _UNKNOWN), one.since)
            for uid, one in self._surges.items()
            if one.pod is not None and uid not in self._asked
        )
        return [*self._asked.values(), *surges]

    def begun(self, purpose: Purpose, asker: str) -> Sequence[float]:
        """When the present surges of this resource began, as their marks say; the last leader's are among them."""
        marked = (proven_surge(self.world, one) for one in self.world.state.replicasets.values() if one.surge)
        return sorted(one.since for one in marked if one is not None and (one.purpose, one.asker) == (purpose, asker))

    async def reconcile_resting(self, replicaset: ReplicaSetRecord) -> float | None:
        uid = replicaset.uid
        request = self._asked.get(uid)
        if request is None:
            return None
        surge: Surge | None = None
        reason: Left | SurgeOutcome = SurgeOutcome.WITHDRAWN
        try:
            surge, reason = await self._begin(replicaset, request)
        except RequestError as error:
            reason = SurgeOutcome.WITHDRAWN if isinstance(error, UnreachableError) else Left.UNREAD
            raise
        finally:
            # Whatever went wrong, also an error of the API server, it had its turn; a surge that began is continued.
            self._asked.pop(uid, None)
            if surge is None and uid not in self.runner.running:
                self._emit(replicaset, request.pod, request.purpose, request.asker, reason)
        return STEP_SECONDS if surge is not None else None

    # Surging

    async def _begin(
        self, replicaset: ReplicaSetRecord, request: MoveRequest
    ) -> tuple[Surge | None, Left | SurgeOutcome]:
        """The surge that has begun, or None and why there is none."""
        pod, target = self.world.state.pods.get(request.pod), target_of(replicaset)
        if pod is None or not pod.active or not self._wanted(replicaset, request.purpose, request.asker):
            return None, SurgeOutcome.WITHDRAWN
        present, reason = await self.examine(replicaset, pod)
        if target is None or present is None:
            return None, Left.CANNOT_SURGE
        if reason is not None:
            return None, reason
        fit = admitted_fit(self.world, replicaset, present["spec"]["template"].get("spec") or {})
        free = await self._free(replicaset, pod, fit)
        if free.find(fit, pod.requests) is None:
            return None, Left.NO_ROOM
        placed = self._placed(replicaset, pod.node)
        since = float(int(self.world.now()))
        surge = Surge(replicaset.replicas, placed, since, pod.uid, request.purpose, request.asker)
        node = free.find(fit, pod.requests, among={request.target})
        if node is not None and await self._keeps_zones(replicaset, pod, node, fit):
            self.world.board.plan_node(replicaset.uid, node)
        outcome = await self.runner.begin(replicaset, target, surge)
        if outcome is not None:
            self._end(replicaset)
            return None, outcome
        self._surges[replicaset.uid], self._targets[replicaset.uid] = surge, request.target
        self._show()
        self.log.info(
            "surge begun",
            key=replicaset.key,
            pod=pod.key,
            purpose=surge.purpose.value,
            asker=surge.asker,
            target=request.target,
        )
        return surge, SurgeOutcome.SUCCEEDED

    async def examine(
        self, replicaset: ReplicaSetRecord, pod: PodRecord, bounds: NamespaceBounds | None = None
    ) -> tuple[Json | None, Left | None]:
        """The object of a pod's workload, read now, and why the pod cannot be moved by surge; None if it can.

        Without an object there is nothing that could be scaled. `bounds` were read a short time ago; None if they are
        to be read now.
        """
        bounds = bounds or NamespaceBounds(self.scaler)
        target = target_of(replicaset)
        present = None if target is None else await self.scaler.workload(target)
        if present is None:
            return None, Left.CANNOT_SURGE
        reason = cannot_surge(present, await bounds.autoscalers(replicaset.namespace))
        if reason is None and at_quota(
            await bounds.quotas(replicaset.namespace), cpu_millis=pod.cpu_millis, memory_bytes=pod.memory_bytes
        ):
            reason = Left.AT_QUOTA
        return present, reason or self._hindrance(replicaset, present)

    def _hindrance(self, replicaset: ReplicaSetRecord, present: Json) -> Left | None:
        """The reason against a surge that the state gives."""
        pods = self.world.state.active_pods_of(replicaset.uid)
        rescaled = present["spec"].get("replicas", 1) != replicaset.replicas
        reasons = {
            Left.EXACT_REPLICAS: self.world.is_exact(replicaset),
            Left.ROLLOUT: rescaled or self.world.is_outgoing(replicaset),
            Left.NOT_READY: not all_ready(replicaset, pods),
            Left.FOREIGN_WRITER: bool(foreign_pods(pods)),
            Left.POOL_HELD: any(on_held_pool(self.world, pod) for pod in pods),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    async def _free(self, replicaset: ReplicaSetRecord, pod: PodRecord, fit: PodFit) -> FreeNodes:
        """The room of the nodes that are not to be avoided, and that other pods leave to one more such pod."""
        state = self.world.state
        avoided = {name for name, node in state.nodes.items() if node.avoided}
        left = nodes_left(state, incoming(fit, replicaset), filter(fit.admits, state.nodes.values()))
        if left is not None:
            avoided |= state.nodes.keys() - left
        waiting = [one async for one in in_slices(list(state.pods.values())) if not one.node]
        room = await physical_room(self.world, waiting, without=avoided | {pod.node})
        return FreeNodes(state, room)

    async def _keeps_zones(self, replicaset: ReplicaSetRecord, pod: PodRecord, target: NodeName, fit: PodFit) -> bool:
        """Whether a move to this node leaves the zones of the workload within `maxSkew`."""
        nodes, governance = self.world.state.nodes, self.world.governance
        name = balance_of(self.world.state, governance, replicaset)
        spec = ZonalBalanceSpec() if name is None else governance.balances[name].spec
        physical = {node.name: node for node in await physical_nodes(self.world)}
        zones = pods_by_zone(self.world.state.active_pods_of(replicaset.uid), physical, spec.zone_key)
        if pod.node not in nodes or target not in nodes:
            return False
        source, to = (nodes[node].zone_by(spec.zone_key) for node in (pod.node, target))
        empty: set[Zone] = set()
        # A pod may say much about nodes, so not all of them are compared with it at once.
        async for node in in_slices(list(physical.values())):
            zone = node.zone_by(spec.zone_key)
            known = not zone or zone in zones or zone in empty
            if not known and takes_pods(node) and not node.avoided and fit.admits(node):
                empty.add(zone)
        return keeps_zones(zones, source, to, spec.max_skew, empty)

    async def step(self, replicaset: ReplicaSetRecord) -> float | None:
        def look(surge: Surge, present: Json) -> Progress:
            self._surges[replicaset.uid] = surge
            return self._progress(replicaset, surge, present)

        ended = await self.runner.step(replicaset, look)
        if ended is None:
            self._show()
            return STEP_SECONDS
        self._end(replicaset)
        self._surges.pop(replicaset.uid, None)
        self._targets.pop(replicaset.uid, None)
        self._show()
        surge = ended.surge
        if surge is not None and surge.pod is not None:
            self.log.info("surge ended", key=replicaset.key, purpose=surge.purpose.value, outcome=ended.outcome.value)
            metrics.SURGES.labels(surge.purpose.value, ended.outcome.value).inc()
            if ended.outcome is SurgeOutcome.SUCCEEDED:
                self.arrivals.note(workload_of(replicaset).key, surge.since, self.world.now())
            new = self._additional(replicaset, surge)
            self._emit(replicaset, surge.pod, surge.purpose, surge.asker, ended.outcome, new=new)
        return None

    def _additional(self, replicaset: ReplicaSetRecord, surge: Surge) -> PodRecord | None:
        """The additional replica: the one pod that was created during the surge, as far as clocks agree."""
        pods = self.world.state.active_pods_of(replicaset.uid)
        since = surge.since - CLOCK_SECONDS
        new = [pod for pod in pods if pod.created >= since and pod.uid != surge.pod]
        return new[0] if len(new) == 1 else None

    def _end(self, replicaset: ReplicaSetRecord) -> None:
        self.runner.end(replicaset)
        self.world.board.withdraw_planned_node(replicaset.uid)

    def _emit(
        self,
        replicaset: ReplicaSetRecord,
        pod: PodUid,
        purpose: Purpose,
        asker: str,
        result: SurgeOutcome | Left,
        *,
        new: PodRecord | None = None,
    ) -> None:
        known, last = self.world.state.pods.get(pod), self._nodes.pop(replicaset.uid, _UNKNOWN)
        node = last if known is None else known.node
        to, successor = (_UNKNOWN, "") if new is None else (new.node, new.name)
        self.ended.emit(MoveEnd(replicaset, pod, purpose, asker, result, node, to, successor))

    def _progress(self, replicaset: ReplicaSetRecord, surge: Surge, present: Json) -> Progress:
        chosen = self.world.state.pods.get(surge.pod or PodUid(""))
        if chosen is not None:
            self._nodes[replicaset.uid] = chosen.node
        return progress_of(
            replicaset,
            self.world.state.active_pods_of(replicaset.uid),
            self.world.now(),
            asked=present["spec"].get("replicas", 1),
            placed=self._placed(replicaset, chosen.node if chosen is not None else _UNKNOWN),
            wanted=self._wanted(replicaset, surge.purpose, surge.asker),
            available=available_replicas(present),
        )

    def _placed(self, replicaset: ReplicaSetRecord, node: NodeName) -> int:
        """The ready pods that are not on this node."""
        return sum(pod.ready and pod.node != node for pod in self.world.state.active_pods_of(replicaset.uid))

    def _wanted(self, replicaset: ReplicaSetRecord, purpose: Purpose, asker: str) -> bool:
        """Whether the resource still asks for moves, and the workload may be moved."""
        present = replicaset.uid in self.world.state.replicasets
        asks = present and asks_for_moves(self.world.governance, purpose, asker)
        return asks and not self.world.only_recommends(replicaset) and not self.world.is_outgoing(replicaset)

    def forget(self, uid: OwnerUid) -> None:
        super().forget(uid)
        self.world.board.withdraw_planned_node(uid)
        self._asked.pop(uid, None)
        self._surges.pop(uid, None)
        self._targets.pop(uid, None)
        self._nodes.pop(uid, None)
        self._show()

    def _show(self) -> None:
        running = Counter(surge.purpose.value for surge in self._surges.values())
        for purpose in PURPOSES:
            metrics.RUNNING.labels(purpose.value).set(running[purpose.value])


def on_held_pool(world: World, pod: PodRecord) -> bool:
    """Whether a pod is on a pool of virtual nodes that is held."""
    node = world.state.nodes.get(pod.node)
    pool = None if node is None else world.governance.budget_of(node)
    budget = None if pool is None else world.governance.budgets.get(pool)
    return budget is not None and budget.spec.cordon is not Cordon.NONE


def admitted_fit(world: World, replicaset: ReplicaSetRecord, spec: Json) -> PodFit:
    """The nodes for one more pod of a ReplicaSet as it is admitted; `spec` is that of its pod template."""
    return PodFit(admitted_spec(world.state, world.governance, replicaset, spec))


def incoming(fit: PodFit, replicaset: ReplicaSetRecord) -> Incoming:
    """One more pod of a ReplicaSet whose template `fit` was made of."""
    return Incoming(fit.spec, replicaset.namespace, replicaset.labels)


def asks_for_moves(governance: Governance, purpose: Purpose, asker: str) -> bool:
    """Whether this resource wants pods to be moved by surges now."""
    if purpose is Purpose.CONSOLIDATE:
        policy = governance.policies.get(asker)
        return policy is not None and policy.spec.consolidates
    balance = governance.balances.get(asker)
    return purpose is Purpose.REBALANCE and balance is not None and balance.spec.moves_by_surge
