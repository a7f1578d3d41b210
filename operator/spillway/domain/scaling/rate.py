"""The bound on scalings per hour: fewer, larger, earlier steps of a recommended number of replicas.

Contract: pure. Within any hour the number changes at most as often as allowed. A step up goes to the highest number
that is foreseen until the next step is certainly possible, so that it covers the coming rise. A step down waits
until a share of the hour has passed since the last change, and leaves one change of the hour for a step up.
"""

from dataclasses import dataclass

from spillway.domain.model.units import HOUR_SECONDS


@dataclass(frozen=True, slots=True)
class Steps:
    """The number in force, and when it was changed within the last hour."""

    replicas: int
    since: float
    """Unix seconds: since when it is in force."""
    changed: tuple[float, ...] = ()
    """Unix seconds, the earliest first."""


def pause_seconds(per_hour: int) -> float:
    """The time that one step is meant to last."""
    return HOUR_SECONDS / per_hour


def horizon_seconds(steps: Steps | None, now: float, *, per_hour: int) -> float:
    """How far ahead a step at `now` has to look: until the next step up is certainly possible, at least a pause.

    After the last step of an hour, that is when its first one is an hour ago.
    """
    recent = () if steps is None else _recent(steps, now)
    if len(recent) + 1 < per_hour:
        return pause_seconds(per_hour)
    first = recent[0] if recent else now
    return max(pause_seconds(per_hour), first + HOUR_SECONDS - now)


def window_seconds(window: float, startup: float, *, per_hour: int | None) -> float:
    """How far ahead the demand has to be forecast: at least a pause from when the replicas of a step are ready.

    `window` is what the class asks for, `startup` the time that a replica takes, both in seconds; `per_hour` is None
    without a bound.
    """
    return window if per_hour is None else max(window, startup + pause_seconds(per_hour))


def next_step(steps: Steps, wanted: int, ahead: int, now: float, *, per_hour: int) -> Steps:
    """The number in force at `now`.

    `wanted` is what is needed now, and `ahead` the highest that is foreseen within `horizon_seconds`, at least
    `wanted`.
    """
    recent = _recent(steps, now)
    if steps.replicas < wanted and len(recent) < per_hour:
        return Steps(ahead, now, (*recent, now))
    spared = len(recent) < max(1, per_hour - 1)
    if ahead < steps.replicas and spared and now - steps.since >= pause_seconds(per_hour):
        return Steps(ahead, now, (*recent, now))
    return Steps(steps.replicas, steps.since, recent)


def _recent(steps: Steps, now: float) -> tuple[float, ...]:
    """The changes within the hour before `now`."""
    return tuple(one for one in steps.changed if now - one < HOUR_SECONDS)
