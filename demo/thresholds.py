"""The thresholds of the day's workloads: how many replicas are worth elastic nodes. Pure.

Contract: the demo's day has no history from which the operator could plan, so the thresholds are computed from the day
itself and set by the annotation that a user would write. A replica is kept on physical nodes if it is needed for more
than `KEPT_FROM_SHARE` of the day: an elastic node costs that share of what virtual pods of its size cost, and stands
while its last pod does.
"""

from typing import Final

from demo.scenario import HOURS, Day, desired_replicas

KEPT_FROM_SHARE: Final = 0.25
_STEPS: Final = 288


def thresholds(day: Day, *, kept_from_share: float = KEPT_FROM_SHARE) -> dict[str, int]:
    """The threshold of each workload: the most replicas of which the last is still needed for long enough."""
    found = {}
    for workload in day.workloads:
        needed = sorted(
            (desired_replicas(workload, workload.load(step * HOURS / _STEPS)) for step in range(_STEPS)), reverse=True
        )
        found[workload.name] = needed[int(kept_from_share * _STEPS)]
    return found
