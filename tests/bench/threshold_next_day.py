"""What thresholds may be planned from, judged by the day that follows: past days, the forecast, or the one that lost
less on the days before.

Contract: each workload is a recorded trace, scaled, at a day and an hour of its own; all workloads of one plan are at
the same day of the week. There is one plan for each day of the week (rolling origin), from up to two weeks of history
and at least one. Traces with samples more than five minutes apart are left out. The choice was made on every second
trace (`seen`); the others are `held_out`. Each plan is a joint allocation of the same nodes. What it owns is compared
with what a plan that knew the day would have in use, and with what may be in use at each step. Load above that finds no
room on owned nodes, so it runs on virtual nodes like the load above the thresholds, only later.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from spillway.domain.forecast.candidate_weights import pinball
from spillway.domain.forecast.distribution import coming_cycle
from spillway.domain.forecast.grid import filled, on_grid
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, STEP_SECONDS, Floats
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.cycle import QUANTILE
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.history import History
from spillway.domain.threshold.past import past_of
from spillway.sources.csv_series import csv_series

GROUPS: Final = ("seen", "held_out")
HISTORY_DAYS: Final = 14
VIRTUAL_PRICE: Final = 1.5
"""What an hour of a core costs on virtual nodes, in prices of an owned one."""
_LEAST_DAYS: Final = 7
_EACH: Final = 4
_WEEK_DAYS: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """One recorded demand, from a midnight on, without gaps."""

    values: Floats
    first_day: int
    """Days since the epoch."""

    def origins(self, week_day: int) -> list[int]:
        """The days of the trace on this day of the week that have enough days before them."""
        days = range(_LEAST_DAYS + 1, self.values.size // DAY_STEPS)
        return [day for day in days if (self.first_day + day) % _WEEK_DAYS == week_day]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """One workload: what is known of it when the plan is made, and the day after that."""

    history: Floats
    day: Floats
    cores: float


def next_day(folder: Path, seed: int, *, share: float, target: float) -> dict[str, Any]:
    """The figures of all contenders over the traces in the folder, by group; empty without any."""
    traces = list(_traces(folder))
    found: dict[str, Any] = {}
    for offset, group in enumerate(GROUPS):
        random = np.random.default_rng(seed)
        days = [_windows(traces[offset :: len(GROUPS)], week_day, random) for week_day in range(_WEEK_DAYS)]
        if days := [one for one in days if one]:
            found[group] = _figures(days, share, target)
    return {"share": share, **found} if found else {}


def _traces(folder: Path) -> Iterator[_Trace]:
    # A name comes after longer ones that begin with it: so the traces by which the rule was chosen are `seen`.
    for path in sorted(folder.glob("*.csv.gz"), key=lambda path: path.name.removesuffix(".csv.gz") + "~"):
        series = csv_series(path, "value", now=time.time())
        if float(np.median(np.diff(series.times))) > STEP_SECONDS:
            continue
        start, values = on_grid(series.grid_times, series.grid_values)
        first = int(-start % DAY_SECONDS) // STEP_SECONDS
        grid = filled(values[None, first:])[0][0]
        if grid.size >= DAY_STEPS and np.isfinite(grid).all():
            yield _Trace(grid, int(start + first * STEP_SECONDS) // DAY_SECONDS)


def _windows(traces: list[_Trace], week_day: int, random: np.random.Generator) -> list[_Window]:
    found = []
    for trace in traces:
        origins = trace.origins(week_day)
        for _ in range(_EACH if origins else 0):
            origin = origins[random.integers(len(origins))] * DAY_STEPS - int(random.integers(24)) * HOUR_STEPS
            peak, cores = float(np.clip(random.lognormal(2.3, 0.9), 1, 200)), float(random.choice([0.1, 0.5, 1, 2]))
            history = trace.values[max(origin - HISTORY_DAYS * DAY_STEPS, 0) : origin]
            day = trace.values[origin : origin + DAY_STEPS]
            if min(history.max(), day.max()) > 0:
                found.append(_Window(history / history.max() * peak, day / history.max() * peak, cores))
    return found


def _planned(window: _Window) -> Mapping[str, Floats]:
    """What each contender assumes of the day, and whether the choice is the forecast."""
    times: Floats = np.arange(window.history.size, dtype=np.float64) * STEP_SECONDS
    past = past_of(History("Deployment/t/w", times, window.history))
    assert past.cycle is not None
    assert past.coming is not None
    # The history of a window begins at time 0, so its days begin there as well.
    at = window.history.size % DAY_STEPS
    return {
        "past_days": np.roll(past.cycle.values, -at),
        "forecast": coming_cycle(window.history[None], quantiles=(QUANTILE,))[0, 0],
        "chosen": np.roll(past.coming.replicas, -at),
        "is_forecast": np.array([past.coming.basis is Basis.FORECAST]),
    }


def _figures(days: list[list[_Window]], share: float, target: float) -> dict[str, Any]:
    rows: dict[str, list[list[float]]] = {}
    forecasts = []
    for windows in days:
        assumed = [_planned(one) for one in windows]
        forecasts.append(float(np.mean([one["is_forecast"] for one in assumed])))
        day = [one.day for one in windows]
        needed = np.array([np.ceil(one.day - 1e-9) * one.cores for one in windows])
        capacity, total = share * float(needed.sum(axis=0).max()) / target, float(needed.sum())
        known, _ = _in_use(day, windows, capacity, target)
        owned = capacity * target * DAY_STEPS
        for name in ("past_days", "forecast", "chosen"):
            planned = [one[name] for one in assumed]
            in_use, above = _in_use(planned, windows, capacity, target)
            losses = [
                float(pinball(one, plan, np.asarray(QUANTILE)).mean() / one.mean())
                for one, plan in zip(day, planned, strict=True)
            ]
            covered = float(np.mean([one <= plan + 1e-9 for one, plan in zip(day, planned, strict=True)]))
            cost = (owned + VIRTUAL_PRICE * (total - in_use)) / (owned + VIRTUAL_PRICE * (total - known))
            figures = [float(np.median(losses)), covered, in_use / known, cost, 100 * above / total]
            rows.setdefault(name, []).append(figures)
    keys = ("pinball_loss", "covered", "in_use_of_best", "cost_of_best", "above_target_percent")
    found: dict[str, Any] = {"plans": len(days), "workloads": sum(map(len, days))}
    for name, figures_of_days in rows.items():
        means = np.mean(figures_of_days, axis=0).tolist()
        found[name] = {key: round(value, 4) for key, value in zip(keys, means, strict=True)}
    found["chosen"]["forecast_share"] = round(float(np.mean(forecasts)), 2)
    return found


def _in_use(planned: list[Floats], windows: list[_Window], capacity: float, target: float) -> tuple[float, float]:
    """The core-steps of the day in use on owned nodes by this plan, and those for which these have no room."""
    demands = [Demand(f"Deployment/t/{row}", values, windows[row].cores) for row, values in enumerate(planned)]
    plan = allocate(demands, capacity_cores=capacity, target_utilization=target)
    load = np.zeros(DAY_STEPS)
    for row, window in enumerate(windows):
        load += Demand(f"Deployment/t/{row}", window.day, window.cores).owned_load(
            plan.thresholds[f"Deployment/t/{row}"]
        )
    usable = capacity * target
    return float(np.minimum(load, usable).sum()), float(np.maximum(load - usable, 0.0).sum())
