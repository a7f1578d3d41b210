"""The rebalancer: it plans the moves that would make nodes even, and in mode Active moves pods for them.

Contract: one key for each ZonalBalance with `rebalance`. `MovePlanner` says which moves would help, for one `Reason` at
a time: even zones first, then even load, then requests on nodes that are little used, then crowded load classes;
without current loads, and while a zone is down, there are none. In mode Active at most `maxMovesPerMinute` pods are
moved: by Surge an additional replica of the workload comes first, by Evict the pod goes through the Eviction API. A
workload is left alone for `WORKLOAD_SECONDS` after a move, except one for even zones, also after one that the API
server refused, so that what protects one workload keeps no node hot, and longer after each surge in a row that failed.
After moves that succeeded, other than for even zones, the next ones wait until the load shows what they did; a move
that was given back, or takes longer than `EFFECT_SECONDS`, delays no other workload. When a move begins, its workload
is looked at again, because state, spec and mode may have changed since it was planned. Moves that do not help are tried
again with growing delays: those for even zones by workload, also where the zones do not stay even for an hour, the
others by their reason. While moves for the load wait, so do those of the reasons after it. A pod that came by a move is
left for an hour. While another descheduler runs, nothing is moved; and no pod is moved from or to a node that a node
autoscaler is removing, or to an elastic node that is empty and may be removed next. Moves of other ZonalBalances and of
consolidation count in a plan as soon as they are asked for.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from spillway.api.common import LabelSelector
from spillway.api.zonalbalance import Moves, Rebalance, ZonalBalance
from spillway.controllers.balance.descheduling import Deschedulers
from spillway.controllers.balance.load import current_loads
from spillway.controllers.balance.movable import why_left
from spillway.controllers.balance.move_planner import NO_PLAN, MovePlanner, Plan, ZonePlan
from spillway.controllers.balance.readings import MetricsError, Readings, problem_of
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.surge.moves import MoveEnd, MoveRequest, SurgeMovesController
from spillway.controllers.surge.words import LISTED, left_lines, told
from spillway.domain.balance.bounds import MoveBounds, pass_period
from spillway.domain.balance.move_board import MOST_REQUESTED
from spillway.domain.balance.move_effect import EFFECT_SECONDS, NO_LOADS, MoveEffect
from spillway.domain.balance.moves import Move, MovePlan, Reason
from spillway.domain.balance.reading_state import Measure
from spillway.domain.balance.zone_effects import ZoneEffects
from spillway.domain.balance.zone_moves import ZoneMove, moves_beside
from spillway.domain.balance.zone_watch import ZoneWatch
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.model import event_reasons
from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import reference_to, workload_of
from spillway.domain.model.records import PodRecord
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, SurgeOutcome
from spillway.domain.surge.told import told_move
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.writer import Eviction
from spillway.state.claims import balance_of
from spillway.state.signal import Signal
from spillway.telemetry import balance as metrics

_UNKNOWN: Final = NodeName("")
_TO: Final = {
    Reason.ZONES: "make zones even",
    Reason.LOAD: "make the load of nodes even",
    Reason.REQUESTS: "free requests on a node with little load",
    Reason.CLASSES: "spread its load class over nodes",
}
"""What pods are moved for, as Events tell it."""
_PLANNED: Final = {
    Reason.REQUESTS: f"Nodes with little load have more than {MOST_REQUESTED:.0f} % of their CPU or memory requested",
    Reason.CLASSES: "Pods of one load class are crowded on nodes",
}


@dataclass(slots=True)
class _Memory:
    """What is remembered of one ZonalBalance."""

    not_before: float = 0.0
    """No pod is moved before, except for even zones."""
    effects: dict[Reason, MoveEffect] = field(default_factory=lambda: defaultdict(MoveEffect))
    """What the last moves for each reason did, except those for even zones."""
    bounds: MoveBounds = field(default_factory=MoveBounds)
    left: Mapping[str, Left] = field(default_factory=dict)
    """Why workloads whose pods would be moved are not in the plan."""
    zones: ZoneWatch = field(default_factory=ZoneWatch)
    watched: tuple[str, LabelSelector] | None = None
    """The label for zones and the nodes of which `zones` is a memory."""
    begun: dict[str, Move | ZoneMove] = field(default_factory=dict)
    """The move of each workload that is in progress; none that a former leader began."""
    zone_effects: ZoneEffects = field(default_factory=ZoneEffects)

    def reason(self, workload: str) -> Reason:
        """Why a pod of the workload is being moved; what a former leader began counts as for the load."""
        move = self.begun.get(workload)
        return Reason.LOAD if move is None else move.reason


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
        self._planner = MovePlanner(world, readings, surges)
        self._writer = writer
        self._events = events
        self._surges = surges
        self._memories: dict[str, _Memory] = {}
        self.plans: dict[str, Plan] = {}
        """The present plan of each ZonalBalance."""
        self.descheduler = ""
        """The other descheduler for which nothing is moved; empty if none was found."""
        self.changed: Signal[()] = Signal("MovePlan")
        """Emitted when a plan has changed, or a pod was moved."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)
        yield self._surges.ended.subscribe(self._ended)
        yield self._planner.transit.subscribe()

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
            expected_imbalance_percent=round(plan.after)
            if isinstance(plan, MovePlan) and plan.reason is Reason.LOAD
            else None,
            next=() if plan is None else tuple(move.text for move in plan.moves[:LISTED]),
        )

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        rule = None if balance is None else balance.spec.rebalance
        if balance is None or rule is None or not balance.spec.plans_moves:
            if self._memories.pop(key, None) is not None:
                metrics.MOVES_WITHOUT_EFFECT.remove(key)
                self._show_left()
            self._set_plan(key, None)
            self.world.board.forget_readings(key, Measure.MOVE_USE)
            return None
        memory = self._memories.get(key)
        if memory is None:
            memory = _Memory(bounds=MoveBounds.resumed(self._surges.begun(Purpose.REBALANCE, key)))
            self._memories[key] = memory
            # From 0 on: PromQL's `increase` misses what a series begins with.
            metrics.MOVES_WITHOUT_EFFECT.labels(key)
        self._surges.arrivals.forget(self.world.now())
        try:
            plan = await self._plan(balance, memory)
        except RequestError as error:
            self.log.warning("no moves are planned", key=key, error=str(error))
            plan = None
            if isinstance(error, MetricsError):
                self.world.board.note_reading(key, Measure.MOVE_USE, problem_of(error))
        if plan is not None:
            self.world.board.note_reading(key, Measure.MOVE_USE, None)
        if plan is not None and plan.moves and not self.plans.get(key, NO_PLAN).moves:
            self._announce(balance, plan)
        self._set_plan(key, plan)
        self._show_left()
        if rule.mode == "Active":
            self.descheduler = await self._deschedulers.find()
            if plan is not None and not self.descheduler:
                await self._move(balance, rule, plan, memory)
        return pass_period(rule.settle.seconds)

    async def _plan(self, balance: ZonalBalance, memory: _Memory) -> Plan | None:
        watched = balance.spec.zone_key, balance.spec.node_selector
        if watched != memory.watched:
            # Zones that are not there by another label, or for other nodes, are not down.
            memory.zones, memory.watched = ZoneWatch(), watched
        await self._judge_zones(balance, memory)
        # Until a move for even zones was judged, its workload is left.
        resting = {**memory.bounds.resting, **dict.fromkeys(memory.zone_effects.pending, math.inf)}
        now = self.world.now()
        paused = {reason for reason, effect in memory.effects.items() if effect.pauses(now)}
        found = await self._planner.plan(balance, memory.zones, resting, paused)
        if found is None:
            return None
        plan, memory.left = found
        return plan

    # Moving

    async def _move(self, balance: ZonalBalance, rule: Rebalance, plan: Plan, memory: _Memory) -> None:
        now, name = self.world.now(), balance.metadata.name
        going = self._surges.going(Purpose.REBALANCE, name)
        # Of a ReplicaSet that was deleted before its surge began, no end is reported.
        memory.begun = {workload: move for workload, move in memory.begun.items() if workload in going}
        # For moves to other zones, no effect on the load of nodes is waited for.
        if isinstance(plan, MovePlan) and (
            any(now - since < EFFECT_SECONDS for since in going.values()) or self._waits(balance, plan, memory, now)
        ):
            return
        begun, moves = False, self._beside(name, plan, memory, going, now)
        for move in moves[: memory.bounds.allowed(rule.max_moves_per_minute, now, going.values())]:
            if await self._begin(balance, rule, move, memory, now):
                begun = True
        if begun:
            if isinstance(plan, MovePlan):
                loads = current_loads(self.world, balance) if plan.reason is Reason.LOAD else NO_LOADS
                memory.effects[plan.reason].begun(plan.before, loads)
            self.changed.emit()

    def _beside(
        self, balance: str, plan: Plan, memory: _Memory, going: Mapping[str, float], now: float
    ) -> Sequence[Move | ZoneMove]:
        """The moves of a plan that may begin beside those that are in progress."""
        if isinstance(plan, MovePlan):
            return [move for move in plan.moves if move.workload not in going]
        # One that takes long delays no other workload.
        quick = [move.source for workload, move in memory.begun.items() if now - going[workload] < EFFECT_SECONDS]
        others = [move.pod.node for move in self._planner.under_way.of_others(balance) if move.lately]
        return moves_beside((move for move in plan.moves if move.workload not in going), [*quick, *others])

    def _waits(self, balance: ZonalBalance, plan: MovePlan, memory: _Memory, now: float) -> bool:
        """Whether the moves of a plan wait: until the load shows what the last ones did, or as they did not help."""
        # If the clock is set back, a time that lies further ahead is over.
        if now < memory.not_before <= now + EFFECT_SECONDS:
            return True
        effect, name = memory.effects[plan.reason], balance.metadata.name
        if not effect.judged and (pause := effect.judge(plan.before, now, current_loads(self.world, balance))):
            metrics.MOVES_WITHOUT_EFFECT.labels(name).inc()
            self.log.warning(
                "moves did not help, waiting",
                key=name,
                reason=plan.reason.value,
                points=round(plan.before),
                seconds=pause,
            )
        return effect.pauses(now)

    async def _begin(
        self, balance: ZonalBalance, rule: Rebalance, move: Move | ZoneMove, memory: _Memory, now: float
    ) -> bool:
        """Begin a move, which an eviction also ends; whether it began."""
        evicts = rule.by == "Evict"
        if not self._may_begin(balance, rule, move):
            return False
        memory.bounds.rest(move.workload, now)
        memory.begun[move.workload] = move
        if not (await self._evict(balance, rule, move, now) if evicts else self._surge(balance, move, now)):
            memory.begun.pop(move.workload, None)
            return False
        memory.bounds.began(now)
        if evicts:
            self._surges.arrivals.note_eviction(move.workload, now)
            self._moved(memory, move.workload, now)
        return True

    @staticmethod
    def _moved(memory: _Memory, workload: str, now: float, to: NodeName = _UNKNOWN) -> None:
        """Note that a move succeeded, and where the pod came to.

        What one for even zones did is judged once the workload has settled; for others, the load has to show it.
        """
        move = memory.begun.pop(workload, None)
        if isinstance(move, ZoneMove):
            memory.zone_effects.moved(workload, move.before, now)
            memory.bounds.moved(now)
            memory.bounds.resting[workload] = now
            return
        memory.bounds.succeeded(workload, now)
        # For a move that a former leader began, it is not known what it was to lower.
        if move is not None:
            memory.effects[move.reason].moved(move.source, to)
        memory.not_before = now + EFFECT_SECONDS

    async def _judge_zones(self, balance: ZonalBalance, memory: _Memory) -> None:
        """Leave the workloads alone for longer whose zones are not more even after a move, or did not stay so."""
        pending, name = set(memory.zone_effects.pending), balance.metadata.name
        found = await self._planner.settled_zones(balance, pending) if pending else {}
        now = self.world.now()
        for workload, zones in found.items():
            if zones is None:
                continue
            if memory.zone_effects.helped(workload, zones, now):
                memory.bounds.helped(workload)
                continue
            memory.bounds.given_back(workload, Left.NO_EFFECT, now)
            memory.zone_effects.rests(workload, memory.bounds.resting[workload])
            metrics.MOVES_WITHOUT_EFFECT.labels(name).inc()
            self.log.warning("moves do not make zones more even for long", key=workload, balance=name)
        # What is pending and was not found is gone; a move may have ended in the meantime.
        memory.zone_effects.keep({*found, *memory.bounds.failing, *(memory.zone_effects.pending - pending)}, now)

    def _may_begin(self, balance: ZonalBalance, rule: Rebalance, move: Move | ZoneMove) -> bool:
        """Whether a move may still begin: state, spec and mode may have changed since it was planned."""
        world, name = self.world, balance.metadata.name
        present, pod = world.governance.balances.get(name), world.state.pods.get(move.pod)
        owner = None if pod is None else world.state.replicasets.get(pod.owner_uid)
        target = world.state.nodes.get(move.target)
        # A plan counts for its own spec alone.
        if not world.fresh or present is None or present.spec != balance.spec:
            return False
        if pod is None or not pod.active or owner is None or target is None or not takes_pods(target):
            return False
        if balance_of(world.state, world.governance, owner) != name or world.only_recommends(owner):
            return False
        left = why_left(world, owner, world.state.active_pods_of(owner.uid), rule)
        return left is None and self._planner.left_by_look(balance, owner.uid) is None

    async def _evict(self, balance: ZonalBalance, rule: Rebalance, move: Move | ZoneMove, now: float) -> bool:
        pod = self.world.state.pods[move.pod]
        try:
            # The writer may wait for its rate, or try again.
            result = await self._writer.evict(pod, wanted=lambda: self._may_begin(balance, rule, move))
        except RequestError as error:
            # A webhook that protects it, two disruption budgets over one pod: matters of this pod.
            self.log.warning("eviction failed", key=pod.key, error=str(error))
            return False
        metrics.MOVES.labels(balance.metadata.name, move.reason.value, result.value).inc()
        if result is not Eviction.EVICTED:
            return False
        self._planner.under_way.note_eviction(_request(pod, balance, move, now), pod)
        self.log.info("pod moved", key=pod.key, balance=balance.metadata.name, source=move.source, target=move.target)
        owner = self.world.state.owner(pod.owner_uid)
        if owner is not None:
            message = f"Evicted to {_TO[move.reason]}: {move.text}."
            self._events.record(workload_of(owner).reference, "Normal", event_reasons.POD_MOVED, message)
        return True

    def _surge(self, balance: ZonalBalance, move: Move | ZoneMove, now: float) -> bool:
        """Ask for the move; what came of it is learned by `_ended`."""
        return self._surges.ask(_request(self.world.state.pods[move.pod], balance, move, now))

    def _ended(self, end: MoveEnd) -> None:
        if end.purpose is not Purpose.REBALANCE:
            return
        memory, now, workload = self._memories.get(end.asker), self.world.now(), workload_of(end.replicaset).key
        if memory is None:
            return
        reason = memory.reason(workload)
        metrics.MOVES.labels(end.asker, reason.value, "moved" if end.moved else end.result.value).inc()
        if end.moved:
            self._moved(memory, workload, now, end.to)
            message = told_move(f"{end.where} to {_TO[reason]}", end.successor, end.purpose, end.asker)
            self._events.record(workload_of(end.replicaset).reference, "Normal", event_reasons.POD_MOVED, message)
        else:
            memory.begun.pop(workload, None)
            memory.bounds.given_back(workload, end.result, now)
            message = f"A pod is not moved to {_TO[reason]}: {told(end.result)}. It is tried again later."
            self._events.record(workload_of(end.replicaset).reference, "Normal", event_reasons.MOVE_LEFT, message)
        self._show_left()
        self.queue.add(end.asker)
        self.changed.emit()

    def _left(self, memory: _Memory) -> Mapping[str, Left | SurgeOutcome]:
        """The workloads whose pods would be moved and are left, and why."""
        return {**memory.left, **memory.bounds.refused(self.world.now())}

    def _show_left(self) -> None:
        counts: Counter[tuple[str, ...]] = Counter()
        for name, memory in self._memories.items():
            counts.update((name, reason.value) for reason in self._left(memory).values())
        metrics.MOVES_LEFT.replace(dict(counts))
        now = self.world.now()
        metrics.MOVES_LAST_DAY.replace({(name,): one.bounds.last_day(now) for name, one in self._memories.items()})

    def _announce(self, balance: ZonalBalance, plan: Plan) -> None:
        reference = reference_to(balance)
        if isinstance(plan, ZonePlan):
            count, first = len(plan.moves), plan.moves[0].text
            skew = balance.spec.max_skew
            message = f"Zones are to be evened to a maxSkew of {skew}: moves planned: {count}, first {first}."
            self._events.record(reference, "Normal", event_reasons.MOVES_PLANNED, message)
            return
        if plan.reason is Reason.LOAD:
            message = (
                f"{len(plan.moves)} moves would lower the imbalance of nodes from {plan.before:.0f} to "
                f"{plan.after:.0f} points, first {plan.moves[0].text}."
            )
        else:
            message = f"{_PLANNED[plan.reason]}: moves planned: {len(plan.moves)}, first {plan.moves[0].text}."
        self._events.record(reference, "Normal", event_reasons.MOVES_PLANNED, message)

    def _set_plan(self, balance: str, plan: Plan | None) -> None:
        before = self.plans.get(balance)
        if plan is None:
            self.plans.pop(balance, None)
        else:
            self.plans[balance] = plan
        if before != plan:
            metrics.MOVES_PLANNED.replace(
                {(name, one.reason.value): len(one.moves) for name, one in self.plans.items()}
            )
            self.changed.emit()


def _request(pod: PodRecord, balance: ZonalBalance, move: Move | ZoneMove, now: float) -> MoveRequest:
    return MoveRequest(pod.owner_uid, pod.uid, Purpose.REBALANCE, balance.metadata.name, move.target, now)
