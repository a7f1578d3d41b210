"""Which days a user's entries are, and which day each of them is like."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.forecast import ForecastOccasion
from spillway.domain.forecast.named_days import occasions_within
from spillway.domain.forecast.occasions import Occasion

DAY = 86_400.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def entry(start: str, duration: str = "24h", **more: Any) -> ForecastOccasion:
    return ForecastOccasion.model_validate({"name": "day", "start": start, "duration": duration, **more})


def within(*entries: ForecastOccasion, begin: str = "2026-09-25", end: str = "2026-10-20") -> list[Occasion]:
    return list(occasions_within(entries, at(begin), at(end)))


def test_a_holiday_of_a_week_is_like_the_sunday_before_it() -> None:
    """1 October 2026 is a Thursday, so its week has a Sunday of its own, which is no day to be like."""
    found = within(entry("0 0 1 10 *", "168h", like="Sunday"))

    assert [(one.begin - at("2026-10-01")) / DAY for one in found] == list(range(7))
    assert [one.end - one.begin for one in found] == [DAY] * 7
    likened = {(one.begin - one.like_days_before * DAY - at("2026-09-27")) / DAY for one in found}
    assert likened == {0.0}
    assert {one.factor for one in found} == {1.0}


def test_a_sale_is_a_multiple_of_the_week_before_also_in_its_second_week() -> None:
    found = within(entry("0 0 1 10 *", "240h", factor="2.5"))

    assert [one.like_days_before for one in found] == [7] * 7 + [14] * 3
    assert {one.factor for one in found} == {2.5}


def test_an_evening_over_midnight_has_two_parts_in_its_own_time_zone() -> None:
    found = within(entry("0 20 11 10 *", "6h", timeZone="Asia/Shanghai", like="Saturday"))

    # 11 October 2026 is a Sunday; midnight there is 16:00 in UTC.
    assert found == [
        Occasion(at("2026-10-11T12:00"), at("2026-10-11T16:00"), 1, 1.0),
        Occasion(at("2026-10-11T16:00"), at("2026-10-11T18:00"), 2, 1.0),
    ]


def test_a_day_with_a_changed_clock_is_one_part() -> None:
    found = within(entry("0 0 25 10 *", timeZone="Europe/Berlin", duration="25h"), end="2026-10-30")

    assert [(one.end - one.begin) / 3600 for one in found] == [25.0]


def test_what_is_over_is_known_as_far_as_the_history_reaches_and_what_is_later_is_not() -> None:
    assert within(entry("0 0 24 9 *")) == []
    assert within(entry("0 12 24 9 *"))[-1].end == at("2026-09-25T12:00"), "its second half is in the span"
    assert within(entry("0 0 20 10 *")) == []


@pytest.mark.parametrize("wrong", [{"start": "61 0 1 10 *"}, {"start": "0 0 1 10 *", "timeZone": "Mars/Base"}])
def test_an_entry_that_is_not_valid_brings_none_and_others_count(wrong: dict[str, Any]) -> None:
    assert len(within(entry(**wrong), entry("0 0 1 10 *"))) == 1


def test_the_parts_are_bounded() -> None:
    assert len(within(entry("* * * * *", "1m"))) == 200


@given(
    hour=st.integers(0, 23),
    hours=st.integers(1, 400),
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu"]),
    like=st.sampled_from([None, "Monday", "Wednesday", "Sunday"]),
)
def test_the_parts_join_and_none_is_like_a_day_of_the_same_period(
    hour: int, hours: int, zone: str, like: str | None
) -> None:
    more = {"like": like} if like else {}
    found = within(entry(f"0 {hour} 5 10 *", f"{hours}h", timeZone=zone, **more), end="2026-11-20")

    assert found[-1].end - found[0].begin == hours * 3600.0
    assert all(left.end == right.begin for left, right in pairwise(found))
    for one in found:
        assert one.end - one.like_days_before * DAY <= found[0].begin
