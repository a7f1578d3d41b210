"""What a pod requests, as the scheduler sums it: all that runs together, or the initialisation where that is more.

Contract: pure, on the pod's spec as JSON (`PodRequests` of k8s.io/component-helpers/resource). CPU is in millicores,
memory in bytes, every other resource in its own unit. An amount that is no quantity counts as 0, because the API server
refuses such a pod. `kube.requests` sums CPU and memory of the informer's typed pods, of which there may be 150,000, and
follows resizes in place; a property test holds the two together.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from spillway.api.quantity import cpu_millis, memory_bytes
from spillway.domain.model.documents import Json

_HUGE_PAGES: Final = "hugepages-"
EPHEMERAL_STORAGE: Final = "ephemeral-storage"
_USUAL: Final = frozenset({"cpu", "memory"})


def requested(spec: Json, resource: str) -> int:
    """How much of a resource the pod requests."""
    overhead = amount_of(spec.get("overhead"), resource)
    whole = (spec.get("resources") or {}).get("requests") or {}
    if resource in whole:
        return amount_of(whole, resource) + overhead
    # Loops and no generators, here and below: admission asks for it several times for each pod.
    running = sidecars = peak = 0
    for one in spec.get("containers") or ():
        running += container_request(one, resource)
    for one in spec.get("initContainers") or ():
        own = container_request(one, resource)
        if one.get("restartPolicy") == "Always":
            sidecars, own = sidecars + own, 0
        peak = max(peak, sidecars + own)
    return max(running + sidecars, peak) + overhead


def extended_requests(spec: Json) -> dict[str, int]:
    """What the pod requests beside CPU and memory (`is_extended`), in a fixed order; empty for most pods.

    The same sums as those of `requested`, in one pass over the containers: each of thousands may have its own resource.
    """
    if not any(_extended(amounts) for amounts in _amounts(spec)):
        return {}
    running: Counter[str] = Counter()
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for one in spec.get("containers") or ():
        for name in _named(one):
            running[name] += container_request(one, name)
    for one in spec.get("initContainers") or ():
        for name in _named(one):
            own = container_request(one, name)
            if one.get("restartPolicy") == "Always":
                sidecars[name], own = sidecars[name] + own, 0
            peak[name] = max(peak[name], sidecars[name] + own)
    found = {name: max(running[name] + sidecars[name], peak[name]) for name in running.keys() | peak.keys()}
    whole = (spec.get("resources") or {}).get("requests") or {}
    found.update((name, amount_of(whole, name)) for name in _extended(whole))
    overhead = spec.get("overhead") or {}
    for name in _extended(overhead):
        found[name] = found.get(name, 0) + amount_of(overhead, name)
    return {name: found[name] for name in sorted(found) if found[name] > 0}


def _named(container: Mapping[str, Any]) -> set[str]:
    """The extended resources that a container names."""
    resources = container.get("resources") or {}
    return {*_extended(resources.get("requests")), *_extended(resources.get("limits"))}


def _extended(amounts: Mapping[str, Any] | None) -> list[str]:
    return [name for name in amounts or () if name not in _USUAL and is_extended(name)]


def is_extended(resource: str) -> bool:
    """Whether it is a resource of which not all nodes offer some: of a device plugin, huge pages, local storage."""
    return "/" in resource or resource.startswith(_HUGE_PAGES) or resource == EPHEMERAL_STORAGE


def container_request(container: Mapping[str, Any], resource: str) -> int:
    """How much a container requests; where only a limit is given, that is the request."""
    resources = container.get("resources") or {}
    requests = resources.get("requests") or {}
    return amount_of(requests if resource in requests else resources.get("limits"), resource)


def amount_of(amounts: Mapping[str, Any] | None, resource: str) -> int:
    """The amount of a resource in a list of them; 0 where it is absent."""
    text = (amounts or {}).get(resource)
    parse: Callable[[str], int] = cpu_millis if resource == "cpu" else memory_bytes
    try:
        return 0 if text is None else parse(str(text))
    except ValueError:
        return 0


def _amounts(spec: Json) -> list[Mapping[str, Any]]:
    """Every list of requests and limits in the pod that has an entry."""
    found: list[Mapping[str, Any]] = []
    for holder in (spec, *(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        if resources := holder.get("resources"):
            found += [amounts for amounts in (resources.get("requests"), resources.get("limits")) if amounts]
    if overhead := spec.get("overhead"):
        found.append(overhead)
    return found
