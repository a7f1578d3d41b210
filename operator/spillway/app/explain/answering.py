"""The answers of `spillway explain`: from a snapshot of the cluster, and the objects that an answer needs beside it.

Contract: the command and the operator answer by the same code. What is not in the snapshot is read through the API
server, once, and nothing is written. Names are resolved as kubectl does it: with or without a kind before a slash.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from spillway.admission.deadline import Deadline
from spillway.api import ZonalBalance
from spillway.app.errors import NotFoundError, no_such
from spillway.app.explain.nodes import explain_node
from spillway.app.explain.pods import explain_pod
from spillway.app.explain.pools import explain_pool
from spillway.app.explain.snapshot import Snapshot, owners_of
from spillway.app.explain.workloads import NextTemplate, explain_workload, new_pod
from spillway.domain.balance.zones import ZoneReading, ZoneWeights, planned_node
from spillway.domain.explain.answers import Answer
from spillway.domain.explain.gone import EventRecord
from spillway.domain.explain.moved import explain_move
from spillway.domain.explain.served import ExplainQuestion
from spillway.domain.explain.words import zones_unknown_sentence
from spillway.domain.fit.suitability import claims_of, ephemeral_claims
from spillway.domain.model.documents import Json
from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import WorkloadKey, workload_of
from spillway.domain.model.records import NodeRecord, OwnerRecord, PodRecord, ReplicaSetRecord
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.state.world import World
from spillway.webhooks.limit_ranges import LimitRanges
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.workloads import Workloads

EventsOf = Callable[[str], Awaitable[Sequence[EventRecord] | None]]
ZonesOf = Callable[[ReplicaSetRecord, ZonalBalance], Awaitable[ZoneWeights | None]]
READ_SECONDS: Final = 10.0
"""How long the reading of volumes and of LimitRanges may take."""
_KINDS: Final = {
    "deployment": "Deployment",
    "deployments": "Deployment",
    "deploy": "Deployment",
    "rollout": "Rollout",
    "rollouts": "Rollout",
    "replicaset": "ReplicaSet",
    "replicasets": "ReplicaSet",
    "rs": "ReplicaSet",
    "replicationcontroller": "ReplicationController",
    "replicationcontrollers": "ReplicationController",
    "rc": "ReplicationController",
    "statefulset": "StatefulSet",
    "statefulsets": "StatefulSet",
    "sts": "StatefulSet",
}


async def looked_up(client: KubeClient, world: World, question: ExplainQuestion, *, reads_more: bool) -> Json | None:
    """The pod that a question is about, as the API server has it; None if it is about something else.

    Nothing is copied or planned for it, so a question without an answer costs little. `reads_more` says whether what is
    not in the world can be read for the answer: Events for a pod that was to be moved to a node, and the zones that a
    ZonalBalance prefers for its workload.

    Raises:
        RequestError: the pod cannot be read.
        NotFoundError: there is no such object, or more would have to be read.
    """
    what, name, namespace = question
    if what == "node":
        _node_named(world, name)
    elif what == "pool":
        _check_pool(world, name)
    elif what == "workload":
        newest = owners_of(world, workload_named(world, namespace, name))[0]
        _check_zones(world, newest, reads_more=reads_more)
    if what != "pod":
        return None
    missing = NotFoundError(f"there is no pod {name} in namespace {namespace}")
    pod = pod_named(world, namespace, name)
    if pod is None:
        raise missing
    _check_zones(world, world.state.owner(pod.owner_uid), reads_more=reads_more)
    try:
        raw: Json = await client.get_json(paths.PODS.named(pod.name, namespace=namespace))
    except RequestError as error:
        if error.not_found:
            raise missing from None
        raise
    if not reads_more and _planned(raw) is not None:
        raise NotFoundError(f"the Events about pod {name} in namespace {namespace} are not read here")
    return raw


async def answer(
    client: KubeClient,
    snapshot: Snapshot,
    question: ExplainQuestion,
    pod: Json | None,
    *,
    events: EventsOf | None = None,
    zones: ZonesOf | None = None,
) -> Answer:
    """The answer about something in the snapshot. What takes CPU time is done in threads.

    `pod` is what was looked up. `events` reads the Events of a namespace, None if they may not be listed. `zones` reads
    which zones a ZonalBalance prefers for a workload, None if that is not known. Without it there is no answer about
    the pods of a workload for which a ZonalBalance prefers zones.

    Raises:
        RequestError: the cluster cannot be read.
        NotFoundError: there is no such object.
    """
    what, name, namespace = question
    if pod is not None:
        return await _pod(snapshot, namespace, name, pod, events=events, zones=zones)
    if what == "workload":
        return await _workload(client, snapshot, question, zones)
    return await asyncio.to_thread(_node if what == "node" else _pool, snapshot, name)


def pod_named(world: World, namespace: str, text: str) -> PodRecord | None:
    """The pod that a user means; None if it is not there."""
    return world.state.pod(namespace, text.removeprefix("pod/"))


async def _pod(
    snapshot: Snapshot, namespace: str, name: str, raw: Json, *, events: EventsOf | None, zones: ZonesOf | None
) -> Answer:
    pod = pod_named(snapshot.world, namespace, name)
    if pod is None:  # since it was looked up
        raise NotFoundError(f"there is no pod {name} in namespace {namespace}")
    unknown = await _zones_unknown(snapshot, snapshot.world.state.owner(pod.owner_uid), zones)
    planned, move = _planned(raw), None
    if planned is not None:
        owner = snapshot.world.state.replicasets.get(pod.owner_uid)
        told = None if events is None else await events(namespace)
        move = explain_move(planned, pod, "" if owner is None else owner.surge, told or ())
    found = await asyncio.to_thread(explain_pod, snapshot, pod, raw["metadata"].get("annotations") or {}, move)
    return msgspec.structs.replace(found, why=(*found.why, *unknown))


def _planned(pod: Json) -> NodeName | None:
    """The node to which a move planned to bring a pod."""
    return planned_node(pod["spec"].get("affinity") or {})


async def _workload(client: KubeClient, snapshot: Snapshot, question: ExplainQuestion, zones: ZonesOf | None) -> Answer:
    _, name, namespace = question
    world = snapshot.world
    owners = await asyncio.to_thread(lambda: owners_of(world, workload_named(world, namespace, name)))
    unknown = await _zones_unknown(snapshot, owners[0], zones)
    template = await next_template(client, snapshot, owners[0])
    found = await asyncio.to_thread(explain_workload, snapshot, owners, template)
    return msgspec.structs.replace(found, why=(*found.why, *unknown))


async def _zones_unknown(snapshot: Snapshot, owner: OwnerRecord | None, zones: ZonesOf | None) -> Sequence[str]:
    """Let the ranks of an owner's pods go by the zones that are preferred for it; a sentence if these are not known.

    Raises:
        NotFoundError: a ZonalBalance prefers zones for it, and which ones is not read here.
    """
    world, balance = snapshot.world, _preferring(snapshot.world, owner)
    if balance is None or not isinstance(owner, ReplicaSetRecord):
        return ()
    name, workload = balance.metadata.name, workload_of(owner)
    if zones is None:
        raise _zones_not_read(balance, owner)
    weights = await zones(owner, balance)
    if weights is None:
        return (zones_unknown_sentence(name),)
    preferred = {f"{owner.namespace}/{workload.name}": weights}
    world.board.set_zone_reading(name, ZoneReading(world.now(), preferred, math.inf))
    return ()


def _preferring(world: World, owner: OwnerRecord | None) -> ZonalBalance | None:
    """The ZonalBalance that prefers zones for the pods of an owner."""
    claim = world.claim_of(owner) if isinstance(owner, ReplicaSetRecord) else None
    balance = None if claim is None else world.governance.balances.get(claim.balance)
    return None if balance is None or balance.spec.zone_preference is None else balance


def _check_zones(world: World, owner: OwnerRecord | None, *, reads_more: bool) -> None:
    balance = _preferring(world, owner)
    if not reads_more and balance is not None and owner is not None:
        raise _zones_not_read(balance, owner)


def _zones_not_read(balance: ZonalBalance, owner: OwnerRecord) -> NotFoundError:
    text = f"which zones ZonalBalance/{balance.metadata.name} prefers for {workload_of(owner).key} is not read here"
    return NotFoundError(text)


def workload_named(world: World, namespace: str, text: str) -> str:
    """The key of the workload that a user means by `cart`, `deployment/cart` or `deploy/cart`.

    Raises:
        NotFoundError: there is no such workload, or there are several.
    """
    kind, _, name = text.rpartition("/")
    wanted = _KINDS.get(kind.lower(), kind)
    keys = {workload_of(one).key for one in world.state.owners() if one.namespace == namespace}
    found = [one for one in sorted(keys) if _is_meant(WorkloadKey.parse(one), wanted, name)]
    if len(found) == 1:
        return found[0]
    if found:
        kinds = " or ".join(f"{WorkloadKey.parse(one).kind.lower()}/{name}" for one in found)
        raise NotFoundError(f"{text} may be one of several workloads in namespace {namespace}: write {kinds}")
    there = (f"{one.kind.lower()}/{one.name}" for one in map(WorkloadKey.parse, keys))
    missing = f"workload {text} with ReplicaSets and no StatefulSet of this name in namespace {namespace}"
    raise no_such(missing, there)


def _is_meant(key: WorkloadKey, kind: str, name: str) -> bool:
    return key.name == name and (not kind or key.kind == kind)


def _node(snapshot: Snapshot, name: str) -> Answer:
    return explain_node(snapshot, _node_named(snapshot.world, name))


def _node_named(world: World, name: str) -> NodeRecord:
    nodes = world.state.nodes
    node = nodes.get(NodeName(name.removeprefix("node/")))
    if node is None:
        raise no_such(f"node {name}", nodes)
    return node


def _pool(snapshot: Snapshot, name: str) -> Answer:
    _check_pool(snapshot.world, name)
    return explain_pool(snapshot, name)


def _check_pool(world: World, name: str) -> None:
    budgets = world.governance.budgets
    if name not in budgets:
        raise no_such(f"pool {name}", budgets)


async def next_template(client: KubeClient, snapshot: Snapshot, owner: OwnerRecord) -> NextTemplate | None:
    """The next pod of an owner, as its controller would create it; None where that cannot be read."""
    claim = snapshot.world.claim_of(owner)
    if snapshot.world.governance.placing_class(claim) is None or claim is None:
        return None
    try:
        raw = await client.get_json(FOLLOWED_OWNERS[owner.kind].resource.named(owner.name, namespace=owner.namespace))
    except RequestError as error:
        if error.not_found:
            return None
        raise
    template: dict[str, Any] = (raw.get("spec") or {}).get("template") or {}
    metadata = template.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    pod = {
        "metadata": {"namespace": owner.namespace, "labels": labels, "annotations": annotations},
        "spec": template.get("spec") or {},
    }
    new = new_pod(snapshot, owner, claim, pod)
    lookup = Lookup(snapshot.world.state, client)
    try:
        if not snapshot.placer.may_be_virtual(new):
            return NextTemplate(pod)
        workloads = Workloads(snapshot.world.state, lookup, lambda: snapshot.world.governance)
        deadline = Deadline(time.monotonic, READ_SECONDS)
        volumes = await workloads.volumes(owner.namespace, claims_of(pod), deadline, ephemeral=ephemeral_claims(pod))
        defaults = await LimitRanges(lookup, time.monotonic).defaults(owner.namespace, deadline)
        return None if volumes is None else NextTemplate(pod, volumes, defaults)
    finally:
        lookup.close()
