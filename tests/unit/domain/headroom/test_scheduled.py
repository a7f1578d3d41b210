"""What the scaling schedules of a class ask for until a node that is ordered now is ready."""

from datetime import datetime
from typing import Any

import pytest

from spillway.api.scaling import Scaling
from spillway.domain.headroom.scheduled import ScheduledReplicas

AHEAD = 180.0
EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "1h", "replicas": 12}
SALE = {"name": "sale", "start": "2 18 * * *", "duration": "1m", "replicas": 30}
WRONG = {"name": "wrong", "start": "61 * * * *", "duration": "1h", "replicas": 90}


def _at(clock: str) -> float:
    return datetime.fromisoformat(f"2026-03-02T{clock}+00:00").timestamp()


def _scheduled(*schedules: dict[str, Any], **scaling: Any) -> ScheduledReplicas:
    return ScheduledReplicas(Scaling.model_validate({"schedules": schedules, **scaling}), AHEAD)


@pytest.mark.parametrize(
    ("clock", "replicas"),
    [
        ("17:50:00", 0),
        ("17:56:59", 0),
        ("17:57:00", 12),
        ("17:58:59", 12),
        # One that has ended again when the node is ready counts as well.
        ("17:59:30", 30),
        ("18:02:59", 30),
        ("18:03:00", 12),
        ("18:59:59", 12),
        ("19:00:00", 0),
    ],
)
def test_the_highest_number_until_a_node_is_ready_counts(clock: str, replicas: int) -> None:
    assert _scheduled(EVENING, SALE, WRONG).most(_at(clock)) == replicas


def test_with_schedule_only_the_number_outside_counts_where_no_entry_holds_at_the_end() -> None:
    """A schedule may also lower the number: a night of two replicas ends with the ten of the day."""
    night = {"name": "night", "start": "0 1 * * *", "duration": "5h", "replicas": 2}
    scheduled = _scheduled(night, scheduleOnly=True, minReplicas=10)
    found = [scheduled.most(_at(clock)) for clock in ("00:50:00", "00:58:00", "03:00:00", "05:56:59", "05:57:00")]
    assert found == [10, 2, 2, 2, 10]
    # Of others it is the minimum, which is asked for in any case.
    assert _scheduled(night, minReplicas=10).most(_at("05:57:00")) == 2


def test_it_changes_a_start_up_before_each_start_and_end() -> None:
    scheduled = _scheduled(EVENING)
    assert scheduled.changes_at(_at("12:00:00")) == _at("17:57:00")
    assert scheduled.changes_at(_at("17:57:00")) == _at("18:57:00")
    assert _scheduled().changes_at(_at("12:00:00")) == float("inf")
