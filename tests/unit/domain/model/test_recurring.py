from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.api.scaling import ReplicaSchedule
from spillway.domain.model.recurring import CronError, Recurrence, Timetable, check_cron, recurrence_of, zone_of

HOUR = 3600.0
BERLIN = "Europe/Berlin"
"""Clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 to 02:00 on 25 October 2026."""


def _schedule(
    start: str, duration: str = "1h", zone: str = "UTC", name: str = "one", replicas: int = 5
) -> ReplicaSchedule:
    return ReplicaSchedule.model_validate(
        {"name": name, "start": start, "duration": duration, "timeZone": zone, "replicas": replicas}
    )


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _starts(cron: str, zone: str, after: str, count: int) -> list[str]:
    recurrence = recurrence_of(_schedule(cron, zone=zone))
    found = recurrence.starts_after(_at(after))
    return [datetime.fromtimestamp(next(found), ZoneInfo(zone)).isoformat() for _ in range(count)]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 18 * * *", "UTC", "2026-03-01T18:00+00:00", ["2026-03-02T18:00:00+00:00", "2026-03-03T18:00:00+00:00"]),
        ("0 18 * * *", "Asia/Shanghai", "2026-03-01T00:00+00:00", ["2026-03-01T18:00:00+08:00"]),
        # The hour from 02:00 to 03:00 does not exist: the first moment after it.
        (
            "30 2 * * *",
            BERLIN,
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        # The hour from 02:00 to 03:00 comes twice: the first time.
        (
            "30 2 * * *",
            BERLIN,
            "2026-10-24T12:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        # Asked between the two: it has been.
        ("30 2 * * *", BERLIN, "2026-10-25T02:10+01:00", ["2026-10-26T02:30:00+01:00"]),
        # What repeats by the minute goes on through both.
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-25T02:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"],
        ),
        # By half an hour, from 02:00 to 02:30: the moment of the change matches.
        (
            "30 * * * *",
            "Australia/Lord_Howe",
            "2026-10-04T01:00+10:30",
            ["2026-10-04T01:30:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-04T03:30:00+11:00"],
        ),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00+00:00", ["2028-02-29T00:00:00+00:00"]),
        ("0 9 ? * FRI#2", "UTC", "2026-01-01T00:00+00:00", ["2026-01-09T09:00:00+00:00"]),
        ("0 9 13 * FRI", "UTC", "2026-02-01T00:00+00:00", ["2026-02-06T09:00:00+00:00", "2026-02-13T09:00:00+00:00"]),
        ("0 9 L * *", "UTC", "2026-02-01T00:00+00:00", ["2026-02-28T09:00:00+00:00"]),
    ],
)
def test_starts(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert _starts(cron, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("now", "active", "changes"),
    [
        ("2026-03-01T17:59:59+08:00", False, "2026-03-01T18:00+08:00"),
        ("2026-03-01T18:00:00+08:00", True, "2026-03-01T23:00+08:00"),
        ("2026-03-01T22:59:59+08:00", True, "2026-03-01T23:00+08:00"),
        ("2026-03-01T23:00:00+08:00", False, "2026-03-02T18:00+08:00"),
    ],
)
def test_it_holds_from_its_start_until_just_before_its_end(now: str, *, active: bool, changes: str) -> None:
    recurrence = recurrence_of(_schedule("0 18 * * *", "5h", "Asia/Shanghai"))
    assert recurrence.at(_at(now)) == (active, _at(changes))


@pytest.mark.parametrize(
    ("start", "ends"),
    [("2026-03-29T00:00+01:00", "2026-03-29T05:00+02:00"), ("2026-10-25T00:00+02:00", "2026-10-25T03:00+01:00")],
)
def test_the_duration_is_of_real_time_where_clocks_change(start: str, ends: str) -> None:
    recurrence = recurrence_of(_schedule("0 0 * * *", "4h", BERLIN))
    assert recurrence.at(_at(start)) == (True, _at(ends))
    assert recurrence.at(_at(ends) - 1)[0]
    assert not recurrence.at(_at(ends))[0]


def test_periods_without_a_gap_are_one() -> None:
    active, until = recurrence_of(_schedule("0 */6 * * *", "6h")).at(_at("2026-03-01T07:00+00:00"))
    assert active
    assert until > _at("2026-03-02T07:00+00:00")
    overlapping = recurrence_of(_schedule("0 8,9 * * *", "2h"))
    assert overlapping.at(_at("2026-03-01T08:30+00:00")) == (True, _at("2026-03-01T11:00+00:00"))


def test_no_time_at_all_never_holds() -> None:
    assert not recurrence_of(_schedule("* * * * *", "0s")).at(_at("2026-03-01T00:00+00:00"))[0]


@settings(max_examples=40, deadline=None)
@given(
    minute=st.sampled_from(["0", "30", "15,45", "*/20", "*"]),
    hour=st.sampled_from(["2", "1-3", "*/2", "*", "0,3,23"]),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "UTC", "Asia/Kathmandu"]),
    day=st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
    duration=st.integers(min_value=1, max_value=300),
)
def test_it_holds_exactly_within_a_duration_of_a_start(
    minute: str, hour: str, zone: str, day: str, duration: int
) -> None:
    recurrence = Recurrence(f"{minute} {hour} * * *", duration * 60.0, zone_of(zone))
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    first, last = (noon - timedelta(hours=30)).timestamp(), (noon + timedelta(hours=30)).timestamp()
    starts = []
    for start in recurrence.starts_after(first - duration * 60):
        if start > last:
            break
        starts.append(start)
    assert starts == sorted(set(starts))
    # Every hour that exists and matches by the clock on the wall has its start, the first time that it is reached.
    walls = {datetime.fromtimestamp(one, zone_of(zone)).replace(tzinfo=None) for one in starts}
    moment = first + 1
    minutes, hours = _matching(minute, 60), _matching(hour, 24)
    while moment < last:
        wall = datetime.fromtimestamp(moment, zone_of(zone)).replace(second=0, microsecond=0, tzinfo=None)
        assert (wall.minute not in minutes or wall.hour not in hours) or wall in walls or moment < first + HOUR
        moment += 60
    for step in range(int(first), int(last), 1801):
        active, until = recurrence.at(step)
        assert active == any(start <= step < start + duration * 60 for start in starts)
        assert until > step
        # Nothing changes before that.
        if until < last:
            assert recurrence.at(until - 1)[0] is active


def _matching(field: str, size: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        bounds = (0, size - 1) if span == "*" else (int(low), int(high or low))
        found |= set(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 18 * *", "must have five"),
        ("0 0 18 * * *", "must have five"),
        ("60 18 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "day of week"),
        ("*/0 * * * *", "minute"),
        ("10-5 * * * *", "minute"),
        ("? * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("@daily * * * *", "minute"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6 *", "never comes"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(text: str, says: str) -> None:
    with pytest.raises(CronError, match=says) as caught:
        check_cron(text)
    assert "for example" in str(caught.value)


@given(st.lists(st.text(alphabet="0123456789*/,-?#LWFRIJANMOE", min_size=1, max_size=6), min_size=5, max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_text_is_either_refused_or_comes_again(words: list[str]) -> None:
    try:
        expression = check_cron(" ".join(words))
    except CronError:
        return
    now = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    assert next(Recurrence(expression, 60.0, zone_of(BERLIN)).starts_after(now)) > now


def test_overlapping_entries_hold_together_and_the_next_change_is_the_nearest() -> None:
    table = Timetable(
        [
            _schedule("0 8 * * *", "10h", name="day", replicas=10),
            _schedule("0 12 * * *", "1h", name="lunch", replicas=20),
        ]
    )
    active, changes = table.at(_at("2026-03-01T12:30+00:00"))
    assert [one.name for one in active] == ["day", "lunch"]
    assert max(one.replicas for one in active) == 20
    assert changes == _at("2026-03-01T13:00+00:00")
    active, changes = table.at(_at("2026-03-01T07:00+00:00"))
    assert (active, changes) == ((), _at("2026-03-01T08:00+00:00"))
    # Time may go back as well: a backtest begins again.
    assert [one.name for one in table.at(_at("2026-02-01T12:30+00:00"))[0]] == ["day", "lunch"]
    upcoming = table.upcoming(_at("2026-03-01T07:45+00:00"), _at("2026-03-01T08:15+00:00"))
    assert [one.name for one in upcoming] == ["day"]


def test_an_entry_that_is_not_valid_fails_alone() -> None:
    table = Timetable(
        [
            _schedule("0 8 * * *", name="good"),
            _schedule("0 8 * * *", zone="Mars/Olympus", name="zone"),
            _schedule("0 99 * * *", name="hour"),
        ]
    )
    assert [one.name for one in table.at(_at("2026-03-01T08:30+00:00"))[0]] == ["good"]
    assert set(table.problems) == {"[zone].timeZone", "[hour].start"}
    assert "Mars/Olympus" in table.problems["[zone].timeZone"]
    assert "hour" in table.problems["[hour].start"]


def test_an_empty_table_never_changes() -> None:
    assert Timetable[ReplicaSchedule]([]).at(0.0) == ((), float("inf"))
