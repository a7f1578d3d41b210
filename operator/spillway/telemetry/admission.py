"""Metrics of the admission server.

Label values are few and fixed: the name of an object is never one.
"""

from typing import Final

from spillway.telemetry.registry import counter, gauge, histogram

HOLD_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

HOLD_SECONDS: Final = histogram(
    "spillway_admission_hold_seconds",
    "Time from the arrival of an admission request to its answer.",
    ("webhook",),
    buckets=HOLD_BUCKETS,
)
OUTCOMES: Final = counter(
    "spillway_admission_outcomes",
    "Admission requests, by the webhook and what it decided. The outcomes error and let-go mean that the request was "
    "allowed unchanged.",
    ("webhook", "outcome"),
)
LET_GO: Final = counter(
    "spillway_admission_let_go",
    "Admission requests that were allowed before Spillway had finished its work on them, by the webhook and the "
    "reason.",
    ("webhook", "reason"),
)
ERRORS: Final = counter(
    "spillway_admission_errors",
    "Exceptions in an admission handler. The request was allowed unchanged.",
    ("webhook",),
)
REFUSED_CLIENTS: Final = counter(
    "spillway_admission_refused_clients",
    "Admission requests that were refused because their client certificate has none of the allowed names.",
)
CERTIFICATE_EXPIRY: Final = gauge(
    "spillway_serving_certificate_expiry_timestamp_seconds",
    "When the serving certificate in use expires, in Unix seconds.",
)
CERTIFICATE_TRUSTED: Final = gauge(
    "spillway_serving_certificate_trusted",
    "1 if every caBundle of the webhook configuration (mutating or validating) trusts the serving certificate of this "
    "replica, else 0; absent if cert-manager or a mounted file provides the certificate.",
    ("configuration",),
)
