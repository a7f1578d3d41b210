"""The records of pods, nodes, owners of pods and namespaces: small and frozen, made by the informer and never changed.

Contract: a record holds only what a decision needs (150,000 pods have to fit in 200 MiB). Times are Unix seconds; `0.0`
means "never". Amounts are integers in the unit that the field's name gives. Strings that repeat (node, namespace,
owner, phase) are interned by the decoder. An absent value is the empty string or None, by its type.
"""

from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import (
    AVOIDED_TAINTS,
    CANDIDATE_TAINT,
    HOT_TAINT,
    REMOVAL_TAINTS,
    NodeName,
    OwnerUid,
    PodUid,
    Zone,
    pools_in,
)
from spillway.domain.model.pod_terms import PodTerm
from spillway.domain.model.usage import Usage


class Phase(StrEnum):
    """A pod's `status.phase`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


_NO_TARGETS: Final = AVOIDED_TAINTS | {CANDIDATE_TAINT}
FINISHED: Final = (Phase.SUCCEEDED, Phase.FAILED)
"""Phases of pods whose containers have ended for good."""


class Pending(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The facts about a pod that has not started yet; dropped afterwards."""

    placement: str = ""
    """Spillway's mark: `physical` or `virtual` as admission decided; empty if it did not."""
    pools: str = ""
    """Spillway's mark: the virtual pools that may take it, in order, with commas between."""
    reservation: str = ""
    """Spillway's mark: the token of its reservation."""
    unschedulable_since: float = 0.0
    """Since when the scheduler finds no node for it; 0.0 if it does not say so."""
    gated: bool = False
    """The scheduler does not look for a node yet: a scheduling gate holds the pod."""
    reason: str = ""
    """Why it does not start: a container's waiting reason, else the pod's own, else the scheduler's."""
    message: str = ""

    @property
    def virtual(self) -> bool:
        """Whether admission sent it to virtual nodes."""
        return self.placement == "virtual"

    def following(self, before: "Pending", now: float) -> "Pending":
        """The same, as seen at `now` after `before`.

        A gated pod's condition is false from its creation, and keeps that time when the scheduler starts to look and
        finds no node: then the time of the observation is more accurate.
        """
        since = now if before.gated else before.unschedulable_since
        if not self.unschedulable_since or self.unschedulable_since >= since:
            return self
        return msgspec.structs.replace(self, unschedulable_since=since)


class Failure(msgspec.Struct, frozen=True, gc=False):
    """The facts about a pod that failed before any of its containers ran."""

    statements: tuple[tuple[str, str], ...]
    """Reasons and messages: the pod's own, a provider's conditions, its containers'."""


class PodRecord(msgspec.Struct, frozen=True, gc=False):
    """One pod.

    `deletion_cost` is the value of Kubernetes' deletion-cost annotation: None where it is absent or no canonical int32
    (Kubernetes then counts 0). `cost_written` is the cost that Spillway wrote last, None if it never did.
    """

    uid: PodUid
    namespace: str
    name: str
    node: NodeName
    """The node; empty while unassigned."""
    owner_uid: OwnerUid
    """Of the controlling owner; empty for a bare pod."""
    owner_kind: str
    owner_name: str
    phase: Phase
    ready: bool
    ready_since: float
    created: float
    restarts: int
    terminating: bool
    deletion_cost: int | None
    cost_written: int | None
    policy: str
    """Spillway's mark: the policy of this pod; empty without one."""
    tier: str
    """Spillway's mark: the tier of this pod; empty without one."""
    pool: str
    cpu_millis: int
    """Sum of the containers' requests."""
    memory_bytes: int
    started: float = 0.0
    """`status.startTime`: when its kubelet started it."""
    size: str = ""
    """Spillway's mark: the size requested from the provider if larger than the requests, with its proof; see
    `names.SIZE`. `PoolMembership.size_of` says whether it is believed."""
    pending: Pending | None = None
    """Only while its phase is Pending."""
    ended: float = 0.0
    """When the last of its containers ended; only once it is finished."""
    sidecar_restarts: int = 0
    """Of its native sidecars (restartable init containers), the highest count; `restarts` are those of containers."""
    failure: Failure | None = None
    """Only where its phase is Failed, none of its containers has run, and something says why."""
    labels: dict[str, str] | None = None
    """Its labels, unless a ReplicaSet owns it: such a pod has those of the template."""
    repels: tuple[PodTerm, ...] = ()
    """The terms of its required anti-affinity: where it runs, the pods that they select may not."""
    held: tuple[int, int] | None = None
    """The (millicores, bytes) that its kubelet reports as allocated or in use; None while it reports nothing."""
    extended: dict[str, int] | None = None
    """What it requests beside CPU and memory, by resource; None for most pods."""
    host_ports: tuple[HostPort, ...] = ()
    """The ports of its node that it takes."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Whether its containers have ended for good."""
        return self.phase in FINISHED

    @property
    def marked_pools(self) -> tuple[str, ...]:
        """The pools that its mark names, in order of preference; `PoolMembership.named_pools` are those believed."""
        return () if self.pending is None else pools_in(self.pending.pools)

    @property
    def unschedulable_since(self) -> float:
        """Since when the scheduler finds no node for it; 0.0 where it has one, or is being deleted."""
        if self.node or self.terminating or self.pending is None:
            return 0.0
        return self.pending.unschedulable_since

    @property
    def requests(self) -> Usage:
        """The pod itself, with what it requests."""
        return Usage(1, self.cpu_millis, self.memory_bytes)

    @property
    def granted(self) -> Usage:
        """The pod itself, with its requests as far as its node holds them: less while a resize is not done."""
        if self.held is None:
            return self.requests
        return Usage(1, min(self.cpu_millis, self.held[0]), min(self.memory_bytes, self.held[1]))

    def held_after(self, before: "PodRecord") -> tuple[int, int] | None:
        """What it holds, as seen after `before`.

        A pod that has run can be resized between two runs of its containers also where its kubelet reports nothing. It
        then holds what it held before.
        """
        if self.held is not None or Phase.PENDING in (self.phase, before.phase):
            return self.held
        more = self.cpu_millis > before.cpu_millis or self.memory_bytes > before.memory_bytes
        if before.held is not None or more:
            return before.granted.cpu_millis, before.granted.memory_bytes
        return None

    @property
    def active(self) -> bool:
        """As the ReplicaSet controller counts: neither finished nor being deleted."""
        return not self.terminating and self.phase not in FINISHED


class Taint(msgspec.Struct, frozen=True, gc=False):
    """One entry of a node's `spec.taints`; `value` is empty where absent."""

    key: str
    effect: str
    value: str = ""


class NodeRecord(msgspec.Struct, frozen=True):
    """One node."""

    uid: str
    name: NodeName
    labels: dict[str, str]
    created: float
    ready: bool
    unschedulable: bool
    deleting: bool
    taints: tuple[Taint, ...]
    cordoned_by: str
    """Spillway's mark: the VirtualNodeBudget for which the node is cordoned; empty if it is not."""
    cpu_millis: int
    """Allocatable amounts of the node."""
    memory_bytes: int
    pods_allocatable: int
    unready_since: float = 0.0
    """While it is not ready: since when, as its condition says."""
    extended: dict[str, int] = {}
    """Allocatable amounts beside CPU and memory, by resource: extended resources, huge pages, local storage."""

    @property
    def allocatable(self) -> Usage:
        """The pods that it may run, and the amounts for them."""
        return Usage(self.pods_allocatable, self.cpu_millis, self.memory_bytes)

    @property
    def hot(self) -> bool:
        """Whether it carries the taint of a hot node, of whichever ZonalBalance."""
        return any(taint.key == HOT_TAINT for taint in self.taints)

    @property
    def leaves(self) -> bool:
        """Whether a node autoscaler is about to remove it, with the pods that are on it."""
        return any(taint.key in REMOVAL_TAINTS for taint in self.taints)

    @property
    def removal_candidate(self) -> bool:
        """Whether cluster-autoscaler is going to remove it unless pods come to it."""
        return any(taint.key == CANDIDATE_TAINT for taint in self.taints)

    @property
    def avoided(self) -> bool:
        """Whether no move goes there: a soft taint of Spillway's says so, or a node autoscaler may remove it."""
        return self.leaves or any(taint.key in _NO_TARGETS for taint in self.taints)

    def zone_by(self, zone_key: str) -> Zone:
        """Its zone: the value of this label; empty where it lacks the label."""
        return Zone(self.labels.get(zone_key, ""))


class ReplicaSetRecord(msgspec.Struct, frozen=True):
    """One ReplicaSet. `labels` are those of its pod template: what a policy selects on."""

    kind: ClassVar[str] = "ReplicaSet"
    api_version: ClassVar[str] = "apps/v1"

    uid: OwnerUid
    namespace: str
    name: str
    owner_uid: OwnerUid
    """The Deployment (or Rollout) that owns it; empty for a bare ReplicaSet."""
    owner_kind: str
    owner_name: str
    replicas: int
    """`spec.replicas`: what is asked for."""
    revision: int
    """0 where there is no revision annotation."""
    labels: dict[str, str]
    threshold: str = ""
    """The annotation `names.THRESHOLD` as it stands, which a Deployment hands down; empty where there is none."""
    owner_api_version: str = ""
    """The API version of the owner, `apps/v1` or `argoproj.io/v1alpha1`; empty for a bare ReplicaSet."""
    surge: str = ""
    """Spillway's mark `names.SURGE`: it runs an additional replica for a while; empty if it does not."""
    desired: int | None = None
    """The replicas that its owner wanted in all when it last scaled this one; None where it does not say."""
    refused: str = ""
    """While the API server refuses its pods: what it said about the first of them."""
    desired_fell: float = 0.0
    """When the watch last showed `desired` fall: the owner was scaled in. 0.0 for never."""
    grew: float = 0.0
    """When the watch last showed it appear, get a higher revision or want more replicas; 0.0 for never, and since it
    was given up (its replicas fell to 0)."""
    node_rules: str | None = ""
    """The parts of its pod template's spec that name nodes (node selector, node affinity, tolerations), as the JSON of
    a spec; empty where there are none, None where they are too long to be kept."""

    @property
    def workload_kind(self) -> str:
        """The kind of the workload that it belongs to: its owner's, or its own where nothing owns it."""
        return self.owner_kind or self.kind

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def following(self, before: "ReplicaSetRecord | None", now: float) -> "ReplicaSetRecord":
        """The same, as seen at `now` after `before` (None: it has appeared), with the remembered times."""
        grew, fell = (now, 0.0) if before is None else (before.grew, before.desired_fell)
        if before is not None:
            if self.replicas > before.replicas or self.revision > before.revision:
                grew = now
            elif self.replicas == 0 < before.replicas:
                grew = 0.0
            if fewer(self.desired, before.desired):
                fell = now
        if (grew, fell) == (self.grew, self.desired_fell):
            return self
        return msgspec.structs.replace(self, grew=grew, desired_fell=fell)


class ReplicationControllerRecord(ReplicaSetRecord, frozen=True):
    """One ReplicationController, which counts as a ReplicaSet everywhere.

    Kubernetes runs both with the same code, which chooses the pods of a scale-down by their deletion costs. Only the
    related pods of other ReplicationControllers are never counted (`related_pods`).
    """

    kind: ClassVar[str] = "ReplicationController"
    api_version: ClassVar[str] = "v1"


class StatefulSetRecord(msgspec.Struct, frozen=True):
    """One StatefulSet. `labels` are those of its pod template: what a policy selects on."""

    kind: ClassVar[str] = "StatefulSet"
    api_version: ClassVar[str] = "apps/v1"

    uid: OwnerUid
    namespace: str
    name: str
    replicas: int
    """`spec.replicas`: what is asked for."""
    start: int
    """`spec.ordinals.start`: the ordinal of its first pod."""
    labels: dict[str, str]
    threshold: str = ""
    """The annotation `names.THRESHOLD` as it stands; empty where there is none."""
    node_rules: str | None = ""
    """As for a ReplicaSet."""

    desired: ClassVar[None] = None
    """Only a Deployment or Rollout notes on its ReplicaSets how many replicas it wants in all."""

    @property
    def workload_kind(self) -> str:
        """The kind of the workload: its own."""
        return self.kind

    def position(self, pod_name: str) -> int | None:
        """How many of its pods have a lower ordinal than this one; None if it is the name of no pod of its own.

        A StatefulSet scales down from the highest ordinal, so the pods beyond a threshold of n are those at n or more.
        """
        name, _, ordinal = pod_name.rpartition("-")
        if name != self.name or not (ordinal.isascii() and ordinal.isdecimal()):
            return None
        return max(0, int(ordinal) - self.start)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


OwnerRecord = ReplicaSetRecord | StatefulSetRecord
"""An owner of pods that the informer follows."""


def fewer(now: int | None, before: int | None) -> bool:
    """Whether a count has fallen; one that was not known before, or is not now, has not."""
    return now is not None and before is not None and now < before


class NamespaceRecord(msgspec.Struct, frozen=True):
    """One namespace: policies select on its labels."""

    uid: str
    name: str
    labels: dict[str, str]
