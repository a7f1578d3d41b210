"""The Events that follow from a change of conditions.

Contract: pure. One Event for each condition that has turned: for the worse as a Warning, back as Normal. A condition
that is as usual when it first appears causes none, and neither does one that repeats what another condition says.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from spillway.api.conditions import (
    ACCEPTING,
    HEADROOM_READY,
    NORMALLY_TRUE,
    RECONCILING,
    STALLED,
    Condition,
    ConditionStatus,
)

_REPEATING: Final = frozenset({RECONCILING, STALLED})
"""They follow from `Ready`."""
_HAS_ITS_OWN: Final = frozenset({"Unhealthy", "Retrying", "OutOfStock", "LimitReached"})
"""Reasons of `Accepting` that follow from `Healthy`, `InStock` and `AtLimit`."""
_WANTED: Final = {
    ACCEPTING: frozenset({"Held", "Draining", "Drained", "Closing", "Opening"}),
    HEADROOM_READY: frozenset({"Recommended", "WaitingForNodes"}),
}
"""By condition, the reasons that the user asked for, or that are part of every rise."""


class ConditionEvent(NamedTuple):
    """The type, reason and message of an Event."""

    type: str
    reason: str
    message: str


def condition_events(
    before: Iterable[Condition], after: Iterable[Condition], announce: Collection[str] = ()
) -> Iterator[ConditionEvent]:
    """The Events to emit once `after` is written; conditions in `announce` cause one even if they did not turn."""
    old = {condition.type: condition.status for condition in before}
    for condition in after:
        status = old.get(condition.type)
        if condition.status == status and condition.type not in announce:
            continue
        if condition.type in _REPEATING or (condition.type == ACCEPTING and condition.reason in _HAS_ITS_OWN):
            continue
        usual = (condition.status is ConditionStatus.TRUE) == (condition.type in NORMALLY_TRUE)
        if status is not None or not usual:
            normal = usual or condition.reason in _WANTED.get(condition.type, ())
            yield ConditionEvent("Normal" if normal else "Warning", condition.reason, condition.message)
