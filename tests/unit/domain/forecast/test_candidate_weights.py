"""How candidates are weighted and mixed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.forecast.calibration import STRIDE
from spillway.domain.forecast.candidate_weights import mixed, pinball, recent_losses, skilful, weights_of
from spillway.domain.forecast.spec import HOUR_STEPS


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_quantile_has_the_smallest_pinball_loss(quantile: float) -> None:
    actual = np.random.default_rng(0).random(2001)
    offered = np.linspace(0, 1, 101)

    losses = [pinball(actual, np.asarray(one), np.asarray(quantile)).mean() for one in offered]

    assert offered[int(np.argmin(losses))] == pytest.approx(quantile, abs=0.04)


def test_a_loss_fades_by_half_in_a_day() -> None:
    losses = np.zeros((1, 1, 1, 400))
    losses[..., :5] = 8.0
    ended = 5 * STRIDE // HOUR_STEPS + 2

    found = recent_losses(losses, 200, 12, STRIDE)[0, 0, 0]
    sums = found * np.array([found[ended]] * 200) / found[ended]

    assert np.isnan(found[0])
    assert found[ended + 24] < found[ended] / 2 < sums[ended]
    assert (np.diff(found[ended + 1 :]) < 0).all()


def test_the_best_candidate_weighs_most_and_a_worse_one_next_to_nothing() -> None:
    weights = weights_of(np.array([1.0, 1.1, 5.0]))

    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[1] > 100 * weights[2]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        pytest.param([np.nan, np.nan], [0.5, 0.5], id="nothing is known"),
        pytest.param([0.0, 0.0], [0.5, 0.5], id="both are perfect"),
        pytest.param([0.0, 1.0], [1.0, 0.0], id="one is perfect"),
    ],
)
def test_weights_at_the_edges(losses: list[float], expected: list[float]) -> None:
    assert weights_of(np.array(losses)).tolist() == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_mixture_is_the_weighted_mean_of_the_calibrated_logarithms(seed: int) -> None:
    random = np.random.default_rng(seed)
    logs, hours = random.random((3, 2, 30)), 3
    shifts = random.random((3, 2, 4, hours))
    weights = weights_of(random.random((3, 2, 4, hours)))

    found = mixed(logs, shifts, weights)

    for origin in range(30):
        hour = origin // HOUR_STEPS
        by_hand = (weights[..., hour] * (logs[:, :, None, origin] + shifts[..., hour])).sum(axis=0)
        np.testing.assert_allclose(found[:, :, origin], by_hand)


@pytest.mark.parametrize(
    ("best", "expected"), [(0.49, True), (0.5, False), (1.0, False), (0.0, True), (float("nan"), False)]
)
def test_half_the_loss_is_skill(best: float, expected: bool) -> None:  # noqa: FBT001  # a parameter of the test
    losses = np.array([best, 1.0, 3.0]).reshape(3, 1, 1, 1)

    assert skilful(losses, 1).tolist() == [[expected]]


def test_where_everything_is_perfect_there_is_no_skill() -> None:
    assert not skilful(np.zeros((3, 1, 1, 1)), 1).any()
