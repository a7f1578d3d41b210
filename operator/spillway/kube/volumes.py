"""Whether the volume of a PersistentVolumeClaim is part of one node."""

from collections.abc import Awaitable, Callable
from enum import Enum, auto

from spillway.domain.fit.suitability import is_local
from spillway.domain.model.documents import Json
from spillway.kube import paths
from spillway.kube.paths import ObjectKey


class ClaimVolume(Enum):
    """The kind of a claim's volume."""

    UNKNOWN = auto()
    """The claim, or its volume, could not be read."""
    UNBOUND = auto()
    """There is none yet: the scheduler will bind the claim to a volume that the pod's node can reach."""
    LOCAL = auto()
    """It is part of one node."""
    SHARED = auto()
    """Other nodes reach it too."""


async def volume_of_claim(
    namespace: str, claim: str, get: Callable[[ObjectKey], Awaitable[Json | None]]
) -> ClaimVolume:
    """Read a claim and its volume; `get` reads an object and returns None without an answer."""
    found = await get(ObjectKey(paths.CLAIMS, claim, namespace, field="persistentVolumeClaim.claimName"))
    if found is None:
        return ClaimVolume.UNKNOWN
    name = (found.get("spec") or {}).get("volumeName")
    if not name:
        return ClaimVolume.UNBOUND
    volume = await get(ObjectKey(paths.VOLUMES, name, field="spec.volumeName"))
    if volume is None:
        return ClaimVolume.UNKNOWN
    return ClaimVolume.LOCAL if is_local(volume) else ClaimVolume.SHARED
