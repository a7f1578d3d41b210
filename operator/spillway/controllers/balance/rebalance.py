"""The rebalancer: it plans the moves that would make nodes even, and in mode Active evicts pods for them.

Contract: one key for each ZonalBalance with `rebalance`. A plan follows from the loads on the board and from what the
pods of busy nodes use, as metrics.k8s.io reports it; without current loads there is none. Only pods of settled
workloads with two replicas or more are planned: every replica ready, no rollout, no change for as long as `settle`
says, and none that a policy in Recommend governs. In mode Active with `by: Evict` at most `maxMovesPerMinute` pods are
evicted, through the Eviction API; a workload is left alone for `WORKLOAD_SECONDS` after a move, also after one that the
API server refused, so that what protects one workload keeps no node hot. The next plan waits until the load shows what
the moves did. Moves that do not help are tried again with growing delays.
"""

from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from spillway.api.zonalbalance import BalanceTarget, Moves, Rebalance, ZonalBalance
from spillway.controllers.balance.load import nodes_of
from spillway.controllers.balance.readings import Readings
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.balance.load import Loads, Weights
from spillway.domain.balance.moves import MovablePod, Move, MovePlan, NodeView, plan_moves
from spillway.domain.model import event_reasons
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.names import HOT_TAINT, NodeName, Zone
from spillway.domain.model.owners import object_reference, workload_key, workload_of
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.rollout import is_outgoing
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.resource_metrics import PodMetrics
from spillway.kube.slices import in_slices
from spillway.kube.writer import Eviction
from spillway.state.claims import balance_of
from spillway.state.signal import Signal
from spillway.telemetry import balance as metrics

PERIOD_SECONDS: Final = 30.0
WORKLOAD_SECONDS: Final = 600.0
"""After a move, its workload is left alone for so long."""
EFFECT_SECONDS: Final = 180.0
"""After so long the load shows what moves did."""
LONGEST_PAUSE_SECONDS: Final = 3600.0
LEAST_EFFECT: Final = 1.0
"""Percentage points by which moves must have lowered the imbalance to count as a help."""
PLANNED_MOST: Final = 50
"""Moves in one plan."""
LEAST_REPLICAS: Final = 2
"""An eviction leaves a workload with one replica without any for a while."""
LISTED: Final = 10
"""Moves that a status names."""
_HARD: Final = frozenset({"NoSchedule", "NoExecute"})


@dataclass(slots=True)
class _Memory:
    """What is remembered of one ZonalBalance."""

    not_before: float = 0.0
    """No pod is moved before."""
    imbalance: float = 0.0
    """Before the last moves."""
    failures: int = 0
    """How often in a row moves did not help."""
    judged: bool = True
    """Whether it was looked at what the last moves did."""
    recent: deque[float] = field(default_factory=deque)
    """When pods were moved in the last minute."""
    resting: dict[str, float] = field(default_factory=dict)
    """Until when a workload is left alone."""
    done: int = 0


class RebalanceController(Controller):
    """The rebalancer, with one key per ZonalBalance."""

    name: ClassVar = "rebalance"

    def __init__(self, world: World, readings: Readings, writer: ObjectWriter, events: Recorder) -> None:
        super().__init__(world)
        self._readings = readings
        self._writer = writer
        self._events = events
        self._memories: dict[str, _Memory] = {}
        self.plans: dict[str, MovePlan] = {}
        """The present plan of each ZonalBalance."""
        self.changed: Signal[()] = Signal("MovePlan")
        """Emitted when a plan has changed, or a pod was moved."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return {*self.world.governance.balances, *self.plans}

    def moves(self, balance: str) -> Moves | None:
        """The part of a ZonalBalance's status about moves; None where none are planned."""
        memory, plan = self._memories.get(balance), self.plans.get(balance)
        if memory is None:
            return None
        return Moves(
            planned=0 if plan is None else len(plan.moves),
            done=memory.done,
            expected_imbalance_percent=None if plan is None else round(plan.after),
            next=() if plan is None else tuple(move.text for move in plan.moves[:LISTED]),
        )

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        rule = None if balance is None else balance.spec.rebalance
        if balance is None or rule is None or not balance.spec.plans_moves:
            self._memories.pop(key, None)
            self._set_plan(key, None)
            return None
        memory = self._memories.setdefault(key, _Memory())
        try:
            plan = await self._plan(balance, memory)
        except RequestError as error:
            self.log.warning("no moves are planned", key=key, error=str(error))
            plan = None
        if plan is not None and plan.moves and not self.plans.get(key, _NO_PLAN).moves:
            self._announce(balance, plan)
        self._set_plan(key, plan)
        if plan is not None and rule.mode == "Active" and rule.by == "Evict":
            await self._move(balance, rule, plan, memory)
        return PERIOD_SECONDS

    async def _plan(self, balance: ZonalBalance, memory: _Memory) -> MovePlan | None:
        """The present plan; None while the load is not known."""
        load = balance.spec.effective_load
        known = self.world.board.loads.get(balance.metadata.name, Loads())
        percent = known.current(self.world.now(), load.stale_after.seconds)
        if not percent:
            return None
        nodes = {node.name: node for node in await nodes_of(self.world, balance) if node.name in percent}
        target = float((balance.spec.target or BalanceTarget()).max_imbalance_percent)
        busy = {name for name in nodes if percent[name] > min(percent.values()) + target}
        pods = [one async for one in self._movable(balance, nodes, busy, memory)] if busy else []
        weights = load.effective_weights
        only_cpu = load.queries is not None and load.queries.memory is None
        return plan_moves(
            [self._view(node, percent[name], balance.spec.zone_key) for name, node in nodes.items()],
            pods,
            weights=Weights(1, 0) if only_cpu else Weights(weights.cpu, weights.memory),
            max_imbalance=target,
            max_skew=balance.spec.max_skew,
            most=PLANNED_MOST,
        )

    def _view(self, node: NodeRecord, percent: float, zone_key: str) -> NodeView:
        free = self.world.state.node_usage.free_on(node)
        hot = any(taint.key == HOT_TAINT for taint in node.taints)
        return NodeView(
            node.name,
            Zone(node.labels.get(zone_key, "")),
            percent,
            node.cpu_millis,
            node.memory_bytes,
            free.cpu_millis,
            free.memory_bytes,
            free.pods,
            frozenset((one.key, one.value, one.effect) for one in node.taints if one.effect in _HARD),
            accepts=node.ready and not node.unschedulable and not node.deleting and not hot,
        )

    async def _movable(
        self, balance: ZonalBalance, nodes: Mapping[NodeName, NodeRecord], busy: set[NodeName], memory: _Memory
    ) -> AsyncIterator[MovablePod]:
        """The pods on busy nodes that may be moved, with what they use."""
        now, state, name = self.world.now(), self.world.state, balance.metadata.name
        settle = float((balance.spec.rebalance or Rebalance()).settle.seconds)
        used: dict[str, Mapping[str, PodMetrics]] = {}
        async for owner in in_slices(list(state.replicasets.values())):
            covered = owner.replicas >= LEAST_REPLICAS and balance_of(state, self.world.governance, owner) == name
            if not covered:
                continue
            pods = [pod for pod in state.pods_of(owner.uid) if pod.active]
            chosen = [pod for pod in pods if pod.node in busy and now - pod.ready_since >= settle]
            key = _key_of(owner)
            if not chosen or memory.resting.get(key, 0.0) > now or not self._settled(owner, pods, now - settle):
                continue
            if owner.namespace not in used:
                used[owner.namespace] = await self._readings.pods(owner.namespace)
            zones = Counter(
                Zone(nodes[pod.node].labels.get(balance.spec.zone_key, "")) for pod in pods if pod.node in nodes
            )
            for pod in chosen:
                usage = used[owner.namespace].get(pod.name)
                if usage is not None:
                    yield MovablePod(
                        pod.uid,
                        pod.key,
                        key,
                        pod.node,
                        pod.cpu_millis,
                        pod.memory_bytes,
                        usage.cpu_millis,
                        usage.memory_bytes,
                        zones,
                    )

    def _settled(self, owner: ReplicaSetRecord, pods: Collection[PodRecord], since: float) -> bool:
        """Whether nothing has happened to the workload since then, and a policy, if one governs it, is in force."""
        claim = self.world.claim_of(owner)
        if claim is not None and not claim.enforced:
            return False
        whole = len(pods) == owner.replicas and all(pod.ready for pod in pods)
        rolling = bool(owner.owner_uid) and is_outgoing(owner, self.world.state.replicasets_of(owner.owner_uid))
        return whole and not rolling and not owner.surge and owner.grew <= since

    # Moving

    async def _move(self, balance: ZonalBalance, rule: Rebalance, plan: MovePlan, memory: _Memory) -> None:
        now = self.world.now()
        if now < memory.not_before:
            return
        if not memory.judged:
            self._judge(balance.metadata.name, plan, memory, now)
            if now < memory.not_before:
                return
        while memory.recent and memory.recent[0] <= now - 60.0:
            memory.recent.popleft()
        memory.resting = {name: until for name, until in memory.resting.items() if until > now}
        moved = 0
        for move in plan.moves[: max(rule.max_moves_per_minute - len(memory.recent), 0)]:
            memory.resting[move.workload] = now + WORKLOAD_SECONDS
            if await self._evict(balance, move):
                moved += 1
                memory.recent.append(now)
        if moved:
            memory.done += moved
            memory.imbalance, memory.judged = plan.before, False
            memory.not_before = now + EFFECT_SECONDS
            self.changed.emit()

    def _judge(self, balance: str, plan: MovePlan, memory: _Memory, now: float) -> None:
        """Wait longer if the last moves did not help."""
        memory.judged = True
        if plan.before <= memory.imbalance - LEAST_EFFECT:
            memory.failures = 0
            return
        memory.failures += 1
        pause = backoff_seconds(memory.failures, first=EFFECT_SECONDS, longest=LONGEST_PAUSE_SECONDS)
        memory.not_before = now + pause
        metrics.MOVES_WITHOUT_EFFECT.labels(balance).inc()
        self.log.warning("moves did not help, waiting", key=balance, imbalance=round(plan.before), seconds=pause)

    async def _evict(self, balance: ZonalBalance, move: Move) -> bool:
        pod = self.world.state.pods.get(move.pod)
        if pod is None or pod.terminating:
            return False
        try:
            result = await self._writer.evict(pod)
        except RequestError as error:
            # A webhook that protects it, two disruption budgets over one pod: matters of this pod.
            self.log.warning("eviction failed", key=pod.key, error=str(error))
            return False
        metrics.MOVES.labels(balance.metadata.name, result.value).inc()
        if result is not Eviction.EVICTED:
            return False
        self.log.info("pod moved", key=pod.key, balance=balance.metadata.name, source=move.source, target=move.target)
        owner = self.world.state.owner(pod.owner_uid)
        if owner is not None:
            message = f"Evicted to make the load of nodes even: {move.text}."
            self._events.record(workload_of(owner).reference, "Normal", event_reasons.POD_MOVED, message)
        return True

    def _announce(self, balance: ZonalBalance, plan: MovePlan) -> None:
        reference = object_reference(balance.api_version, balance.kind, balance.metadata.name, balance.metadata.uid)
        message = (
            f"{len(plan.moves)} moves would lower the imbalance of nodes from {plan.before:.0f} to {plan.after:.0f} "
            f"points, first {plan.moves[0].text}."
        )
        self._events.record(reference, "Normal", event_reasons.MOVES_PLANNED, message)

    def _set_plan(self, balance: str, plan: MovePlan | None) -> None:
        before = self.plans.get(balance)
        if plan is None:
            self.plans.pop(balance, None)
        else:
            self.plans[balance] = plan
        if before != plan:
            metrics.MOVES_PLANNED.replace({(name,): len(one.moves) for name, one in self.plans.items()})
            self.changed.emit()


_NO_PLAN: Final = MovePlan((), 0.0, 0.0)


def _key_of(owner: ReplicaSetRecord) -> str:
    top = workload_of(owner)
    return workload_key(top.kind, top.namespace, top.name)
