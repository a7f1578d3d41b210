"""The reads of the spill controller: a waiting pod, its Job and its volumes, from the API server.

Contract: each call reads, and nothing is cached. An object that does not exist is None; other failures are raised.
"""

from collections.abc import Sequence

import msgspec

from spillway.controllers.base import World
from spillway.domain.fit.suitability import claims_of, ephemeral_claims
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model.documents import Json
from spillway.domain.model.owners import OwnerReference, counted_as
from spillway.domain.model.records import PodRecord
from spillway.kube import paths
from spillway.kube.jobs import find, job_of
from spillway.kube.paths import ObjectKey
from spillway.kube.protocols import Reader
from spillway.kube.volumes import reach_of_claim, reach_of_class
from spillway.state.claims import claim_of_pods


class SpillReading:
    """The reads of the spill controller."""

    def __init__(self, world: World, reader: Reader) -> None:
        self._world = world
        self._reader = reader

    async def pod(self, pod: PodRecord) -> Json | None:
        """The pod of that name."""
        return await self._read(ObjectKey(paths.PODS, pod.name, pod.namespace))

    async def may_spill(self, pod: PodRecord, raw: Json) -> bool:
        """Whether its class lets it spill: without an owner that is known only the pod itself gives the class."""
        if self._world.state.owner(pod.owner_uid) is not None:
            return True
        kind = pod.owner_kind
        if kind == "Job":
            job = await job_of(self._reader, pod)
            owners = [] if job is None else job["metadata"].get("ownerReferences") or []
            kind = counted_as(OwnerReference(kind=kind), msgspec.convert(owners, list[OwnerReference])).kind
        labels, governance = raw["metadata"].get("labels") or {}, self._world.governance
        claim = claim_of_pods(self._world.state, governance, pod.namespace, kind, labels)
        found = governance.placing_class(claim)
        return found is not None and found.effective_placement.virtual != "Never"

    async def volumes(self, namespace: str, pod: Json) -> Sequence[VolumeReach]:
        """The nodes that reach the volumes which the pod claims, as far as these are known."""
        found = [await reach_of_claim(namespace, name, self._read) for name in claims_of(pod)]
        found += [await reach_of_class(name, of, self._read) for name, of in ephemeral_claims(pod)]
        return [reach for reach in found if reach is not None]

    async def _read(self, wanted: ObjectKey) -> Json | None:
        return await find(self._reader, wanted)
