"""The conditions of Spillway's resources that need attention, each with a severity.

Contract: pure. A condition that only repeats another one of the same resource (`Stalled` beside `Ready`, `Accepting`
beside `Healthy`, `InStock` or `AtLimit`, `NearLimit` beside `AtLimit` of the same limits) is left out, so that each
cause is listed once. What a user asked for, such as a held pool, is listed with severity `info`.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from spillway.api import Resource
from spillway.api.conditions import (
    ACCEPTING,
    DEGRADED,
    HEADROOM_READY,
    HEALTHY,
    NORMALLY_TRUE,
    OVERLAY_INVALID,
    PODS_REFUSED,
    READY,
    RECONCILING,
    STALLED,
    Condition,
    ConditionStatus,
)
from spillway.api.scalars import rfc3339
from spillway.domain.budget.alerts import AT, NEAR, limits_of


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Something that was configured has no effect, or pods suffer."""
    WARNING = "warning"
    """Something works less well than it was configured to."""
    INFO = "info"
    """Something that a user asked for, or that passes by itself."""


ORDER: Final = tuple(Severity)
"""The severities, most severe first."""

STATUS_UNREAD: Final = "StatusOutdated"
"""The condition under which a status is listed that does not describe the newest spec."""

_ERRORS: Final = frozenset({READY, HEALTHY, DEGRADED, OVERLAY_INVALID, PODS_REFUSED})
_BY_REASON: Final = {
    (ACCEPTING, "Held"): Severity.INFO,
    (ACCEPTING, "Closing"): Severity.INFO,
    (ACCEPTING, "Draining"): Severity.INFO,
    (ACCEPTING, "Drained"): Severity.INFO,
    (ACCEPTING, "Opening"): Severity.INFO,
    (HEADROOM_READY, "Recommended"): Severity.INFO,
    ("Learning", "LearningHistory"): Severity.INFO,
}
_REPEATED: Final = frozenset({(ACCEPTING, "Unhealthy"), (ACCEPTING, "OutOfStock"), (ACCEPTING, "LimitReached")})
"""Conditions whose cause has a condition of its own."""


class Attention(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that needs attention."""

    severity: Severity
    kind: str
    name: str
    condition: str
    reason: str
    message: str
    since: str | None = None
    """When the condition got this status, RFC 3339."""


def attention(resources: Iterable[Resource]) -> tuple[Attention, ...]:
    """What needs attention, most severe first, then by kind and name."""
    found = [one for resource in resources for one in _of(resource)]
    return tuple(sorted(found, key=lambda one: (ORDER.index(one.severity), one.kind, one.name, one.condition)))


def is_good(condition: Condition) -> bool:
    """Whether a condition has the status that it has while all is well."""
    wanted = ConditionStatus.TRUE if condition.type in NORMALLY_TRUE else ConditionStatus.FALSE
    return condition.status is wanted


def _of(resource: Resource) -> Iterable[Attention]:
    conditions = resource.status.conditions
    bad = [one for one in conditions if not is_good(one)]
    for condition in bad:
        if not _is_repeated(condition, bad):
            yield _attention(
                resource,
                severity=_severity(condition),
                condition=condition.type,
                reason=condition.reason,
                message=condition.message,
                since=rfc3339(condition.last_transition_time),
            )
    observed, generation = resource.status.observed_generation, resource.metadata.generation
    if (observed or 0) < generation:
        seen = "there is no status yet" if observed is None else f"the status describes generation {observed}"
        yield _attention(
            resource,
            severity=Severity.WARNING,
            condition=STATUS_UNREAD,
            reason="NotProcessed",
            message=f"the operator has not processed generation {generation} of the spec; {seen}",
        )


def _attention(
    resource: Resource, *, severity: Severity, condition: str, reason: str, message: str, since: str | None = None
) -> Attention:
    return Attention(severity, resource.kind, resource.metadata.name, condition, reason, message, since)


def _is_repeated(condition: Condition, bad: Sequence[Condition]) -> bool:
    types = {one.type for one in bad}
    if condition.type in {STALLED, RECONCILING} and READY in types:
        return True
    if condition.type == NEAR:
        near, at = limits_of(condition, NEAR), next((one for one in bad if one.type == AT), None)
        return bool(near) and near <= limits_of(at, AT)
    return (condition.type, condition.reason) in _REPEATED


def _severity(condition: Condition) -> Severity:
    known = _BY_REASON.get((condition.type, condition.reason))
    if known is not None:
        return known
    if condition.type == RECONCILING:
        return Severity.INFO
    if condition.status is ConditionStatus.UNKNOWN:
        return Severity.WARNING
    return Severity.ERROR if condition.type in _ERRORS else Severity.WARNING
