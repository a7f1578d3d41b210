"""The size of a pod at the present step of its pool's ladder, and the additions to the pod that request it.

Contract: a function of the pod as it is about to be created. Where the provider takes a list of sizes in an annotation,
the pod gets that list from the present step on, and nothing else of it changes. Otherwise its requests grow (and limits
that would be below them) until the pod's sum is the size, shared among the containers as they share it now; sidecars
and init containers stay as they are. What the user wrote is kept: an annotation of that key stays, and a pod that
requests more than the ladder has stays as it is. Idempotent: a second call changes nothing, and names no size.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from spillway.api.virtualnodebudget import StockOut
from spillway.domain.fit.requests import amount_of, container_request, requested
from spillway.domain.model.additions import Addition, annotation_additions
from spillway.domain.model.units import quantity
from spillway.domain.pools.sizes import Size, sizes_from

Pod = Mapping[str, Any]
"""A pod's JSON as plain values."""


class Resized(NamedTuple):
    """The additions to the pod, and the size that will be billed."""

    additions: tuple[Addition, ...]
    size_mark: str
    """What `names.SIZE` says; empty if the pod is billed for its requests, or the mark stays as it is."""


UNCHANGED: Final = Resized((), "")


def resize(pod_json: Pod, stock_out: StockOut, step: int) -> Resized:
    """The change for one pod at `step` of its pool's ladder; none at step 0, or if no size is large enough."""
    asked = requests_of(pod_json)
    present = (pod_json.get("metadata") or {}).get("annotations")
    sizes = sizes_from(stock_out.ladder, step, asked)
    if not sizes:
        return UNCHANGED
    if stock_out.annotation is None:
        additions = tuple(_grow(pod_json, asked, sizes[0]))
    elif stock_out.annotation.key in (present or {}):
        # The user's own, or Spillway's from an earlier call. The mark of the size may be a user's own, too.
        return UNCHANGED
    else:
        listed = stock_out.annotation.separator.join(size.written(stock_out.annotation.format) for size in sizes)
        additions = annotation_additions(present, {stock_out.annotation.key: listed})
    # Billed is the first size of the list: which one the provider took is nothing that it tells everywhere alike.
    return Resized(additions, sizes[0].mark if sizes[0] != asked else "")


def requests_of(pod_json: Pod) -> Size:
    """What the pod requests, as the scheduler sums it: all that runs together, or the initialisation if it is more."""
    spec = pod_json.get("spec") or {}
    return Size(requested(spec, "cpu"), requested(spec, "memory"))


def _grow(pod_json: Pod, asked: Size, wanted: Size) -> Iterator[Addition]:
    """One addition for each container that grows, with its resources whole: an `add` replaces what stands there."""
    spec = pod_json.get("spec") or {}
    whole = (spec.get("resources") or {}).get("requests") or {}
    containers: Sequence[Pod] = spec.get("containers") or ()
    of_pod: dict[str, int] = {}
    of_container: dict[int, dict[str, int]] = {}
    for resource, total, target in (
        ("cpu", asked.cpu_millis, wanted.cpu_millis),
        ("memory", asked.memory_bytes, wanted.memory_bytes),
    ):
        if target <= total:
            continue
        overhead = amount_of(spec.get("overhead"), resource)
        if resource in whole:
            of_pod[resource] = target - overhead
            continue
        held = [container_request(one, resource) for one in containers]
        for index, grown in enumerate(_shares(held, target - overhead - _sidecars(spec, resource))):
            if grown > held[index]:
                of_container.setdefault(index, {})[resource] = grown
    if of_pod:
        yield Addition(("spec", "resources"), _raised(spec.get("resources") or {}, of_pod))
    for index, amounts in sorted(of_container.items()):
        present = containers[index].get("resources") or {}
        yield Addition(("spec", "containers", str(index), "resources"), _raised(present, amounts))


def _shares(held: Sequence[int], total: int) -> list[int]:
    """`total` shared as `held` is; all of it to the first where none holds anything. The rest goes to the first."""
    if not held:
        return []
    whole = sum(held)
    shares = [total * one // whole for one in held] if whole else [0] * len(held)
    shares[0] += total - sum(shares)
    return shares


def _raised(resources: Pod, amounts: Mapping[str, int]) -> dict[str, Any]:
    """The resources with these requests, and with limits that are not below them."""
    grown = {resource: quantity(resource, amount) for resource, amount in amounts.items()}
    limits = dict(resources.get("limits") or {})
    too_low = {
        resource for resource in limits if resource in amounts and amount_of(limits, resource) < amounts[resource]
    }
    raised = {**resources, "requests": {**(resources.get("requests") or {}), **grown}}
    if too_low:
        raised["limits"] = limits | {resource: grown[resource] for resource in too_low}
    return raised


def _sidecars(spec: Pod, resource: str) -> int:
    ones = spec.get("initContainers") or ()
    return sum(container_request(one, resource) for one in ones if one.get("restartPolicy") == "Always")
