import pytest

from spillway.admission.deadline import Deadline, hold_seconds


@pytest.mark.parametrize(
    ("bound", "asked", "expected"),
    [
        (1.5, "2s", 1.5),
        (1.5, "1s", 0.75),
        (1.5, "1.5s", 1.25),
        (1.5, "500ms", 0.25),
        (1.5, "3s", 1.5),
        (1.5, "1m2s", 1.5),
        (3600.0, "10s", 1.75),
        (1.5, "", 1.5),
        (1.5, "soon", 1.5),
        (1.5, "100ms", 0.05),
    ],
)
def test_the_shorter_time_counts_whatever_a_caller_asks_for(bound: float, asked: str, expected: float) -> None:
    assert hold_seconds(bound, asked) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "expected"), [("2s", 1.5), ("3s", 2.5), ("10s", 9.5), ("30s", 9.5), ("", 1.5), ("100ms", 0.05)]
)
def test_a_longer_timeout_of_the_webhooks_extends_the_bound(asked: str, expected: float) -> None:
    assert hold_seconds(1.5, asked, 10.0) == pytest.approx(expected)


def test_time_runs_out_and_never_below_zero() -> None:
    now = [100.0]
    deadline = Deadline(lambda: now[0], 1.0)
    assert deadline.within(0.3) == 0.3
    now[0] = 100.9
    assert deadline.within(0.3) == pytest.approx(0.1)
    assert deadline.elapsed == pytest.approx(0.9)
    assert deadline.patience(0.05) == pytest.approx(0.05)
    now[0] = 102.0
    assert deadline.remaining == 0.0


def test_a_request_that_may_be_held_longer_waits_longer_for_the_answers_of_others() -> None:
    deadline = Deadline(lambda: 0.0, 10.0)
    assert (deadline.within(0.3), deadline.patience(0.3), deadline.patience(3.0)) == (0.3, 1.5, 10.0)
