"""The nodes that reach the volume of a PersistentVolumeClaim, read from the API server."""

from collections.abc import Awaitable, Callable

from spillway.domain.fit.volume_reach import VolumeReach, of_class, of_volume
from spillway.domain.model.documents import Json
from spillway.kube import paths
from spillway.kube.paths import ObjectKey


async def reach_of_claim(
    namespace: str, claim: str, get: Callable[[ObjectKey], Awaitable[Json | None]]
) -> VolumeReach | None:
    """Read a claim, and its volume or its class; `get` reads an object and returns None without an answer.

    None if the claim or its volume could not be read. A class that cannot be read excludes no node.
    """
    found = await get(ObjectKey(paths.CLAIMS, claim, namespace, field="persistentVolumeClaim.claimName"))
    if found is None:
        return None
    spec = found.get("spec") or {}
    if spec.get("volumeName"):
        volume = await get(ObjectKey(paths.VOLUMES, spec["volumeName"], field="spec.volumeName"))
        return None if volume is None else of_volume(claim, volume)
    return await reach_of_class(claim, spec.get("storageClassName") or "", get)


async def reach_of_class(claim: str, name: str, get: Callable[[ObjectKey], Awaitable[Json | None]]) -> VolumeReach:
    """Read the StorageClass of a claim without a volume. A class that cannot be read excludes no node."""
    if name:
        storage_class = await get(ObjectKey(paths.STORAGE_CLASSES, name, field="spec.storageClassName"))
        if storage_class is not None:
            return of_class(claim, storage_class)
    return VolumeReach(claim)
