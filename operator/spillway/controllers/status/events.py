"""The Events that follow from a change of conditions.

Contract: pure. One Event for each condition that has turned: for the worse as a Warning, back as Normal. A condition
that is as usual when it first appears causes none.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from spillway.api.conditions import NORMALLY_TRUE, Condition, ConditionStatus


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
        usual = (condition.status is ConditionStatus.TRUE) == (condition.type in NORMALLY_TRUE)
        if status is not None or not usual:
            yield ConditionEvent("Normal" if usual else "Warning", condition.reason, condition.message)
