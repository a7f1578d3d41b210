"""The cluster as the planners see it: small frozen records, made by the informer and never changed.

Contract: a record holds what a decision needs and nothing else (150,000 pods have to fit in 200 MiB). Times are Unix
seconds; `0.0` says "never". Amounts are integers in the unit that the field's name gives. Strings that repeat (node,
namespace, owner, phase) are interned by the decoder. Whether something is "not there" is said by the empty string or by
None, as typed.
"""

from enum import StrEnum
from typing import Final

import msgspec

from spillway.domain.model.names import NodeName, OwnerUid, PodUid, pools_in
from spillway.domain.model.usage import Usage


class Phase(StrEnum):
    """A pod's `status.phase`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


FINISHED: Final = (Phase.SUCCEEDED, Phase.FAILED)
"""Phases of pods whose containers have ended for good."""


class Pending(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is known of a pod that has not started yet, and no longer afterwards."""

    placement: str = ""
    """Our mark: `physical` or `virtual` as admission decided; empty where it did not."""
    pools: str = ""
    """Our mark: the virtual pools that may take it, in order, with commas between."""
    reservation: str = ""
    """Our mark: the token under which admission remembers it."""
    unschedulable_since: float = 0.0
    """Since when the scheduler finds no node for it; 0.0 while it does not say so."""
    gated: bool = False
    """The scheduler does not look for a node yet: a scheduling gate holds the pod."""
    reason: str = ""
    """Why it does not start: a container's waiting reason, else the pod's own, else the scheduler's."""
    message: str = ""

    @property
    def named_pools(self) -> tuple[str, ...]:
        """The virtual pools that may take it, in order of preference."""
        return pools_in(self.pools)

    @property
    def virtual(self) -> bool:
        """Whether admission sent it to virtual nodes."""
        return self.placement == "virtual"

    def following(self, before: "Pending", now: float) -> "Pending":
        """The same, as seen at `now` after `before`.

        A gated pod's condition is false from its creation, and keeps that time when the scheduler begins to look and
        finds no node: then we know better since when it is unschedulable.
        """
        since = now if before.gated else before.unschedulable_since
        if not self.unschedulable_since or self.unschedulable_since >= since:
            return self
        return msgspec.structs.replace(self, unschedulable_since=since)


class PodRecord(msgspec.Struct, frozen=True, gc=False):
    """One pod.

    `deletion_cost` is the value of Kubernetes' deletion-cost annotation: None where it is absent or no canonical int32
    (Kubernetes then counts 0). `cost_written` is what we wrote last, None where we never did.
    """

    uid: PodUid
    namespace: str
    name: str
    node: NodeName
    """Empty while unassigned."""
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
    """Our mark: the policy that stamped this pod; empty where none did."""
    tier: str
    """Our mark: the tier stamped on this pod; empty where none was."""
    pool: str
    cpu_millis: int
    """Sum of the containers' requests."""
    memory_bytes: int
    started: float = 0.0
    """`status.startTime`: when its kubelet took it."""
    size: str = ""
    """Our mark: the size asked of the provider where it is bigger than the requests; see `names.SIZE`."""
    pending: Pending | None = None
    """Only while its phase is Pending."""
    ended: float = 0.0
    """When the last of its containers ended; only once it is finished."""
    sidecar_restarts: int = 0
    """Of its native sidecars (restartable init containers), the highest count; `restarts` are those of containers."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Whether its containers have ended for good."""
        return self.phase in FINISHED

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
    """Our mark: the VirtualNodeBudget for which we cordoned it; empty where we did not."""
    cpu_millis: int
    """Allocatable."""
    memory_bytes: int
    pods_allocatable: int
    unready_since: float = 0.0
    """While it is not ready: since when, as its condition says."""
    extended: dict[str, int] = {}
    """Allocatable extended resources and huge pages, by name; empty for most nodes."""


class ReplicaSetRecord(msgspec.Struct, frozen=True):
    """One ReplicaSet. `labels` are those of its pod template: what a policy selects on."""

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
    """Of the owner, `apps/v1` or `argoproj.io/v1alpha1`; empty for a bare ReplicaSet."""
    surge: str = ""
    """Our mark `names.SURGE`: it runs one replica more for a while; empty where it does not."""
    desired: int | None = None
    """The replicas that its owner wanted in all when it last scaled this one; None where it does not say."""
    desired_fell: float = 0.0
    """When our watch last saw `desired` fall: the owner was scaled in. 0.0 where it never did."""
    grew: float = 0.0
    """When our watch last saw it appear, get a higher revision or want more replicas; 0.0 where it never did, and
    since it was given up (its replicas fell to 0)."""

    @property
    def workload_kind(self) -> str:
        """The kind of the workload that it belongs to: its owner's, or its own where nothing owns it."""
        return self.owner_kind or "ReplicaSet"

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def following(self, before: "ReplicaSetRecord | None", now: float) -> "ReplicaSetRecord":
        """The same, as seen at `now` after `before` (None: it has appeared), with what our watch remembers."""
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


def fewer(now: int | None, before: int | None) -> bool:
    """Whether a count has fallen; one that was not known before, or is not now, has not."""
    return now is not None and before is not None and now < before


class NamespaceRecord(msgspec.Struct, frozen=True):
    """One namespace: policies select on its labels."""

    uid: str
    name: str
    labels: dict[str, str]
