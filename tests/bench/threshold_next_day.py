"""What thresholds may be planned from, past days or the forecast distribution, judged by the day that follows.

Contract: each workload is a window of a recorded trace: two weeks to plan from and the day that is judged. Traces with
samples more than five minutes apart are left out. Both plans are joint allocations of the same nodes; what they own is
compared with what a plan that knew the day would have in use, and with what may be in use at each step.
"""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from spillway.domain.forecast.candidate_weights import pinball
from spillway.domain.forecast.distribution import coming_cycle
from spillway.domain.forecast.grid import filled, on_grid
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, Floats
from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.cycle import cycle_of
from spillway.domain.threshold.demand import Demand
from spillway.sources.csv_series import csv_series

QUANTILE: Final = 0.8
"""What the plan of thresholds assumes of a step."""
HISTORY_DAYS: Final = 14
_WINDOWS: Final = 20


def next_day(folder: Path, seed: int, *, share: float, target: float) -> dict[str, Any]:
    """The figures of both plans, over windows of all traces in the folder; empty without any."""
    windows = _windows(folder, np.random.default_rng(seed))
    if not windows.size:
        return {}
    history, day = windows[:, :-DAY_STEPS], windows[:, -DAY_STEPS:]
    capacity = share * float(np.ceil(day).sum(axis=0).max()) / target
    known = _in_use(day, day, capacity, target)[0]
    found: dict[str, Any] = {"workloads": day.shape[0], "share": share}
    for name, planned in (("past_days", _past_days(history)), ("distribution", _distribution(history))):
        in_use, above = _in_use(planned, day, capacity, target)
        loss = pinball(day, planned, np.asarray(QUANTILE)).mean(axis=1) / day.mean(axis=1)
        found[name] = {
            "pinball_loss": round(float(np.median(loss)), 4),
            "covered": round(float((day <= planned + 1e-9).mean()), 3),
            "in_use_of_best": round(in_use / known, 4),
            "steps_above_target_percent": round(100 * above, 2),
        }
    return found


def _windows(folder: Path, random: np.random.Generator) -> Floats:
    steps, rows = (HISTORY_DAYS + 1) * DAY_STEPS, list[Floats]()
    for path in sorted(folder.glob("*.csv.gz")):
        series = csv_series(path, "value", now=time.time())
        if float(np.median(np.diff(series.times))) > STEP_SECONDS:
            continue
        start, values = on_grid(series.grid_times, series.grid_values)
        first = int(-start % (DAY_STEPS * STEP_SECONDS)) // STEP_SECONDS
        grid = filled(values[None, first:])[0][0]
        last = (grid.size - steps) // DAY_STEPS
        for _ in range(_WINDOWS if last >= 0 else 0):
            begin = int(random.integers(last + 1)) * DAY_STEPS
            window = grid[begin : begin + steps]
            if np.isfinite(window).all() and min(window[:-DAY_STEPS].max(), window[-DAY_STEPS:].max()) > 0:
                rows.append(window / window[:-DAY_STEPS].max() * float(np.clip(random.lognormal(2.3, 0.9), 1, 200)))
    return np.array(rows)


def _past_days(history: Floats) -> Floats:
    times = np.arange(history.shape[1]) * float(STEP_SECONDS)
    cycles = [cycle_of(times, row, step_seconds=STEP_SECONDS, quantile=QUANTILE) for row in history]
    return np.array([one.values for one in cycles if one is not None])


def _distribution(history: Floats) -> Floats:
    return coming_cycle(history, quantiles=(QUANTILE,))[:, 0]


def _in_use(planned: Floats, day: Floats, capacity: float, target: float) -> tuple[float, float]:
    """The core-steps of the day in use on owned nodes by this plan, and the share of its steps above the target."""
    demands = [Demand(f"Deployment/t/{row}", values, 1.0) for row, values in enumerate(planned)]
    plan = allocate(demands, capacity_cores=capacity, target_utilization=target)
    load = np.zeros(DAY_STEPS)
    for row, values in enumerate(day):
        load += Demand(f"Deployment/t/{row}", values, 1.0).owned_load(plan.thresholds[f"Deployment/t/{row}"])
    usable = capacity * target
    return float(np.minimum(load, usable).sum()), float((load > usable * (1 + 1e-6)).mean())
