"""The rebalancer: it plans the moves that would make nodes even, and in mode Active moves pods for them.

Contract: one key for each ZonalBalance with `rebalance`. A plan follows from the loads on the board and from the pods
that may be moved (`movable_pods`); without current loads there is none. In mode Active at most `maxMovesPerMinute` pods
are moved: by Surge an additional replica of the workload comes first, by Evict the pod goes through the Eviction API. A
workload is left alone for `WORKLOAD_SECONDS` after a move, also after one that the API server refused, so that what
protects one workload keeps no node hot, and longer after each surge in a row that failed. After moves that succeeded,
the next ones wait until the load shows what they did; a move that was given back delays no other workload. Moves that
do not help are tried again with growing delays. A pod that came by a move is left for an hour. While another
descheduler runs, nothing is moved; and no pod is moved from or to a node that a node autoscaler is removing, or to an
elastic node that is empty and may be removed next.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from spillway.api.zonalbalance import BalanceTarget, Moves, Rebalance, ZonalBalance
from spillway.controllers.balance.descheduling import Deschedulers
from spillway.controllers.balance.emptiable import leaving
from spillway.controllers.balance.load import current_loads, nodes_of
from spillway.controllers.balance.movable import Movable, movable_pods
from spillway.controllers.balance.readings import Readings
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.surge.moves import MoveEnd, MoveRequest, SurgeMovesController
from spillway.controllers.surge.words import LISTED, left_lines, told
from spillway.domain.balance.arrivals import SUCCESSOR_SECONDS
from spillway.domain.balance.bounds import MoveBounds
from spillway.domain.balance.load import Weights
from spillway.domain.balance.moves import LoadedNode, Move, MovePlan, plan_moves
from spillway.domain.model import event_reasons
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.owners import reference_to, workload_of
from spillway.domain.model.records import NodeRecord
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, SurgeOutcome
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.writer import Eviction
from spillway.state.signal import Signal
from spillway.telemetry import balance as metrics

PERIOD_SECONDS: Final = 30.0
EFFECT_SECONDS: Final = 180.0
"""After so long the load shows what moves did."""
LONGEST_PAUSE_SECONDS: Final = 3600.0
LEAST_EFFECT: Final = 1.0
"""Percentage points by which moves must have lowered the imbalance to count as a help."""
PLANNED_MOST: Final = 50
"""Moves in one plan."""


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
    bounds: MoveBounds = field(default_factory=MoveBounds)
    left: Mapping[str, Left] = field(default_factory=dict)
    """Why workloads with pods on busy nodes are not in the plan."""


class RebalanceController(Controller):
    """The rebalancer, with one key per ZonalBalance."""

    name: ClassVar = "rebalance"

    def __init__(
        self,
        world: World,
        readings: Readings,
        writer: ObjectWriter,
        events: Recorder,
        surges: SurgeMovesController,
        *,
        deschedulers: Deschedulers,
    ) -> None:
        super().__init__(world)
        self._deschedulers = deschedulers
        self._readings = readings
        self._writer = writer
        self._events = events
        self._surges = surges
        self._memories: dict[str, _Memory] = {}
        self.plans: dict[str, MovePlan] = {}
        """The present plan of each ZonalBalance."""
        self.descheduler = ""
        """The other descheduler for which nothing is moved; empty if none was found."""
        self.changed: Signal[()] = Signal("MovePlan")
        """Emitted when a plan has changed, or a pod was moved."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)
        yield self._surges.ended.subscribe(self._ended)

    def all_keys(self) -> Iterable[str]:
        return {*self.world.governance.balances, *self.plans, *self._memories}

    def moves(self, balance: str) -> Moves | None:
        """The part of a ZonalBalance's status about moves; None where none are planned."""
        memory, plan = self._memories.get(balance), self.plans.get(balance)
        if memory is None:
            return None
        return Moves(
            planned=0 if plan is None else len(plan.moves),
            done=memory.bounds.done,
            last_day=memory.bounds.last_day(self.world.now()),
            in_progress=self._surges.in_progress(Purpose.REBALANCE, balance),
            left=left_lines(self._left(memory)),
            expected_imbalance_percent=None if plan is None else round(plan.after),
            next=() if plan is None else tuple(move.text for move in plan.moves[:LISTED]),
        )

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        rule = None if balance is None else balance.spec.rebalance
        if balance is None or rule is None or not balance.spec.plans_moves:
            if self._memories.pop(key, None) is not None:
                self._show_left()
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
        self._show_left()
        if rule.mode == "Active":
            self.descheduler = await self._deschedulers.find()
            if plan is not None and not self.descheduler:
                await self._move(balance, rule, plan, memory)
        return PERIOD_SECONDS

    async def _plan(self, balance: ZonalBalance, memory: _Memory) -> MovePlan | None:
        """The present plan; None while the load is not known."""
        load = balance.spec.effective_load
        percent = current_loads(self.world, balance)
        if not percent:
            return None
        nodes = {node.name: node for node in await nodes_of(self.world, balance) if node.name in percent}
        target = float((balance.spec.target or BalanceTarget()).max_imbalance_percent)
        lowest = min(percent.values())
        # A node that a node autoscaler is removing is its matter.
        busy = {name for name, node in nodes.items() if percent[name] > lowest + target and not node.leaves}
        movable = Movable((), {})
        if busy:
            movable = await movable_pods(
                self.world,
                self._readings,
                balance,
                nodes,
                busy=busy,
                resting=memory.bounds.resting,
                arrivals=self._surges.arrivals,
            )
        memory.left = movable.left
        weights = load.effective_weights
        only_cpu = load.queries is not None and load.queries.memory is None
        return plan_moves(
            [self._node(node, percent[name], balance.spec.zone_key) for name, node in nodes.items()],
            movable.pods,
            weights=Weights(1, 0) if only_cpu else Weights(weights.cpu, weights.memory),
            max_imbalance=target,
            max_skew=balance.spec.max_skew,
            most=PLANNED_MOST,
        )

    def _node(self, node: NodeRecord, percent: float, zone_key: str) -> LoadedNode:
        found = LoadedNode.of(node, self.world.state.node_usage.free_on(node), zone_key, percent=percent)
        # A pod that went to an empty elastic node would keep it from the node autoscaler.
        idle = self.world.governance.elastic_owner(node) is not None and not leaving(self.world, node.name)
        return replace(found, accepts=False) if idle else found

    # Moving

    async def _move(self, balance: ZonalBalance, rule: Rebalance, plan: MovePlan, memory: _Memory) -> None:
        now = self.world.now()
        if now < memory.not_before or self._surges.in_progress(Purpose.REBALANCE, balance.metadata.name):
            return
        if not memory.judged:
            self._judge(balance.metadata.name, plan, memory, now)
            if now < memory.not_before:
                return
        begun = False
        for move in plan.moves[: memory.bounds.allowed(rule.max_moves_per_minute, now)]:
            memory.bounds.rest(move.workload, now)
            if await self._evict(balance, move) if rule.by == "Evict" else self._surge(balance, move):
                begun = True
                memory.imbalance = plan.before
                memory.bounds.began(now)
                if rule.by == "Evict":
                    self._surges.arrivals.note(move.workload, float(int(now)), now + SUCCESSOR_SECONDS)
                    self._note(memory, move.workload, now)
        if begun:
            self.changed.emit()

    def _note(self, memory: _Memory, workload: str, now: float) -> None:
        """Remember that a pod was moved, and wait until the load shows it."""
        memory.bounds.succeeded(workload, now)
        memory.judged = False
        memory.not_before = now + EFFECT_SECONDS

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

    def _surge(self, balance: ZonalBalance, move: Move) -> bool:
        """Ask for the move; what came of it is learned by `_ended`."""
        pod = self.world.state.pods.get(move.pod)
        if pod is None or pod.terminating:
            return False
        return self._surges.ask(MoveRequest(pod.owner_uid, pod.uid, Purpose.REBALANCE, balance.metadata.name))

    def _ended(self, end: MoveEnd) -> None:
        if end.purpose is not Purpose.REBALANCE:
            return
        memory, now, workload = self._memories.get(end.asker), self.world.now(), workload_of(end.replicaset).key
        if memory is None:
            return
        metrics.MOVES.labels(end.asker, "moved" if end.moved else end.result.value).inc()
        if end.moved:
            self._note(memory, workload, now)
            message = f"A pod was moved off node {end.node}: an additional replica was ready before it was deleted."
            self._events.record(workload_of(end.replicaset).reference, "Normal", event_reasons.POD_MOVED, message)
        else:
            memory.bounds.given_back(workload, end.result, now)
            message = f"A pod is not moved off a busy node: {told(end.result)}. It is tried again later."
            self._events.record(workload_of(end.replicaset).reference, "Normal", event_reasons.MOVE_LEFT, message)
        self._show_left()
        self.queue.add(end.asker)
        self.changed.emit()

    def _left(self, memory: _Memory) -> Mapping[str, Left | SurgeOutcome]:
        """The workloads with pods on busy nodes that are left, and why."""
        return {**memory.left, **memory.bounds.refused(self.world.now())}

    def _show_left(self) -> None:
        counts: Counter[tuple[str, ...]] = Counter()
        for name, memory in self._memories.items():
            counts.update((name, reason.value) for reason in self._left(memory).values())
        metrics.MOVES_LEFT.replace(dict(counts))
        now = self.world.now()
        metrics.MOVES_LAST_DAY.replace({(name,): one.bounds.last_day(now) for name, one in self._memories.items()})

    def _announce(self, balance: ZonalBalance, plan: MovePlan) -> None:
        reference = reference_to(balance)
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
