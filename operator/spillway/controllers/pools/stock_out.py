"""Who says that there is no stock: the status of pods that wait on a pool, and Events about pods on it.

Contract: each pod that waits is told of once. `told` is called first, so that the verdict stands before anybody makes
the pod anew; then `found` is emitted. Events are read only while some budget has `stockOut`, and one that comes
before its pod is seen to be bound is kept for a while: each resource has a watch of its own.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from spillway.controllers.base import Unsubscribe, World
from spillway.controllers.pools.unstarted import UnstartedPod, UnstartedPods
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import PodRecord
from spillway.domain.pools.stock_out import Signs
from spillway.kube.client import KubeClient
from spillway.kube.pod_events import PodEvent, PodEvents, field_selector
from spillway.state.signal import Signal
from spillway.telemetry import pools as metrics

REMEMBERED_EVENTS: Final = 1024
NO_SIGNS: Final = Signs()


class StockNews:
    """Listens. Without a client nothing is heard of Events."""

    def __init__(
        self, world: World, unstarted: UnstartedPods, client: KubeClient | None, told: Callable[[str, PodRecord], None]
    ) -> None:
        self._world = world
        self._unstarted = unstarted
        self._told = told
        self._events = None if client is None else PodEvents(client, self.heard)
        self._signs: Mapping[str, Signs] = {}
        self._early: dict[PodUid, PodEvent] = {}
        self.found: Signal[UnstartedPod] = Signal("StockOut", key=lambda one: one.pod.key)
        """Emitted with a pod whose provider has no stock, after `told`."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Listen from now on."""
        yield self._world.catalog.subscribe(self._read_signs)
        yield self._unstarted.changed.subscribe(self._waits)
        self._read_signs()
        if self._events is not None:
            task = asyncio.get_running_loop().create_task(self._events.run(), name="pod-events")

            def stop_hearing() -> None:
                task.cancel()

            yield stop_hearing

    def heard(self, event: PodEvent) -> None:
        """An Event about a pod: is it a stock-out?"""
        pod = self._world.state.pods.get(event.uid)
        if pod is None or not pod.node:
            self._early[event.uid] = event
            while len(self._early) > REMEMBERED_EVENTS:
                self._early.pop(next(iter(self._early)))
            return
        pool = self._unstarted.pool_of(pod)
        if self._signs.get(pool, NO_SIGNS).match(event.reason, event.message):
            self._tell(pool, pod)

    def _waits(self, waiting: UnstartedPod) -> None:
        if not waiting.pool:
            return
        early = self._early.pop(waiting.pod.uid, None)
        if early is not None:
            self.heard(early)
        pending = waiting.pending
        if self._signs.get(waiting.pool, NO_SIGNS).match(pending.reason, pending.message):
            self._tell(waiting.pool, waiting.pod)

    def _tell(self, pool: str, pod: PodRecord) -> None:
        waiting = self._unstarted.pods.get(pod.uid)
        if waiting is not None and waiting.out_of_stock:
            return
        metrics.STOCK_OUTS.labels(pool).inc()
        self._told(pool, pod)
        if waiting is not None:
            self._unstarted.mark_out_of_stock(waiting)
            self.found.emit(waiting)

    def _read_signs(self) -> None:
        budgets = self._world.governance.budgets
        self._signs = {name: Signs.of(one.spec.stock_out) for name, one in budgets.items() if one.spec.stock_out}
        if self._events is not None:
            reasons = [signs.reasons for signs in self._signs.values()]
            known = frozenset().union(*(some for some in reasons if some is not None))
            self._events.want(field_selector(None if None in reasons else known) if reasons else "")
