"""The Event about a planned scale-down, on the object that was scaled: how many pods go, of which tier, and why.

Contract: recorded after the answer, never while the request is held. A policy in Recommend records no Event.
"""

from collections.abc import Callable
from typing import Final

from spillway.domain.model.owners import object_reference
from spillway.kube.events import Reference
from spillway.kube.protocols import Recorder
from spillway.webhooks.plan_log import PlanEntry

PLANNED: Final = "ScaleDownPlanned"
LET_GO: Final = "ScaleDownLetGo"


def announcer(events: Recorder) -> Callable[[PlanEntry], None]:
    """A listener of the plan log that records Events."""

    def announce(entry: PlanEntry) -> None:
        if entry.outcome == "recommend":
            return
        event_type, reason = ("Warning", LET_GO) if entry.let_go else ("Normal", PLANNED)
        events.record(_involved(entry), event_type, reason, entry.summary)

    return announce


def _involved(entry: PlanEntry) -> Reference:
    """The Deployment or Rollout, if there is one, because users describe that."""
    if not entry.owner_uid:
        return object_reference(
            "apps/v1", "ReplicaSet", entry.replicaset, entry.replicaset_uid, namespace=entry.namespace
        )
    return object_reference(
        entry.owner_api_version, entry.owner_kind, entry.owner_name, entry.owner_uid, namespace=entry.namespace
    )
