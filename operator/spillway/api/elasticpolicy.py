"""ElasticPolicy: which workloads stretch, over which nodes, and how."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from spillway.api.common import (
    Count,
    LabelSelector,
    Name,
    NodePrice,
    ObjectMeta,
    Percent,
    PromQl,
    RecurringTime,
    Status,
    WorkloadMatch,
    selects_something,
)
from spillway.api.headroom import Headroom
from spillway.api.scalars import Duration, Factor, Timestamp
from spillway.api.schema import (
    API_VERSION,
    NO_DUPLICATES,
    NO_SERVER_DEFAULT,
    Model,
    atomic_list,
    bounded_name,
    cel,
    list_map,
    rules,
)


class PolicyMode(StrEnum):
    """Whether a policy acts. `RECOMMEND` plans and reports and writes nothing on objects of others."""

    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"


class FixedTier(Model):
    """Owned or prepaid nodes: every node that no other tier selects."""

    price: NodePrice | None = None
    """What a fixed node costs; needed to tell what is saved."""
    target_utilization: Annotated[Percent, Field(json_schema_extra={NO_SERVER_DEFAULT: True})] = 65
    """Percent of real load that the joint threshold plans for at the peak, 1 to 100; 65 where not given. Too low wastes
    owned nodes, too high packs them until services suffer."""


class ElasticTier(Model):
    """Nodes that come and go with the day through a node autoscaler."""

    node_selector: Annotated[LabelSelector, Field(json_schema_extra=selects_something("elastic", "{pool: elastic}"))]
    """Selects the elastic nodes by their labels, for example {matchLabels: {pool: elastic}}."""
    soft_taint: bool = True
    """Put the taint spillway.dev/elastic=<policy>:PreferNoSchedule on these nodes, so that pods fill the fixed ones
    first."""
    price: NodePrice | None = None
    """What an elastic node costs while it exists."""


class VirtualTier(Model):
    """Serverless nodes: each pod is billed while it runs."""

    budgets: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...],
        Field(min_length=1, max_length=16, json_schema_extra=atomic_list(NO_DUPLICATES)),
    ]
    """Names of VirtualNodeBudgets in order of preference, for example [eci-a, tke-b]. When load falls the dearest
    pool is emptied first: by price where all of them have one in the same currency, else the last of this list."""


class Tiers(Model):
    """The nodes by what it costs to keep them.

    A node that neither `elastic` nor `virtual` selects is fixed; one that both select is virtual.
    """

    fixed: FixedTier | None = None
    """Owned or prepaid nodes: every node that no other tier selects."""
    elastic: ElasticTier | None = None
    """Nodes that come and go with the day through a node autoscaler."""
    virtual: VirtualTier | None = None
    """Serverless nodes: each pod is billed while it runs."""


class Threshold(Model):
    """How many replicas to keep on physical nodes (fixed and elastic); what exceeds it may go to virtual nodes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.mode == 'Manual' ? has(self.replicas) : !has(self.replicas)",
                "goes with mode Manual, and only with it, for example {mode: Manual, replicas: 12}",
                field=".replicas",
            ),
            cel(
                "!has(self.min) || !has(self.max) || self.min <= self.max",
                "must not be below min, for example {min: 2, max: 50}",
                field=".max",
            ),
            cel(
                "self.history.matches('^(0*([2-9]|[1-9][0-9]+)d|(0+d)?0*(4[89]|[5-9][0-9]|[1-9][0-9]{2,})h)')",
                "must be at least two days, in days or hours, for example 2d, 72h or 14d",
                field=".history",
            ),
        )
    )

    mode: Literal["Auto", "Manual"] = "Auto"
    """Auto: planned jointly over all workloads that share the physical nodes. Manual: as `replicas` says. The
    annotation spillway.dev/threshold on a workload overrides both."""
    replicas: Count | None = None
    """For Manual: the number of replicas, for example 12."""
    min: Count | None = None
    """Never fewer than this number of replicas."""
    max: Count | None = None
    """Never more than this number of replicas."""
    history: Duration = Duration("14d")
    """For Auto: how far back demand is looked at, at least 2d, for example 14d."""
    priority: Annotated[int, Field(ge=-100, le=100, json_schema_extra={"format": "int32"})] = 0
    """For Auto: classes of a higher number get physical room before those of a lower one, for example 10 for services
    that suffer elsewhere."""


class Placement(Model):
    """What may go to virtual nodes, and when."""

    virtual: Literal["Never", "Overflow", "Always"] = "Overflow"
    """Never: none by our doing. Overflow: what exceeds the threshold, and what finds no physical room. Always: virtual
    first, physical when no pool takes it."""
    spill_after: Duration = Duration("60s")
    """How long a replica that should be physical may find no room before a virtual node may take it, and the other way
    round for Always; for example 60s."""
    bring_back: bool = True
    """Replace virtual replicas by physical ones when room has returned to stay."""


class ScalingTarget(Model):
    """What one replica should carry: a resource's utilisation, or a share of a Prometheus query's value."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "(has(self.metric) && has(self.utilization) && !has(self.query) && !has(self.perReplica))"
                " || (has(self.query) && has(self.perReplica) && !has(self.metric) && !has(self.utilization))",
                'must be either {metric: cpu, utilization: 60} or {query: <PromQL>, perReplica: "200"}',
            )
        )
    )

    metric: Literal["cpu", "memory"] | None = None
    """The resource whose use is compared with its request: cpu or memory."""
    utilization: Annotated[int | None, Field(ge=1, le=1000, json_schema_extra={"format": "int32"})] = None
    """Percent of the request that a replica should use, for example 60."""
    query: PromQl | None = None
    """PromQL whose one value is the demand of the whole workload, for example sum(rate(requests_total[2m]))."""
    per_replica: Factor | None = None
    """How much of the query's value one replica carries, for example "200"."""


class ReplicaSchedule(RecurringTime):
    """A number of replicas at a recurring time."""

    replicas: Count
    """At least so many replicas during that time."""


class Forecast(Model):
    """Prediction of demand, so that replicas are up before they are needed."""

    mode: Literal["Active", "Preview", "Disabled"] = "Active"
    """Active: counts for the recommended replicas. Preview: shown in status and metrics only. Disabled: not
    computed."""
    window: Duration = Duration("30m")
    """How far ahead the highest demand is looked for, for example 30m."""
    history: Duration = Duration("14d")
    """How far back it learns from, for example 14d."""
    startup: Duration = Duration("3m")
    """How long a replica takes from its creation until it serves, for example 3m."""


class Scaling(Model):
    """The number of replicas: the highest of schedules and forecast, served to HPA and KEDA as a metric."""

    target: ScalingTarget | None = None
    """What one replica should carry."""
    schedules: Annotated[tuple[ReplicaSchedule, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Numbers of replicas at recurring times."""
    forecast: Forecast | None = None
    """Prediction of demand."""


class WorkloadClass(Model):
    """A class of workloads that are treated alike."""

    name: Name
    """The class. A pod template chooses it with the label spillway.dev/class=<name>, whatever its kind and labels
    are, as long as `match.namespaces` selects its namespace; without that label the first entry that matches counts."""
    match: WorkloadMatch | None = None
    """Which workloads are of this class. Left out: every workload outside the namespaces kube-* and the operator's
    own."""
    threshold: Threshold | None = None
    """How many replicas to keep on physical nodes."""
    placement: Placement | None = None
    """What may go to virtual nodes, and when."""
    scaling: Scaling | None = None
    """The number of replicas."""


class ElasticPolicySpec(Model):
    """What the user wants."""

    mode: PolicyMode = PolicyMode.RECOMMEND
    """Recommend: plans and reports, writes nothing on pods, nodes or workloads. Enforce: acts."""
    tiers: Tiers = Field(default_factory=Tiers)
    """The nodes by what it costs to keep them."""
    workloads: Annotated[
        tuple[WorkloadClass, ...], Field(min_length=1, max_length=32, json_schema_extra=list_map("name"))
    ]
    """The workloads that this policy governs, by class; at least one. Of two policies that select a workload the older
    governs it."""
    headroom: Headroom | None = None
    """Capacity kept warm on elastic nodes."""


class TierCounts(Model):
    """How many there are on each tier."""

    fixed: Count = 0
    """On fixed nodes."""
    elastic: Count = 0
    """On elastic nodes."""
    virtual: Count = 0
    """On virtual nodes."""


class GovernedWorkloads(Model):
    """The workloads that the policy governs, and where their replicas run."""

    governed: Count = 0
    """Workloads that the policy governs."""
    on_fixed: Count = 0
    """Their replicas on fixed nodes."""
    on_elastic: Count = 0
    """Their replicas on elastic nodes."""
    on_virtual: Count = 0
    """Their replicas on virtual nodes."""


class Saving(Model):
    """What is saved, in an hour of the day that is planned for."""

    per_hour: str
    """Amount against owning nodes for the peak; negative while it costs more, for example "12.40"."""
    per_hour_against_virtual: str | None = None
    """Amount against owning nodes for the valley alone and virtual nodes for all beyond it."""
    currency: str
    """ISO 4217 code of these amounts."""


class ScaleDownCounts(Model):
    """How scale-downs went since `since`."""

    since: Timestamp
    """When counting began."""
    victims: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Replicas that went in planned scale-downs. In Recommend Kubernetes chose them, and the plan only said whom."""
    as_planned: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Of these, how many were the ones that the plan had named."""


class WorkloadThreshold(Model):
    """The threshold of one workload."""

    workload: Annotated[str, Field(max_length=512)]
    """Kind/namespace/name, for example Deployment/shop/cart."""
    replicas: Count | None = None
    """Replicas that are kept on physical nodes; left out where all of them are."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why, in one word: Auto, Manual, Annotation, LearningHistory."""
    confidence: Annotated[int | None, Field(ge=0, le=100, json_schema_extra={"format": "int32"})] = None
    """Percent: how sure the plan is of the demand that it assumes."""
    saving_per_hour: str | None = None
    """Against owning nodes for this workload's peak."""
    saving_per_hour_against_virtual: str | None = None
    """Against owning nodes for this workload's valley alone and virtual nodes for all beyond it."""


class ElasticPolicyStatus(Status):
    """What was found and done. Lists are bounded; metrics have the rest."""

    workloads: GovernedWorkloads | None = None
    """The workloads that the policy governs, and where their replicas run."""
    nodes: TierCounts | None = None
    """Nodes by tier."""
    scale_down: ScaleDownCounts | None = None
    """How scale-downs went."""
    saving: Saving | None = None
    """What is saved; needs prices."""
    owned_nodes_advised: Count | None = None
    """How many fixed nodes would be worth owning for the demand seen."""
    thresholds: Annotated[
        tuple[WorkloadThreshold, ...], Field(max_length=64, json_schema_extra=list_map("workload"))
    ] = ()
    """The thresholds of the largest workloads, 64 at most."""


class ElasticPolicy(Model):
    """Says which workloads stretch over which nodes, and which replicas go first when load falls.

    Owned nodes first, elastic nodes for the daily wave, serverless nodes for the spike.
    """

    model_config = ConfigDict(json_schema_extra=bounded_name())

    plural: ClassVar[str] = "elasticpolicies"
    short_name: ClassVar[str] = "elp"
    columns: ClassVar[tuple[tuple[str, str, str, int, str], ...]] = (
        ("Mode", "string", ".spec.mode", 0, "Recommend or Enforce"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0, "Is it working"),
        ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0, "Why it is, or is not"),
        ("Workloads", "integer", ".status.workloads.governed", 0, "Workloads that it governs"),
        ("Fixed", "integer", ".status.workloads.onFixed", 0, "Their replicas on fixed nodes"),
        ("Elastic", "integer", ".status.workloads.onElastic", 0, "Their replicas on elastic nodes"),
        ("Virtual", "integer", ".status.workloads.onVirtual", 0, "Their replicas on virtual nodes"),
        ("Saving/h", "string", ".status.saving.perHour", 0, "Saved in an hour against owning for the peak"),
        ("Currency", "string", ".status.saving.currency", 1, "Currency of the saving"),
        ("Victims", "integer", ".status.scaleDown.victims", 1, "Replicas that went in planned scale-downs"),
        ("As-planned", "integer", ".status.scaleDown.asPlanned", 1, "Of these, the ones that the plan had named"),
    )

    api_version: Literal["spillway.dev/v1alpha1"] = API_VERSION
    """spillway.dev/v1alpha1"""
    kind: Literal["ElasticPolicy"] = "ElasticPolicy"
    """ElasticPolicy"""
    metadata: ObjectMeta
    """Standard object metadata."""
    spec: ElasticPolicySpec
    """What the user wants."""
    status: ElasticPolicyStatus = Field(default_factory=ElasticPolicyStatus)
    """What was found and done."""
