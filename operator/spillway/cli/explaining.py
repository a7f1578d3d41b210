"""The answers of `spillway explain` from a cluster that the command has read itself, and about pods that are gone."""

from contextlib import aclosing
from functools import partial
from http import HTTPStatus

import msgspec

from spillway.api import ZonalBalance
from spillway.app.errors import no_such
from spillway.app.explain.answering import answer, looked_up, pod_named
from spillway.app.explain.snapshot import Snapshot
from spillway.controllers.balance.selected import owners_by_namespace, ready_by_workload
from spillway.domain.balance.zone_loads import mean_cpu
from spillway.domain.balance.zones import ZoneWeights, zone_weights
from spillway.domain.explain.answers import Answer
from spillway.domain.explain.gone import EventRecord, explain_gone
from spillway.domain.explain.served import ExplainQuestion
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import ReplicaSetRecord
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError, RequestError
from spillway.kube.resource_metrics import measured_since, pod_usage
from spillway.state.world import World


async def explained(client: KubeClient, world: World, question: ExplainQuestion) -> Answer:
    """The answer about one pod, workload, node or pool.

    Raises:
        RequestError: the cluster cannot be read.
        NotFoundError: there is no such object.
    """
    if question.what == "pod" and pod_named(world, question.namespace, question.name) is None:
        return await _gone(client, world, question.namespace, question.name.removeprefix("pod/"))
    pod = await looked_up(client, world, question, reads_more=True)
    zones = partial(_zones, client, world)
    return await answer(client, Snapshot.of(world), question, pod, events=partial(_events, client), zones=zones)


async def _gone(client: KubeClient, world: World, namespace: str, name: str) -> Answer:
    events = await _events(client, namespace)
    gone = explain_gone(namespace, name, events or ())
    if gone is not None:
        return gone
    told = "no Event about it" if events is not None else "you may not list Events, which may tell that it is gone"
    there = (one.name for one in world.state.pods_in(namespace))
    raise no_such(f"pod {name} in namespace {namespace}, and {told}", there)


async def _zones(
    client: KubeClient, world: World, owner: ReplicaSetRecord, balance: ZonalBalance
) -> ZoneWeights | None:
    """The zones that are preferred for a workload, by what its pods use now.

    None if that cannot be read: the user may not, or metrics.k8s.io does not answer.
    """
    preference, name = balance.spec.zone_preference, workload_of(owner).name
    if preference is None or preference.from_ is not None:
        # The operator knows its Prometheus, the user may not.
        return None
    try:
        found = await pod_usage(client, owner.namespace)
    except RequestError:
        return None
    used = measured_since(found, world.now() - balance.spec.effective_load.stale_after.seconds)
    selected = (await owners_by_namespace(world, balance.metadata.name)).get(owner.namespace, ())
    workloads = await ready_by_workload(world, balance, (one for one in selected if workload_of(one).name == name))
    loads = mean_cpu(workloads.get(f"{owner.namespace}/{name}", {}), used)
    return zone_weights(loads, float(preference.when_differs_by_percent))


async def _events(client: KubeClient, namespace: str) -> list[EventRecord] | None:
    """The Events of a namespace; None if the user may not list them."""
    try:
        async with aclosing(client.list_all(paths.EVENTS.within(namespace))) as items:
            return [msgspec.convert(item, EventRecord) async for item in items]
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None
