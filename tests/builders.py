"""Records for tables of tests: every field has a quiet default, so that a row names only what it is about."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import (
    NamespaceRecord,
    NodeRecord,
    Phase,
    PodRecord,
    ReplicaSetRecord,
    ReplicationControllerRecord,
    StatefulSetRecord,
)
from spillway.state.cluster import ClusterState


def make_pod(name: str = "web-1", **changes: Any) -> PodRecord:
    """A running, ready pod of the ReplicaSet `web` on node `n1`, without any mark."""
    pod = PodRecord(
        uid=PodUid(f"uid-{name}"),
        namespace="shop",
        name=name,
        node=NodeName("n1"),
        owner_uid=OwnerUid("rs-web"),
        owner_kind="ReplicaSet",
        owner_name="web",
        phase=Phase.RUNNING,
        ready=True,
        ready_since=100.0,
        created=90.0,
        restarts=0,
        terminating=False,
        deletion_cost=None,
        cost_written=None,
        policy="",
        tier="",
        pool="",
        cpu_millis=500,
        memory_bytes=1 << 30,
    )
    return msgspec.structs.replace(pod, **changes)


VAST = {"cpu_millis": 1_000_000, "memory_bytes": 4 << 40, "pods_allocatable": 10_000}
"""What a virtual node offers."""


def make_node(name: str = "n1", **changes: Any) -> NodeRecord:
    """A ready, open node without labels, taints or marks."""
    node = NodeRecord(
        uid=f"uid-{name}",
        name=NodeName(name),
        labels={},
        created=10.0,
        ready=True,
        unschedulable=False,
        deleting=False,
        taints=(),
        cordoned_by="",
        cpu_millis=8000,
        memory_bytes=32 << 30,
        pods_allocatable=110,
    )
    return msgspec.structs.replace(node, **changes)


def make_replicaset(name: str = "web", **changes: Any) -> ReplicaSetRecord:
    """The ReplicaSet `web` of the Deployment `web`, asked for three replicas."""
    replicaset = ReplicaSetRecord(
        uid=OwnerUid(f"rs-{name}"),
        namespace="shop",
        name=name,
        owner_uid=OwnerUid(f"deploy-{name}"),
        owner_kind="Deployment",
        owner_name=name,
        replicas=3,
        revision=1,
        labels={"app": name},
    )
    return msgspec.structs.replace(replicaset, **changes)


def make_replication_controller(name: str = "legacy", **changes: Any) -> ReplicationControllerRecord:
    """A ReplicationController that nothing owns, asked for three replicas."""
    controller = ReplicationControllerRecord(
        uid=OwnerUid(f"rc-{name}"),
        namespace="shop",
        name=name,
        owner_uid=OwnerUid(""),
        owner_kind="",
        owner_name="",
        replicas=3,
        revision=0,
        labels={"app": name},
    )
    return msgspec.structs.replace(controller, **changes)


def make_statefulset(name: str = "db", **changes: Any) -> StatefulSetRecord:
    """A StatefulSet asked for three replicas, whose first pod has the ordinal 0."""
    statefulset = StatefulSetRecord(
        uid=OwnerUid(f"sts-{name}"), namespace="shop", name=name, replicas=3, start=0, labels={"app": name}
    )
    return msgspec.structs.replace(statefulset, **changes)


def make_namespace(name: str = "shop", **labels: str) -> NamespaceRecord:
    """A namespace with these labels."""
    return NamespaceRecord(uid=f"ns-{name}", name=name, labels=labels)


def make_state(*, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time) -> ClusterState:
    """An empty state, by the clocks of this machine unless a test brings its own."""
    return ClusterState(clock=clock, now=now)
