"""The sum of what a pod requests, from its typed JSON, as the scheduler counts it.

Contract: `PodRequests` of k8s.io/component-helpers/resource with `UseStatusResources`: containers and sidecars that run
together, or the largest moment of the initialisation, whichever is more, and overhead. A pod that is being resized in
place counts as the largest of what it requests, what its kubelet has allocated to it and what its containers run with;
while its kubelet cannot do the resize on this node (`Infeasible`), the new request does not count. What a kubelet has
granted is summed as well, because anybody who may resize a pod can ask for anything. Sums are millicores
and bytes. Claims of dynamic resource allocation are not counted.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from spillway.api import quantity
from spillway.kube.wire import Amounts, Container, ContainerStatus, PodSpec, PodStatus

Sum = tuple[int, int]
"""Millicores and bytes."""
_REMEMBERED: Final = 8192
"""The number of parsed requests to keep: a cluster has few distinct ones."""


def pod_sums(spec: PodSpec, status: PodStatus) -> tuple[Sum, Sum | None]:
    """What the pod requests, and what of it is allocated or in use; None where its kubelet does not report that."""
    plain = _of_one_container(spec, status)
    if plain is not None:
        return plain, plain if _reports(spec, status) else None
    infeasible = _infeasible(status)
    total = _total(spec, _requested)
    held = _held(spec, status, infeasible=infeasible)
    granted = total if held is None else held
    if held is not None:
        total = held if infeasible else _largest(total, held)
    if spec.resources is not None and spec.resources.requests is not None:
        total = _of_pod(spec.resources.requests, status, total, infeasible=infeasible)
        granted = _of_pod(spec.resources.requests, status, granted, infeasible=True)
    if spec.overhead is not None:
        overhead = _parsed(spec.overhead)
        total, granted = _added(total, overhead), _added(granted, overhead)
    return total, granted if _reports(spec, status) else None


def _of_one_container(spec: PodSpec, status: PodStatus) -> Sum | None:
    """The sum of a pod of one container that is not being resized; None for every other.

    The result is the same as of the general way, which takes five times as long: most pods are so.
    """
    containers = spec.containers
    if containers is None or len(containers) != 1 or spec.init_containers:
        return None
    if spec.resources is not None or spec.overhead is not None or status.resources is not None or _infeasible(status):
        return None
    resources = containers[0].resources
    if resources is None or resources.requests is None:
        return None
    requested = resources.requests
    for one in status.container_statuses or ():
        if _differs(requested, one):
            return None
    return _parsed_texts(requested.cpu, requested.memory)


def amount(parse: Callable[[str], int], text: str | None) -> int:
    """A quantity that may be absent; one that is not valid counts 0, because the API server refuses it."""
    try:
        return parse(text) if text else 0
    except ValueError:
        return 0


def _reports(spec: PodSpec, status: PodStatus) -> bool:
    """Whether a kubelet reports all that is allocated to the pod or that it runs with."""
    if spec.resources is not None and status.resources is None:
        return False
    statuses = status.container_statuses or ()
    if len(statuses) != len(spec.containers or ()):
        return False
    # A loop and no generator: the informer asks it for every change of a pod.
    for one in statuses:  # noqa: SIM110
        if one.allocated_resources is None and one.resources is None:
            return False
    return True


def _infeasible(status: PodStatus) -> bool:
    for condition in status.conditions or ():
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _held(spec: PodSpec, status: PodStatus, *, infeasible: bool) -> Sum | None:
    """What the pod holds on its node, allocated or in use; None where that is what its spec says."""
    in_use = status.resources.requests if status.resources is not None else None
    if status.allocated_resources is not None and in_use is not None:
        return _largest(_parsed(status.allocated_resources), _parsed(in_use))
    statuses = {one.name: one for one in status.container_statuses or ()}
    if status.init_container_statuses:
        statuses.update({one.name: one for one in status.init_container_statuses})
    if not infeasible and not _differ(spec.containers, statuses) and not _differ(spec.init_containers, statuses):
        return None

    def allocated(container: Container) -> Amounts | None:
        one = statuses.get(container.name)
        if one is not None and one.allocated_resources is not None:
            return one.allocated_resources
        return None if infeasible else _requested(container)

    def used(container: Container) -> Amounts | None:
        one = statuses.get(container.name)
        if one is not None and one.resources is not None and one.resources.requests is not None:
            return one.resources.requests
        return allocated(container)

    return _largest(_total(spec, allocated), _total(spec, used))


def _differ(containers: Iterable[Container] | None, statuses: Mapping[str, ContainerStatus]) -> bool:
    """Whether a kubelet reports other amounts than a container requests. Since 1.33 it reports them of all."""
    for container in containers or ():
        status = statuses.get(container.name)
        if status is not None and _differs(_requested(container), status):
            return True
    return False


def _differs(requested: Amounts | None, status: ContainerStatus) -> bool:
    in_use = status.resources.requests if status.resources is not None else None
    allocated = status.allocated_resources
    return (allocated is not None and allocated != requested) or (in_use is not None and in_use != requested)


def _of_pod(whole: Amounts, status: PodStatus, total: Sum, *, infeasible: bool) -> Sum:
    """Requests of the pod as a whole replace the containers' sum, resource by resource."""
    amounts = [] if infeasible and status.resources is not None else [whole]
    if status.resources is not None:
        amounts += [one for one in (status.resources.requests, status.allocated_resources) if one is not None]
    cpu = max((amount(quantity.cpu_millis, one.cpu) for one in amounts if one.cpu), default=total[0])
    memory = max((amount(quantity.memory_bytes, one.memory) for one in amounts if one.memory), default=total[1])
    return cpu, memory


def _total(spec: PodSpec, amounts: Callable[[Container], Amounts | None]) -> Sum:
    cpu = memory = 0
    for container in spec.containers or ():
        own = amounts(container)
        if own is not None:
            more = _parsed(own)
            cpu, memory = cpu + more[0], memory + more[1]
    return _with_initialisation((cpu, memory), spec.init_containers, amounts) if spec.init_containers else (cpu, memory)


def _with_initialisation(
    running: Sum, containers: Iterable[Container], amounts: Callable[[Container], Amounts | None]
) -> Sum:
    """Init containers run one after another beside the sidecars started before them; sidecars stay."""
    sidecars = peak = (0, 0)
    for container in containers:
        own = _parsed(amounts(container))
        if container.restart_policy == "Always":
            sidecars, own = _added(sidecars, own), (0, 0)
        peak = _largest(peak, _added(sidecars, own))
    return _largest(_added(running, sidecars), peak)


def _requested(container: Container) -> Amounts | None:
    return None if container.resources is None else container.resources.requests


def _parsed(amounts: Amounts | None) -> Sum:
    return (0, 0) if amounts is None else _parsed_texts(amounts.cpu, amounts.memory)


@lru_cache(maxsize=_REMEMBERED)
def _parsed_texts(cpu: str | None, memory: str | None) -> Sum:
    return amount(quantity.cpu_millis, cpu), amount(quantity.memory_bytes, memory)


def _added(first: Sum, second: Sum) -> Sum:
    return first[0] + second[0], first[1] + second[1]


def _largest(first: Sum, second: Sum) -> Sum:
    return max(first[0], second[0]), max(first[1], second[1])
