"""What `spillway explain` answers.

Contract: the structs are the output of the command, with camelCase keys, and docs/reference/kubectl-spillway.md
documents them: a key that exists keeps its meaning. An absent value is null. Sentences are for people and may change.
"""

import msgspec


class Price(msgspec.Struct, frozen=True, rename="camel"):
    """What something costs."""

    per_hour: str
    """The amount per hour, exact, with six decimals at most."""
    currency: str | None
    basis: str
    """What the amount is made of, as a sentence."""


class Rank(msgspec.Struct, frozen=True, rename="camel"):
    """The rank of a pod in the next scale-down of its owner."""

    rank: int
    """1 for the pod that is deleted first."""
    pods: int
    """The pods among which it is ranked."""
    owner: str
    """Kind/namespace/name of the owner whose pods are ranked, for example ReplicaSet/shop/web-5d8."""
    decided_by: str
    """Spillway, Kubernetes (no policy is enforced), OtherClient (another client writes deletion costs), or Ordinal (a
    StatefulSet)."""
    reason: str
    """The rule as a word, for example Virtual."""
    because: str
    """The rule as a clause."""
    planned: int | None = None
    """Its rank in Spillway's plan, where a policy governs the workload and does not decide: in mode Recommend, and
    where another client writes deletion costs."""


class RankedPod(msgspec.Struct, frozen=True, rename="camel"):
    """A pod of a workload, with its rank."""

    pod: str
    """Namespace/name, for example shop/web-1."""
    rank: Rank
    node: str | None
    tier: str | None
    pool: str | None
    zone: str | None
    ready: bool


class GovernedBy(msgspec.Struct, frozen=True, rename="camel"):
    """The policy that governs a workload."""

    policy: str
    mode: str
    workload_class: str


class PlannedMove(msgspec.Struct, frozen=True, rename="camel"):
    """The move by surge by which a pod came."""

    node: str
    """The node that the move planned for it, and that it prefers."""
    resource: str | None
    """Kind/name of the ZonalBalance or ElasticPolicy that asked for the move; null where nothing tells it any more."""


class PodAnswer(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="Pod"):
    """A pod."""

    pod: str
    """Namespace/name, for example shop/web-1."""
    workload: str
    """Kind/namespace/name, for example Deployment/shop/web."""
    governed: GovernedBy | None
    phase: str
    ready: bool
    node: str | None
    tier: str | None
    pool: str | None
    zone: str | None
    move: PlannedMove | None
    """Null for a pod for which no move planned a node."""
    why: tuple[str, ...]
    """Why it is where it is."""
    scale_down: Rank | None
    """Null for a pod that no scale-down deletes: one without an owner, or that is finished or being deleted."""
    price: Price | None
    changes: tuple[str, ...]
    """What would change it."""


class PlannedDeletion(msgspec.Struct, frozen=True, rename="camel"):
    """The scale-down in which Spillway planned that a pod is deleted."""

    at: str
    workload: str
    """Kind/name of what was scaled down, for example Deployment/web."""
    reason: str
    """The rule as a word, for example Virtual."""
    because: str
    """The rule as a clause."""


class ToldEvent(msgspec.Struct, frozen=True, rename="camel"):
    """An Event about a pod."""

    at: str
    object: str
    """Kind/name of what the Event is about."""
    reason: str
    message: str


class GonePodAnswer(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="GonePod"):
    """A pod that no longer exists, as the Events of its namespace tell of it."""

    pod: str
    """Namespace/name, for example shop/web-1."""
    planned: PlannedDeletion | None
    """Null if no Event of Spillway names it among the victims of a scale-down."""
    why: tuple[str, ...]
    """Why it is gone."""
    events: tuple[ToldEvent, ...]
    """The Events about it, oldest first."""
    changes: tuple[str, ...]
    """Empty: nothing would change it."""


class ThresholdAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The threshold of a workload."""

    replicas: int | None
    """Replicas that are kept on physical nodes; null if all of them are."""
    reason: str
    problem: str | None
    basis: str | None
    """For Auto, what the plan assumes of the coming day, and why."""
    forecast_loss_percent: int | None
    """The loss of forecasts on the last days in percent of that of the usual day; null where they were not compared."""


class NextPod(msgspec.Struct, frozen=True, rename="camel"):
    """Where the next pod of a workload would go, as admission would decide now."""

    nodes: str
    """Physical or virtual."""
    reason: str
    pools: tuple[str, ...]
    """The pools that would take it, in order of preference."""
    because: str


class WorkloadAnswer(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="Workload"):
    """A workload."""

    workload: str
    governed: GovernedBy | None
    replicas: int
    """The wanted replicas."""
    on_fixed: int
    on_elastic: int
    on_virtual: int
    on_no_node: int
    threshold: ThresholdAnswer | None
    next_pod: NextPod | None
    why: tuple[str, ...]
    price: tuple[Price, ...]
    """The price of its running pods, by currency."""
    scale_down: tuple[RankedPod, ...]
    """Its pods in the order in which scale-downs delete them."""
    changes: tuple[str, ...]


class TaintAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A taint of a node."""

    key: str
    value: str | None
    effect: str
    meaning: str | None
    """What Spillway means by it; null for a taint of another client."""


class NodeTier(msgspec.Struct, frozen=True, rename="camel"):
    """A node as one policy sees it."""

    policy: str
    tier: str


class NodeAnswer(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="Node"):
    """A node."""

    node: str
    pool: str | None
    zone: str | None
    ready: bool
    unschedulable: bool
    cordoned_by: str | None
    """The VirtualNodeBudget for whose cordon Spillway made it unschedulable."""
    tiers: tuple[NodeTier, ...]
    taints: tuple[TaintAnswer, ...]
    pods: int
    """Active pods."""
    emptied: int | None
    """For an elastic node: its place among the elastic nodes, 1 for the one that empties first."""
    elastic_nodes: int | None
    staying: tuple[str, ...]
    """For an elastic node: pods that no scale-down deletes and that do not belong to their node, 10 at most."""
    why: tuple[str, ...]
    price: Price | None
    changes: tuple[str, ...]


class PoolUser(msgspec.Struct, frozen=True, rename="camel"):
    """A policy that lists a pool."""

    policy: str
    preference: int
    """1 for the pool that is filled first."""
    emptied: int
    """1 for the pool that scale-downs empty first."""


class PoolAnswer(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="Pool"):
    """A pool of virtual nodes."""

    pool: str
    takes_pods: bool
    closed_because: str | None
    """Why it takes no pods, as a clause."""
    cordon: str
    nodes: int
    nodes_ready: int
    pods: int
    """Pods on the pool, and those that are sent there."""
    kept_out_namespaces: tuple[str, ...]
    """Namespaces whose pods it does not take, because pods of theirs did not start there."""
    policies: tuple[PoolUser, ...]
    workloads: tuple[tuple[str, int], ...]
    """The workloads with the most pods there, 20 at most, each with their number."""
    why: tuple[str, ...]
    price: Price | None
    """The price of one core with 4 GiB, by which pools are compared."""
    changes: tuple[str, ...]


Answer = PodAnswer | GonePodAnswer | WorkloadAnswer | NodeAnswer | PoolAnswer
