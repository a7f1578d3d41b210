"""The watch of Events about pods, or about the owners of pods, which runs only while it is needed.

Contract: one watch, as narrow as a field selector can make it, and none at all while nothing is wanted. An Event is
never the only source of information: one that was recorded while the watch was broken is delivered when the watch
starts again if it is young, and lost otherwise. Every failure is retried, including a missing permission; `run` ends
only when it is cancelled.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

import msgspec

from spillway.domain.model.names import PodUid
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.decode import Decoder
from spillway.kube.ratelimit import Sleep
from spillway.kube.reflector import Reflector, WatchSettings
from spillway.kube.wanted_watch import WantedWatch
from spillway.state.signal import Signal

PATH: Final = paths.CORE_EVENTS.everywhere
YOUNG_SECONDS: Final = 300.0
"""The maximum age of an Event that is delivered from a list."""
SETTINGS: Final = WatchSettings(
    page_size=500, watch_seconds=250.0, silence_seconds=310.0, backoff_seconds=0.5, longest_backoff_seconds=60.0
)
"""Events come rarely, so a watch is renewed rarely; a missing permission is asked for once a minute."""


class PodEvent(msgspec.Struct, frozen=True):
    """An Event about one pod, or about one owner of pods."""

    uid: PodUid
    namespace: str
    name: str
    reason: str
    message: str


class _Regarding(msgspec.Struct, rename="camel"):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    creation_timestamp: str | None = None


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    involved_object: _Regarding | None = None
    reason: str | None = None
    message: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None


_events: Final = Decoder(_Event, lambda event: event)


def field_selector(reasons: Collection[str] | None) -> str:
    """The narrowest selector for Events about pods with one of these reasons; None stands for any reason.

    A selector has no "or": several reasons are searched among the warnings.
    """
    if reasons is not None and len(reasons) == 1:
        return f"involvedObject.kind=Pod,reason={next(iter(reasons))}"
    return "involvedObject.kind=Pod,type=Warning"


MESSAGE_CHARACTERS: Final = 2048
"""The characters of an Event's message that are kept: Events are written by whoever may, and have no other limit."""


class _PodEventSink:
    """The sink that emits Events about pods (or about all but pods), from a list only the young ones."""

    def __init__(self, found: Signal[PodEvent], now: Callable[[], float], *, about_pods: bool) -> None:
        self._found = found
        self._about_pods = about_pods
        self._now = now

    def alive(self) -> None:
        """Nothing depends on how fresh Events are."""

    list_begins = page_ends = list_ends = watch_ends = alive

    def listed(self, record: _Event) -> None:
        if self._now() - _event_time(record) < YOUNG_SECONDS:
            self.changed(record)

    def changed(self, record: _Event) -> None:
        regarding = record.involved_object
        if regarding is None or (regarding.kind == "Pod") is not self._about_pods or not regarding.uid:
            return
        self._found.emit(
            PodEvent(
                PodUid(regarding.uid),
                regarding.namespace,
                regarding.name,
                (record.reason or "")[:MESSAGE_CHARACTERS],
                (record.message or "")[:MESSAGE_CHARACTERS],
            )
        )

    def deleted(self, record: _Event) -> None:
        """An Event that has expired says nothing about its pod."""


class PodEvents(WantedWatch):
    """The watch of wanted Events: about pods, or about all other objects.

    What it follows is a field selector.
    """

    name = "pod-events"

    def __init__(
        self,
        client: KubeClient,
        *,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        about_pods: bool = True,
    ) -> None:
        super().__init__()
        self._client = client
        self._about_pods = about_pods
        self.found: Signal[PodEvent] = Signal("PodEvent", key=lambda one: f"{one.namespace}/{one.name}")
        """Emitted with each of them."""
        self._sleep = sleep
        self._now = now
        self._jitter = jitter

    async def _follow(self, what: str) -> None:
        reflector = Reflector(
            self._client,
            _PodEventSink(self.found, self._now, about_pods=self._about_pods),
            path=PATH,
            decoder=_events,
            selector=what,
            settings=SETTINGS,
            sleep=self._sleep,
            jitter=self._jitter,
        )
        await reflector.run()


def _event_time(event: _Event) -> float:
    """When it was last recorded (Unix seconds); 0.0 if it does not say."""
    series = event.series.last_observed_time if event.series is not None else None
    for stamp in (series, event.last_timestamp, event.event_time, event.metadata.creation_timestamp):
        if stamp:
            try:
                return datetime.fromisoformat(stamp).timestamp()
            except ValueError:
                continue
    return 0.0
