"""ZonalBalance: even distribution of replicas and load over zones and nodes."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from spillway.api.common import (
    Count,
    LabelSelector,
    MetadataKey,
    ObjectMeta,
    Percent,
    PromQl,
    Status,
    WorkloadMatch,
)
from spillway.api.group import API_VERSION
from spillway.api.scalars import Duration, Factor
from spillway.api.schema import Model, atomic_list, bounded_name, cel, list_map, rules

LEAST_REFRESH_SECONDS: Final = 5
"""No load is read more often, whatever `load.refresh` says."""
_Weight = Annotated[int, Field(ge=0, le=100, json_schema_extra={"format": "int32"})]


class LoadWeights(Model):
    """The weight of each resource in a node's load."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel("self.cpu + self.memory > 0", "at least one must be above 0, for example {cpu: 70, memory: 30}")
        )
    )

    cpu: _Weight = 70
    """Weight of CPU, 0 to 100. CPU varies far more than memory."""
    memory: _Weight = 30
    """Weight of memory, 0 to 100."""


class LoadQueries(Model):
    """PromQL queries for the load of every node, as a share of its allocatable amount, by the label `node`."""

    cpu: PromQl
    """The share of the allocatable CPU that is in use, 0 to 1, one value for each node by the label `node`."""
    memory: PromQl | None = None
    """The share of the allocatable memory that is in use, 0 to 1, one value for each node by the label `node`. Left
    out: memory does not count."""


class Load(Model):
    """Where the real load of nodes is read."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "(self.source == 'Prometheus') == has(self.queries)",
                "goes with source Prometheus, and only with it, "
                "for example {source: Prometheus, queries: {cpu: 'node:cpu:ratio'}}",
                field=".queries",
            )
        )
    )

    source: Literal["MetricsServer", "Prometheus"] = "MetricsServer"
    """MetricsServer: the API metrics.k8s.io. Prometheus: `queries`, from the operator's Prometheus."""
    queries: LoadQueries | None = None
    """For Prometheus: the PromQL queries."""
    refresh: Duration = Duration("30s")
    """How often the load is read, for example 30s."""
    stale_after: Duration = Duration("3m")
    """The age at which a reading of the load is ignored, for example 3m; longer than `refresh`. Without a newer one,
    all zones and nodes count as equal and no pod is moved."""
    weights: LoadWeights | None = None
    """The weight of each resource; CPU 70 and memory 30 if not given."""

    @property
    def refresh_seconds(self) -> int:
        """How often it is read, at most every `LEAST_REFRESH_SECONDS`."""
        return max(self.refresh.seconds, LEAST_REFRESH_SECONDS)

    @property
    def effective_weights(self) -> LoadWeights:
        """The weight of each resource, also where the manifest does not say."""
        return self.weights or _DEFAULT_WEIGHTS


_DEFAULT_WEIGHTS: Final = LoadWeights()
_DEFAULT_LOAD: Final = Load()


class BalanceTarget(Model):
    """The difference in load between nodes that is accepted."""

    max_imbalance_percent: Annotated[Percent, Field()] = 20
    """The difference between the most and the least loaded node, in percentage points, up to which no moves are
    planned, for example 20. Moves for the load then aim at three quarters of it. With `classes`, it also applies to
    what a load class uses on the nodes of a zone."""


class ZoneLoadSource(Model):
    """Where a workload's own load by zone is read."""

    query: PromQl
    """PromQL query with one value for each zone and workload, by the labels `zone`, `namespace` and `workload` (the
    name), for example the mean CPU of a replica. $(matchers) is replaced by the label matchers of the operator's
    Prometheus."""


class ZoneSpread(Model):
    """A topology spread constraint over zones, with `maxSkew`, for pods that have none."""

    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "DoNotSchedule"
    """DoNotSchedule: a replica stays pending if on every node that has room the zones would differ by more than
    maxSkew. ScheduleAnyway: even zones are only preferred. The label spillway.dev/zone-spread of a pod template
    overrides this field."""


class ZonePreference(Model):
    """The preference of new replicas for the zone where their own service has the highest load."""

    from_: Annotated[ZoneLoadSource | None, Field(alias="from")] = None
    """Where the load is read. Left out: the mean CPU of the workload's pods in each zone, from metrics.k8s.io. Without
    valid data all zones count as equal."""
    when_differs_by_percent: Percent = 15
    """Zones whose load differs by less count as equal, for example 15."""


class HotNodes(Model):
    """What to do about nodes that are too busy."""

    above: Percent = 80
    """The load in percent above which a node is hot, for example 80."""
    for_: Annotated[Duration, Field(alias="for")] = Duration("5m")
    """How long the load must stay above `above` before the node is hot, for example 5m."""
    soft_taint: bool = True
    """Put the taint spillway.dev/hot, with the effect PreferNoSchedule, on nodes while they are hot."""


class LoadClasses(Model):
    """Classes of workloads by what they use most; each class is spread, so that no node is full of one class."""

    enabled: bool = True
    """True: new pods get the label spillway.dev/load-class and a preferred anti-affinity within their class, and
    `rebalance` also spreads the running pods of a class. False: the classes are only reported."""
    cpu_ratio: Factor = Factor("0.5")
    """The number of cores in use for each GiB of memory in use (95th percentile over days) above which a workload is
    cpu-bound, for example "0.5"; other workloads are memory-bound."""
    history: Duration = Duration("24h")
    """How long a workload must have been measured before it has a class, for example 24h."""


class Rebalance(Model):
    """Moving running pods to even out load."""

    mode: Literal["Disabled", "DryRun", "Active"] = "DryRun"
    """Disabled: no moves are planned. DryRun: moves are planned and reported. Active: pods are moved."""
    by: Literal["Surge", "Evict"] = "Surge"
    """Surge: one additional replica is created first, and once it is ready the old one is deleted, so that no replica
    is missing. Evict: pods are evicted through the Eviction API, which respects disruption budgets."""
    max_moves_per_minute: Annotated[int, Field(ge=1, le=600, json_schema_extra={"format": "int32"})] = 5
    """The maximum number of moves per minute, for example 5."""
    settle: Duration = Duration("5m")
    """How long a workload must not have been scaled up or rolled out, and a pod must have been ready, before it is
    moved, for example 5m. A scale-down does not count."""


class ZonalBalanceSpec(Model):
    """What the user wants."""

    node_selector: LabelSelector = Field(default_factory=LabelSelector)
    """Selects, by their labels, the nodes whose load is read and kept even. Left out or empty: every node. Virtual
    nodes never count for load, hot nodes and moves."""
    match: WorkloadMatch | None = None
    """The workloads whose replicas are kept evenly distributed. Left out: every workload outside the namespaces kube-*
    and the operator's own."""
    zone_key: MetadataKey = "topology.kubernetes.io/zone"
    """The node label whose value is the zone, for example topology.kubernetes.io/zone."""
    max_skew: Annotated[int, Field(ge=1, le=1000, json_schema_extra={"format": "int32"})] = 1
    """How many more replicas of one workload a zone may have than another, at least 1. It applies to scale-downs, to
    the constraint of `zoneSpread`, to `zonePreference` and to moves."""
    load: Load | None = None
    """Where the real load of nodes is read."""
    target: BalanceTarget | None = None
    """The difference in load between nodes that is accepted."""
    zone_spread: ZoneSpread | None = None
    """Gives new pods a topology spread constraint over zones. Left out: none is added."""
    zone_preference: ZonePreference | None = None
    """Gives new pods a preferred node affinity for the zones in which their own workload has the highest load, as long
    as these zones stay within `maxSkew` of every other zone with a node on which the pod may run."""
    hot_nodes: HotNodes | None = None
    """What to do about nodes that are too busy."""
    classes: LoadClasses | None = None
    """Classes of workloads by what their pods use most. Without this section nothing is measured."""
    rebalance: Rebalance | None = None
    """Moving running pods to even out load."""

    @property
    def effective_load(self) -> Load:
        """Where the load of nodes is read, also where the manifest does not say."""
        return self.load or _DEFAULT_LOAD

    @property
    def reads_load(self) -> bool:
        """Whether the load of the nodes is read: it is asked for, or something follows from it."""
        return self.load is not None or self.hot_nodes is not None or self.plans_moves

    @property
    def plans_moves(self) -> bool:
        """Whether moves of pods are planned."""
        return self.rebalance is not None and self.rebalance.mode != "Disabled"

    @property
    def moves_by_surge(self) -> bool:
        """Whether pods are moved, each after an additional replica of its workload is ready."""
        return self.rebalance is not None and self.rebalance.mode == "Active" and self.rebalance.by == "Surge"

    @property
    def spreads_classes(self) -> bool:
        """Whether new pods are spread by what their workload uses most."""
        return self.classes is not None and self.classes.enabled

    @property
    def changes_pods(self) -> bool:
        """Whether it adds anything to new pods."""
        return self.places_replicas or self.spreads_classes

    @property
    def needs_readings(self) -> bool:
        """Whether what it adds to new pods depends on what only the leader reads."""
        return self.zone_preference is not None or self.spreads_classes

    @property
    def places_replicas(self) -> bool:
        """Whether it says in which zone a new replica goes."""
        return self.zone_spread is not None or self.zone_preference is not None


class ZoneState(Model):
    """The state of one zone."""

    name: Annotated[str, Field(max_length=63)]
    """The name of the zone; empty for nodes without the label."""
    nodes: Count = 0
    """Selected nodes in it, without virtual nodes."""
    pods: Count = 0
    """Pods of the selected workloads in it, without those on virtual nodes."""
    load_percent: Annotated[int | None, Field(ge=0, le=1000, json_schema_extra={"format": "int32"})] = None
    """Mean load of its nodes, in percent."""


class ClassCounts(Model):
    """How many workloads are in each load class."""

    cpu_bound: Count = 0
    """Workloads with the load class cpu-bound."""
    memory_bound: Count = 0
    """Workloads with the load class memory-bound."""
    learning: Count = 0
    """Workloads that have not been measured for long enough."""


class Moves(Model):
    """The pods that were moved to even out load."""

    planned: Count = 0
    """Moves in the current plan."""
    expected_imbalance_percent: Count | None = None
    """The imbalance that the plan would leave; absent without a plan, and if its moves are not made for the load."""
    next: Annotated[
        tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=10, json_schema_extra=atomic_list())
    ] = ()
    """The first moves of the plan, 10 at most, for example "shop/web-1: n1 (92 % to 71 %) to n4": the load of the
    pod's node before and after. Replicas of zones, requests, and what a load class uses are named."""
    in_progress: Count = 0
    """Workloads that now run an additional replica, so that a pod can be moved."""
    left: Annotated[
        tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=10, json_schema_extra=atomic_list())
    ] = ()
    """Workloads whose pods would be moved and are not, 10 at most, and why, for example
    "Deployment/shop/web: AutoscalerAtMaximum"."""
    done: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Completed moves since the current replica of the operator became the leader."""
    last_day: Count = 0
    """Completed moves in the last 24 hours, or since the current replica of the operator became the leader."""


class ZonalBalanceStatus(Status):
    """The observed state of the balance. Lists are bounded; metrics have the rest."""

    workloads: Count | None = None
    """Workloads that `match` selects."""
    uneven_workloads: Count | None = None
    """Of these, workloads whose zones differ by more than `maxSkew` of the spec."""
    max_skew: Count | None = None
    """The largest current difference between two zones of one workload, in replicas."""
    zones: Annotated[tuple[ZoneState, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = ()
    """The zones of the selected nodes."""
    imbalance_percent: Count | None = None
    """The difference in load between the most and the least loaded node, in percentage points."""
    hot_nodes: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=50, json_schema_extra=atomic_list())
    ] = ()
    """Names of hot nodes, 50 at most."""
    classes: ClassCounts | None = None
    """The workloads in each load class; absent without `spec.classes`."""
    moves: Moves | None = None
    """The pods that were moved to even out load."""


class ZonalBalance(Model):
    """An even distribution of the replicas of each workload over zones, and of the load over nodes.

    If no ZonalBalance matches a workload, a scale-down keeps its zones within one replica by the label
    topology.kubernetes.io/zone.
    """

    model_config = ConfigDict(json_schema_extra=bounded_name())

    plural: ClassVar[str] = "zonalbalances"
    short_name: ClassVar[str] = "zb"
    columns: ClassVar[tuple[tuple[str, str, str, int, str], ...]] = (
        ("Max-skew", "integer", ".spec.maxSkew", 0, "Allowed difference between zones"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0, "Whether the spec is in force"),
        ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0, "Why it is in force, or not"),
        ("Workloads", "integer", ".status.workloads", 0, "Workloads that it selects"),
        ("Uneven", "integer", ".status.unevenWorkloads", 0, "Workloads beyond the allowed difference"),
        (
            "Imbalance",
            "integer",
            ".status.imbalancePercent",
            0,
            "Difference in load between nodes, in percentage points",
        ),
        ("Moves", "integer", ".status.moves.done", 0, "Completed moves of pods"),
        ("Rebalance", "string", ".spec.rebalance.mode", 1, "Disabled, DryRun or Active"),
    )

    api_version: Literal["spillway.dev/v1alpha1"] = API_VERSION
    """The API version, spillway.dev/v1alpha1."""
    kind: Literal["ZonalBalance"] = "ZonalBalance"
    """The kind, ZonalBalance."""
    metadata: ObjectMeta
    """Standard object metadata."""
    spec: ZonalBalanceSpec = Field(default_factory=ZonalBalanceSpec)
    """What the user wants. Everything has a default."""
    status: ZonalBalanceStatus = Field(default_factory=ZonalBalanceStatus)
    """The observed state."""
