"""The findings of `spillway doctor`, and the report of all of them.

Contract: the structs are the output of the command, with camelCase keys, and docs/reference/kubectl-spillway.md
documents them: a key that exists keeps its meaning. A check that could not be made is a finding too, with severity
`info`, so that silence means that all is well.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from spillway.domain.overview.attention import ORDER, Severity


class Check(StrEnum):
    """What is checked."""

    KUBERNETES = "kubernetes"
    LEADER = "leader"
    CLOCKS = "clocks"
    WEBHOOKS = "webhooks"
    API_SERVICES = "api-services"
    RIGHTS = "rights"
    CONDITIONS = "conditions"
    SELECTORS = "selectors"
    DELETION_COSTS = "deletion-costs"
    AUTOSCALER = "autoscaler"
    TAINTS = "taints"
    PROMETHEUS = "prometheus"


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that is wrong, and what to do about it."""

    severity: Severity
    check: Check
    object: str
    """Kind/name or Kind/namespace/name of what it is about."""
    message: str
    remedy: str


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that was found."""

    cluster: str
    errors: int
    warnings: int
    checks: tuple[Check, ...]
    """All checks, also those without a finding."""
    findings: tuple[Finding, ...]
    """Most severe first, then in the order of `checks`."""


def report(cluster: str, findings: Iterable[Finding]) -> Report:
    """The report of these findings."""
    checks = tuple(Check)
    ordered = sorted(findings, key=lambda one: (ORDER.index(one.severity), checks.index(one.check), one.object))
    errors = sum(one.severity is Severity.ERROR for one in ordered)
    warnings = sum(one.severity is Severity.WARNING for one in ordered)
    return Report(cluster, errors, warnings, checks, tuple(ordered))


def not_checked(check: Check, what: str, why: str) -> Finding:
    """The finding that something could not be read."""
    return Finding(
        Severity.INFO,
        check,
        what,
        f"not checked: {why}",
        "Run the command as a user who may read this, for example a cluster administrator.",
    )
