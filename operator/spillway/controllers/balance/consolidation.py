"""Consolidation: elastic nodes that are little used are emptied by surges, so that a node autoscaler removes them.

Contract: one key for each ElasticPolicy with `consolidation`. In mode Active of a policy that is enforced, the nodes of
the plan carry the soft taint `EMPTYING_TAINT`, and at most `maxMovesPerMinute` of their pods are moved; in any other
mode the plan is only shown. A workload that cannot be moved keeps its node, with the reason. The taint of a policy that
is gone, or that empties no nodes any more, is removed. While another descheduler runs, nothing is emptied. A node that
a node autoscaler is removing is left to it, and the nodes of a Karpenter NodePool that are emptied at once stay within
its disruption budgets (`NodePools`). A new leader continues the nodes with the taint, and begins others once it knows
how requests rise.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from spillway.api.consolidation import Consolidation, ConsolidationStatus
from spillway.api.elasticpolicy import ElasticPolicy
from spillway.controllers.balance.descheduling import Deschedulers
from spillway.controllers.balance.emptiable import Emptiable, NodesSeen, leaving, observe
from spillway.controllers.balance.look_turns import LookTurns
from spillway.controllers.balance.node_pools import NodePools
from spillway.controllers.balance.workload_looks import WorkloadLooks
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.nodes.soft_taints import SoftTaints
from spillway.controllers.surge.moves import MoveEnd, MoveRequest, SurgeMovesController
from spillway.controllers.surge.scaler import proven_surge
from spillway.controllers.surge.words import LISTED, left_lines, told
from spillway.domain.balance.bounds import PERIOD_SECONDS, MoveBounds, pass_period, passes
from spillway.domain.balance.consolidation import ConsolidationMove, ConsolidationPlan, plan_consolidation
from spillway.domain.balance.emptying import Emptied, NodeMemory, emptying_taint
from spillway.domain.balance.failed_nodes import FailedNodes
from spillway.domain.balance.reserve import RequestTrend
from spillway.domain.fit.room import waiting_requests
from spillway.domain.headroom.rise import rise_of
from spillway.domain.model import event_reasons
from spillway.domain.model.names import EMPTYING_TAINT, NodeName
from spillway.domain.model.owners import comes_with_node, reference_to, workload_of
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, SurgeOutcome
from spillway.domain.surge.told import told_move
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.slices import in_slices
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind
from spillway.state.signal import Signal
from spillway.telemetry import consolidation as metrics

ORPHANS: Final = "*"
"""The key of a check of every taint; any other key is the name of an ElasticPolicy."""
NODES_LISTED: Final = 50
_NO_PLAN: Final = ConsolidationPlan((), ())


@dataclass(slots=True)
class _Memory:
    """What is remembered of one policy."""

    looks: WorkloadLooks
    bounds: MoveBounds = field(default_factory=MoveBounds)
    nodes: NodeMemory = field(default_factory=NodeMemory)
    failed: FailedNodes = field(default_factory=FailedNodes)
    trend: RequestTrend = field(default_factory=RequestTrend)
    plan: ConsolidationPlan = _NO_PLAN
    left: Mapping[str, Left | SurgeOutcome] = field(default_factory=dict)
    emptied: int = 0

    @property
    def over_budget(self) -> Mapping[str, Left | SurgeOutcome]:
        """The NodePools whose disruption budgets allow no further node."""
        return {f"NodePool/{name}": Left.DISRUPTION_BUDGET for name in self.plan.over_budget}

    @property
    def without_room(self) -> Mapping[str, Left | SurgeOutcome]:
        """The nodes that are not emptied, because other nodes have no place for one of their pods."""
        return {f"Node/{name}": Left.NO_ROOM for name in self.failed.names}


class ConsolidationController(Controller):
    """Consolidation, with one key per ElasticPolicy and one for taints that none asks for."""

    name: ClassVar = "consolidation"

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        events: Recorder,
        surges: SurgeMovesController,
        *,
        deschedulers: Deschedulers,
        node_pools: NodePools,
    ) -> None:
        super().__init__(world)
        self._deschedulers = deschedulers
        self._node_pools = node_pools
        self._taints = SoftTaints(world, writer, EMPTYING_TAINT, Kind.ELASTIC_POLICY, name=self.name)
        self._events = events
        self._surges = surges
        self._memories: dict[str, _Memory] = {}
        self.descheduler = ""
        """The other descheduler for which nothing is moved; empty if none was found."""
        self.changed: Signal[()] = Signal("Consolidation")
        """Emitted when a plan has changed, or a pod was moved."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)
        yield self.world.state.subscribe(NodeRecord, self._node_changed)
        yield self._surges.ended.subscribe(self._ended)

    def all_keys(self) -> Iterable[str]:
        return {ORPHANS, *self.world.governance.policies, *self._memories}

    def status(self, policy: str) -> ConsolidationStatus | None:
        """The part of a policy's status; None where it has no consolidation."""
        memory = self._memories.get(policy)
        if memory is None:
            return None
        return ConsolidationStatus(
            emptying=tuple(memory.plan.nodes[:NODES_LISTED]),
            next=tuple(self._text(move) for move in memory.plan.moves[:LISTED]),
            in_progress=self._surges.in_progress(Purpose.CONSOLIDATE, policy),
            left=(*left_lines({**memory.over_budget, **memory.left}), *left_lines(memory.without_room))[:LISTED],
            moved=memory.bounds.done,
            moved_last_day=memory.bounds.last_day(self.world.now()),
            emptied=memory.emptied,
        )

    async def reconcile(self, key: str) -> float | None:
        if key == ORPHANS:
            return await self._remove_orphans()
        policy = self.world.governance.policies.get(key)
        rule = None if policy is None else policy.spec.consolidation
        if policy is None or rule is None or not policy.spec.plans_consolidation:
            if self._memories.pop(key, None) is not None:
                self._show()
                return await self._remove_orphans()
            return None
        memory = self._memories.get(key)
        if memory is None:
            bounds = MoveBounds.resumed(self._surges.begun(Purpose.CONSOLIDATE, key))
            memory = self._memories[key] = _Memory(WorkloadLooks(self._surges, self.world.now), bounds=bounds)
        acts = policy.spec.consolidates
        if acts:
            self.descheduler = await self._deschedulers.find()
        observed = await observe(self.world, key)
        memory.trend.note(observed.requested, self.world.now(), rule.empty_for.seconds)
        try:
            plan = await self._plan(policy, rule, memory, observed)
        except RequestError as error:
            self.log.warning("no moves are planned", key=key, error=str(error))
            return PERIOD_SECONDS
        if plan.nodes and not memory.plan.nodes:
            self._announce(policy, plan)
        memory.plan = plan
        done = True
        if acts:
            done = await self._act(policy, rule, memory, observed)
        else:
            memory.nodes = NodeMemory()
        self._show()
        return pass_period(rule.node_settle.seconds) if done else REFUSED_SECONDS

    async def _plan(
        self, policy: ElasticPolicy, rule: Consolidation, memory: _Memory, observed: NodesSeen
    ) -> ConsolidationPlan:
        """The present plan.

        Raises:
            RequestError: a workload of the plan could not be read.
        """
        name, now = policy.metadata.name, self.world.now()
        await memory.looks.refresh()
        self._surges.arrivals.forget(now)
        turns = LookTurns(memory.looks)
        found = Emptiable(
            self.world,
            name,
            rule,
            observed,
            looks=memory.looks,
            turns=turns,
            bounds=memory.bounds,
            arrivals=self._surges.arrivals,
            rests=lambda node: memory.nodes.rests(node, now),
        )
        reserve = await self._reserve(name, rule, memory, observed)
        taken = observed.empty | observed.tainted_elsewhere | self._emptied_by_others(name, now)
        budgets = await self._node_pools.budgets(observed.nodes, taken, now)
        while True:
            nodes = await found.nodes()
            # In a thread, because admission requests are answered in the event loop.
            plan = await asyncio.to_thread(
                plan_consolidation,
                nodes,
                below=rule.below / 100,
                most=rule.max_moves_per_minute,
                reserve=reserve,
                admits=found.admits,
                budgets=budgets,
                failed_before=memory.failed.last,
                begins=memory.trend.known(rule.empty_for.seconds),
            )
            if await turns.read(found.readable(plan.nodes)) or await found.read_other_pods(plan.nodes):
                continue
            memory.left = dict(found.left)
            memory.failed.note(plan, {node.name for node in nodes if node.pods})
            return plan

    def _emptied_by_others(self, policy: str, now: float) -> set[NodeName]:
        """The nodes that other policies empty, also if the watch does not show their taints yet."""
        others = (one for name, one in self._memories.items() if name != policy)
        return {node for one in others for node in one.nodes.tainted(now)}

    async def _reserve(self, policy: str, rule: Consolidation, memory: _Memory, observed: NodesSeen) -> Usage:
        """The requests that are expected to be added, and those of pods that wait for a node, or whose node is down."""
        state, now = self.world.state, self.world.now()
        rise = NOTHING
        if self.world.board.forecasts:
            async for owner in in_slices(list(state.replicasets.values())):
                forecast = self.world.board.forecasts.get(workload_of(owner).key) if owner.replicas else None
                claim = None if forecast is None else self.world.claim_of(owner)
                pod = next((one for one in state.pods_of(owner.uid) if one.node not in observed.unusable), None)
                if claim is not None and claim.policy == policy and pod is not None:
                    replicas = rise_of(forecast, replicas=owner.replicas, most=None, now=now)
                    rise += pod.requests * replicas
        without_node = [pod async for pod in in_slices(list(state.pods.values())) if not pod.node]
        needed = Counter(waiting_requests((pod for pod in without_node if self._adds(pod)), now))
        async for node in in_slices(observed.nodes):
            if not node.ready and node.name not in observed.unusable:
                needed.update(pod.requests for pod in state.pods_on(node.name) if self._is_lost_with_its_node(pod))
        # One that no node could hold, were it empty, keeps no room of them free.
        holdable = (one * count for one, count in needed.items() if any(size.covers(one) for size in observed.sizes))
        return memory.trend.rise(rule.empty_for.seconds).at_least(rise) + sum(holdable, NOTHING)

    def _is_lost_with_its_node(self, pod: PodRecord) -> bool:
        """Whether a pod on a node that is down needs a place on another one, once it was evicted.

        A StatefulSet makes the next pod only when the one before is gone, which may be long after its eviction.
        """
        waits = pod.terminating and not pod.finished and pod.owner_uid in self.world.state.statefulsets
        return (pod.active or waits) and not comes_with_node(pod)

    def _adds(self, pod: PodRecord) -> bool:
        """Whether a pod without a node needs room on these nodes: not for a pool, and not to replace another pod."""
        owner = self.world.state.replicasets.get(pod.owner_uid)
        return not self.world.membership.needs_pool(pod) and (owner is None or proven_surge(self.world, owner) is None)

    # Emptying

    async def _act(self, policy: ElasticPolicy, rule: Consolidation, memory: _Memory, observed: NodesSeen) -> bool:
        """Put the taints on the nodes of the plan, and move pods; False if a node has changed in the meantime."""
        name, now = policy.metadata.name, self.world.now()
        plan = _NO_PLAN if self.descheduler else memory.plan
        news = memory.nodes.follow(
            plan.nodes,
            tainted=observed.tainted,
            left=lambda node: len(leaving(self.world, node)) if node in self.world.state.nodes else None,
            now=now,
            waiting=plan.waiting,
            longest_wait=max(rule.empty_for.seconds, 2 * rule.settle.seconds),
            rest=rule.node_settle.seconds,
        )
        self._tell(policy, memory, news)
        wanted, taint = memory.nodes.tainted(now, keep=rule.empty_for.seconds), emptying_taint(name)
        done = await self._taints.give(observed.elastic.values(), lambda node: taint if node in wanted else None)
        going = self._surges.going(Purpose.CONSOLIDATE, name).values()
        # The taint is there first, so that no additional replica comes back to the node.
        begun = observed.tainted & wanted
        for move in plan.moves[: memory.bounds.allowed(rule.max_moves_per_minute, now, going)]:
            if move.source in begun:
                self._move(name, memory, move, now)
        return done and set(plan.nodes) <= observed.tainted

    def _move(self, policy: str, memory: _Memory, move: ConsolidationMove, now: float) -> None:
        pod = self.world.state.pods.get(move.pod)
        if pod is None or pod.terminating:
            return
        if self._surges.ask(MoveRequest(pod.owner_uid, pod.uid, Purpose.CONSOLIDATE, policy, move.target, now)):
            memory.bounds.rest(move.workload, now)
            memory.bounds.began(now)

    def _ended(self, end: MoveEnd) -> None:
        memory = self._memories.get(end.asker)
        if end.purpose is not Purpose.CONSOLIDATE or memory is None:
            return
        now, workload = self.world.now(), workload_of(end.replicaset).key
        metrics.MOVES.labels(end.asker, "moved" if end.moved else end.result.value).inc()
        memory.nodes.move_ended(end.node)
        reference = workload_of(end.replicaset).reference
        if end.moved:
            # Its additional replica counts as a change, so it rests for `settle`.
            memory.bounds.succeeded(workload, now, seconds=0.0)
            message = told_move(f"{end.where}, which is being emptied", end.successor, end.purpose, end.asker)
            self._events.record(reference, "Normal", event_reasons.POD_MOVED, message)
        else:
            self._not_moved(memory, workload, end, now)
            message = f"A pod is not moved off a little used node: {told(end.result)}. It is tried again later."
            self._events.record(reference, "Normal", event_reasons.MOVE_LEFT, message)
        self.queue.add(end.asker)
        self.changed.emit()

    def _not_moved(self, memory: _Memory, workload: str, end: MoveEnd, now: float) -> None:
        policy = self.world.governance.policies.get(end.asker)
        rule = None if policy is None else policy.spec.consolidation
        if rule is not None and passes(end.result):
            # While workloads are scaled down with the load is when nodes can be emptied.
            memory.bounds.overtaken(workload, end.result, now, settle=float(rule.settle.seconds))
        else:
            memory.bounds.given_back(workload, end.result, now)

    async def _remove_orphans(self) -> float | None:
        done = await self._taints.remove_orphans(self._empties)
        return None if done else REFUSED_SECONDS

    def _empties(self, node: NodeRecord) -> str | None:
        """The policy that may empty this node; None if none does."""
        owner = self.world.governance.elastic_owner(node)
        policy = None if owner is None else self.world.governance.policies.get(owner.policy)
        return policy.metadata.name if policy is not None and policy.spec.consolidates else None

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is None:
            if old is not None:
                self._node_removed(old.name)
            return
        if new.leaves and (old is None or not old.leaves):
            self._taken(new.name)
        if self._taints.carried(new) and (old is None or old.labels != new.labels or old.taints != new.taints):
            self.queue.add(ORPHANS)

    def _taken(self, node: NodeName) -> None:
        """Give up a node that a node autoscaler removes while pods are on it: that is no node that moves emptied."""
        if not leaving(self.world, node):
            return
        for name, memory in self._memories.items():
            if memory.nodes.goes(node):
                metrics.GIVEN_UP.labels(name).inc()
                self.log.info("node is drained by a node autoscaler", key=node, policy=name)
                self.queue.add(name)

    def _node_removed(self, node: NodeName) -> None:
        """Count a node that a node autoscaler removed before a pass has seen it empty."""
        for name, memory in self._memories.items():
            policy = self.world.governance.policies.get(name)
            if memory.nodes.goes(node) and policy is not None and not leaving(self.world, node):
                self._tell(policy, memory, Emptied((node,), ()))
                self.changed.emit()

    # Reports

    def _text(self, move: ConsolidationMove) -> str:
        pod = self.world.state.pods.get(move.pod)
        return f"{move.pod if pod is None else pod.key}: {move.source} to {move.target}"

    def _tell(self, policy: ElasticPolicy, memory: _Memory, news: Emptied) -> None:
        name = policy.metadata.name
        for node in news.emptied:
            memory.emptied += 1
            metrics.EMPTIED.labels(name).inc()
            self.log.info("node emptied", key=node, policy=name)
            message = f"Node {node} is empty: its pods were moved without an eviction."
            self._events.record(reference_to(policy), "Normal", event_reasons.NODE_EMPTIED, message)
        for node in news.given_up:
            metrics.GIVEN_UP.labels(name).inc()
            self.log.info("node is not emptied any more", key=node, policy=name)

    def _announce(self, policy: ElasticPolicy, plan: ConsolidationPlan) -> None:
        first = f", first {self._text(plan.moves[0])}" if plan.moves else ""
        count = f"{len(plan.nodes)} elastic nodes can be emptied, the first is {plan.nodes[0]}"
        message = f"{count}. Moves now: {len(plan.moves)}{first}."
        self._events.record(reference_to(policy), "Normal", event_reasons.MOVES_PLANNED, message)

    def _show(self) -> None:
        metrics.EMPTYING.replace({(name,): len(one.plan.nodes) for name, one in self._memories.items()})
        metrics.OVER_BUDGET.replace(
            {(name,): sum(one.plan.over_budget.values()) for name, one in self._memories.items()}
        )
        counts: Counter[tuple[str, ...]] = Counter()
        for name, memory in self._memories.items():
            counts.update((name, reason.value) for reason in memory.left.values())
        metrics.LEFT.replace(dict(counts))
        now = self.world.now()
        metrics.MOVES_LAST_DAY.replace({(name,): one.bounds.last_day(now) for name, one in self._memories.items()})
        self.changed.emit()
