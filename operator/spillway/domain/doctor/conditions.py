"""The findings about conditions that are not good, each with its remedy.

Contract: pure. The remedies name runbooks of docs/runbooks, or say what to change; a condition without one of its own
refers to its message, which says what is wrong.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.overview.attention import STATUS_UNREAD, Attention

_READ_MESSAGE: Final = "The message says what to change; docs/reference/conditions.md explains every reason."
REMEDIES: Final = {
    "Ready": _READ_MESSAGE,
    "Accepting": "See `kubectl spillway explain pool NAME`; if it is held, `kubectl spillway uncordon NAME` opens it.",
    "Healthy": "See the runbook SpillwayPoolUnhealthy.",
    "InStock": "See the runbook SpillwayPoolOutOfStock.",
    "AtLimit": "See the runbook SpillwayPoolAtLimit.",
    "NearLimit": "See the runbook SpillwayPoolNearLimit.",
    "Degraded": "See the runbook SpillwayInformerStale.",
    "ForeignWriter": "See the runbook SpillwayForeignWriter.",
    "StalePlan": "See the runbook SpillwayPlanStale.",
    "ForecastStale": "See the runbook SpillwayForecastStale.",
    "LoadDataStale": "See the runbook SpillwayLoadDataStale.",
    "HeadroomReady": "See the runbook SpillwayHeadroomMissing.",
    "Learning": "Wait until there are two days of history; with another reason than LearningHistory, check Prometheus.",
    "NotImplemented": "Remove the fields that the message names: they have no effect.",
    "OverlayInvalid": "Correct the podOverlay of the VirtualNodeBudget; the message names the fields.",
    "PodsRefused": "Change what the message says of the workload's pods, or the podOverlay of the pool.",
    "ForeignDescheduler": (
        "Stop the other descheduler, or set the moves of Spillway to DryRun. The last run of a CronJob counts for an "
        "hour, unless its finished Jobs are deleted."
    ),
    STATUS_UNREAD: "Look at the operator's pods and its log: see the runbook SpillwayNoLeader.",
}
"""By the type of the condition."""


def condition_findings(attention: Iterable[Attention]) -> Iterator[Finding]:
    """One finding for each condition that needs attention."""
    for one in attention:
        yield Finding(
            one.severity,
            Check.CONDITIONS,
            f"{one.kind}/{one.name}",
            f"{one.condition} ({one.reason}): {one.message}",
            REMEDIES.get(one.condition, _READ_MESSAGE),
        )
