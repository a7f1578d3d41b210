"""How many of a Job's pods may be deleted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import OwnerUid
from spillway.domain.placement.job_retries import Retries

JOB = OwnerUid("job")


def job(failed: int = 0, **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"failed": failed}}


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        pytest.param(job(), 5, id="six by default"),
        pytest.param(job(4), 1, id="one to spare"),
        pytest.param(job(5), 0, id="the last is the job's own"),
        pytest.param(job(3, backoffLimit=6), 2, id="those that failed by themselves count beside ours"),
        pytest.param(job(backoffLimit=0), 0, id="none at all"),
        pytest.param(job(backoffLimit=100, backoffLimitPerIndex=1), 0, id="by index"),
        pytest.param({}, 5, id="nothing is known of it"),
    ],
)
def test_so_many_may_be_deleted_at_once(seen: dict[str, Any], wanted: int) -> None:
    retries = Retries()
    assert [retries.take(JOB, seen) for _ in range(8)] == [True] * wanted + [False] * (8 - wanted)
    assert retries.take(OwnerUid("another"), job())


@pytest.mark.parametrize(
    ("seen", "failed", "expected"),
    [
        pytest.param(job(), 1, False, id="six by default"),
        pytest.param(job(), 6, True, id="six have failed"),
        pytest.param(job(1, backoffLimit=1), 0, True, id="as the Job says"),
        pytest.param(job(0, backoffLimit=1), 1, True, id="the Job's status is late"),
        pytest.param(job(0, backoffLimit=2), 1, False, id="one more may fail"),
        pytest.param(job(backoffLimit=100, backoffLimitPerIndex=1), 1, True, id="by index"),
    ],
)
def test_the_last_try_of_a_job(seen: dict[str, Any], failed: int, *, expected: bool) -> None:
    assert Retries().last(JOB, seen, failed=failed) is expected


def test_pods_that_were_deleted_count_before_the_job_says_so() -> None:
    retries = Retries()
    assert retries.take(JOB, job(backoffLimit=3))
    assert not retries.last(JOB, job(backoffLimit=3), failed=0)
    assert retries.take(JOB, job(backoffLimit=3))
    assert not retries.last(JOB, job(backoffLimit=3), failed=0)
    assert retries.last(JOB, job(backoffLimit=3), failed=3)


def test_what_was_not_deleted_is_given_back() -> None:
    retries = Retries()
    retries.give_back(JOB)
    for _ in range(9):
        assert retries.take(JOB, job(backoffLimit=2))
        retries.give_back(JOB)


@given(st.lists(st.sampled_from(["delete", "refuse", "fails by itself", "is counted"]), max_size=60))
def test_we_never_fail_a_job(story: list[str]) -> None:
    """A deleted pod shows in the Job's status only later."""
    retries = Retries()
    deleted = failed = counted = 0
    for event in story:
        if event == "is counted":
            counted = failed + deleted
        elif event == "fails by itself":
            failed, counted = failed + 1, failed + deleted + 1
        elif retries.take(JOB, job(counted)):
            assert failed + deleted + 1 < 6, "the last is its own"
            if event == "delete":
                deleted += 1
            else:
                retries.give_back(JOB)


def test_no_namespace_makes_the_account_forget_the_jobs_of_another() -> None:
    retries = Retries()
    mine = job(backoffLimit=2) | {"metadata": {"namespace": "shop"}}
    assert retries.take(JOB, mine)
    for number in range(10_000):
        retries.take(OwnerUid(f"hostile-{number}"), job() | {"metadata": {"namespace": "hostile"}})
    assert not retries.take(JOB, mine)
