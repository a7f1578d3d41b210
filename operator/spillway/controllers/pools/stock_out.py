"""The detection of stock-outs, from the status of pods that did not start on a pool and from Events about them.

Contract: a stock-out is reported once for each pod. `record` is called first, so that the pool's verdict is published
before the pod is replaced; then `found` is emitted, or `failed` for a pod that the provider did not leave Pending: its
owner creates the next one by itself. Events are read only while some budget has `stockOut`. An Event
that arrives before the binding of its pod is kept for a while, because each resource has its own watch.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from spillway.controllers.base import Unsubscribe, World
from spillway.controllers.pools.unstarted import UnstartedPod, UnstartedPods
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import PodRecord
from spillway.domain.model.remember import FairMemory
from spillway.domain.pools.stock_out import StockOutMatcher
from spillway.kube.pod_events import PodEvent, field_selector
from spillway.kube.protocols import EventWatch
from spillway.state.signal import Signal
from spillway.telemetry import pools as metrics

_REMEMBERED_FAILURES: Final = 1024
REMEMBERED_EVENTS: Final = 1024
"""Events that are kept at most until the binding of their pod is seen."""
NO_MATCHER: Final = StockOutMatcher()


class StockOutDetector:
    """The detector of stock-outs for all pools. `events` follows Events about pods."""

    def __init__(
        self,
        world: World,
        unstarted: UnstartedPods,
        events: EventWatch,
        record: Callable[[str, PodRecord], None],
    ) -> None:
        self._world = world
        self._unstarted = unstarted
        self._record = record
        self._events = events
        self._matchers: Mapping[str, StockOutMatcher] = {}
        self._early: FairMemory[tuple[str, PodUid], PodEvent] = FairMemory(REMEMBERED_EVENTS)
        self.found: Signal[UnstartedPod] = Signal("StockOut", key=lambda one: one.pod.key)
        """Emitted with a pod whose provider has no stock, after `record`."""
        self.failed: Signal[UnstartedPod] = Signal("StockOutFailure", key=lambda one: one.pod.key)
        """The same with a pod that has failed for it."""
        self._failures: FairMemory[PodUid, None] = FairMemory(_REMEMBERED_FAILURES)
        """Failed pods for which a stock-out was reported."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow the pods, and the Events about them."""
        yield self._world.catalog.subscribe(self._read_budgets)
        yield self._unstarted.changed.subscribe(self._waits)
        yield self._unstarted.failed.subscribe(self._fails)
        self._read_budgets()
        yield self._events.found.subscribe(self._handle_event)
        yield self._events.start()

    def _handle_event(self, event: PodEvent) -> None:
        """Report a stock-out if an Event about a pod is a sign of one."""
        pod = self._world.state.pods.get(event.uid)
        if pod is not None and pod.namespace != event.namespace:
            # An Event is in the namespace of its pod; one in another names a uid that is not its own to speak of.
            return
        if pod is None or not pod.node:
            self._early.put((event.namespace, event.uid), event, share=event.namespace)
            return
        pool = self._world.membership.pool_of_pod(pod)
        if not self._matchers.get(pool, NO_MATCHER).match(event.reason, event.message):
            return
        if pod.failure is not None:
            self._report_failure(UnstartedPod(pod, pool))
        else:
            self._report(pool, pod)

    def _waits(self, waiting: UnstartedPod) -> None:
        if not waiting.pool:
            return
        early = self._early.pop((waiting.pod.namespace, waiting.pod.uid))
        if early is not None:
            self._handle_event(early)
        pending = waiting.pending
        if self._matchers.get(waiting.pool, NO_MATCHER).match(pending.reason, pending.message):
            self._report(waiting.pool, waiting.pod)

    def _fails(self, one: UnstartedPod) -> None:
        early = self._early.pop((one.pod.namespace, one.pod.uid))
        if early is not None:
            self._handle_event(early)
        matcher = self._matchers.get(one.pool, NO_MATCHER)
        statements = () if one.pod.failure is None else one.pod.failure.statements
        if one.out_of_stock or any(matcher.match(reason, message) for reason, message in statements):
            self._report_failure(one)

    def _report_failure(self, one: UnstartedPod) -> None:
        if one.pod.uid in self._failures:
            return
        self._failures.put(one.pod.uid, None, share=one.pod.namespace)
        if not one.out_of_stock:
            metrics.STOCK_OUTS.labels(one.pool).inc()
            self._record(one.pool, one.pod)
        self.failed.emit(one)

    def _report(self, pool: str, pod: PodRecord) -> None:
        waiting = self._unstarted.pods.get(pod.uid)
        if waiting is not None and waiting.out_of_stock:
            return
        metrics.STOCK_OUTS.labels(pool).inc()
        self._record(pool, pod)
        if waiting is not None:
            self._unstarted.mark_out_of_stock(waiting)
            self.found.emit(waiting)

    def _read_budgets(self) -> None:
        budgets = self._world.governance.budgets
        self._matchers = {
            name: StockOutMatcher.of(one.spec.stock_out) for name, one in budgets.items() if one.spec.stock_out
        }
        reasons = [matcher.reasons for matcher in self._matchers.values()]
        known = frozenset().union(*(some for some in reasons if some is not None))
        self._events.want(field_selector(None if None in reasons else known) if reasons else "")
