"""The conditions of Spillway's resources: their types, their reasons, and what each of them means.

Contract: every condition that the operator writes is listed here, which a test checks against the code; the reference
is generated from it. A condition of several problems has the reason of the first.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from spillway.api.virtualnodebudget import BudgetLimits

_LIMITS: Final = tuple(field.alias or name for name, field in BudgetLimits.model_fields.items())

POLICY: Final = "ElasticPolicy"
BUDGET: Final = "VirtualNodeBudget"
BALANCE: Final = "ZonalBalance"
MOVERS: Final = f"{POLICY} and {BALANCE}"
"""The kinds for which pods are moved."""
ALL: Final = "every kind"


class ReasonMeaning(NamedTuple):
    """One reason of a condition: with which status it comes, and what it means."""

    reason: str
    holds: bool
    meaning: str


def _true(reason: str, meaning: str) -> ReasonMeaning:
    return ReasonMeaning(reason=reason, holds=True, meaning=meaning)


def _false(reason: str, meaning: str) -> ReasonMeaning:
    return ReasonMeaning(reason=reason, holds=False, meaning=meaning)


class ConditionMeaning(NamedTuple):
    """One type of condition: on which kind it appears, and what it says."""

    type: str
    kind: str
    meaning: str
    reasons: Sequence[ReasonMeaning]


_PROMETHEUS: Final[Mapping[str, str]] = {
    "QueryRefused": "Prometheus refuses a query; the message has its answer.",
    "QueryTimedOut": "Prometheus did not answer a query within 30 seconds.",
    "QueryFailed": "Prometheus answered a query with a server error.",
    "AnswerTooLarge": "The answer to a query is too large to be read.",
    "InvalidDemand": "The values of a query cannot be a number of replicas, for example because they are negative.",
    "NoPrometheus": "The operator has no Prometheus (`--prometheus-url`, in the chart `prometheus.url`).",
}

_OF_SERVER: Final = ("QueryRefused", "AnswerTooLarge", "NoPrometheus")
"""Those that can also concern every query."""


def _prometheus(*extra: ReasonMeaning) -> Sequence[ReasonMeaning]:
    return (*(_true(reason, text) for reason, text in _PROMETHEUS.items()), *extra)


def _limits(suffix: str, meaning: str) -> Sequence[ReasonMeaning]:
    return (
        *(_true(f"{name[0].upper()}{name[1:]}{suffix}", f"`limits.{name}` {meaning}.") for name in _LIMITS),
        _false("WithinLimits", "This is the case for none of the limits any more."),
    )


CONDITIONS: Final[Sequence[ConditionMeaning]] = (
    ConditionMeaning(
        "Ready",
        ALL,
        "The spec is valid and in force. An outage of nodes, of a provider or of Prometheus does not change it, "
        "so Flux and `kubectl wait` do not wait for the end of one.",
        (
            _true("Enforcing", "ElasticPolicy: the policy is in force, in mode Enforce."),
            _true("Recommending", "ElasticPolicy: the policy is in force, in mode Recommend."),
            _true("NoWorkloads", "ElasticPolicy: it is in force and selects no workload that has pods."),
            _true("InForce", "VirtualNodeBudget: it is in force."),
            _true("Balancing", "ZonalBalance: it is in force."),
            _false(
                "NoZones",
                "ZonalBalance: no physical node has the label `zoneKey`, so new pods get no topology spread "
                "constraint.",
            ),
            _false(
                "Conflict",
                "An older resource of the same kind selects the same workloads or nodes, and only the older one counts "
                "for them.",
            ),
            _false("TierConflict", "ElasticPolicy: the elastic tier and a VirtualNodeBudget select the same nodes."),
            _false("BudgetNotFound", "ElasticPolicy: it lists a VirtualNodeBudget that does not exist (yet)."),
            _false(
                "Invalid",
                "Fields of the resource are not valid; the message names them. The last valid version stays in force, "
                "if there was one.",
            ),
        ),
    ),
    ConditionMeaning(
        "Reconciling",
        ALL,
        "For kstatus: the object waits for something, and its spec need not be changed.",
        (
            _true("BudgetNotFound", "ElasticPolicy: it waits for a VirtualNodeBudget to be created."),
            _true("Closing", "VirtualNodeBudget: the nodes of the pool are being made unschedulable."),
            _true("Opening", "VirtualNodeBudget: the nodes of the pool are being made schedulable again."),
            _false("Resolved", "The object does not wait any more."),
        ),
    ),
    ConditionMeaning(
        "Stalled",
        ALL,
        "For kstatus: the spec has to be changed before anything more happens.",
        (
            _true("Conflict", "As for `Ready`."),
            _true("TierConflict", "As for `Ready`."),
            _true("Invalid", "As for `Ready`."),
            _false("Resolved", "The spec was changed."),
        ),
    ),
    ConditionMeaning(
        "Degraded",
        ALL,
        "The operator's data about the cluster is too old, so Spillway changes nothing.",
        (
            _true("StaleData", "The operator has received nothing from the API server for more than a minute."),
            _false("DataIsFresh", "The data is up to date."),
        ),
    ),
    ConditionMeaning(
        "NotImplemented",
        ALL,
        "Fields are set that have no effect in combination with the others, for example `scaling.target` where neither "
        "a forecast nor a threshold of mode Auto uses it.",
        (
            _true("FieldsWithoutBehaviour", "The message names the fields."),
            _false("AllFieldsImplemented", "Every field that is set has an effect."),
        ),
    ),
    ConditionMeaning(
        "ForeignWriter",
        POLICY,
        "Another client writes deletion costs on governed pods. Spillway skips the workloads of these pods.",
        (
            _true("DeletionCostNotOurs", "The message names the workloads and pods."),
            _false("NoForeignWriter", "Spillway alone writes deletion costs on the governed pods."),
        ),
    ),
    ConditionMeaning(
        "Learning",
        POLICY,
        "Workloads of mode Auto have no threshold yet, so all of their replicas stay on physical nodes. If workloads "
        "have different reasons, the reason of the condition is the most frequent one, and the message counts the "
        "workloads by reason.",
        (
            _true("LearningHistory", "They have less than two days of history."),
            *_prometheus(),
            _false("HistoryIsEnough", "Every threshold of mode Auto is based on enough history."),
        ),
    ),
    ConditionMeaning(
        "StalePlan",
        POLICY,
        "No newer plan of the thresholds could be made. The last good plan stays in force, even after a restart, and "
        "planning is tried again.",
        (
            _true("PrometheusUnreachable", "Prometheus does not answer."),
            _true("PrometheusDenied", "Prometheus refuses the credentials, or they cannot be read."),
            _true("NotPrometheus", "Something other than a Prometheus answers at the URL."),
            *_prometheus(
                _true(
                    "HistoryLost",
                    "Workloads that had a planned threshold now have less than two days of history. They keep their "
                    "thresholds.",
                ),
                _true("PlanTooSlow", "The planning process did not answer in time."),
                _true("PlanFailed", "The planning process failed; the log has the error."),
            ),
            _false("PlanIsFresh", "The plan is up to date."),
            _false("NoPlan", "There is no plan yet."),
        ),
    ),
    ConditionMeaning(
        "ForecastStale",
        POLICY,
        "There are no forecasts, or they are too old to be used. Recommended replicas then follow only the schedules, "
        "but a workload that no other metric scales keeps at least its current replicas. Headroom stays at what "
        "was last asked for, for a day at most; a change of leader begins that day again.",
        (
            _true("PrometheusUnreachable", "Prometheus does not answer."),
            _true("PrometheusDenied", "Prometheus refuses the credentials, or they cannot be read."),
            _true("NotPrometheus", "Something other than a Prometheus answers at the URL."),
            *(reason for reason in _prometheus() if reason.reason in _OF_SERVER),
            _true("ForecastTooSlow", "The forecasting process did not answer in time."),
            _true("ForecastFailed", "The forecasting process failed; the log has the error."),
            _false("ForecastsAreFresh", "The forecasts are up to date, or have failed for less than 15 minutes."),
            _false("NoForecasts", "There are no forecasts yet."),
        ),
    ),
    ConditionMeaning(
        "DemandUnusable",
        POLICY,
        "The demand of some workloads cannot be forecast. The message names them.",
        (
            *(_true(name, text) for name, text in _PROMETHEUS.items() if name != "NoPrometheus"),
            _true("NoSamples", "Prometheus has had no sample of the demand within the last 15 minutes."),
            _true("NoRequest", "The replicas have no request of the resource in `scaling.target.metric`."),
            _true("PerReplicaIsZero", "`scaling.target.perReplica` is 0."),
            _false("DemandIsUsable", "The demand of every workload can be forecast."),
        ),
    ),
    ConditionMeaning(
        "NotPlanned",
        POLICY,
        "Mode Auto plans no threshold for some governed workloads, because of their kind.",
        (
            _true("NoReplicaSets", "They have no ReplicaSets. Use a class of mode Manual for them."),
            _false("KindsArePlanned", "Mode Auto plans every kind in use."),
        ),
    ),
    ConditionMeaning(
        "OverTarget",
        POLICY,
        "The replicas that must stay on fixed nodes need more than `targetUtilization` allows, or some fit on no node.",
        (
            _true(
                "MinimaExceedTarget",
                "They need more CPU than the target allows. Lower a `threshold.min`, or own more nodes.",
            ),
            _true(
                "MinimaFindNoNode",
                "All nodes together have room for them, but for some of them no single node has. Own larger nodes, or "
                "lower a `threshold.min`.",
            ),
            _false("MinimaFit", "They fit."),
        ),
    ),
    ConditionMeaning(
        "InvalidThreshold",
        POLICY,
        "The annotation `spillway.dev/threshold` of a workload is not a number and is not used.",
        (
            _true("BadAnnotation", "The message names the workloads."),
            _false("AnnotationsAreGood", "Every such annotation is a number."),
        ),
    ),
    ConditionMeaning(
        "InvalidSchedule",
        POLICY,
        "A schedule of `scaling`, or an occasion of `scaling.forecast`, has no valid `start` or an unknown `timeZone`, "
        "and is ignored.",
        (
            _true("BadSchedule", "The message names the fields and what is allowed."),
            _false("SchedulesAreGood", "Every schedule and every occasion is valid."),
        ),
    ),
    ConditionMeaning(
        "NoAutoscaler",
        POLICY,
        "The class of some governed workloads has `scaling`, and nothing scales them.",
        (
            _true("NoAutoscaler", "No HorizontalPodAutoscaler targets the workloads in the message."),
            _false("AutoscalersFound", "Each of them has one."),
        ),
    ),
    ConditionMeaning(
        "NotExact",
        POLICY,
        "The class of some workloads has `scheduleOnly`, and something else scales them as well.",
        (
            _true("OtherMetrics", "Their HorizontalPodAutoscalers also use other metrics."),
            _false("SchedulesOnly", "Nothing but the schedules scales them, and none of their pods is moved."),
        ),
    ),
    ConditionMeaning(
        "ForeignAutoscaler",
        POLICY,
        "The class of some workloads has `hpa: Managed`, and other HorizontalPodAutoscalers target them. Spillway "
        "never changes one that it did not create, so it creates none there.",
        (
            _true("NotOurs", "The message names the workloads and the other HorizontalPodAutoscalers."),
            _false("NoOtherAutoscaler", "No other HorizontalPodAutoscaler targets them."),
        ),
    ),
    ConditionMeaning(
        "MetricNotServed",
        POLICY,
        "The operator runs with `--external-metrics`, but autoscalers cannot read the recommended replicas.",
        (
            _true("NotRegistered", "There is no APIService `v1beta1.external.metrics.k8s.io`."),
            _true("OwnedByAnother", "That APIService leads to another component, such as KEDA."),
            _true("NotAvailable", "kube-apiserver does not reach the operator; the message contains its error."),
            _false("Served", "The metric is served."),
        ),
    ),
    ConditionMeaning(
        "HeadroomReady",
        POLICY,
        "All of the headroom has a node. Present with `headroom`.",
        (
            _true("Kept", "All of the headroom has a node, or none is needed now."),
            _true(
                "BuffersIgnored",
                "As for `Kept`. Placeholder pods hold the headroom, because no node autoscaler acts on "
                "CapacityBuffers.",
            ),
            _false("WaitingForNodes", "Some placeholder pods are pending until a node autoscaler adds nodes."),
            _false("Recommended", "The policy is in mode Recommend; the message says how much would be kept."),
            _false("NoElasticTier", "The policy has no elastic tier."),
            _false(
                "UnitUnknown", "`unit` is not set, and no governed pod has requests from which it could be derived."
            ),
            _false("BadSchedule", "A schedule has no valid `start` or an unknown `timeZone`; the message names it."),
        ),
    ),
    ConditionMeaning(
        "Accepting",
        BUDGET,
        "The pool takes new pods.",
        (
            _true("Open", "The pool takes pods."),
            _true("Retrying", "The pool has failed and is tried again, with a few pods at a time."),
            _true("NamespacesKeptOut", "It takes no pods of the namespaces in the message: see `Healthy`."),
            _false("NoNodes", "The pool has no node, or none that is ready."),
            _false("Closing", "The nodes are being made unschedulable."),
            _false("Held", "Every node is unschedulable."),
            _false("Draining", "Every node is unschedulable, and the pods there are being evicted."),
            _false("Drained", "Every node is unschedulable, and every pod that may be evicted has been."),
            _false("Opening", "The nodes are being made schedulable again."),
            _false("Unhealthy", "The pool has failed: see `Healthy`."),
            _false("OutOfStock", "The provider is out of stock, at least for pods of one namespace: see `InStock`."),
            _false("LimitReached", "A limit is reached: see `AtLimit`."),
        ),
    ),
    ConditionMeaning(
        "Healthy",
        BUDGET,
        "The pods of the pool start. Present with `failover`, and once the pool has failed.",
        (
            _true("Healthy", "Its pods start."),
            _true("Retrying", "The pool has failed and is tried again, with a few pods at a time."),
            _true(
                "NamespacesKeptOut",
                "Pods of the namespaces in the message did not start; the pool takes only pods of other namespaces.",
            ),
            _false("NodesNotReady", "No node was ready for `failover.unhealthyAfter`."),
            _false("Failed", "The pool has failed; an earlier version did not record why."),
            _false("PodsNotStarting", "Pods of several namespaces did not start for `failover.startAfter`."),
        ),
    ),
    ConditionMeaning(
        "InStock",
        BUDGET,
        "The provider has stock. Present with `stockOut`.",
        (
            _true("InStock", "Pods get the size that they request."),
            _true("BiggerSize", "Smaller sizes had no stock, so pods request a larger size."),
            _false("OutOfStock", "There was no stock of any size, at least for pods of the namespaces in the message."),
        ),
    ),
    ConditionMeaning(
        "NearLimit",
        BUDGET,
        "A limit is used to 80 % or more. The condition stays True until less than 75 % is used. With several limits, "
        "their reasons are joined by commas.",
        _limits("NearLimit", "is used to 80 % or more"),
    ),
    ConditionMeaning(
        "AtLimit",
        BUDGET,
        "A limit is reached: all of it is used, or so much that a pod of the average size on the pool would exceed it. "
        "The condition stays True until less than 95 % is used. With several limits, their reasons are joined by "
        "commas.",
        _limits("AtLimit", "is reached"),
    ),
    ConditionMeaning(
        "OverlayInvalid",
        BUDGET,
        "The API server refuses pods with the `podOverlay` of the pool, so pods go to other pools or to physical "
        "nodes.",
        (
            _true("RefusedByAPIServer", "The message names the fields."),
            _false("Resolved", "The API server accepts pods with the overlay."),
        ),
    ),
    ConditionMeaning(
        "PodsRefused",
        BUDGET,
        "The pool is not used for some workloads for a while, because pods that were meant for it were not created. "
        "The message names the workloads.",
        (
            _true("RefusedByAPIServer", "The API server refuses these pods; the message has its answer."),
            _true("NotCreated", "These pods did not appear after they were admitted; no refusal was seen."),
            _false("Resolved", "The pool is used for all workloads."),
        ),
    ),
    ConditionMeaning(
        "LoadDataStale",
        BALANCE,
        "Load that the ZonalBalance needs is not known: no usable reading is younger than `load.staleAfter`. The "
        "message says which one, and what follows. Without the load of the nodes, all nodes and zones count as equal, "
        "no taint of a hot node changes, and no pod is moved; without the load of workloads by zone "
        "(`zonePreference`), new replicas and scale-downs prefer no zone (with `PartialZoneLoad`: only those of the "
        "workloads that the message counts); without what pods use, no load class changes (`classes`) and no pod is "
        "moved (`rebalance`).",
        (
            _true("MetricsUnreachable", "metrics.k8s.io cannot be read; the message has the answer."),
            _true(
                "PartialLoad",
                "Fewer than 80 % of the selected ready nodes have a value. From Prometheus, a value that is older than "
                "`load.staleAfter` counts as none.",
            ),
            _true(
                "PartialZoneLoad",
                "Of the workloads with replicas in several zones, fewer than 80 % have a load in each of these zones. "
                "For the others, no zone is preferred; the message says how many they are, and names one.",
            ),
            _true(
                "InvalidZone",
                "The query of `zonePreference` has values of the label `zone` that no node can have as a label; they "
                "are ignored. The message has one of them.",
            ),
            _true("OldLoad", "Too many values are older than `load.staleAfter`."),
            _true("AbsurdLoad", "Too many values are negative, not a number, or above 200 %."),
            _true("NoNodes", "No selected node is ready, or all of them joined in the last two minutes."),
            _true("PrometheusUnreachable", "Prometheus does not answer."),
            _true("PrometheusDenied", "Prometheus refuses the credentials, or they cannot be read."),
            _true("NotPrometheus", "Something other than a Prometheus answers at the URL."),
            *(reason for reason in _prometheus() if reason.reason != "InvalidDemand"),
            _false("LoadIsFresh", "The load is known."),
        ),
    ),
    ConditionMeaning(
        "ForeignDescheduler",
        MOVERS,
        "Another descheduler runs in the cluster, or ran within the last hour. No pod is moved meanwhile, so that the "
        "two do not move the same pods back and forth. The message names it.",
        (
            _true(
                "DeschedulerRuns",
                "There are pods with the labels of a descheduler whose ServiceAccount may evict pods in every "
                "namespace. Finished pods, such as those of a CronJob, count for an hour.",
            ),
            _false("NoDescheduler", "No other descheduler was found."),
        ),
    ),
)
"""Every type of condition with its reasons, in the order of the reference. Any of them is False with the reason
`Resolved` when the feature that it is about is no longer configured."""
