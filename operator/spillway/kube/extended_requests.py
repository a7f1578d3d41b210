"""What a pod requests beside CPU and memory, from its typed JSON: extended resources, huge pages, local storage.

Contract: the sums of `domain.fit.requests.extended_requests`. The API server demands that the limit of an extended
resource equals its request, so only limits are looked at, and parsed only where they may name one: few pods do. Of a
pod that names more than `KEPT_MAX` the first ones by name are kept, so that a pod of any size has a small record.
"""

from collections.abc import Iterable
from functools import lru_cache
from sys import intern
from typing import Any, Final

import msgspec

from spillway.domain.fit.requests import EPHEMERAL_STORAGE, extended_requests
from spillway.kube.wire import Container, PodSpec, Resources

_REMEMBERED: Final = 1024
KEPT_MAX: Final = 64
"""The number of resources that are kept of one pod."""


def pod_extended_requests(spec: PodSpec) -> dict[str, int] | None:
    """By resource; None for most pods. Pods that request the same have the same object."""
    # Loops and no generators: the informer asks it for every change of a pod.
    for one in spec.containers or ():
        if _may_request(one.resources):
            return _sums(spec)
    for one in spec.init_containers or ():
        if _may_request(one.resources):
            return _sums(spec)
    return _sums(spec) if _may_request(spec.resources) else None


def _may_request(resources: Resources | None) -> bool:
    if resources is None:
        return False
    if resources.requests is not None and resources.requests.ephemeral_storage is not None:
        return True
    limits = bytes(resources.limits)
    return b"/" in limits or b"hugepages-" in limits


def _sums(spec: PodSpec) -> dict[str, int] | None:
    overhead = None if spec.overhead is None else spec.overhead.ephemeral_storage
    found = extended_requests(
        {
            "containers": _containers(spec.containers),
            "initContainers": _containers(spec.init_containers),
            "resources": {"requests": _amounts(spec.resources)},
            "overhead": {} if overhead is None else {EPHEMERAL_STORAGE: overhead},
        }
    )
    return _shared(tuple(found.items())[:KEPT_MAX]) if found else None


def _containers(containers: Iterable[Container] | None) -> list[dict[str, Any]]:
    return [
        {"restartPolicy": one.restart_policy, "resources": {"requests": _amounts(one.resources)}}
        for one in containers or ()
    ]


def _amounts(resources: Resources | None) -> dict[str, Any]:
    if resources is None:
        return {}
    found: dict[str, Any] = (msgspec.json.decode(resources.limits) or {}) if resources.limits else {}
    # The limit of local storage is no request.
    found.pop(EPHEMERAL_STORAGE, None)
    if resources.requests is not None and resources.requests.ephemeral_storage is not None:
        found[EPHEMERAL_STORAGE] = resources.requests.ephemeral_storage
    return found


@lru_cache(maxsize=_REMEMBERED)
def _shared(amounts: tuple[tuple[str, int], ...]) -> dict[str, int]:
    return {intern(name): amount for name, amount in amounts}
