"""The rebalancer: it plans the moves that would make nodes even, and in mode Active moves pods for them.

Contract: one key for each ZonalBalance with `rebalance`. A plan follows from the loads on the board and from the pods
that may be moved (`movable_pods`); without current loads there is none. In mode Active at most `maxMovesPerMinute` pods
are moved: by Surge an additional replica of the workload comes first, by Evict the pod goes through the Eviction API. A
workload is left alone for `WORKLOAD_SECONDS` after a move, also after one that the API server refused, so that what
protects one workload keeps no node hot, and longer after each surge in a row that failed. After moves that succeeded,
the next ones wait until the load shows what they did; a move that was given back delays no other workload. Moves that
do not help are tried again with growing delays. While another descheduler runs, nothing is moved.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from spillway.api.zonalbalance import BalanceTarget, Moves, Rebalance, ZonalBalance
from spillway.controllers.balance.load import nodes_of
from spillway.controllers.balance.movable import Movable, movable_pods
from spillway.controllers.balance.readings import Readings
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.surge.moves import MoveEnd, MoveRequest, SurgeMovesController
from spillway.controllers.surge.words import told
from spillway.domain.balance.descheduler import is_descheduler
from spillway.domain.balance.load import Loads, Weights
from spillway.domain.balance.moves import Move, MovePlan, NodeView, plan_moves
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.fit.taint_toleration import hard_taints
from spillway.domain.model import event_reasons
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.owners import reference_to, workload_of
from spillway.domain.model.records import NodeRecord
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, SurgeOutcome
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.slices import in_slices
from spillway.kube.writer import Eviction
from spillway.state.signal import Signal
from spillway.telemetry import balance as metrics

PERIOD_SECONDS: Final = 30.0
WORKLOAD_SECONDS: Final = 600.0
"""After a move, its workload is left alone for so long."""
EFFECT_SECONDS: Final = 180.0
"""After so long the load shows what moves did."""
LONGEST_PAUSE_SECONDS: Final = 3600.0
LONGEST_REST_SECONDS: Final = 6 * 3600.0
"""A workload whose surges fail is left alone for so long at most."""
LEAST_EFFECT: Final = 1.0
"""Percentage points by which moves must have lowered the imbalance to count as a help."""
PLANNED_MOST: Final = 50
"""Moves in one plan."""
LISTED: Final = 10
"""Moves, and workloads that are left, that a status names."""


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
    failed: Counter[str] = field(default_factory=Counter)
    """How many surges of a workload failed in a row, or could not begin."""
    refused: dict[str, Left | SurgeOutcome] = field(default_factory=dict)
    """Why a workload's last surge failed, or did not begin; as long as it rests."""
    left: dict[str, Left] = field(default_factory=dict)
    """Why workloads with pods on busy nodes are not in the plan."""
    done: int = 0


class RebalanceController(Controller):
    """The rebalancer, with one key per ZonalBalance."""

    name: ClassVar = "rebalance"

    def __init__(
        self, world: World, readings: Readings, writer: ObjectWriter, events: Recorder, surges: SurgeMovesController
    ) -> None:
        super().__init__(world)
        self._readings = readings
        self._writer = writer
        self._events = events
        self._surges = surges
        surges.askers[Purpose.REBALANCE] = self._asks
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
            done=memory.done,
            in_progress=self._surges.in_progress(Purpose.REBALANCE, balance),
            left=tuple(f"{name}: {reason.value}" for name, reason in sorted(self._left(memory).items())[:LISTED]),
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
        self._show_left()
        if rule.mode == "Active":
            self.descheduler = await self._find_descheduler()
            if plan is not None and not self.descheduler:
                await self._move(balance, rule, plan, memory)
        return PERIOD_SECONDS

    async def _find_descheduler(self) -> str:
        """The key of another descheduler that runs, of a ReplicaSet or a pod; empty if there is none."""
        state = self.world.state
        async for owner in in_slices(list(state.replicasets.values())):
            if owner.replicas and is_descheduler(owner.labels):
                return owner.key
        async for pod in in_slices(list(state.pods.values())):
            if pod.labels and pod.active and is_descheduler(pod.labels):
                return pod.key
        return ""

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
        movable = Movable((), {})
        if busy:
            movable = await movable_pods(self.world, self._readings, balance, nodes, busy=busy, resting=memory.resting)
        memory.left = dict(movable.left)
        weights = load.effective_weights
        only_cpu = load.queries is not None and load.queries.memory is None
        return plan_moves(
            [self._view(node, percent[name], balance.spec.zone_key) for name, node in nodes.items()],
            movable.pods,
            weights=Weights(1, 0) if only_cpu else Weights(weights.cpu, weights.memory),
            max_imbalance=target,
            max_skew=balance.spec.max_skew,
            most=PLANNED_MOST,
        )

    def _view(self, node: NodeRecord, percent: float, zone_key: str) -> NodeView:
        free = self.world.state.node_usage.free_on(node)
        return NodeView(
            node.name,
            node.zone_by(zone_key),
            percent,
            node.cpu_millis,
            node.memory_bytes,
            free.cpu_millis,
            free.memory_bytes,
            free.pods,
            frozenset((one.key, one.value, one.effect) for one in hard_taints(node)),
            accepts=takes_pods(node) and not node.hot,
        )

    # Moving

    async def _move(self, balance: ZonalBalance, rule: Rebalance, plan: MovePlan, memory: _Memory) -> None:
        now = self.world.now()
        if now < memory.not_before or self._surges.in_progress(Purpose.REBALANCE, balance.metadata.name):
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
            if await self._evict(balance, move) if rule.by == "Evict" else self._surge(balance, move):
                moved += 1
                memory.recent.append(now)
        if moved:
            memory.imbalance = plan.before
            if rule.by == "Evict":
                self._note(memory, now, moved)
            self.changed.emit()

    def _note(self, memory: _Memory, now: float, moved: int) -> None:
        """Remember that pods were moved, and wait until the load shows it."""
        memory.done += moved
        memory.judged = False
        memory.not_before = now + EFFECT_SECONDS
        memory.refused = {name: why for name, why in memory.refused.items() if name in memory.resting}

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

    def _asks(self, balance: str) -> bool:
        """Whether this ZonalBalance wants pods to be moved by surge."""
        found = self.world.governance.balances.get(balance)
        rule = None if found is None else found.spec.rebalance
        return rule is not None and rule.mode == "Active" and rule.by == "Surge"

    def _ended(self, end: MoveEnd) -> None:
        if end.purpose is not Purpose.REBALANCE:
            return
        memory, now, workload = self._memories.get(end.asker), self.world.now(), workload_of(end.replicaset).key
        if memory is None:
            return
        metrics.MOVES.labels(end.asker, "moved" if end.moved else end.result.value).inc()
        if end.moved:
            memory.failed.pop(workload, None)
            memory.refused.pop(workload, None)
            memory.resting[workload] = now + WORKLOAD_SECONDS
            self._note(memory, now, 1)
            message = f"A pod was moved off node {end.node}: an additional replica was ready before it was deleted."
            self._events.record(workload_of(end.replicaset).reference, "Normal", event_reasons.POD_MOVED, message)
        else:
            memory.failed[workload] += 1
            memory.refused[workload] = end.result
            memory.resting[workload] = now + backoff_seconds(
                memory.failed[workload], first=WORKLOAD_SECONDS, longest=LONGEST_REST_SECONDS
            )
            message = f"A pod is not moved off a busy node: {told(end.result)}. It is tried again later."
            self._events.record(workload_of(end.replicaset).reference, "Normal", event_reasons.MOVE_LEFT, message)
        self._show_left()
        self.queue.add(end.asker)
        self.changed.emit()

    def _left(self, memory: _Memory) -> dict[str, Left | SurgeOutcome]:
        """The workloads with pods on busy nodes that are left, and why."""
        now = self.world.now()
        refused = {name: why for name, why in memory.refused.items() if memory.resting.get(name, 0.0) > now}
        return {**memory.left, **refused}

    def _show_left(self) -> None:
        counts: Counter[tuple[str, ...]] = Counter()
        for name, memory in self._memories.items():
            counts.update((name, reason.value) for reason in self._left(memory).values())
        metrics.MOVES_LEFT.replace(dict(counts))

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
