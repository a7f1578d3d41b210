"""ElasticPolicy: which workloads are elastic, on which tiers of nodes, and how."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from spillway.api.common import (
    BoundedName,
    Count,
    LabelSelector,
    Name,
    NodePrice,
    ObjectMeta,
    Percent,
    Status,
    WorkloadMatch,
    selects_something,
)
from spillway.api.consolidation import Consolidation, ConsolidationStatus
from spillway.api.forecast import WorkloadForecast
from spillway.api.group import API_VERSION
from spillway.api.headroom import Headroom, HeadroomStatus
from spillway.api.scalars import Duration, Timestamp
from spillway.api.scaling import Scaling
from spillway.api.schema import (
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
    """Whether a policy is enforced. `RECOMMEND` plans and reports, and writes nothing on other objects."""

    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"


class FixedTier(Model):
    """Owned or prepaid nodes: every node that no other tier selects."""

    price: NodePrice | None = None
    """The price of a fixed node; needed to report savings."""
    target_utilization: Annotated[Percent, Field(json_schema_extra={NO_SERVER_DEFAULT: True})] = 65
    """Percent of the fixed nodes' CPU that the plan of the thresholds may use at the peak, 1 to 100; 65 if not given. A
    low value wastes owned nodes, a high value fills them until services become slow."""


class ElasticTier(Model):
    """Nodes that a node autoscaler adds and removes."""

    node_selector: Annotated[LabelSelector, Field(json_schema_extra=selects_something("elastic", "{pool: elastic}"))]
    """Selects the elastic nodes by their labels, for example {matchLabels: {pool: elastic}}."""
    soft_taint: bool = True
    """Put the taint spillway.dev/elastic=<policy>:PreferNoSchedule on these nodes, so that pods fill the fixed ones
    first."""
    price: NodePrice | None = None
    """The price of an elastic node while it exists."""
    max_nodes: Annotated[int, Field(ge=1, le=100_000, json_schema_extra={"format": "int32"})] | None = None
    """The maximum number of elastic nodes, 1 to 100000: set it to the limit of your node autoscaler. Thresholds plan
    no more replicas on elastic nodes than these nodes hold, and headroom is no more than they hold. Left out: no
    limit."""


class VirtualTier(Model):
    """Serverless nodes: each pod is billed while it runs."""

    budgets: Annotated[
        tuple[BoundedName, ...],
        Field(min_length=1, max_length=16, json_schema_extra=atomic_list(NO_DUPLICATES)),
    ]
    """Names of VirtualNodeBudgets in order of preference, for example [eci-a, tke-b]. When load falls, the most
    expensive pool is emptied first: by price if all pools have one in the same currency, otherwise the last of this
    list."""


class Tiers(Model):
    """The nodes, divided into tiers by how they are paid for.

    A node that neither `elastic` nor `virtual` selects is fixed; one that both select is virtual.
    """

    fixed: FixedTier | None = None
    """Owned or prepaid nodes: every node that no other tier selects."""
    elastic: ElasticTier | None = None
    """Nodes that a node autoscaler adds and removes."""
    virtual: VirtualTier | None = None
    """Serverless nodes: each pod is billed while it runs."""


class Threshold(Model):
    """How many replicas to keep on physical nodes (fixed and elastic); replicas beyond it may go to virtual nodes."""

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
    """Auto: the threshold is planned together with those of all other workloads that share the physical nodes. Manual:
    the threshold is the number in `replicas`. The annotation spillway.dev/threshold on a workload overrides both."""
    replicas: Count | None = None
    """For Manual: the number of replicas, for example 12."""
    min: Count | None = None
    """The minimum of the threshold, in replicas, for example 2."""
    max: Count | None = None
    """The maximum of the threshold, in replicas, for example 50."""
    history: Duration = Duration("14d")
    """For Auto: the length of the history of demand that is used, at least 2d, for example 14d."""
    priority: Annotated[int, Field(ge=-100, le=100, json_schema_extra={"format": "int32"})] = 0
    """For Auto: workloads of classes with a higher priority get room on physical nodes first, for example 10 for
    services that are slower on virtual nodes."""


class Placement(Model):
    """What may go to virtual nodes, and when."""

    virtual: Literal["Never", "Overflow", "Always"] = "Overflow"
    """Never: Spillway sends no replica to virtual nodes. Overflow: it sends replicas beyond the threshold, and replicas
    for which no physical node has room. Always: it sends all of them, and uses physical nodes if no pool takes the
    replica."""
    spill_after: Duration = Duration("60s")
    """How long a pod waits for room on physical nodes before it may go to virtual nodes; and how long a pod that was
    sent to virtual nodes waits to be scheduled there before it is replaced; for example 60s."""
    bring_back: bool = True
    """Move replicas back from virtual to physical nodes once these have had room for long enough."""


_DEFAULT_PLACEMENT: Final = Placement()


class WorkloadClass(Model):
    """A class of workloads that are treated in the same way."""

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
    """The recommended number of replicas, and how autoscalers get it."""

    @property
    def places_pods(self) -> bool:
        """Whether it says where its pods run; pods of any other class are not placed."""
        return self.threshold is not None or self.placement is not None

    @property
    def effective_placement(self) -> Placement:
        """Its placement; the default one for a class that gives a threshold alone."""
        return self.placement or _DEFAULT_PLACEMENT

    @property
    def plans_threshold(self) -> bool:
        """Whether its threshold comes from a plan (mode Auto)."""
        return self.threshold is not None and self.threshold.mode == "Auto"


class ElasticPolicySpec(Model):
    """What the user wants."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.consolidation) || (has(self.tiers) && has(self.tiers.elastic))",
                "needs an elastic tier, for example tiers: {elastic: {nodeSelector: {matchLabels: {pool: elastic}}}}",
                field=".consolidation",
            )
        )
    )

    mode: PolicyMode = PolicyMode.RECOMMEND
    """Recommend: Spillway reports what it would do, and writes nothing on pods, nodes or workloads. Enforce: Spillway
    does it."""
    tiers: Tiers = Field(default_factory=Tiers)
    """The nodes, divided into tiers by how they are paid for."""
    workloads: Annotated[
        tuple[WorkloadClass, ...], Field(min_length=1, max_length=32, json_schema_extra=list_map("name"))
    ]
    """The workloads that this policy governs, by class; at least one. If two policies select a workload, the older
    one governs it."""
    headroom: Headroom | None = None
    """Capacity that is kept free on elastic nodes."""
    consolidation: Consolidation | None = None
    """Emptying elastic nodes that are little used, by moves of their pods without an eviction. Left out: none is
    emptied."""

    @property
    def enforced(self) -> bool:
        """Whether the policy acts."""
        return self.mode is PolicyMode.ENFORCE

    @property
    def plans_consolidation(self) -> bool:
        """Whether moves off elastic nodes are planned."""
        return self.consolidation is not None and self.consolidation.mode != "Disabled"

    @property
    def consolidates(self) -> bool:
        """Whether elastic nodes are emptied."""
        return self.enforced and self.consolidation is not None and self.consolidation.mode == "Active"


class TierCounts(Model):
    """The numbers of nodes by tier."""

    fixed: Count = 0
    """Fixed nodes."""
    elastic: Count = 0
    """Elastic nodes."""
    virtual: Count = 0
    """Virtual nodes."""


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
    """The average saving per hour of the planned day."""

    per_hour: str
    """Amount compared with owning nodes for the peak; negative if the plan costs more, for example "12.40"."""
    per_hour_against_virtual: str | None = None
    """Amount compared with owning nodes for the lowest demand only and using virtual nodes for the rest; negative if
    the plan costs more."""
    currency: str
    """ISO 4217 code of these amounts."""


class ScaleDownCounts(Model):
    """Results of scale-downs since `since`."""

    since: Timestamp
    """When counting started."""
    victims: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Replicas that were deleted in planned scale-downs. In mode Recommend, Kubernetes chose them without the plan."""
    as_planned: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Of these, the replicas that the plan had named."""


class WorkloadThreshold(Model):
    """The threshold of one workload."""

    workload: Annotated[str, Field(max_length=512)]
    """Kind/namespace/name, for example Deployment/shop/cart."""
    replicas: Count | None = None
    """Replicas that are kept on physical nodes; absent if all of them are."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """The source of the number: Auto, Manual or Annotation. Without a number: LearningHistory or NotPlanned."""
    confidence: Annotated[int | None, Field(ge=0, le=100, json_schema_extra={"format": "int32"})] = None
    """The confidence in the assumed demand, in percent; it is low while less than a week of history is known."""
    basis: Annotated[str, Field(max_length=64)] = ""
    """For Auto: what the plan assumes of the coming day. Forecast: a forecast of it, which had the lower loss on the
    last days. PastDays: the usual day of the history, because it was better. ShortHistory and StaleHistory: the usual
    day, because the history is too short to compare both, or ended more than an hour before the plan was made."""
    forecast_loss_percent: Annotated[int | None, Field(ge=0, le=1000, json_schema_extra={"format": "int32"})] = None
    """The loss of forecasts on the last days, in percent of that of the usual day; absent where they were not
    compared."""
    saving_per_hour: str | None = None
    """Saving compared with owning nodes for this workload's peak."""
    saving_per_hour_against_virtual: str | None = None
    """Saving compared with owning nodes for this workload's lowest demand only and using virtual nodes for the
    rest."""


class WorkloadScaling(Model):
    """The recommended replicas of one workload."""

    workload: Annotated[str, Field(max_length=512)]
    """Kind/namespace/name, for example Deployment/shop/cart."""
    replicas: Count
    """The recommended replicas, within the bounds of its HorizontalPodAutoscaler."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """The source of the number: Schedule, Forecast, Minimum, CurrentReplicas or ScalingsPerHour."""
    schedule: Annotated[str, Field(max_length=63)] = ""
    """For Schedule: the entry of `schedules` that gives the number."""
    forecast: Count | None = None
    """The replicas that the forecast alone would give, also in mode Preview; absent without a forecast."""
    autoscaler: Annotated[str, Field(max_length=253)] = ""
    """The HorizontalPodAutoscaler that scales the workload; empty without one."""


class ElasticPolicyStatus(Status):
    """The observed state of the policy. Lists are bounded; metrics have the rest."""

    workloads: GovernedWorkloads | None = None
    """The workloads that the policy governs, and where their replicas run."""
    nodes: TierCounts | None = None
    """Nodes by tier."""
    scale_down: ScaleDownCounts | None = None
    """Results of scale-downs."""
    saving: Saving | None = None
    """The saving; absent without prices."""
    owned_nodes_advised: Count | None = None
    """The number of fixed nodes at which the observed demand costs least."""
    thresholds: Annotated[
        tuple[WorkloadThreshold, ...], Field(max_length=64, json_schema_extra=list_map("workload"))
    ] = ()
    """The thresholds of the largest workloads, 64 at most."""
    scaling: Annotated[tuple[WorkloadScaling, ...], Field(max_length=64, json_schema_extra=list_map("workload"))] = ()
    """The recommended replicas of the 64 workloads that have the most."""
    forecasts: Annotated[
        tuple[WorkloadForecast, ...], Field(max_length=64, json_schema_extra=list_map("workload"))
    ] = ()
    """The forecast demand of the largest workloads, 64 at most."""
    headroom: HeadroomStatus | None = None
    """The headroom; absent without `headroom` in the spec."""
    consolidation: ConsolidationStatus | None = None
    """The elastic nodes that are being emptied; absent without `consolidation` in the spec."""


class ElasticPolicy(Model):
    """The tiers of nodes on which replicas run, and the order in which replicas are deleted when load falls.

    Owned nodes are used first, elastic nodes serve the daily peak, and serverless nodes serve short spikes.
    """

    model_config = ConfigDict(json_schema_extra=bounded_name())

    plural: ClassVar[str] = "elasticpolicies"
    short_name: ClassVar[str] = "elp"
    columns: ClassVar[tuple[tuple[str, str, str, int, str], ...]] = (
        ("Mode", "string", ".spec.mode", 0, "Recommend or Enforce"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0, "Whether the spec is in force"),
        ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0, "Why it is in force, or not"),
        ("Workloads", "integer", ".status.workloads.governed", 0, "Workloads that it governs"),
        ("Fixed", "integer", ".status.workloads.onFixed", 0, "Their replicas on fixed nodes"),
        ("Elastic", "integer", ".status.workloads.onElastic", 0, "Their replicas on elastic nodes"),
        ("Virtual", "integer", ".status.workloads.onVirtual", 0, "Their replicas on virtual nodes"),
        ("Saving/h", "string", ".status.saving.perHour", 0, "Saving per hour compared with owning nodes for the peak"),
        ("Currency", "string", ".status.saving.currency", 1, "Currency of the saving"),
        ("Victims", "integer", ".status.scaleDown.victims", 1, "Replicas deleted in planned scale-downs"),
        ("As-planned", "integer", ".status.scaleDown.asPlanned", 1, "Of these, the replicas that the plan had named"),
    )

    api_version: Literal["spillway.dev/v1alpha1"] = API_VERSION
    """The API version, spillway.dev/v1alpha1."""
    kind: Literal["ElasticPolicy"] = "ElasticPolicy"
    """The kind, ElasticPolicy."""
    metadata: ObjectMeta
    """Standard object metadata."""
    spec: ElasticPolicySpec
    """What the user wants."""
    status: ElasticPolicyStatus = Field(default_factory=ElasticPolicyStatus)
    """The observed state."""
