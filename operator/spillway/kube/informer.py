"""The informers of all watched resources.

Contract: Pods, Nodes, ReplicaSets, ReplicationControllers, StatefulSets and Namespaces of the whole cluster, each kind
by its own reflector into one `ClusterState`; what a new list lacks is removed there. Admission and controllers wait for
`state.synced`; a controller that disrupts also checks `state.stale()`.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Generic

import structlog

from spillway.kube.client import KubeClient
from spillway.kube.decode import Decoder
from spillway.kube.followed import FOLLOWED
from spillway.kube.reflector import Reflector, WatchSettings, resource_of
from spillway.state.cluster import ClusterState, R, record_key
from spillway.telemetry.kube import INFORMER_OBJECTS, INFORMER_SILENCE, INFORMER_SYNCED

log = structlog.get_logger(__name__)


class StateSink(Generic[R]):
    """The sink that keeps one record type of a `ClusterState` equal to the API server's objects."""

    def __init__(self, state: ClusterState, record_type: type[R], resource: str) -> None:
        self._state = state
        self._record_type: type[Any] = record_type
        self._resource = resource
        self._left: dict[str, None] = {}
        """The keys of before the list that it has not had so far."""

    def alive(self) -> None:
        self._state.touch(self._record_type)

    def list_begins(self) -> None:
        self._left = dict.fromkeys(self._records)

    def listed(self, record: R) -> None:
        self._state.apply(record)
        self._left.pop(record_key(record), None)

    def page_ends(self) -> None:
        self._state.touch(self._record_type, listed=True)

    def list_ends(self) -> None:
        for key in self._left:
            record = self._records.get(key)
            if record is not None:
                self._state.remove(record)
        self._left = {}
        self._state.mark_synced(self._record_type)
        INFORMER_SYNCED.labels(self._resource).set(1)
        self.watch_ends()
        log.info("listed", key=self._resource, objects=len(self._records))

    def changed(self, record: R) -> None:
        self._state.apply(record)

    def deleted(self, record: R) -> None:
        self._state.remove(record)

    def watch_ends(self) -> None:
        INFORMER_OBJECTS.labels(self._resource).set(len(self._records))

    @property
    def _records(self) -> Mapping[str, R]:
        return self._state.records(self._record_type)


def reflector(
    client: KubeClient,
    state: ClusterState,
    record_type: type[R],
    path: str,
    decoder: Decoder[Any, R],
    *,
    settings: WatchSettings | None = None,
) -> Reflector[Any, R]:
    """The reflector of one record type of the state."""
    sink = StateSink(state, record_type, resource_of(path))
    return Reflector(client, sink, path=path, decoder=decoder, settings=settings)


class Informers:
    """The informers that keep `state` equal to the cluster."""

    def __init__(self, client: KubeClient, state: ClusterState, *, settings: WatchSettings | None = None) -> None:
        self._reflectors = [
            reflector(client, state, record_type, one.resource.everywhere, one.decoder, settings=settings)
            for record_type, one in FOLLOWED.items()
        ]
        for one, record_type in zip(self._reflectors, FOLLOWED, strict=True):
            INFORMER_SILENCE.labels(one.resource).set_function(partial(state.last_event_age, record_type))

    async def run(self) -> None:
        """Run until cancelled. Failures of the server are retried; only a defect of the operator raises."""
        async with asyncio.TaskGroup() as tasks:
            for one in self._reflectors:
                tasks.create_task(one.run(), name=f"informer-{one.resource}")
