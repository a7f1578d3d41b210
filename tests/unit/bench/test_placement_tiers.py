"""Twin of tests/bench/placement_tiers.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.placement_tiers import Census, Count, count, figures, wrong

counts = st.integers(0, 60)


@pytest.mark.parametrize(
    ("census", "threshold", "expected"),
    [
        pytest.param(Census(10, 2), 10, 0, id="as-the-threshold-says"),
        pytest.param(Census(7, 0), 10, 0, id="below-it-all-physical"),
        pytest.param(Census(9, 3), 10, 1, id="one-spilled"),
        pytest.param(Census(12, 0), 10, 2, id="two-beyond-on-owned-nodes"),
        pytest.param(Census(9, 2, 1), 10, 0, id="one-on-its-way"),
        pytest.param(Census(0, 0, 12), 10, 0, id="none-landed-yet"),
        pytest.param(Census(8, 2), 10, 2, id="virtual-though-below"),
        pytest.param(Census(5, 0), 0, 5, id="threshold-zero"),
        pytest.param(Census(5, 3), None, 3, id="no-threshold-means-physical"),
    ],
)
def test_wrong(census: Census, threshold: int | None, expected: int) -> None:
    assert wrong(census, threshold) == expected


@given(counts, counts, counts, st.none() | counts)
def test_no_more_are_wrong_than_stand_somewhere(
    physical: int, virtual: int, unassigned: int, threshold: int | None
) -> None:
    found = wrong(Census(physical, virtual, unassigned), threshold)
    assert 0 <= found <= physical + virtual
    if not unassigned:
        right = physical if threshold is None else min(physical, threshold)
        assert found >= physical - right


def test_workloads_add_up() -> None:
    assert count([(Census(3, 1), 4), (Census(2, 0, 1), 2), (Census(4, 0), 3)]) == Count(2, 11, 1)


def test_figures_of_a_day() -> None:
    found = figures([Count(0, 100), None, Count(2, 100, 5), Count(0, 200)])
    assert found["mean"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["of_pod_minutes"] == pytest.approx(0.5)
    assert found["max"] == 2
    assert found["minutes_counted"] == 3
    assert found["minutes_above_1_percent"] == 1
    assert found["unassigned_max"] == 5
    assert found["wrong_pods_by_minute"] == [0, None, 2, 0]


def test_a_day_of_nothing_is_no_division_by_zero() -> None:
    assert figures([])["mean"] == 0
    assert figures([Count()])["of_pod_minutes"] == 0
