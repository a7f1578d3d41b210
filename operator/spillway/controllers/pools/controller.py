"""The pool controller: it decides whether each pool takes pods, and publishes the verdict on the board.

Contract: one key per VirtualNodeBudget. A verdict follows from the user's hold, the nodes, the pods that start or do
not start, and the memory of the pool's failures and of its ladder. That memory is in the budget's status, and a new
leader reads it before it decides anything, so a failed pool is not forgotten. On data that is not fresh the last
verdict stays. A stock-out is processed at once, so that the verdict exists before the pod is replaced.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from spillway.api.scalars import Duration
from spillway.api.virtualnodebudget import Failover, StockOut, VirtualNodeBudget
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.pools.memory import NEVER_FAILED, PoolMemory
from spillway.controllers.pools.nodes import PoolNodes
from spillway.controllers.pools.stock_out import StockOutDetector
from spillway.controllers.pools.unstarted import UnstartedPod, UnstartedPods
from spillway.controllers.pools.verdicts import verdict_of
from spillway.domain.budget.price import size_asked
from spillway.domain.model.records import PodRecord
from spillway.domain.nodes.cordon import BudgetCordon
from spillway.domain.pools.failover import mostly_dead
from spillway.domain.pools.health import FailoverTimes, Health, PoolObservation, State, judge, next_look
from spillway.domain.pools.namespace_ladders import NO_LADDERS
from spillway.domain.pools.size_ladder import another_size, stocked_out
from spillway.domain.pools.sizes import Size
from spillway.domain.pools.start_failures import FOR_NAMESPACE, StartFailure
from spillway.domain.pools.verdict import PoolVerdict
from spillway.kube.protocols import EventWatch
from spillway.state.catalog import Kind
from spillway.state.signal import Signal
from spillway.state.usage import LiveUsage
from spillway.telemetry import pools as metrics

DEFAULT_FAILOVER: Final = Failover()
SHORTEST_START_SECONDS: Final = 30.0
"""The minimum of `startAfter`, also for a budget that was stored without validation."""
SHORTEST_SECONDS: Final = 1.0
"""The minimum of a budget's times: without a pause a pool could be reconciled without end."""
POD_CHANGES_SECONDS: Final = 0.5
"""Seconds until pods that wait or have started are processed, because there may be many at once."""
DOUBTFUL_SECONDS: Final = 5.0
"""Seconds until a pool is checked again that is down while most other nodes look dead as well."""
SLACK_SECONDS: Final = 0.01
NAMED: Final = 10
"""Namespaces that a log line names."""


def times_of(budget: VirtualNodeBudget) -> FailoverTimes:
    """The times of a budget's `failover`, or their defaults."""
    failover = budget.spec.failover or DEFAULT_FAILOVER
    start_after = max(SHORTEST_START_SECONDS, float(failover.start_after.seconds))
    return FailoverTimes(_seconds(failover.unhealthy_after), _seconds(failover.retry_after), start_after)


@dataclass(frozen=True, slots=True)
class PoolView:
    """The last verdict on one pool, and its memory."""

    verdict: PoolVerdict
    memory: PoolMemory
    ready: bool
    """Whether a node is ready: without one no pod is sent there, although the pool has not failed yet."""

    @property
    def shown(self) -> tuple[str, bool]:
        """The reason, and whether pods are sent there, as the condition Accepting has them."""
        if self.verdict.takes and not self.ready:
            return "NoNodes", False
        return self.verdict.reason, self.verdict.takes


class PoolsController(Controller):
    """The pool controller. `events` follows Events about pods."""

    name: ClassVar = "pools"
    admission_waits: ClassVar = True

    def __init__(
        self,
        world: World,
        nodes: PoolNodes,
        unstarted: UnstartedPods,
        usage: LiveUsage,
        events: EventWatch,
    ) -> None:
        super().__init__(world)
        self._usage = usage
        self._nodes = nodes
        self._unstarted = unstarted
        self.stock_outs = StockOutDetector(world, unstarted, events, self._stock_out)
        self.views: dict[str, PoolView] = {}
        """The views by pool, which the status shows."""
        self.changed: Signal[()] = Signal("PoolView")
        """Emitted after a verdict or the memory of a pool has changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)
        yield self._nodes.changed.subscribe(self.queue.add)
        yield self._unstarted.changed.subscribe(self._pod_waits)
        yield self._unstarted.started.subscribe(self._pod_started)
        yield from self._nodes.subscribe()
        yield from self.stock_outs.subscribe()
        # Admission reads the board from the first moment on, so the remembered verdicts are published first.
        for pool in self.world.governance.budgets:
            self._judge(pool)
        self.world.board.verdicts_read.set()
        yield from self._unstarted.subscribe()

    def all_keys(self) -> Iterable[str]:
        return [*self.world.governance.budgets, *self.views]

    async def reconcile(self, key: str) -> float | None:
        return self._judge(key)

    def has_another_size(self, pool: str, pod: PodRecord) -> bool:
        """Whether the pool now asks for another size than the one with which this pod has failed."""
        budget, view = self.world.governance.budgets.get(pool), self.views.get(pool)
        if budget is None or view is None or budget.spec.stock_out is None:
            return False
        position = view.memory.ladders.of(pod.namespace)
        return another_size(position, budget.spec.stock_out.ladder, self._asked(pod, budget.spec.stock_out))

    # Verdicts

    def _judge(self, pool: str) -> float | None:
        budget = self.world.governance.budgets.get(pool)
        if budget is None:
            self._forget(pool)
            return None
        now = self.world.now()
        memory = self._memory(pool)
        times = times_of(budget)
        seen = self._seen(pool, times)
        doubtful = (
            seen.down_since is not None
            and memory.health.state is not State.FAILED
            and mostly_dead(pool, self._nodes.everywhere())
        )
        if doubtful:
            # If contact with all nodes is lost, no pool fails for it: all of them would be held when the network is
            # back.
            seen = replace(seen, down_since=None)
        health = judge(memory.health, seen, times, now)
        if health.state is State.FAILED and memory.health.state is not State.FAILED:
            metrics.FAILURES.labels(pool, str(health.reason)).inc()
        if health.state is State.RETRYING and memory.health.state is not State.RETRYING:
            # Pods that were replaced before the try belong to the failure before it.
            self._unstarted.forget_failures(pool)
        namespaces, look = self._judge_namespaces(pool, memory, seen, times)
        stock_out = budget.spec.stock_out
        forget_after = _seconds(stock_out.forget_after) if stock_out is not None else 0.0
        ladders = NO_LADDERS if stock_out is None else memory.ladders.decayed(forget_after, now)
        self._publish(budget, PoolMemory(health, ladders, namespaces))
        hold = BudgetCordon.of(budget)
        dues = [
            next_look(health, seen, times, now),
            look,
            ladders.seconds_to_decay(forget_after, now),
            hold.until - now if hold.until is not None and hold.active(now) else None,
            DOUBTFUL_SECONDS if doubtful else None,
        ]
        return min((due + SLACK_SECONDS for due in dues if due is not None), default=None)

    def _judge_namespaces(
        self, pool: str, memory: PoolMemory, seen: PoolObservation, times: FailoverTimes
    ) -> tuple[Mapping[str, Health], float | None]:
        """The health of the pool for each namespace whose pods have failed there, and when it may change."""
        now = self.world.now()
        failures: dict[str, list[StartFailure]] = {name: [] for name in memory.namespaces}
        for one in seen.failures:
            failures.setdefault(one.namespace, []).append(one)
        found: dict[str, Health] = {}
        dues: list[float] = []
        for name, own in failures.items():
            alone = PoolObservation(failures=tuple(own), last_start=seen.last_start)
            before = memory.namespaces.get(name, NEVER_FAILED)
            health = judge(before, alone, times, now, namespaces=FOR_NAMESPACE)
            if health.state is State.RETRYING and before.state is not State.RETRYING:
                self._unstarted.forget_failures(pool, name)
            if health.state is not State.HEALTHY or health.failures:
                found[name] = health
            due = next_look(health, alone, times, now, namespaces=FOR_NAMESPACE)
            dues += [] if due is None else [due]
        return found, min(dues, default=None)

    def _seen(self, pool: str, times: FailoverTimes) -> PoolObservation:
        return PoolObservation(
            down_since=self._nodes.down_since(pool),
            failures=self._unstarted.start_failures(pool, times.start_after),
            last_start=self._unstarted.last_start(pool),
        )

    def _publish(self, budget: VirtualNodeBudget, memory: PoolMemory) -> None:
        pool = budget.metadata.name
        retrying, nodes = memory.health.state is State.RETRYING, self._nodes.nodes(pool)
        verdict = verdict_of(
            budget,
            memory,
            nodes,
            coming=self._usage.unstarted(pool) if retrying else 0,
            now=self.world.now(),
        )
        view = PoolView(verdict, memory, ready=any(node.ready for node in nodes))
        before = self.views.get(pool)
        if view == before:
            return
        self.views[pool] = view
        self.world.board.set_verdict(pool, view.verdict)
        if before is None or before.verdict != view.verdict:
            self.log.info("verdict on a pool", key=pool, **_log_fields(view))
        self._show()
        self.changed.emit()

    def _forget(self, pool: str) -> None:
        self._unstarted.forget_pool(pool)
        if self.views.pop(pool, None) is None:
            return
        self.world.board.withdraw_verdict(pool)
        self._show()

    def _memory(self, pool: str) -> PoolMemory:
        view = self.views.get(pool)
        if view is not None:
            return view.memory
        entry = self.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET).get(pool)
        return PoolMemory.of({} if entry is None else entry.status)

    def _show(self) -> None:
        metrics.TAKES.clear()
        metrics.LADDER_STEP.clear()
        metrics.KEPT_OUT.clear()
        for pool, view in self.views.items():
            reason, takes = view.shown
            metrics.TAKES.labels(pool, reason).set(takes)
            metrics.LADDER_STEP.labels(pool).set(view.memory.ladders.highest.step)
            metrics.KEPT_OUT.labels(pool).set(len(view.verdict.kept_out))

    # Changes

    def _stock_out(self, pool: str, pod: PodRecord) -> None:
        budget = self.world.governance.budgets.get(pool)
        if budget is None or budget.spec.stock_out is None:
            return
        memory = self._memory(pool)
        position = stocked_out(
            memory.ladders.of(pod.namespace),
            budget.spec.stock_out.ladder,
            self._asked(pod, budget.spec.stock_out),
            created=pod.created,
            listed=budget.spec.stock_out.annotation is not None,
            now=self.world.now(),
        )
        self._publish(budget, replace(memory, ladders=memory.ladders.moved(pod.namespace, position)))
        self.queue.add(pool)

    def _asked(self, pod: PodRecord, stock_out: StockOut) -> Size:
        return size_asked(pod.requests, self.world.membership.size_of(pod), stock_out.ladder)

    def _pod_waits(self, waiting: UnstartedPod) -> None:
        for pool in waiting.pools:
            self._look_soon(pool)

    def _pod_started(self, pool: str) -> None:
        self._look_soon(pool)

    def _look_soon(self, pool: str) -> None:
        view = self.views.get(pool)
        if view is not None and view.memory.health.state is State.RETRYING:
            # Few pods may be sent there, so each one matters.
            self.queue.add(pool)
        else:
            self.queue.add_after(pool, POD_CHANGES_SECONDS)


def _seconds(duration: Duration) -> float:
    return max(SHORTEST_SECONDS, float(duration.seconds))


def _log_fields(view: PoolView) -> dict[str, object]:
    health = view.memory.health
    return {
        "takes": view.verdict.takes,
        "reason": view.verdict.reason,
        "step": view.verdict.step,
        "steps": dict(sorted(view.verdict.steps.items())[:NAMED]),
        "health": str(health.state),
        "failed_for": str(health.reason or ""),
        "failures": health.failures,
        "kept_out": sorted(view.verdict.kept_out)[:NAMED],
    }
