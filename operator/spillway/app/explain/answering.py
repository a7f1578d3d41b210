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
from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.workloads import NextTemplate, explain_workload, new_pod
from spillway.domain.balance.zones import ZoneReading, ZoneWeights, planned_node
from spillway.domain.explain.answers import Answer
from spillway.domain.explain.gone import EventRecord
from spillway.domain.explain.moved import explain_move
from spillway.domain.explain.served import ExplainQuestion
from spillway.domain.explain.words import zones_unknown_sentence
from spillway.domain.fit.suitability import claims_of, ephemeral_claims
from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import WorkloadKey, workload_of
from spillway.domain.model.records import OwnerRecord, PodRecord, ReplicaSetRecord
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.kube.followed import FOLLOWED_OWNERS
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


async def answer(
    client: KubeClient,
    snapshot: Snapshot,
    question: ExplainQuestion,
    *,
    events: EventsOf | None = None,
    zones: ZonesOf | None = None,
) -> Answer:
    """The answer about something in the snapshot. What takes CPU time is done in threads.

    `events` reads the Events of a namespace, None if they may not be listed. Without it there is no answer about a pod
    that was to be moved to a node. `zones` reads which zones a ZonalBalance prefers for a workload, None if that is not
    known. Without it there is no answer about the pods of a workload for which a ZonalBalance prefers zones.

    Raises:
        RequestError: the cluster cannot be read.
        NotFoundError: there is no such object.
    """
    what, name, _ = question
    if what == "pod":
        return await _pod(client, snapshot, question, events, zones)
    if what == "workload":
        return await _workload(client, snapshot, question, zones)
    return await asyncio.to_thread(_node if what == "node" else _pool, snapshot, name)


def pod_named(snapshot: Snapshot, namespace: str, text: str) -> PodRecord | None:
    """The pod that a user means; None if it is not there."""
    return snapshot.world.state.pod(namespace, text.removeprefix("pod/"))


async def _pod(
    client: KubeClient,
    snapshot: Snapshot,
    question: ExplainQuestion,
    events: EventsOf | None,
    zones: ZonesOf | None,
) -> Answer:
    _, name, namespace = question
    pod = pod_named(snapshot, namespace, name)
    if pod is None:
        raise NotFoundError(f"there is no pod {name} in namespace {namespace}")
    unknown = await _zones_unknown(snapshot, snapshot.world.state.owner(pod.owner_uid), zones)
    raw = await client.get_json(paths.PODS.named(pod.name, namespace=namespace))
    planned, move = planned_node(raw["spec"].get("affinity") or {}), None
    if planned is not None:
        if events is None:
            raise NotFoundError(f"the Events about pod {name} in namespace {namespace} are not read here")
        owner, told = snapshot.world.state.replicasets.get(pod.owner_uid), await events(namespace)
        move = explain_move(planned, pod, "" if owner is None else owner.surge, told or ())
    found = await asyncio.to_thread(explain_pod, snapshot, pod, raw["metadata"].get("annotations") or {}, move)
    return msgspec.structs.replace(found, why=(*found.why, *unknown))


async def _workload(client: KubeClient, snapshot: Snapshot, question: ExplainQuestion, zones: ZonesOf | None) -> Answer:
    _, name, namespace = question
    owners = await asyncio.to_thread(lambda: snapshot.owners_of(workload_named(snapshot, namespace, name)))
    unknown = await _zones_unknown(snapshot, owners[0], zones)
    template = await next_template(client, snapshot, owners[0])
    found = await asyncio.to_thread(explain_workload, snapshot, owners, template)
    return msgspec.structs.replace(found, why=(*found.why, *unknown))


async def _zones_unknown(snapshot: Snapshot, owner: OwnerRecord | None, zones: ZonesOf | None) -> Sequence[str]:
    """Let the ranks of an owner's pods go by the zones that are preferred for it; a sentence if these are not known.

    Raises:
        NotFoundError: a ZonalBalance prefers zones for it, and which ones is not read here.
    """
    world = snapshot.world
    claim = world.claim_of(owner) if isinstance(owner, ReplicaSetRecord) else None
    balance = None if claim is None else world.governance.balances.get(claim.balance)
    if not isinstance(owner, ReplicaSetRecord) or balance is None or balance.spec.zone_preference is None:
        return ()
    name, workload = balance.metadata.name, workload_of(owner)
    if zones is None:
        raise NotFoundError(f"which zones ZonalBalance/{name} prefers for {workload.key} is not read here")
    weights = await zones(owner, balance)
    if weights is None:
        return (zones_unknown_sentence(name),)
    preferred = {f"{owner.namespace}/{workload.name}": weights}
    world.board.set_zone_reading(name, ZoneReading(world.now(), preferred, math.inf))
    return ()


def workload_named(snapshot: Snapshot, namespace: str, text: str) -> str:
    """The key of the workload that a user means by `cart`, `deployment/cart` or `deploy/cart`.

    Raises:
        NotFoundError: there is no such workload, or there are several.
    """
    kind, _, name = text.rpartition("/")
    wanted = _KINDS.get(kind.lower(), kind)
    keys = {workload_of(one).key for one in snapshot.world.state.owners() if one.namespace == namespace}
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
    nodes = snapshot.world.state.nodes
    node = nodes.get(NodeName(name.removeprefix("node/")))
    if node is None:
        raise no_such(f"node {name}", nodes)
    return explain_node(snapshot, node)


def _pool(snapshot: Snapshot, name: str) -> Answer:
    budgets = snapshot.world.governance.budgets
    if name not in budgets:
        raise no_such(f"pool {name}", budgets)
    return explain_pool(snapshot, name)


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
