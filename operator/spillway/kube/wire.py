"""The types of the API server's JSON, with only the fields that the operator reads.

Contract: the parser skips everything that is not named here, so managedFields, volumes and probes never become Python
objects. Every field has a default and accepts null, so an absent field is not an error.
"""

from typing import Final, Generic, Protocol, TypeVar

import msgspec

from spillway.domain.model.names import (
    COST_WRITTEN,
    PLACEMENT,
    POD_DELETION_COST,
    POLICY,
    POOL,
    POOLS,
    RESERVATION,
    SIZE,
    TIER,
)
from spillway.domain.model.owners import OwnerReference
from spillway.domain.model.records import Taint


class Versioned(Protocol):
    """The metadata that a watch needs of an object."""

    @property
    def resource_version(self) -> str:
        """Where a watch goes on from."""


class Watched(Protocol):
    """An object that can be watched."""

    @property
    def metadata(self) -> Versioned:
        """The metadata of the object."""


ObjectT = TypeVar("ObjectT", bound=Watched)


class PodMarks(msgspec.Struct, gc=False, rename={
    "cost": POD_DELETION_COST, "cost_written": COST_WRITTEN, "policy": POLICY, "tier": TIER, "pool": POOL,
    "placement": PLACEMENT, "pools": POOLS, "reservation": RESERVATION, "size": SIZE,
}):  # fmt: skip
    cost: str | None = None
    cost_written: str | None = None
    policy: str = ""
    tier: str = ""
    pool: str = ""
    placement: str = ""
    pools: str = ""
    reservation: str = ""
    size: str = ""


class PodMeta(msgspec.Struct, gc=False, rename="camel"):
    uid: str = ""
    namespace: str = ""
    name: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    annotations: PodMarks | None = None
    labels: msgspec.Raw = msgspec.Raw()
    """Left unparsed: the pods of a ReplicaSet have the labels of its template."""
    owner_references: list[OwnerReference] | None = None


class Amounts(msgspec.Struct, gc=False, rename={"ephemeral_storage": "ephemeral-storage"}):
    cpu: str | None = None
    memory: str | None = None
    ephemeral_storage: str | None = None


class Resources(msgspec.Struct, gc=False):
    requests: Amounts | None = None
    limits: msgspec.Raw = msgspec.Raw()
    """Left unparsed: of extended resources and huge pages, which are rare, the limit is the request."""


class Container(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    resources: Resources | None = None
    restart_policy: str | None = None
    ports: msgspec.Raw = msgspec.Raw()
    """Left unparsed: only ports of the node are read, which few pods take."""


class PodSpec(msgspec.Struct, gc=False, rename="camel"):
    node_name: str = ""
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    resources: Resources | None = None
    overhead: Amounts | None = None
    affinity: msgspec.Raw = msgspec.Raw()
    """Left unparsed: only a required anti-affinity to other pods is read."""


class ObjectCondition(msgspec.Struct, gc=False, rename="camel"):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None
    reason: str | None = None
    message: str | None = None


class Waiting(msgspec.Struct, gc=False):
    reason: str | None = None
    message: str | None = None


class Running(msgspec.Struct, gc=False):
    pass


class Terminated(msgspec.Struct, gc=False, rename="camel"):
    started_at: str | None = None
    finished_at: str | None = None
    reason: str | None = None
    message: str | None = None


class ContainerState(msgspec.Struct, gc=False):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    restart_count: int = 0
    state: ContainerState | None = None
    allocated_resources: Amounts | None = None
    resources: Resources | None = None


class PodStatus(msgspec.Struct, gc=False, rename="camel"):
    phase: str = ""
    start_time: str | None = None
    reason: str | None = None
    message: str | None = None
    conditions: list[ObjectCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    allocated_resources: Amounts | None = None
    resources: Resources | None = None


class Pod(msgspec.Struct, gc=False):
    metadata: PodMeta
    spec: PodSpec | None = None
    status: PodStatus | None = None


class Meta(msgspec.Struct, gc=False, rename="camel"):
    uid: str = ""
    namespace: str = ""
    name: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class NodeSpec(msgspec.Struct, gc=False):
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class NodeStatus(msgspec.Struct, gc=False):
    allocatable: dict[str, str] | None = None
    conditions: list[ObjectCondition] | None = None


class Node(msgspec.Struct, gc=False):
    metadata: Meta
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class TemplateMeta(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class TemplateAffinity(msgspec.Struct, gc=False, rename="camel"):
    node_affinity: msgspec.Raw = msgspec.Raw()


class TemplateSpec(msgspec.Struct, gc=False, rename="camel"):
    """What a pod template says about nodes; left unparsed."""

    node_selector: msgspec.Raw = msgspec.Raw()
    affinity: TemplateAffinity | None = None
    tolerations: msgspec.Raw = msgspec.Raw()


class Template(msgspec.Struct, gc=False):
    metadata: TemplateMeta | None = None
    spec: TemplateSpec | None = None


class ReplicaSetSpec(msgspec.Struct, gc=False):
    replicas: int | None = None
    template: Template | None = None


class ReplicaSetStatus(msgspec.Struct, gc=False):
    conditions: list[ObjectCondition] | None = None


class ReplicaSet(msgspec.Struct, gc=False):
    metadata: Meta
    spec: ReplicaSetSpec | None = None
    status: ReplicaSetStatus | None = None


class Ordinals(msgspec.Struct, gc=False):
    start: int = 0


class StatefulSetSpec(msgspec.Struct, gc=False):
    replicas: int | None = None
    ordinals: Ordinals | None = None
    template: Template | None = None


class StatefulSet(msgspec.Struct, gc=False):
    metadata: Meta
    spec: StatefulSetSpec | None = None


class Namespace(msgspec.Struct, gc=False):
    metadata: Meta


_PAGE_FIELDS: Final = {
    "resource_version": "resourceVersion",
    "next": "continue",
    "remaining": "remainingItemCount",
}


class PageMeta(msgspec.Struct, rename=_PAGE_FIELDS):
    resource_version: str = ""
    next: str = ""
    """Token of the next page; empty on the last."""
    remaining: int | None = None
    """How many items follow, where the API server knows it."""


class Page(msgspec.Struct, Generic[ObjectT]):
    metadata: PageMeta
    items: list[ObjectT] | None = None


class Change(msgspec.Struct, Generic[ObjectT]):
    type: str
    object: ObjectT


class ErrorStatus(msgspec.Struct):
    code: int = 0
    message: str = ""


class ErrorEvent(msgspec.Struct):
    type: str
    object: ErrorStatus
