"""The work behind `spillway forecast`: reads a file, forecasts each of its steps, writes and sums up the forecasts."""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from spillway.domain.forecast.forecaster import Replay, replay
from spillway.domain.forecast.grid import filled, on_grid
from spillway.domain.forecast.outcome import CapacityOutcome, in_force, outcome_of, scale_for
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, Floats, ForecastSpec
from spillway.domain.model.units import DAY_SECONDS
from spillway.sources.csv_series import CsvSeries, csv_series

_WIDTH: Final = 110
_LEARNING_STEPS: Final = 2 * DAY_STEPS
"""The summary leaves these out, unless there are no others: no forecast has learned a day's shape before."""


@dataclass(frozen=True, slots=True, eq=False)
class FileForecast:
    """The forecasts of a file."""

    series: CsvSeries
    spec: ForecastSpec
    start: float
    """The begin of the first step in Unix seconds."""
    present: Floats
    """The demand that is known at each origin."""
    replay: Replay

    @property
    def times(self) -> Floats:
        """The time of each origin in Unix seconds."""
        return np.asarray(self.start + np.arange(self.present.size) * STEP_SECONDS, dtype=np.float64)

    @property
    def served(self) -> Floats:
        """What is served at each origin."""
        served: Floats = self.replay.served[0]
        return served


def forecast_file(path: Path, column: str, spec: ForecastSpec, *, now: float) -> FileForecast:
    """The forecasts of the series in a column of a file.

    Raises:
        CsvError: the file cannot be read, or is not valid.
    """
    series = csv_series(path, column, now=now)
    start, grid = on_grid(series.grid_times, series.grid_values)
    present = np.concatenate([[np.nan], filled(grid[None])[0][0]])
    return FileForecast(series, spec, start, present, replay(grid[None], spec))


def write(found: FileForecast, path: Path) -> None:
    """Write one line for each step since the first value.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("ts", "forecast", "predictable"))
        for at, served, predictable in zip(found.times, found.served, found.replay.predictable[0], strict=True):
            if np.isfinite(served):
                lines.writerow((f"{at:.0f}", f"{served:.10g}", "true" if predictable else "false"))


def summary(found: FileForecast, emitted: Path | None) -> str:
    """The summary: what was read, how much of it was predictable, and what following the forecast was worth."""
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, highlight=False, soft_wrap=True)
    known = np.isfinite(found.served)
    spec = found.spec
    days = (found.times[-1] - found.start) / DAY_SECONDS
    console.print(
        f"{found.series.values.size} values from {_day(found.series.times[0])} to {_day(found.series.times[-1])} "
        f"({days:.1f} days), usually {found.series.usual_seconds / 60:g} min apart or less"
    )
    console.print(
        f"{known.sum()} forecasts of the demand from {_minutes(spec.startup_seconds)} to "
        f"{_minutes(spec.window_seconds)} ahead; predictable in "
        f"{100 * found.replay.predictable[0][known].mean():.0f} % of them"
    )
    now = (
        "predictable" if found.replay.predictable[0][-1] else "not predictable: the present demand times a fixed factor"
    )
    console.print(f"the last one, at {_day(found.times[-1])}: {found.served[-1]:.6g} ({now})")
    console.print()
    console.print(_table(found) or "no comparison with the present demand: the file covers too little time")
    if emitted is not None:
        console.print(f"written: {emitted}")
    return out.getvalue()


def _table(found: FileForecast) -> Table | None:
    """Following the forecast beside following the present demand, as it is and times a factor for the same capacity.

    None if no forecast was in force at the time of a later value.
    """
    first = found.spec.first
    begin = min(_LEARNING_STEPS, (found.present.size - 1) // 2)
    forecast, reactive = in_force(found.served, first), in_force(found.present, first)
    forecast[:begin] = reactive[:begin] = np.nan
    both = np.isfinite(forecast) & np.isfinite(reactive)
    if not both.any():
        return None
    factor = scale_for(reactive[both], float(forecast[both].mean()))
    table = Table(box=None, pad_edge=False)
    table.add_column("capacity follows", overflow="fold")
    for name in ("mean capacity", "unmet demand", "time short", "longest shortfall"):
        table.add_column(name, justify="right")
    for name, capacity in (
        ("the forecast", forecast),
        ("the present demand", reactive),
        (f"the present demand x {factor:.2f}", reactive * factor),
    ):
        table.add_row(name, *_cells(_outcome(found, capacity), found.series.times))
    return table


def _outcome(found: FileForecast, capacity: Floats) -> CapacityOutcome:
    steps = ((found.series.times - found.start) // STEP_SECONDS).astype(np.int64)
    return outcome_of(found.series.values, steps, capacity)


def _cells(outcome: CapacityOutcome, times: Floats) -> tuple[str, ...]:
    distance = float(np.median(np.diff(times))) if times.size > 1 else 0.0
    return (
        f"{outcome.mean_capacity:.6g}",
        f"{outcome.unmet_percent:.3f} %",
        f"{outcome.under_percent:.2f} %",
        _minutes(outcome.longest_samples * distance),
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.4g} min"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
