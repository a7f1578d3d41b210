"""The controller of refused pods: it learns that the API server refused them, and says which pools are left out.

Contract: it reads the Events `FailedCreate` of owners, only while some class places pods; a ReplicaSet's condition
`ReplicaFailure` says the same where an Event was not recorded. What follows from a refusal is decided in the step in
which the owner's reservations end, which is when its controller tries again or shortly after the refusal.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model import event_reasons
from spillway.domain.model.names import OwnerUid
from spillway.kube.pod_events import PodEvent
from spillway.kube.protocols import EventWatch, Recorder
from spillway.state.refusals import PoolLeftOut
from spillway.state.reservations import SETTLE_SECONDS
from spillway.state.signal import Signal
from spillway.state.usage import LiveUsage
from spillway.telemetry import placement as metrics

PERIOD_SECONDS: Final = 5.0
"""Seconds between passes: reservations also expire while no pod is created."""
SLACK_SECONDS: Final = 0.01
SELECTOR: Final = "reason=FailedCreate"
_KEY: Final = "reservations"


class RefusedPodsController(Controller):
    """The controller of refused pods, with one key. `watch` follows Events about owners of pods."""

    name: ClassVar = "refused-pods"

    def __init__(self, world: World, events: Recorder, usage: LiveUsage, watch: EventWatch) -> None:
        super().__init__(world)
        self._events = events
        self._usage = usage
        self._watch = watch
        self.changed: Signal[()] = Signal("PoolLeftOut")
        """Emitted after a pool was left out for an owner, or is tried again."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self._usage.refusals.found.subscribe(self._found)
        yield self._usage.refusals.expiry_due.subscribe(self._settle)
        yield self.world.catalog.subscribe(self._read_policies)
        self._read_policies()
        yield self._watch.found.subscribe(self._handle_event)
        yield self._watch.start()

    def all_keys(self) -> Iterable[str]:
        return (_KEY,)

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002 - there is one
        self._usage.reservations.expire()
        return PERIOD_SECONDS

    def _handle_event(self, event: PodEvent) -> None:
        """An owner's controller could not create a pod."""
        self._usage.refusals.report(OwnerUid(event.uid), event.namespace, event.message)

    def _settle(self) -> None:
        self.queue.add_after(_KEY, SETTLE_SECONDS + SLACK_SECONDS)

    def _found(self, one: PoolLeftOut) -> None:
        state = one.state
        metrics.REFUSED.labels(one.pool).inc()
        seconds = max(0.0, state.until - self.world.now())
        self.log.warning("pool left out, its pods are refused", key=one.owner.key, pool=one.pool, said=state.message)
        self._events.record(
            one.owner.reference,
            "Warning",
            event_reasons.POOL_LEFT_OUT,
            f"pool {one.pool} is not used for this workload for {seconds:.0f} s, because {state.because}",
        )
        self.changed.emit()

    def _read_policies(self) -> None:
        self._watch.want(SELECTOR if self.world.governance.places_pods else "")
