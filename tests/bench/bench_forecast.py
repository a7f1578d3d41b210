"""The forecaster beside the present demand, yesterday and Crane's DSP, on recorded demand, at the same cost.

Writes `build/bench/forecast.json` and curves as `build/bench/forecast.html`. The recorded demand is gzipped CSV files
with `ts` and `value` in a folder (`--traces`). Rolling origin: at each step of five minutes each contender decides by
the past alone, and its decision is in force a start-up later. The first week of a trace is not scored. Every contender
but the plain present demand has one free parameter: a factor on what it decides. It is set for each trace so that the
mean capacity is that of Spillway at its default price; nothing else is set for a trace. Traces with less than a sample
in five minutes are listed and not counted, because each sample covers several steps of the future.
"""

import json
import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from spillway.domain.forecast.candidate_weights import pinball
from spillway.domain.forecast.choice_by_cost import QUANTILES
from spillway.domain.forecast.distribution import QUANTILES as CYCLE_QUANTILES
from spillway.domain.forecast.distribution import coming_cycle
from spillway.domain.forecast.forecaster import Replay, forecast, replay
from spillway.domain.forecast.outcome import CapacityOutcome, in_force, outcome_of, scale_for
from spillway.domain.forecast.spec import (
    DAY_STEPS,
    DEFAULT_PRICE,
    HOUR_STEPS,
    STEP_SECONDS,
    WEEK_STEPS,
    Floats,
    ForecastSpec,
)
from spillway.domain.forecast.window import maximum_ahead
from tests.bench.crane_dsp import REFIT_SECONDS
from tests.bench.forecast_curves import drawn
from tests.bench.forecast_traces import Trace, loaded
from tests.bench.ran_on import ran_on

ROOT: Final = Path(__file__).resolve().parents[2]
TRACES: Final = ROOT.parent / "shared" / "traces"
OUTPUT: Final = Path("build/bench/forecast.json")
STARTUPS: Final = {"startup_5m": 300.0, "startup_15m": 900.0}
JUDGED: Final = "startup_15m"
WINDOW_SECONDS: Final = 3600.0
GOALS: Final = {
    "unmet_ratio_to_crane_max": 0.7,
    "unmet_ratio_to_reactive_aperiodic_max": 1.0,
    "seconds_1000_series_max": 5.0,
}
LEAST_UNMET_PERCENT: Final = 0.01
"""Less than that counts as that much, so that no ratio rests on next to nothing."""
PRICES: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.5, 10.0, 15.0, 25.0, 40.0, 65.0, 100.0)
FACTORS: Final = tuple(float(one) for one in np.geomspace(0.8, 3.0, 15))
SERIES: Final = 1000
SERIES_DAYS: Final = 14


def main(
    *,
    traces: Annotated[Path, typer.Option(envvar="SPILLWAY_TRACES", help="Folder with recorded demand.")] = TRACES,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Replay all traces, compare at equal cost, and write the figures."""
    ran = ran_on("numpy")
    paths = sorted(traces.glob("*.csv.gz"))
    if not paths:
        sys.exit(f"error: no *.csv.gz in {traces}; set SPILLWAY_TRACES to a folder with recorded demand")
    found: dict[str, Any] = {}
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for path in paths:
        trace = loaded(path)
        found[trace.name] = {
            "kind": trace.kind,
            "autocorrelation": round(trace.autocorrelation, 2),
            "days": round(trace.grid.size / DAY_STEPS, 1),
            "crane_periods_found": f"{sum(one.size > 0 for _, one in trace.crane)} of {len(trace.crane)} refits",
            "crane_ms_per_refit": round(1000 * trace.seconds_crane / max(len(trace.crane), 1), 1),
            "cycle_coverage": cycle_coverage(trace),
            **{name: compared(trace, seconds, name, curves) for name, seconds in STARTUPS.items()},
        }
        typer.echo(f"{trace.name}: {found[trace.name][JUDGED]['ratio']}", err=True)
    timing = timed()
    figures = {
        "unmet_ratio_to_crane": ratio(found, "periodic", "crane"),
        "unmet_ratio_to_reactive_aperiodic": max(each(found, "aperiodic", "reactive_x_margin").values(), default=None),
        "seconds_1000_series": timing["cpu_seconds"],
        "goals": GOALS,
        "summary": {name: summary(found, name) for name in STARTUPS},
        "timing": timing,
        "method": {
            "window_seconds": WINDOW_SECONDS,
            "default_price": DEFAULT_PRICE,
            "scored_from_day": WEEK_STEPS // DAY_STEPS,
            "equal_cost": "a factor on each contender's decisions gives it the mean capacity of Spillway at its price",
            "least_unmet_percent": LEAST_UNMET_PERCENT,
            "unmet_ratio_to_crane": "geometric mean over periodic traces, start-up 15 min",
            "unmet_ratio_to_reactive_aperiodic": "worst of the aperiodic traces, start-up 15 min",
            "seconds_1000_series": "CPU seconds of one thread, the best of three",
        },
        "traces": found,
        "ran": ran,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    drawn(curves, output.with_suffix(".html"))
    keys = ("unmet_ratio_to_crane", "unmet_ratio_to_reactive_aperiodic", "seconds_1000_series")
    typer.echo(json.dumps({key: figures[key] for key in keys}))
    typer.echo(f"figures: {output}, curves: {output.with_suffix('.html')}")


def compared(
    trace: Trace, startup: float, name: str, curves: dict[str, dict[str, list[tuple[float, float]]]]
) -> dict[str, Any]:
    """All contenders on one trace with one start-up."""
    spec = ForecastSpec(startup, WINDOW_SECONDS)
    begun = time.process_time()
    ours = replay(trace.grid[None], spec)
    milliseconds = 1000 * (time.process_time() - begun)
    decided = {
        "reactive_x_margin": trace.present,
        "last_day": np.fmax(trace.present, last_day(trace, spec)),
        "crane": np.fmax(trace.present, crane_decisions(trace, spec)),
    }
    served = np.where(np.isfinite(ours.served[0]), ours.served[0], trace.present)
    at_our_cost = {"spillway": scored(trace, served, spec)}
    mean = at_our_cost["spillway"].mean_capacity
    at_our_cost |= {who: at_cost(trace, one, spec, mean) for who, one in decided.items()}
    result: dict[str, Any] = {
        "ratio": {who: unmet_ratio(at_our_cost["spillway"], at_our_cost[who]) for who in decided},
        "cost_over_reactive": round(mean / scored(trace, trace.present, spec).mean_capacity, 3),
        "reactive": told(trace, scored(trace, trace.present, spec)),
        "equal_cost": {who: told(trace, one) for who, one in at_our_cost.items()},
        "predictable_percent": round(100 * float(ours.predictable[0, WEEK_STEPS:].mean()), 1),
        "maximum": maximum_scores(trace, ours, spec),
        "ms_per_replay": round(milliseconds, 1),
    }
    if not trace.coarse:
        by_price = {price: scored(trace, priced(trace, spec, price), spec) for price in PRICES}
        result["at_cranes_cost"] = at_cranes_cost(trace, spec, decided, by_price)
        reactive = scored(trace, trace.present, spec).mean_capacity
        curve = {"spillway": [(one.mean_capacity / reactive, one.unmet_percent) for one in by_price.values()]}
        for who, one in decided.items():
            points = [scored(trace, one * factor, spec) for factor in FACTORS]
            curve[who] = [(point.mean_capacity / reactive, point.unmet_percent) for point in points]
        curves[f"{trace.name}, {name.replace('_', ' ')}"] = curve
        result["curves"] = {who: [[round(x, 3), round(y, 4)] for x, y in points] for who, points in curve.items()}
    return result


def priced(trace: Trace, spec: ForecastSpec, price: float) -> Floats:
    """Spillway's decisions at a price."""
    served = replay(trace.grid[None], ForecastSpec(spec.startup_seconds, spec.window_seconds, price)).served[0]
    return np.asarray(np.where(np.isfinite(served), served, trace.present))


def at_cranes_cost(
    trace: Trace, spec: ForecastSpec, decided: dict[str, Floats], by_price: dict[float, CapacityOutcome]
) -> dict[str, Any]:
    """The comparison at the mean capacity of Crane as it is: Spillway by the price that comes closest, and a factor."""
    mean = scored(trace, decided["crane"], spec).mean_capacity
    price = min(by_price, key=lambda one: abs(math.log(max(by_price[one].mean_capacity, 1e-99) / mean)))
    outcomes = {who: at_cost(trace, one, spec, mean) for who, one in decided.items()}
    ours = at_cost(trace, priced(trace, spec, price), spec, mean)
    return {
        "price": price,
        "ratio": {who: unmet_ratio(ours, one) for who, one in outcomes.items()},
        "unmet_percent": {who: round(one.unmet_percent, 4) for who, one in {"spillway": ours, **outcomes}.items()},
    }


def last_day(trace: Trace, spec: ForecastSpec) -> Floats:
    """The highest demand of the same span on the day before."""
    ahead = maximum_ahead(trace.present[None, 1:], spec.first, spec.end)[0]
    found = np.full(ahead.size, np.nan)
    found[DAY_STEPS:] = ahead[:-DAY_STEPS]
    return found


def crane_decisions(trace: Trace, spec: ForecastSpec) -> Floats:
    """The maximum of Crane's newest forecast over the span; nan while it has none."""
    found = np.full(trace.grid.size + 1, np.nan)
    every = int(REFIT_SECONDS // STEP_SECONDS)
    for origin in range(every, found.size):
        fit = origin // every - 1
        if fit < len(trace.crane):
            begin, expected = trace.crane[fit]
            low = int((origin + spec.first) * STEP_SECONDS / trace.crane_step) - begin
            high = math.ceil((origin + spec.end) * STEP_SECONDS / trace.crane_step) - begin
            part = expected[max(low, 0) : max(high, 0)]
            found[origin] = part.max() if part.size else np.nan
    return found


def scored(trace: Trace, decided: Floats, spec: ForecastSpec) -> CapacityOutcome:
    """The outcome from the second week on."""
    capacity = in_force(decided, spec.first)
    begin = min(WEEK_STEPS, trace.grid.size // 2)
    capacity[:begin] = np.nan
    return outcome_of(trace.values, trace.steps, capacity)


def at_cost(trace: Trace, decided: Floats, spec: ForecastSpec, mean: float) -> CapacityOutcome:
    """The outcome with the factor that gives this mean capacity."""
    present = scored(trace, decided, spec).mean_capacity
    return scored(trace, decided * scale_for(np.array([present]), mean), spec)


def told(trace: Trace, outcome: CapacityOutcome) -> dict[str, float]:
    """An outcome for people."""
    return {
        "mean_capacity": float(f"{outcome.mean_capacity:.6g}"),
        "unmet_percent": round(outcome.unmet_percent, 4),
        "under_time_percent": round(outcome.under_percent, 3),
        "longest_shortfall_minutes": round(outcome.longest_samples * trace.usual_seconds / 60, 1),
    }


def unmet_ratio(ours: CapacityOutcome, theirs: CapacityOutcome) -> float:
    """Our unmet demand over theirs."""
    least = LEAST_UNMET_PERCENT
    return round(max(ours.unmet_percent, least) / max(theirs.unmet_percent, least), 4)


def maximum_scores(trace: Trace, ours: Replay, spec: ForecastSpec) -> dict[str, Any]:
    """How well the quantiles of the span's maximum hold: their coverage, and their loss in percent of the mean."""
    actual = maximum_ahead(trace.grid[None], spec.first, spec.end)[0, WEEK_STEPS:]
    known = np.isfinite(actual)
    actual = actual[known]
    contenders = {"spillway": ours.quantiles[0, :, WEEK_STEPS:][:, known]}
    for name, one in (("last_day", last_day(trace, spec)), ("reactive", trace.present)):
        contenders[name] = np.broadcast_to(np.nan_to_num(one[WEEK_STEPS:][known]), (len(QUANTILES), actual.size))
    quantiles = np.asarray(QUANTILES)[:, None]
    mean = float(actual.mean())
    return {
        "coverage": {
            str(quantile): round(float((actual <= one * (1 + 1e-9)).mean()), 3)
            for quantile, one in zip(QUANTILES, contenders["spillway"], strict=True)
        },
        "pinball_percent": {
            who: round(100 * float(pinball(actual[None], one, quantiles).mean()) / mean, 3)
            for who, one in contenders.items()
        },
    }


def cycle_coverage(trace: Trace) -> dict[str, float]:
    """The share of the coming day's steps that each quantile of the distribution covers, over all days."""
    covered: list[Floats] = []
    days = trace.grid.size // DAY_STEPS
    for day in range(8, min(days, 100)):
        known = trace.grid[None, max(day - 28, 0) * DAY_STEPS : day * DAY_STEPS]
        actual = trace.grid[day * DAY_STEPS : (day + 1) * DAY_STEPS]
        seen = np.isfinite(actual)
        if seen.any():
            covered.append((actual[seen] <= coming_cycle(known)[0][:, seen] * (1 + 1e-9)).mean(axis=1))
    return {
        str(one): round(float(share), 3) for one, share in zip(CYCLE_QUANTILES, np.mean(covered, axis=0), strict=True)
    }


def each(found: dict[str, Any], kind: str, other: str, startup: str = JUDGED, at: str = "") -> dict[str, float]:
    """The ratio to another contender on each trace of a kind."""
    return {
        name: (one[startup][at] if at else one[startup])["ratio"][other]
        for name, one in found.items()
        if one["kind"] == kind
    }


def ratio(found: dict[str, Any], kind: str, other: str, startup: str = JUDGED, at: str = "") -> float | None:
    """The geometric mean of these ratios."""
    return mean_of(each(found, kind, other, startup, at).values())


def mean_of(ratios: Iterable[float]) -> float | None:
    logs = [math.log(one) for one in ratios]
    return round(math.exp(sum(logs) / len(logs)), 4) if logs else None


def summary(found: dict[str, Any], startup: str) -> dict[str, Any]:
    """The geometric means, medians and wins for each kind of trace and each contender, at both costs."""
    result: dict[str, Any] = {}
    for label, at in (("at_our_cost", ""), ("at_cranes_cost", "at_cranes_cost")):
        result[label] = {
            kind: {
                other: {
                    "geometric_mean": ratio(found, kind, other, startup, at),
                    "median": round(float(np.median(ratios)), 4),
                    "worst": max(ratios),
                    "better": f"{sum(one < 1 for one in ratios)} of {len(ratios)}",
                }
                for other in ("crane", "reactive_x_margin", "last_day")
                if (ratios := list(each(found, kind, other, startup, at).values()))
            }
            for kind in ("periodic", "aperiodic")
        }
    return result


def timed() -> dict[str, float]:
    """The time that a thousand made-up series of two weeks take."""
    random = np.random.default_rng(0)
    hour = np.arange(SERIES_DAYS * DAY_STEPS) / HOUR_STEPS
    shape = 2 + np.cos((hour - random.uniform(0, 24, (SERIES, 1))) * 2 * np.pi / 24)
    values = shape * random.lognormal(0, 0.2, shape.shape) * random.lognormal(2, 2, (SERIES, 1))
    forecast(values[:16], ForecastSpec())
    cpu, wall = [], []
    for _ in range(3):
        begun, begun_wall = time.process_time(), time.perf_counter()
        forecast(values, ForecastSpec())
        cpu.append(time.process_time() - begun)
        wall.append(time.perf_counter() - begun_wall)
    return {
        "series": SERIES,
        "days": SERIES_DAYS,
        "cpu_seconds": round(min(cpu), 2),
        "wall_seconds": round(min(wall), 2),
        "ms_per_series": round(1000 * min(cpu) / SERIES, 2),
    }


if __name__ == "__main__":
    typer.run(main)
