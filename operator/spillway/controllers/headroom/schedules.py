"""The scaling schedules that headroom follows, of all policies.

Contract: reads and never writes. Only policies whose headroom is `from: Forecast` count. What was parsed of a class is
kept while its `scaling` and the start-up of its nodes are as before.
"""

from collections.abc import Mapping

from spillway.api.scaling import Scaling
from spillway.controllers.base import World
from spillway.domain.headroom.scheduled import ScheduledReplicas
from spillway.domain.headroom.startup import node_startup_seconds

ClassKey = tuple[str, str]
"""The names of a policy and of its class."""


class SchedulesAhead:
    """The scaling schedules of the classes that have any."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._classes: dict[ClassKey, tuple[Scaling, float, ScheduledReplicas]] = {}

    def replicas(self, now: float) -> Mapping[ClassKey, int]:
        """The highest number that the schedules of each class ask for until a node that is ordered now is ready."""
        self._classes = self._compiled()
        return {key: scheduled.most(now) for key, (_, _, scheduled) in self._classes.items()}

    def changes_at(self, now: float) -> float:
        """When the last answer may change next by the clock, Unix seconds; infinite if never."""
        return min((scheduled.changes_at(now) for _, _, scheduled in self._classes.values()), default=float("inf"))

    def _compiled(self) -> dict[ClassKey, tuple[Scaling, float, ScheduledReplicas]]:
        found: dict[ClassKey, tuple[Scaling, float, ScheduledReplicas]] = {}
        for name, policy in self._world.governance.policies.items():
            headroom = policy.spec.headroom
            if headroom is None or headroom.from_ != "Forecast":
                continue
            for one in policy.spec.workloads:
                if one.scaling is None or not one.scaling.schedules:
                    continue
                key, ahead = (name, one.name), node_startup_seconds(headroom, one.scaling.forecast)
                before = self._classes.get(key)
                if before is not None and before[:2] == (one.scaling, ahead):
                    found[key] = before
                else:
                    found[key] = one.scaling, ahead, ScheduledReplicas(one.scaling, ahead)
        return found
