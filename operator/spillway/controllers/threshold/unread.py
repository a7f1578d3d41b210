"""The controller of stored threshold annotations on kinds on which they are not read: an Event on each names it.

Contract: one key. Admission refuses such an annotation; one that was stored before, or while the webhook was not
available, is found here: DaemonSets, Jobs and CronJobs are listed at the start, and then every half hour, while some
class places pods. An object with a controlling owner is left out, as at admission. Of one namespace a few objects are
named at a time, so that no tenant keeps the Events of others from being written.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from typing import ClassVar, Final

import msgspec

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model import event_reasons
from spillway.domain.model.names import THRESHOLD
from spillway.domain.model.owners import OwnerReference, controller_of, object_reference
from spillway.domain.threshold.effective import unread_on
from spillway.kube import paths
from spillway.kube.pages import PageClient, items_of
from spillway.kube.paths import ApiResource
from spillway.kube.protocols import Recorder
from spillway.kube.wire import Page

AGAIN_SECONDS: Final = 1800.0
PAGE: Final = 500
NAMED_MAX: Final = 5
"""The number of objects of one namespace that are named at a time."""
_KINDS: Final = {"DaemonSet": paths.DAEMONSETS, "CronJob": paths.CRON_JOBS, "Job": paths.JOBS}


class _Annotations(msgspec.Struct, frozen=True, rename={"threshold": THRESHOLD}):
    threshold: str | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: _Annotations | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class _Object(msgspec.Struct, frozen=True):
    metadata: _Metadata


_pages: Final = msgspec.json.Decoder(Page[_Object])


class UnreadThresholdController(Controller):
    """The controller of threshold annotations that mean nothing."""

    name: ClassVar = "unread-thresholds"

    def __init__(self, world: World, events: Recorder, client: PageClient) -> None:
        super().__init__(world)
        self._events = events
        self._client = client
        self._placing = False

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self._policies_changed)

    def all_keys(self) -> Iterable[str]:
        return ["*"]

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002 - there is one
        self._placing = self.world.governance.places_pods
        if not self._placing:
            return None
        named: Counter[str] = Counter()
        for kind, resource in _KINDS.items():
            await self._list(kind, resource, named)
        return AGAIN_SECONDS

    async def _list(self, kind: str, resource: ApiResource, named: Counter[str]) -> None:
        async with aclosing(items_of(self._client, resource.everywhere, _pages.decode, limit=PAGE)) as found:
            async for item in found:
                self._look_at(kind, resource.api_version, item.metadata, named)

    def _look_at(self, kind: str, api_version: str, metadata: _Metadata, named: Counter[str]) -> None:
        if metadata.annotations is None or metadata.annotations.threshold is None:
            return
        if controller_of(metadata.owner_references) is not None:
            return
        named[metadata.namespace] += 1
        if named[metadata.namespace] <= NAMED_MAX:
            about = object_reference(api_version, kind, metadata.name, metadata.uid, namespace=metadata.namespace)
            self._events.record(about, "Warning", event_reasons.INVALID_THRESHOLD, unread_on(kind))

    def _policies_changed(self) -> None:
        if self.world.governance.places_pods and not self._placing:
            self.add_all()
