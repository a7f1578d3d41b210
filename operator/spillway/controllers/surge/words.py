"""The wording of Events and statuses about surges: why a workload does not surge, and why a surge was undone."""

from collections.abc import Mapping
from typing import Final

from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import SurgeOutcome

LISTED: Final = 10
"""Moves, and workloads that are left, that a status names."""
_TOLD: Final[dict[Left | SurgeOutcome, str]] = {
    Left.SETTLING: "its workload has just changed",
    Left.MOVED_RECENTLY: "it came by a move a short time ago",
    Left.NO_EFFECT: "the last moves did not make the zones of its workload more even, or not for an hour",
    Left.ZONE_DOWN: "a zone is down, or has come back a short time ago",
    Left.NO_ROOM: "no other node has room for one more replica",
    Left.ROLLOUT: "a rollout is in progress",
    Left.PAUSED: "its workload is paused",
    Left.NOT_READY: "not every replica is ready",
    Left.AUTOSCALER_AT_MAXIMUM: "the HorizontalPodAutoscaler allows no additional replica",
    Left.AT_QUOTA: "a ResourceQuota has no room for one more replica",
    Left.POOL_HELD: "one of the replicas is on a pool of virtual nodes that is held",
    Left.SINGLE_REPLICA: "it is the only replica",
    Left.FOREIGN_WRITER: "another client writes deletion costs, so it is not known which replica would be deleted",
    Left.EXACT_REPLICAS: "the class of its workload has scheduleOnly, so only its schedules change how many there are",
    Left.UNREAD: "its workload, or what bounds its replicas, could not be read",
    Left.NOT_GOVERNED: "the policy does not govern its workload",
    Left.DO_NOT_DISRUPT: "an annotation asks node autoscalers to leave it where it is",
    Left.DISRUPTION_BUDGET: "the disruption budgets of its NodePool allow no further node now",
    Left.VOLUMES: "it uses volumes that may be bound to its node",
    Left.CANNOT_SURGE: "its workload cannot run an additional replica for a while",
    SurgeOutcome.NO_ROOM: "no node took one more replica",
    SurgeOutcome.NOT_READY: "not every replica was ready in time",
    SurgeOutcome.NO_GAIN: "one more replica came to the same node",
    SurgeOutcome.REFUSED: "the API server refused one more replica, or answered with an error",
    SurgeOutcome.OVERTAKEN: "another client scaled the workload in the meantime",
    SurgeOutcome.NOT_DELETED: "another pod was deleted instead, or another client added a replica before",
    SurgeOutcome.WITHDRAWN: "the move is not wanted any more, or the API server was not reached",
    SurgeOutcome.FORGOTTEN: "the mark of the surge was too old",
}


def told(result: Left | SurgeOutcome) -> str:
    """Why a pod was not moved, as a clause."""
    return _TOLD[result]


def left_lines(left: Mapping[str, Left | SurgeOutcome]) -> tuple[str, ...]:
    """The lines of a status about the first workloads that are left as they are, and why."""
    return tuple(f"{name}: {reason.value}" for name, reason in sorted(left.items())[:LISTED])
