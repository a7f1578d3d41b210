"""The recommended replicas of one workload: the highest of the active schedules and of its forecast demand.

Contract: pure. The number is within the bounds of the workload's autoscaler and of its class, and there always is one.
A forecast only adds replicas: it never lowers what the schedules and the present demand ask for. A peak that it
predicts within its window, or soon after it, holds a scale-down back, and noise causes none. While a
forecast of mode Active is missing or too old, the schedules count alone where the autoscaler also goes by another
metric; where it goes by this number alone, or that is not known, the present number of replicas is kept, because to
know nothing is no reason to scale down. Without a target nothing is forecast, so a forecast has no effect.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from spillway.api.scaling import ReplicaSchedule, Scaling
from spillway.domain.scaling.demand import DemandForecast
from spillway.domain.scaling.rate import Steps, horizon_seconds, next_step
from spillway.domain.scaling.settled import settled


class ScalingReason(StrEnum):
    """What the recommended number follows from."""

    SCHEDULE = "Schedule"
    FORECAST = "Forecast"
    MINIMUM = "Minimum"
    """No schedule is active and no forecast asks for more."""
    CURRENT = "CurrentReplicas"
    """No forecast is known, and no other metric would scale the workload."""
    HELD = "ScalingsPerHour"
    """The bound on scalings per hour keeps an earlier number, or takes a step before it is needed."""


class ForecastState(StrEnum):
    """Whether the forecast of a workload counts."""

    COUNTS = "Counts"
    PREVIEW = "Preview"
    STALE = "Stale"
    MISSING = "Missing"
    DISABLED = "Disabled"
    """The class asks for none, or has no target, without which there is no demand to forecast."""


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """What is known of the HorizontalPodAutoscaler that scales a workload."""

    name: str
    minimum: int
    maximum: int
    other_metrics: bool
    """Whether it goes by other metrics besides the recommended number."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a recommendation follows from, besides the spec."""

    current: int
    """The replicas that the workload requests now."""
    active: Sequence[ReplicaSchedule] = ()
    """The schedules that hold now."""
    upcoming: Sequence[ReplicaSchedule] = ()
    """Those that hold at some time within `ahead_seconds`; a superset of `active`."""
    forecast: DemandForecast | None = None
    autoscaler: Autoscaler | None = None
    settling: bool = False
    """Whether this process has led for too short a time to have a forecast of its own."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended replicas of one workload, and why."""

    replicas: int
    reason: ScalingReason
    schedule: str = ""
    """The schedule that gives the number, for the reason SCHEDULE."""
    active: bool = True
    """Whether anything asks for a replica at all, whatever the autoscaler's minimum is: KEDA scales to zero where
    nothing does."""
    forecast: int | None = None
    """The replicas that the forecast alone would give, also where it does not count; settled against those of the last
    recommendation."""
    forecast_state: ForecastState = ForecastState.DISABLED
    steps: Steps | None = None
    """For the next recommendation, where scalings per hour are bounded."""

    @property
    def number(self) -> "Number":
        """What autoscalers are told of it."""
        return Number(self.replicas, self.active)


class Number(NamedTuple):
    """The recommended replicas of one workload, as autoscalers are told."""

    replicas: int
    active: bool
    """Whether anything asks for a replica at all."""


Numbers = Callable[[str, Callable[[str], bool]], Awaitable[Mapping[str, Number]]]
"""Given a namespace and which workloads are wanted: their numbers, by workload."""
FindNumber = Callable[[str, str], Awaitable[Number | None]]
"""Given a namespace and a workload in it: its number, None if it has none."""


def ahead_seconds(scaling: Scaling, before: Recommendation | None, now: float) -> float:
    """How far ahead of `now` schedules count for the next recommendation; 0 where scalings are not bounded."""
    if scaling.max_scalings_per_hour is None or scaling.schedule_only:
        return 0.0
    return horizon_seconds(None if before is None else before.steps, now, per_hour=scaling.max_scalings_per_hour)


def recommend(scaling: Scaling, asked: Asked, now: float, before: Recommendation | None = None) -> Recommendation:
    """The recommendation at `now`, Unix seconds; `before` is the last one."""
    state = _forecast_state(scaling, asked.forecast, now)
    forecast = None if asked.forecast is None else settled(asked.forecast, _settled_before(asked, before))
    counted = forecast if state is ForecastState.COUNTS and not scaling.schedule_only else None
    wanted, reason, schedule = _highest(scaling, asked, asked.active, counted, state)
    active = _bounded(scaling, None, wanted) > 0
    bounded = _bounded(scaling, asked.autoscaler, wanted)
    if bounded > wanted:
        reason, schedule = ScalingReason.MINIMUM, ""
    # The API server refuses both fields together, but an earlier version may have stored them.
    if scaling.max_scalings_per_hour is None or scaling.schedule_only:
        return Recommendation(bounded, reason, schedule, active, forecast, state)
    later, _, _ = _highest(scaling, asked, (*asked.active, *asked.upcoming), counted, state)
    ahead = max(bounded, _bounded(scaling, asked.autoscaler, later))
    earlier = None if before is None else before.steps
    steps = earlier or Steps(_first(scaling, asked, ahead), now)
    steps = next_step(steps, bounded, ahead, now, per_hour=scaling.max_scalings_per_hour)
    held = _bounded(scaling, asked.autoscaler, steps.replicas)
    if held != bounded:
        reason, schedule = ScalingReason.HELD, ""
    return Recommendation(held, reason, schedule, active, forecast, state, steps)


def _settled_before(asked: Asked, before: Recommendation | None) -> int:
    """The number against which a forecast is settled; without an earlier one the replicas that exist."""
    return asked.current if before is None or before.forecast is None else before.forecast


def _first(scaling: Scaling, asked: Asked, ahead: int) -> int:
    """The number with which a bounded rate begins: a new leader does not know the steps before it, and takes none."""
    return max(ahead, _bounded(scaling, asked.autoscaler, asked.current))


def _forecast_state(scaling: Scaling, forecast: DemandForecast | None, now: float) -> ForecastState:
    if not scaling.forecasts:
        return ForecastState.DISABLED
    if forecast is None:
        return ForecastState.MISSING
    if forecast.is_stale(now):
        return ForecastState.STALE
    return ForecastState.COUNTS if scaling.acts_on_forecast else ForecastState.PREVIEW


def _highest(
    scaling: Scaling, asked: Asked, schedules: Sequence[ReplicaSchedule], forecast: int | None, state: ForecastState
) -> tuple[int, ScalingReason, str]:
    """The highest number that something asks for, and what does; a schedule counts before a forecast of the same."""
    if scaling.schedule_only:
        first = max(schedules, key=lambda one: one.replicas, default=None)
        outside = scaling.min_replicas or 0
        return (
            (first.replicas, ScalingReason.SCHEDULE, first.name)
            if first is not None
            else (outside, ScalingReason.MINIMUM, "")
        )
    found: list[tuple[int, ScalingReason, str]] = [
        (one.replicas, ScalingReason.SCHEDULE, one.name) for one in schedules
    ]
    if forecast is not None:
        found.append((forecast, ScalingReason.FORECAST, ""))
    elif _keeps_current(scaling, asked, state):
        found.append((asked.current, ScalingReason.CURRENT, ""))
    return max(found, key=lambda one: one[0], default=(0, ScalingReason.MINIMUM, ""))


def _keeps_current(scaling: Scaling, asked: Asked, state: ForecastState) -> bool:
    if not scaling.acts_on_forecast or state not in {ForecastState.MISSING, ForecastState.STALE}:
        return False
    return asked.settling or asked.autoscaler is None or not asked.autoscaler.other_metrics


def _bounded(scaling: Scaling, autoscaler: Autoscaler | None, replicas: int) -> int:
    """Within both bounds; where those of the class and of the autoscaler contradict, the autoscaler's count."""
    if scaling.max_replicas is not None:
        replicas = min(replicas, scaling.max_replicas)
    if not scaling.schedule_only:
        replicas = max(replicas, scaling.min_replicas or 0)
    return replicas if autoscaler is None else min(max(replicas, autoscaler.minimum), autoscaler.maximum)
