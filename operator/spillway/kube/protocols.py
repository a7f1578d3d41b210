"""What controllers and webhooks need of the API server, as protocols: reading, watching, writing, recording Events.

Contract: each has an implementation for a cluster (`KubeClient`, `WantedWatch`, `Writer`, `EventRecorder`) and one fake
that all unit tests share. What each method promises stands with the implementation.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from spillway.domain.model.additions import Addition
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.state.signal import Signal, Unsubscribe

if TYPE_CHECKING:
    from spillway.kube.events import Reference
    from spillway.kube.patches import Annotations
    from spillway.kube.pod_events import PodEvent
    from spillway.kube.writer import Eviction


class Reader(Protocol):
    """A reader of single objects and short lists."""

    async def get_json(self, path: str) -> Any:  # noqa: ANN401 - JSON is anything
        """The answer to a GET as plain Python values."""


class ListReader(Reader, Protocol):
    """A reader that also reads lists of any length."""

    def list_all(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        """Every item of a list, page by page."""


class ByteReader(Protocol):
    """A reader of single objects that are decoded by their own decoder."""

    async def request(self, method: str, path: str) -> bytes:
        """The body of the answer."""


class Watch(Protocol):
    """A watch that runs only while it is needed."""

    def want(self, what: str) -> None:
        """Follow this from now on; the empty text stops the watch."""

    def start(self) -> Unsubscribe:
        """Follow what is wanted from now on; returns what ends it."""


class EventWatch(Watch, Protocol):
    """A watch of Events about other objects; what it follows is a field selector."""

    @property
    def found(self) -> "Signal[PodEvent]":
        """Emitted with each of them."""


class Recorder(Protocol):
    """A recorder of Events."""

    def record(self, involved: "Reference", event_type: str, reason: str, message: str) -> None:
        """Say `message` about an object."""


class ObjectWriter(Protocol):
    """A writer of changes; where its answer is False, the object is gone or has changed since it was seen."""

    async def annotate_pod(self, pod: PodRecord, annotations: "Annotations") -> bool:
        """Set or remove annotations of a pod."""

    async def patch_node(
        self,
        node: NodeRecord,
        *,
        annotations: "Annotations | None" = None,
        taints: tuple[Iterable[Taint], Iterable[Taint]] | None = None,
        unschedulable: bool | None = None,
    ) -> bool:
        """Annotations, taints as (seen, wanted) and cordon of a node, in one write."""

    async def evict(self, pod: PodRecord, *, wanted: Callable[[], bool] = ...) -> "Eviction":
        """Evict a pod through the Eviction API, if it is still `wanted` when its turn comes."""

    async def replace_unstarted(self, pod: PodRecord) -> bool:
        """Delete a pod of which nothing has started."""

    async def add_to_pod(self, pod: PodRecord, resource_version: str, additions: Iterable[Addition]) -> bool:
        """Make additions to a pod exactly as it was read."""

    async def annotate(self, resource: str, path: str, uid: str, annotations: "Annotations") -> bool:
        """Set or remove annotations of any object."""

    async def scale(self, resource: str, path: str, uid: str, *, seen: int, wanted: int) -> bool:
        """Change the number of replicas of a workload from the number seen."""

    async def patch_status(self, plural: str, name: str, status: Mapping[str, Any]) -> bool:
        """Apply the whole status of one of Spillway's resources."""

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a whole object; returns it as stored."""

    async def delete(
        self, resource: str, path: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> bool:
        """Delete an object, only that one and only that version."""
