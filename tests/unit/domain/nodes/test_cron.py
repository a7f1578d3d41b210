import pytest

from spillway.domain.nodes.cron import CronError, parse_cron


def test_a_daily_time() -> None:
    cron = parse_cron("0 18 * * *")
    assert cron.minutes == {0}
    assert cron.hours == {18}
    assert cron.days == frozenset(range(1, 32))
    assert cron.weekdays == frozenset(range(7))
    assert not cron.either_day


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("*/15 * * * *", "minutes", {0, 15, 30, 45}),
        ("5/20 * * * *", "minutes", {5, 25, 45}),
        ("0 8-18/5 * * *", "hours", {8, 13, 18}),
        ("0 0 1,15 * *", "days", {1, 15}),
        ("0 0 1 jan-MAR *", "months", {1, 2, 3}),
        ("0 0 * * MON-FRI", "weekdays", {1, 2, 3, 4, 5}),
        ("0 0 * * 5-7", "weekdays", {5, 6, 0}),
        ("0 0 ? * 0", "weekdays", {0}),
    ],
)
def test_ranges_lists_steps_and_names(text: str, field: str, expected: set[int]) -> None:
    assert getattr(parse_cron(text), field) == expected


def test_two_restricted_day_fields_mean_either() -> None:
    assert parse_cron("0 0 13 * FRI").either_day


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 18 * *", "must have five"),
        ("60 18 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "day of week"),
        ("0 0 * * FRI#2", "day of week"),
        ("0 0 L * *", "day of month"),
        ("*/0 * * * *", "minute"),
        ("10-5 * * * *", "minute"),
        ("? * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6 *", "never comes"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(text: str, says: str) -> None:
    with pytest.raises(CronError, match=says) as caught:
        parse_cron(text)
    assert "for example" in str(caught.value)


def test_a_leap_day_comes() -> None:
    assert parse_cron("0 0 29 2 *").days == {29}
