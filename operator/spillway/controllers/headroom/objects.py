"""The objects that hold headroom, as the API server has them, and the writes that make them what is wanted.

Contract: only objects in the operator's namespace with the label `names.HEADROOM` are read, changed and deleted. One
that is as wanted is not written again. A write that fails does not keep back those of other policies.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from spillway.domain.headroom.manifests import Held, Look, balloons, capacity_buffer, pod_template
from spillway.domain.model.documents import Json
from spillway.domain.model.names import APPLIED, HEADROOM, POLICY
from spillway.kube import paths
from spillway.kube.errors import ApiError, FailedRequests
from spillway.kube.paths import ApiResource
from spillway.kube.protocols import ObjectWriter

RESOURCES: Final = (paths.DEPLOYMENTS, paths.CAPACITY_BUFFERS, paths.POD_TEMPLATES)


class By(StrEnum):
    """What holds headroom."""

    BALLOONS = "Balloons"
    BUFFERS = "CapacityBuffer"


class Lister(Protocol):
    """A reader of short lists of objects."""

    async def get_json(self, path: str, *, labelSelector: str) -> Any:  # noqa: ANN401, N803 - JSON, and its parameter
        """The answer to a GET of a collection."""


@dataclass(frozen=True, slots=True)
class Present:
    """One object."""

    resource: ApiResource
    name: str
    uid: str
    policy: str
    applied: str
    created: float
    replicas: int | None
    answered: bool
    """Of a CapacityBuffer: whether a node autoscaler has said anything about it."""


@dataclass(frozen=True, slots=True)
class Found:
    """All objects of headroom."""

    objects: Mapping[tuple[str, str], Present]
    """By the plural of the resource, and the name."""
    buffers_served: bool
    """Whether the API server has CapacityBuffers."""

    def of(self, resource: ApiResource, name: str) -> Present | None:
        return self.objects.get((resource.plural, name))

    def replicas(self, policy: str) -> int:
        """The units that the objects of a policy ask for now."""
        return sum(one.replicas or 0 for one in self.objects.values() if one.policy == policy)


class HeadroomObjects:
    """The reader and writer of the objects of headroom."""

    def __init__(self, lister: Lister, writer: ObjectWriter, look: Look, namespace: str) -> None:
        self._lister = lister
        self._writer = writer
        self._look = look
        self._namespace = namespace

    async def read(self) -> Found:
        """All that exist.

        Raises:
            RequestError: the API server did not answer, or refused.
        """
        return await listed(self._lister, self._namespace)

    async def write(
        self,
        wanted: Iterable[Held],
        by: By,
        found: Found,
        failed: FailedRequests,
        *,
        kept: Collection[str] = frozenset(),
    ) -> int:
        """Make the objects those that are wanted, and delete all others; the number of changes.

        Those of the policies `kept` stay as they are: these policies exist, and this version cannot read them. Nothing
        of a policy is deleted while one of its objects cannot be written, because that one may take its place.
        """
        present: set[tuple[str, str]] = set()
        stays = set(kept)
        changes = 0
        for held in wanted:
            bodies = self._bodies(held, by)
            present.update((resource.plural, held.name) for resource, _ in bodies)
            with failed.collected():
                changes += await self._write(held.name, bodies, found)
                continue
            stays.add(held.policy)
        for key, one in found.objects.items():
            if key not in present and one.policy not in stays:
                path = one.resource.named(one.name, namespace=self._namespace)
                with failed.collected():
                    changes += await self._writer.delete(one.resource.plural, path, uid=one.uid)
        return changes

    async def _write(self, name: str, bodies: Iterable[tuple[ApiResource, dict[str, Any]]], found: Found) -> int:
        changes = 0
        for resource, body in bodies:
            if not _as_wanted(found.of(resource, name), body):
                await self._writer.apply(resource.named(name, namespace=self._namespace), body)
                changes += 1
        return changes

    def _bodies(self, held: Held, by: By) -> tuple[tuple[ApiResource, dict[str, Any]], ...]:
        if by is By.BALLOONS:
            return ((paths.DEPLOYMENTS, balloons(held, self._look, self._namespace)),)
        return (
            (paths.POD_TEMPLATES, pod_template(held, self._look, self._namespace)),
            (paths.CAPACITY_BUFFERS, capacity_buffer(held, self._namespace)),
        )


async def listed(lister: Lister, namespace: str) -> Found:
    """All objects of headroom in the operator's namespace.

    Raises:
        RequestError: the API server did not answer, or refused.
    """
    found: dict[tuple[str, str], Present] = {}
    served = True
    for resource in RESOURCES:
        try:
            answer = await lister.get_json(resource.within(namespace), labelSelector=HEADROOM)
        except ApiError as error:
            if not (error.not_found and resource is paths.CAPACITY_BUFFERS):
                raise
            served = False
            continue
        for item in answer.get("items") or ():
            one = _present(resource, item)
            found[resource.plural, one.name] = one
    return Found(found, served)


def _as_wanted(present: Present | None, body: Json) -> bool:
    if present is None or present.applied != body["metadata"]["annotations"][APPLIED]:
        return False
    return bool(present.replicas == body.get("spec", {}).get("replicas"))


def _present(resource: ApiResource, item: Json) -> Present:
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    conditions = {one.get("type") for one in (item.get("status") or {}).get("conditions") or ()}
    return Present(
        resource=resource,
        name=metadata["name"],
        uid=metadata["uid"],
        policy=annotations.get(POLICY, ""),
        applied=annotations.get(APPLIED, ""),
        created=datetime.fromisoformat(metadata["creationTimestamp"]).timestamp(),
        replicas=(item.get("spec") or {}).get("replicas"),
        answered="ReadyForProvisioning" in conditions,
    )
