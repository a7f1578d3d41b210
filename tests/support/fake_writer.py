"""The writer of unit tests: keeps what was asked of it, and answers as a test tells it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

from spillway.domain.model.additions import Addition
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.kube.patches import Annotations
from spillway.kube.writer import Eviction


class Write(NamedTuple):
    """One call: the method, the name of the object, and what was to be written of it."""

    verb: str
    name: str
    body: Mapping[str, Any]
    pod: PodRecord | None = None


Respond = Callable[[Write], Awaitable[bool]]


def answering(answer: Callable[[str], bool]) -> Respond:
    """Answer by the name of the object."""

    async def respond(write: Write) -> bool:
        return answer(write.name)

    return respond


class FakeWriter:
    """An `ObjectWriter` without an API server; every write succeeds unless `respond` says otherwise or raises."""

    def __init__(
        self, respond: Respond | None = None, *, evict: Callable[[PodRecord], Eviction] = lambda _: Eviction.EVICTED
    ) -> None:
        self.writes: list[Write] = []
        """Everything asked, in order."""
        self.done: list[Write] = []
        """What was answered with True."""
        self.respond = respond
        self.before_evicting: Callable[[], None] | None = None
        """What happens while an eviction waits for its turn."""
        self._evict = evict

    @property
    def names(self) -> list[str]:
        """The names of the objects of all writes."""
        return [write.name for write in self.writes]

    async def _write(self, verb: str, name: str, body: Mapping[str, Any], pod: PodRecord | None = None) -> bool:
        write = Write(verb, name, body, pod)
        self.writes.append(write)
        answer = self.respond is None or await self.respond(write)
        if answer:
            self.done.append(write)
        return answer

    async def annotate_pod(self, pod: PodRecord, annotations: Annotations) -> bool:
        return await self._write("annotate_pod", pod.name, annotations, pod)

    async def patch_node(
        self,
        node: NodeRecord,
        *,
        annotations: Annotations | None = None,
        taints: tuple[Iterable[Taint], Iterable[Taint]] | None = None,
        unschedulable: bool | None = None,
    ) -> bool:
        body = {"annotations": annotations, "taints": taints, "unschedulable": unschedulable}
        return await self._write("patch_node", node.name, body)

    async def evict(self, pod: PodRecord, *, wanted: Callable[[], bool] = lambda: True) -> Eviction:
        if self.before_evicting is not None:
            self.before_evicting()
        if not wanted():
            return Eviction.WITHDRAWN
        await self._write("evict", pod.name, {}, pod)
        return self._evict(pod)

    async def replace_unstarted(self, pod: PodRecord) -> bool:
        return await self._write("replace_unstarted", pod.name, {}, pod)

    async def add_to_pod(self, pod: PodRecord, resource_version: str, additions: Iterable[Addition]) -> bool:
        body = {"resource_version": resource_version, "additions": tuple(additions)}
        return await self._write("add_to_pod", pod.name, body, pod)

    async def annotate(self, resource: str, path: str, uid: str, annotations: Annotations) -> bool:  # noqa: ARG002
        return await self._write("annotate", _name(path), annotations)

    async def scale(self, resource: str, path: str, uid: str, *, seen: int, wanted: int) -> bool:  # noqa: ARG002
        return await self._write("scale", _name(path), {"seen": seen, "wanted": wanted})

    async def patch_status(self, plural: str, name: str, status: Mapping[str, Any]) -> bool:  # noqa: ARG002
        return await self._write("patch_status", name, status)

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        await self._write("apply", _name(path), body)
        return dict(body)

    async def delete(
        self, resource: str, path: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> bool:
        body = {"resource": resource, "uid": uid, "resourceVersion": resource_version}
        return await self._write("delete", _name(path), body)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
