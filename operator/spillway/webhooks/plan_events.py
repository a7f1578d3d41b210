"""Tells users of a planned scale-down by an Event on what they scaled: how many go, of which tier, and why.

Contract: said after the answer, never in the hold; a policy in Recommend says nothing on others' objects.
"""

from typing import Final

from spillway.kube.events import EventRecorder, Reference
from spillway.webhooks.plan_log import Listener, PlanEntry

PLANNED: Final = "ScaleDownPlanned"
LET_GO: Final = "ScaleDownLetGo"


def announcer(events: EventRecorder) -> Listener:
    """A listener of the plan log that records Events."""

    def announce(entry: PlanEntry) -> None:
        if entry.outcome == "recommend":
            return
        event_type, reason = ("Warning", LET_GO) if entry.let_go else ("Normal", PLANNED)
        events.record(_involved(entry), event_type, reason, entry.summary)

    return announce


def _involved(entry: PlanEntry) -> Reference:
    """The Deployment, where there is one: it is what users describe. Of other owners we do not know the API group."""
    deployed = entry.owner_kind == "Deployment"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment" if deployed else "ReplicaSet",
        "namespace": entry.namespace,
        "name": entry.owner_name if deployed else entry.replicaset,
        "uid": entry.owner_uid if deployed else entry.replicaset_uid,
    }
