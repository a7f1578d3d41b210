"""The traces of the forecast bench: recorded demand, its grid, and the forecasts of Crane's DSP for it.

Contract: of a long trace the last 120 days are taken.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.forecast.grid import filled, on_grid
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, WEEK_STEPS, Floats
from spillway.sources.csv_series import csv_series
from tests.bench.crane_dsp import forecasts

PERIODIC: Final = 0.5
"""The autocorrelation of the means of five minutes, at a day or a week, from which a trace counts as periodic."""
MOST_DAYS: Final = 120.0


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One recorded series: its samples, and its grid with and without gaps."""

    name: str
    values: Floats
    steps: NDArray[np.int64]
    grid: Floats
    present: Floats
    usual_seconds: float
    autocorrelation: float
    crane: list[tuple[int, Floats]]
    crane_step: float
    seconds_crane: float

    @property
    def coarse(self) -> bool:
        """Whether a sample covers several steps."""
        return self.usual_seconds > STEP_SECONDS

    @property
    def kind(self) -> str:
        """The group of the trace."""
        if self.coarse:
            return "coarse"
        return "periodic" if self.autocorrelation >= PERIODIC else "aperiodic"


def loaded(path: Path) -> Trace:
    """A trace with Crane's forecasts, which do not depend on the start-up."""
    series = csv_series(path, "value", now=time.time())
    begin = series.times[-1] - MOST_DAYS * 86_400
    start, grid = on_grid(series.grid_times[series.grid_times >= begin], series.grid_values[series.grid_times >= begin])
    times, values = series.times[series.times >= start], series.values[series.times >= start]
    present = filled(grid[None])[0][0]
    level = filled(means(times - start, values, STEP_SECONDS, grid.size * STEP_SECONDS)[None])[0][0]
    distance = float(np.median(np.diff(series.times)))
    step = min(max(distance, 60.0), 3600.0)
    begun = time.process_time()
    crane = forecasts(means(times - start, values, step, grid.size * STEP_SECONDS), step)
    return Trace(
        name=path.name.removesuffix(".csv.gz"),
        values=values,
        steps=((times - start) // STEP_SECONDS).astype(np.int64),
        grid=grid,
        present=np.concatenate([present[:1], present]),
        usual_seconds=distance,
        autocorrelation=max(correlation(level, DAY_STEPS), correlation(level, WEEK_STEPS)),
        crane=crane,
        crane_step=step,
        seconds_crane=time.process_time() - begun,
    )


def means(times: Floats, values: Floats, step: float, seconds: float) -> Floats:
    """The mean of each step, as Crane's queries have it; nan without a sample."""
    slots = (times // step).astype(np.int64)
    count = np.bincount(slots, minlength=int(seconds / step))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(slots, values, minlength=count.size) / count)


def correlation(values: Floats, lag: int) -> float:
    """The correlation of a series with itself a while ago; 0 where it is too short or constant."""
    known = values[np.isfinite(values)]
    if known.size < 2 * lag or known.std() == 0:
        return 0.0
    return float(np.corrcoef(known[lag:], known[:-lag])[0, 1])
