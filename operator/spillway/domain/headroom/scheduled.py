"""The replicas that the scaling schedules of one class ask for until a node that is ordered now is ready.

Contract: no clock of its own; times are Unix seconds. An entry that is not valid never counts.
"""

from spillway.api.scaling import Scaling
from spillway.domain.model.recurring import Timetable


class ScheduledReplicas:
    """The schedules of one class; `ahead_seconds` is the start-up of a node."""

    def __init__(self, scaling: Scaling, ahead_seconds: float) -> None:
        self._ahead = ahead_seconds
        self._until = Timetable(scaling.schedules)
        self._then = Timetable(scaling.schedules)
        self._outside = (scaling.min_replicas or 0) if scaling.schedule_only else 0

    def most(self, now: float) -> int:
        """The highest number of replicas that they ask for from `now` until a node is ready; 0 if they ask for none.

        With `scheduleOnly` that is `minReplicas` where no entry holds at the end.
        """
        then = now + self._ahead
        found = [one.replicas for one in self._until.upcoming(now, then)]
        if self._outside and not self._then.at(then)[0]:
            found.append(self._outside)
        return max(found, default=0)

    def changes_at(self, now: float) -> float:
        """When the next start or end comes within the start-up of a node; infinite if none comes."""
        return self._then.at(now + self._ahead)[1] - self._ahead
