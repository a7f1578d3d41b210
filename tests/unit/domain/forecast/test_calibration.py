"""The calibration covers as often as it is asked to, by what was known at each hour."""

import numpy as np
import pytest

from spillway.domain.forecast.calibration import LEAST_SAMPLES, STRIDE, completed, hours_of, quantiles_of, sampled
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS


def test_samples_visit_every_phase_of_the_hour_and_the_day() -> None:
    origins = sampled(np.arange(STRIDE * DAY_STEPS, dtype=np.float64))

    assert len(set(origins % HOUR_STEPS)) == HOUR_STEPS
    assert len(set(origins % DAY_STEPS)) == DAY_STEPS


@pytest.mark.parametrize("end", [1, 12, 30])
def test_an_hour_knows_the_samples_whose_span_has_ended(end: int) -> None:
    origins = sampled(np.arange(20 * HOUR_STEPS, dtype=np.float64))

    expected = [(origins + end <= hour * HOUR_STEPS).sum() for hour in range(20)]

    assert completed(20, end).tolist() == expected


@pytest.mark.parametrize("quantile", [0.3, 0.5, 0.9, 0.98])
def test_the_quantile_is_exceeded_as_rarely_as_wanted(quantile: float) -> None:
    ratios = np.random.default_rng(1).normal(0.2, 0.5, (4, 3000))
    hours = hours_of(3000 * STRIDE)

    found = quantiles_of(ratios, (quantile,), hours, 12)[:, 0]

    late = found[:, hours // 2 :]
    now = ratios[:, np.minimum(np.arange(hours // 2, hours) * HOUR_STEPS // STRIDE, 2999)]
    assert (now <= late).mean() == pytest.approx(quantile, abs=0.03)


def test_nothing_is_raised_with_few_samples() -> None:
    ratios = np.full((1, 100), np.nan)
    ratios[0, : LEAST_SAMPLES - 1] = 3.0

    assert not quantiles_of(ratios, (0.9,), 40, 12).any()


def test_missing_samples_have_no_part() -> None:
    ratios = np.full((1, 200), 1.5)
    ratios[0, ::2] = np.nan

    assert quantiles_of(ratios, (0.1, 0.9), 100, 12)[0, :, -1].tolist() == [1.5, 1.5]
