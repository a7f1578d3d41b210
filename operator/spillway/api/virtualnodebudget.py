"""VirtualNodeBudget: one pool of serverless nodes, with its limits, its prices and whether it is open."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from spillway.api.common import CURRENCY, Count, LabelSelector, MetadataKey, ObjectMeta, Status, selects_something
from spillway.api.group import API_VERSION
from spillway.api.podoverlay import PodOverlay
from spillway.api.scalars import Cpu, Duration, Memory, Money, Timestamp
from spillway.api.schema import NO_SERVER_DEFAULT, Model, atomic_list, bounded_name, cel, list_map, rules

NAMESPACES_IN_STATUS: Final = 20
COMPARED_GIB_PER_CORE: Final = 4
"""Pools are compared by the price of a common shape: one core with 4 GiB."""


class Cordon(StrEnum):
    """Whether a pool takes pods."""

    NONE = "None"
    HOLD = "Hold"
    HOLD_AND_DRAIN = "HoldAndDrain"


class BudgetLimits(Model):
    """Limits on what is used at the same time, and on cost. A field that is left out sets no limit."""

    pods: Count | None = None
    """Pods at the same time, for example 2000."""
    cpu: Cpu | None = None
    """Sum of CPU requests at the same time, for example "10000"."""
    memory: Memory | None = None
    """Sum of memory requests at the same time, for example 40Ti."""
    cost_per_hour: Money | None = None
    """Cost per hour at the current rate, in the currency of `price`, for example "350"."""
    cost_per_month: Money | None = None
    """Cost in a calendar month of `timeZone`, in the currency of `price`, for example "90000". A pod is not sent to the
    pool if its cost for the minimum billing time would exceed the limit; running pods continue."""


class PoolPrice(Model):
    """The price of a pod on this pool while it runs."""

    currency: Annotated[str, Field(json_schema_extra=CURRENCY)]
    """ISO 4217 code, for example CNY."""
    cpu_hour: Money
    """Price of one requested core for one hour, for example "0.35"."""
    memory_gib_hour: Annotated[Money, Field(alias="memoryGiBHour")]
    """Price of one requested GiB of memory for one hour, for example "0.044"."""
    minimum_seconds: Annotated[
        int, Field(ge=0, le=86_400, json_schema_extra={"format": "int32", NO_SERVER_DEFAULT: True})
    ] = 0
    """The minimum number of seconds that the provider bills for a pod, for example 60; 0 if not given."""

    @property
    def compared(self) -> Decimal:
        """The price by which pools are ordered: one hour of one core with 4 GiB."""
        return self.cpu_hour.amount + COMPARED_GIB_PER_CORE * self.memory_gib_hour.amount


class Failover(Model):
    """When the pool counts as failed, and when it is tried again."""

    unhealthy_after: Duration = Duration("60s")
    """How long none of its nodes may be Ready before the pool counts as failed and the next one is used."""
    start_after: Annotated[
        Duration,
        Field(
            json_schema_extra=rules(
                *Duration.openapi["x-kubernetes-validations"],
                # Durations below 30 seconds: nothing but zeros before a number of seconds of one or two digits.
                cel(
                    "!self.matches('^(0+d)?(0+h)?(0+m)?(0*[0-2]?[0-9]s)?$')",
                    "must be at least 30s, for example 2m: a pod that is bound gets this long to start",
                ),
            )
        ),
    ] = Duration("2m")
    """How long a pod that is bound to a node of the pool may take to start, at least 30s. After that, the pod is
    replaced on the next pool, and counts as a failure of this one, unless its own image or configuration is the cause.
    Make it longer than the slowest start of a pod, image pull included."""
    retry_after: Duration = Duration("5m")
    """How long after its first failure the pool is tried again. Each further failure doubles the time, to at most 64
    times this value."""


class StockOutSign(Model):
    """A reason or a message that shows that the provider is out of stock."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.reason) || has(self.messageRegex)",
                "must have reason or messageRegex, for example {reason: ProviderCreateFailed, messageRegex: NoStock}",
            )
        )
    )

    reason: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    """The reason, exactly, for example ProviderCreateFailed."""
    message_regex: Annotated[str | None, Field(min_length=1, max_length=512)] = None
    """A regular expression in RE2 syntax (no look-around, no back-references) that is found in the first 2,048
    characters of the message, for example "NoStock|OutOfStock"."""


class PodSpecSize(Model):
    """A size that the provider sells."""

    cpu: Cpu
    """Cores, for example "2"."""
    memory: Memory
    """Memory, for example 4Gi."""


class SpecsAnnotation(Model):
    """The provider's annotation that takes a list of acceptable sizes."""

    key: MetadataKey
    """The annotation, for example k8s.aliyun.com/eci-use-specs."""
    format: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            json_schema_extra=rules(
                cel(
                    "self.contains('{cpu}')",
                    "must contain {cpu}, and {memoryGiB} if the provider also needs the memory, for example "
                    '"{cpu}-{memoryGiB}Gi"',
                )
            ),
        ),
    ] = "{cpu}-{memoryGiB}Gi"
    """The form of one size; {cpu} stands for the cores, {memoryGiB} for the GiB."""
    separator: Annotated[str, Field(min_length=1, max_length=8)] = ","
    """The separator between two sizes."""


class StockOut(Model):
    """What to do when the provider is out of stock for a size: use the next larger size, then the next pool."""

    detect: Annotated[tuple[StockOutSign, ...], Field(min_length=1, max_length=16, json_schema_extra=atomic_list())]
    """What shows that the provider is out of stock, in a pod's status or in an Event about the pod; one match is
    enough."""
    ladder: Annotated[tuple[PodSpecSize, ...], Field(min_length=1, max_length=8, json_schema_extra=atomic_list())]
    """Sizes to try, smallest first, for example [{cpu: "2", memory: 4Gi}, {cpu: "4", memory: 8Gi}]."""
    annotation: SpecsAnnotation | None = None
    """The provider's annotation for a list of sizes. It is written on pods that are created after a stock-out, with the
    next size and all larger ones. Left out: their requests are raised to the next size. In both cases a pod that never
    started is replaced."""
    forget_after: Duration = Duration("30m")
    """How long after the last step to a larger size pods request their own size again, for example 30m."""


class VirtualNodeBudgetSpec(Model):
    """What the user wants."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.limits) || has(self.price)"
                " || (!has(self.limits.costPerHour) && !has(self.limits.costPerMonth))",
                "must be set with limits.costPerHour or limits.costPerMonth, for example {currency: CNY, cpuHour: "
                '"0.35", memoryGiBHour: "0.044"}',
                field=".price",
            )
        )
    )

    node_selector: Annotated[
        LabelSelector, Field(json_schema_extra=selects_something("virtual", "{type: virtual-kubelet}"))
    ]
    """Selects the nodes of the pool by their labels, for example {matchLabels: {type: virtual-kubelet}}."""
    cordon: Cordon = Cordon.NONE
    """None: the pool is open. Hold: no new pods; every node of the pool is unschedulable. HoldAndDrain: its pods are
    also evicted, as their disruption budgets allow; pods without an owner, and pods of Jobs that have one retry left,
    stay. Opening the pool changes only nodes that this cordon closed."""
    cordon_until: Annotated[Timestamp | None, Field(json_schema_extra={"nullable": True})] = None
    """When the pool opens again automatically, for example "2026-11-11T06:00:00+08:00"."""
    limits: BudgetLimits | None = None
    """Limits on use and cost."""
    price: PoolPrice | None = None
    """The price of a pod on this pool; it also decides which pool is emptied first."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={NO_SERVER_DEFAULT: True})] = "UTC"
    """The IANA time zone in which a month starts, for example Asia/Shanghai; UTC if not given."""
    failover: Failover | None = None
    """When the pool counts as failed and is skipped. If this section is set, pods that are lost with the pool's nodes
    are replaced. Left out: the default values of its fields apply, and lost pods are not replaced."""
    stock_out: StockOut | None = None
    """What to do when the provider is out of stock."""
    pod_overlay: PodOverlay | None = None
    """What is added to a pod that may run on this pool."""


class BudgetUse(Model):
    """What is used now."""

    pods: Count = 0
    """Pods on the pool."""
    cpu: Cpu | None = None
    """Sum of their CPU requests."""
    memory: Memory | None = None
    """Sum of their memory requests."""
    cost_per_hour: Money | None = None
    """Cost per hour of the running pods, at the current rate."""
    cost_this_month: Money | None = None
    """Cost since the start of the month in `timeZone`, with the minimum billing time of each pod that started."""
    currency: Annotated[str | None, Field(max_length=3)] = None
    """The currency of these costs."""
    at: Timestamp | None = None
    """The time for which `costThisMonth` was computed; it is updated when another field changes, or after five
    minutes."""


class WorkloadUse(Model):
    """The use of the pool by one workload."""

    workload: Annotated[str, Field(max_length=512)]
    """Kind/namespace/name, for example Deployment/shop/cart."""
    pods: Count = 0
    """Its pods on the pool."""
    cpu: Cpu | None = None
    """Sum of their CPU requests."""
    memory: Memory | None = None
    """Sum of their memory requests."""
    cost_per_hour: Money | None = None
    """Cost per hour of its running pods, at the current rate."""


class DrainProgress(Model):
    """The progress of a drain."""

    evicted: Count = 0
    """Evicted pods."""
    remaining: Count = 0
    """Pods that are still to be evicted; `spared` pods do not count."""
    blocked: Count = 0
    """Of these, pods whose disruption budget does not allow it yet."""
    started: Timestamp | None = None
    """When the drain started."""
    spared: Count = 0
    """Pods that stay until they end: those without an owner, and those of Jobs that have one retry left."""
    spared_pods: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=10)] = ()
    """The first 10 of the spared pods by namespace/name."""


class PoolHealth(Model):
    """The health of the pool, and the record of its failures."""

    state: Annotated[str, Field(max_length=32)]
    """Healthy, Failed (the pool takes no pods) or Retrying (it takes a few pods until one of them has started)."""
    failures: Count = 0
    """Failures in a row. It is set to 0 once the pool has been healthy for as long as it was skipped after the last
    failure."""
    since: Timestamp | None = None
    """When this state was reached."""
    retry_at: Timestamp | None = None
    """For Failed: when the pool is tried again, if a node is ready by then."""
    reason: Annotated[str | None, Field(max_length=64)] = None
    """The cause of the failure: NodesNotReady or PodsNotStarting."""


class NamespaceHealth(PoolHealth):
    """The health of the pool for the pods of one namespace."""

    namespace: Annotated[str, Field(max_length=63)]
    """The namespace. While the state is Failed the pool takes none of its pods."""


class NamespaceLadder(Model):
    """The size that pods of one namespace request."""

    namespace: Annotated[str, Field(max_length=63)]
    """The namespace; its pods found no stock of smaller sizes."""
    step: Count = 0
    """The size of `stockOut.ladder`, counted as in `ladderStep`."""
    since: Timestamp | None = None
    """When that step was reached."""


class VirtualNodeBudgetStatus(Status):
    """The observed state of the pool. Lists are bounded; metrics have the rest."""

    nodes: Count | None = None
    """Nodes of the pool."""
    nodes_ready: Count | None = None
    """Of these, ready nodes."""
    cordoned: Count | None = None
    """Of these, nodes that the cordon of this budget made unschedulable."""
    drain: DrainProgress | None = None
    """The progress of the drain, while cordon is HoldAndDrain."""
    used: BudgetUse | None = None
    """What is used now."""
    per_workload_top: Annotated[
        tuple[WorkloadUse, ...], Field(max_length=20, json_schema_extra=list_map("workload"))
    ] = ()
    """The 20 workloads that use the most of the pool."""
    ladder_step: Count | None = None
    """The size of `stockOut.ladder` that is requested now, counted from 1; 0 is the pod's own request, and the number
    of sizes plus one means that the pool is out of stock. It is the highest of `namespaceLadders`."""
    ladder_since: Timestamp | None = None
    """When that step was reached; the step returns to 0 after `stockOut.forgetAfter`."""
    namespace_ladders: Annotated[
        tuple[NamespaceLadder, ...],
        Field(max_length=NAMESPACES_IN_STATUS, json_schema_extra=list_map("namespace")),
    ] = ()
    """The step of each namespace whose pods found no stock, the highest first. Pods of all other namespaces request the
    highest step that at least two of these namespaces have reached."""
    health: PoolHealth | None = None
    """The health of the pool; absent if it has never failed."""
    namespace_health: Annotated[
        tuple[NamespaceHealth, ...],
        Field(max_length=NAMESPACES_IN_STATUS, json_schema_extra=list_map("namespace")),
    ] = ()
    """The health of the pool for single namespaces whose pods failed to start there. Namespaces whose pods the pool
    does not take come first. If pods of several namespaces fail, the whole pool counts as failed: see `health`."""


class VirtualNodeBudget(Model):
    """One pool of serverless (virtual) nodes: its nodes, its limits, its prices, and whether it is open.

    Close it with: kubectl patch vnb NAME --type merge -p '{"spec":{"cordon":"Hold"}}'
    """

    model_config = ConfigDict(json_schema_extra=bounded_name())

    plural: ClassVar[str] = "virtualnodebudgets"
    short_name: ClassVar[str] = "vnb"
    columns: ClassVar[tuple[tuple[str, str, str, int, str], ...]] = (
        ("Cordon", "string", ".spec.cordon", 0, "None, Hold or HoldAndDrain"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0, "Whether the spec is in force"),
        ("Accepting", "string", '.status.conditions[?(@.type=="Accepting")].status', 0, "Whether the pool takes pods"),
        ("Reason", "string", '.status.conditions[?(@.type=="Accepting")].reason', 0, "Why it takes pods, or not"),
        ("Nodes", "integer", ".status.nodes", 0, "Nodes of the pool"),
        ("Cordoned", "integer", ".status.cordoned", 0, "Nodes that the cordon made unschedulable"),
        ("Pods", "integer", ".status.used.pods", 0, "Pods on the pool"),
        ("CPU", "string", ".status.used.cpu", 1, "Requested CPU"),
        ("Memory", "string", ".status.used.memory", 1, "Requested memory"),
        ("Cost/h", "string", ".status.used.costPerHour", 0, "Cost per hour at the current rate"),
        ("Cost/month", "string", ".status.used.costThisMonth", 0, "Cost since the start of the month"),
        ("Limit/month", "string", ".spec.limits.costPerMonth", 1, "The limit of cost per month"),
        ("Currency", "string", ".spec.price.currency", 1, "Currency of the costs"),
        ("Until", "string", ".spec.cordonUntil", 1, "When the pool opens again"),
    )

    api_version: Literal["spillway.dev/v1alpha1"] = API_VERSION
    """The API version, spillway.dev/v1alpha1."""
    kind: Literal["VirtualNodeBudget"] = "VirtualNodeBudget"
    """The kind, VirtualNodeBudget."""
    metadata: ObjectMeta
    """Standard object metadata."""
    spec: VirtualNodeBudgetSpec
    """What the user wants."""
    status: VirtualNodeBudgetStatus = Field(default_factory=VirtualNodeBudgetStatus)
    """The observed state."""
