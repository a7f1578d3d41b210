"""What the admission server exports. Label values are few and fixed: no object's name is ever one."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from spillway.telemetry.registry import REGISTRY

HOLD_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)

HOLD_SECONDS: Final = Histogram(
    "spillway_admission_hold_seconds",
    "Time from an admission request's arrival to its answer",
    ("webhook",),
    registry=REGISTRY,
    buckets=HOLD_BUCKETS,
)
OUTCOMES: Final = Counter(
    "spillway_admission_outcomes",
    "Admission requests by what was decided (an outcome of error or let-go was answered with allowed)",
    ("webhook", "outcome"),
    registry=REGISTRY,
)
LET_GO: Final = Counter(
    "spillway_admission_let_go",
    "Admission requests that were answered with allowed before their work was done, by reason",
    ("webhook", "reason"),
    registry=REGISTRY,
)
ERRORS: Final = Counter(
    "spillway_admission_errors",
    "Exceptions inside an admission handler; each was answered with allowed",
    ("webhook",),
    registry=REGISTRY,
)
PLANNED_VICTIMS: Final = Counter(
    "spillway_scale_down_planned_victims",
    "Pods planned as victims of a scale-down, by tier and by the reason that chose them",
    ("tier", "reason"),
    registry=REGISTRY,
)
VICTIMS: Final = Counter(
    "spillway_scale_down_victims",
    "Pods that went in planned scale-downs, by whether the plan had named them",
    ("policy", "as_planned"),
    registry=REGISTRY,
)
SCALE_DOWN_WRITES: Final = Counter(
    "spillway_scale_down_cost_writes",
    "Deletion costs written while a scale-down was held",
    ("result",),
    registry=REGISTRY,
)
SETTLE_SECONDS: Final = Histogram(
    "spillway_scale_down_settle_seconds",
    "Time waited after own costs were seen on the watch, for the controller's cache to follow",
    registry=REGISTRY,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
)
WATCH_LAG_SECONDS: Final = Histogram(
    "spillway_scale_down_watch_lag_seconds",
    "Time from the answer to a cost write until own watch showed it",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
CERTIFICATE_EXPIRY: Final = Gauge(
    "spillway_serving_certificate_expiry_timestamp_seconds",
    "When the serving certificate in use expires, in Unix seconds",
    registry=REGISTRY,
)
