"""Forecasts of recorded demand: not what the bench measures, but what has to hold whatever the demand looks like.

The folder is that of the bench: `SPILLWAY_TRACES`, else `shared/traces` beside the project.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from spillway.domain.forecast.forecaster import forecast, replay
from spillway.domain.forecast.grid import filled, on_grid
from spillway.domain.forecast.outcome import in_force, outcome_of, scale_for
from spillway.domain.forecast.spec import DAY_STEPS, WEEK_STEPS, Floats, ForecastSpec
from spillway.sources.csv_series import csv_series
from tests.bench.bench_forecast import TRACES

FOLDER = Path(os.environ.get("SPILLWAY_TRACES", TRACES))
PATHS = sorted(FOLDER.glob("*.csv.gz"))
DAYS = 20
NOW = 4e9

pytestmark = pytest.mark.skipif(not PATHS, reason="no recorded demand: set SPILLWAY_TRACES to a folder with it")


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path.name.removesuffix(".csv.gz"))
def grid(request: pytest.FixtureRequest) -> Floats:
    """The last days of a trace, from a whole day on."""
    series = csv_series(request.param, "value", now=NOW)
    _, values = on_grid(series.grid_times, series.grid_values)
    return values[None, max(values.size // DAY_STEPS - DAYS, 0) * DAY_STEPS :]


@pytest.mark.parametrize("startup", [300.0, 900.0])
def test_following_the_forecast_is_no_worse_than_headroom_at_the_same_cost(grid: Floats, startup: float) -> None:
    spec = ForecastSpec(startup, 3600)
    present = filled(grid)[0][0]
    served, reactive = replay(grid, spec).served[0], np.concatenate([present[:1], present])
    steps = np.arange(WEEK_STEPS, present.size)

    ours = outcome_of(present[steps], steps, in_force(served, spec.first))
    capacity = in_force(reactive, spec.first)
    factor = scale_for(capacity[steps], float(in_force(served, spec.first)[steps].mean()))
    theirs = outcome_of(present[steps], steps, capacity * factor)

    assert ours.unmet_percent <= 1.1 * theirs.unmet_percent + 0.05


def test_a_forecast_of_the_past_is_what_the_replay_says(grid: Floats) -> None:
    spec, cut = ForecastSpec(), grid.shape[1] * 2 // 3

    now, then = forecast(grid[:, :cut], spec), replay(grid, spec)

    np.testing.assert_allclose(now.served, then.served[:, cut], rtol=1e-9)
    assert np.array_equal(now.predictable, then.predictable[:, cut])
