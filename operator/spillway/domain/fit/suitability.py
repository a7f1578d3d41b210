"""The pods that no virtual node can run, because they are tied to the machine under them.

Contract: pods are plain JSON as in an AdmissionReview. The answer is the first reason found, a clause that completes
"kept on physical nodes, because …", or None. A pod does not show which of its claims have local volumes: the caller
looks them up (`claims_of` lists the claims) and passes the local ones.
"""

from collections.abc import Collection, Iterator
from typing import Final

from spillway.domain.model.documents import Json
from spillway.domain.model.owners import PER_NODE

MIRROR: Final = "kubernetes.io/config.mirror"

_STATIC: Final = "it is a static pod of its node"
_HOST_NAMESPACES: Final = {
    "hostNetwork": "it uses the node's network (hostNetwork)",
    "hostPID": "it sees the node's processes (hostPID)",
    "hostIPC": "it shares memory with the node's processes (hostIPC)",
}


def unsuitable(pod: Json, local_claims: Collection[str] = ()) -> str | None:
    """Why virtual nodes cannot run this pod; None if they can."""
    return next(_reasons(pod, local_claims), None)


def claims_of(pod: Json) -> tuple[str, ...]:
    """The PersistentVolumeClaims that the pod's volumes name."""
    claims = ((volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in _volumes(pod))
    return tuple(dict.fromkeys(claim for claim in claims if claim))


def ephemeral_claims(pod: Json) -> tuple[tuple[str, str], ...]:
    """The volumes whose claims are created with the pod, each with the StorageClass that it names."""
    found: list[tuple[str, str]] = []
    for volume in _volumes(pod):
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}
        storage_class = (template.get("spec") or {}).get("storageClassName")
        if storage_class:
            found.append((str(volume.get("name", "")), str(storage_class)))
    return tuple(found)


def _reasons(pod: Json, local_claims: Collection[str]) -> Iterator[str]:
    spec = pod.get("spec") or {}
    yield from _ownership(pod.get("metadata") or {}, spec)
    for field, clause in _HOST_NAMESPACES.items():
        if spec.get(field):
            yield clause
    for volume in _volumes(pod):
        if volume.get("hostPath") is not None:
            path = volume["hostPath"].get("path", "")
            yield f"its volume {volume.get('name', '')} is the folder {path} of the node (hostPath)"
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        yield from _container(container)
    for claim in spec.get("resourceClaims") or ():
        yield f"it claims a device of its node (resourceClaims: {claim.get('name', '')})"
    for name in (*claims_of(pod), *(volume for volume, _ in ephemeral_claims(pod))):
        if name in local_claims:
            yield f"the volume of its claim {name} is local to one node"


def _ownership(metadata: Json, spec: Json) -> Iterator[str]:
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") in PER_NODE:
            kind = owner["kind"]
            yield _STATIC if kind == "Node" else f"it belongs to a {kind}, which runs one on every node"
    if MIRROR in (metadata.get("annotations") or {}):
        yield _STATIC
    if spec.get("nodeName"):
        yield f"it names its node itself ({spec['nodeName']})"


def _container(container: Json) -> Iterator[str]:
    name = container.get("name", "")
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"its container {name} takes the port {port['hostPort']} of the node (hostPort)"
    if (container.get("securityContext") or {}).get("privileged"):
        yield f"its container {name} is privileged"


def _volumes(pod: Json) -> Iterator[Json]:
    yield from (pod.get("spec") or {}).get("volumes") or ()
