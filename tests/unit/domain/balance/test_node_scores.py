"""The score of a node by its load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.load import COUNTED_SECONDS
from spillway.domain.balance.node_scores import HIGHEST, MEASURED_SECONDS, node_score, not_shown


@pytest.mark.parametrize(
    ("percent", "score"), [(0.0, 10), (8.0, 9), (40.0, 5), (79.0, 0), (80.0, 0), (150.0, 0)], ids=str
)
def test_a_less_loaded_node_has_the_higher_score_and_none_above_the_target(percent: float, score: int) -> None:
    assert node_score(percent, 80.0) == score


@given(st.floats(0, 200), st.floats(0, 200), st.floats(1, 100))
def test_scores_are_in_the_range_of_the_scheduler_and_never_rise_with_the_load(
    one: float, other: float, target: float
) -> None:
    low, high = sorted((one, other))
    assert HIGHEST >= node_score(low, target) >= node_score(high, target) >= 0


def test_a_pod_counts_less_the_longer_the_load_has_had_to_show_it() -> None:
    assert not_shown(100.0, 90.0) == 1.0, "it came after the reading"
    assert not_shown(100.0, 100.0) == 1.0
    assert 0.3 < not_shown(100.0, 160.0) < 0.4
    assert not_shown(100.0, 100.0 + COUNTED_SECONDS) < 0.01


@pytest.mark.parametrize(
    ("came", "as_if_at"),
    [
        pytest.param(100.0 - MEASURED_SECONDS, None, id="the first measurement shows it"),
        pytest.param(101.0 - MEASURED_SECONDS, 100.0, id="the first measurement may not show it"),
        pytest.param(110.0, 110.0, id="it came later"),
    ],
)
def test_a_pod_counts_until_it_is_measured_where_its_node_is_new(came: float, as_if_at: float | None) -> None:
    expected = 0.0 if as_if_at is None else not_shown(as_if_at, 120.0)
    assert not_shown(came, 120.0, 100.0) == expected
