"""The time of a backtest: 200 workloads with two peaks a day and all three tiers, over two weeks, on one core.

Writes `build/bench/backtest.json`: the CPU seconds of each part of the run, their sum beside the goal, the highest
number of replicas that the demand asks for, and the figures of each contender, which the time must not change. Under
`scalings` are the recommended replicas of some of these workloads without and with a bound on scalings per hour: how
often they change, how many they are compared with the demand, and how much of the demand is above them.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer

from spillway.domain.forecast.spec import DAY_STEPS
from spillway.domain.scaling.rate import window_seconds
from spillway.simulate.backtest.case import LEARNING_STEPS, Case
from spillway.simulate.backtest.examples import two_peaks
from spillway.simulate.backtest.forecasts import demand_forecasts
from spillway.simulate.backtest.recommended import by_forecast, recommended
from spillway.simulate.backtest.run import run
from spillway.simulate.backtest.scalings import scalings
from tests.bench.ran_on import ran_on

OUTPUT: Final = Path("build/bench/backtest.json")
GOALS: Final = {"cpu_seconds_max": 120.0}
BOUNDED: Final = 20
"""So many workloads also with a bound on their scalings."""
PER_HOUR: Final = (None, 4, 2, 1)


def main(
    *,
    workloads: Annotated[int, typer.Option(help="Workloads.", min=1)] = 200,
    days: Annotated[int, typer.Option(help="Days of demand; the first two are learnt from.", min=3)] = 14,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Run one backtest and write its time."""
    ran, case = ran_on("numpy"), two_peaks(workloads, days)
    begun: dict[str, float] = {}

    def progress(what: str, done: int, of: int) -> None:
        del done, of
        begun.setdefault(what, time.process_time())

    start = time.process_time()
    result = run(case, progress=progress)
    ends = [*list(begun.values())[1:], time.process_time()]
    measured = {
        "cpu_seconds": round(ends[-1] - start, 1),
        "cpu_seconds_by_part": {
            what: round(end - began, 1) for (what, began), end in zip(begun.items(), ends, strict=True)
        },
        "goals": GOALS,
        "workloads": workloads,
        "days": days,
        "replicas_max": int(np.ceil(case.demand).sum(axis=0).max()),
        "nodes": {"owned": case.setup.nodes, "elastic_max": case.setup.elastic_nodes},
        "contenders": {one.name: msgspec.structs.asdict(one.figures) for one in result.outcomes},
        "scalings": [bounded(first_services(case, BOUNDED), per_hour) for per_hour in PER_HOUR],
        "ran_on": ran,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(measured, indent=2) + "\n")
    shown = ("cpu_seconds", "cpu_seconds_by_part", "scalings")
    typer.echo(json.dumps({key: measured[key] for key in shown}, indent=2))
    typer.echo(f"figures: {output}")


def first_services(case: Case, count: int) -> Case:
    """The case with its first workloads alone."""
    return replace(case, services=case.services[:count], demand=case.demand[:count])


def bounded(case: Case, per_hour: int | None) -> dict[str, float | None]:
    """The recommended replicas with so many changes of them in an hour."""
    setup = case.setup
    startup = setup.node_startup_seconds + setup.pod_startup_seconds
    window = window_seconds(setup.window_seconds, startup, per_hour=per_hour)
    case = replace(case, setup=msgspec.structs.replace(setup, window_seconds=window))
    scaling = by_forecast(case).model_copy(update={"max_scalings_per_hour": per_hour})
    services = tuple(replace(one, scaling=scaling) for one in case.services)
    case = replace(case, services=services)
    replicas = recommended(case, demand_forecasts(case))[:, LEARNING_STEPS:]
    demand = case.demand[:, LEARNING_STEPS:]
    changes, needless = scalings(replicas)
    days = demand.shape[1] / DAY_STEPS
    return {
        "per_hour": per_hour,
        "changes_per_workload_and_day": round(changes / days / len(services), 1),
        "needless_scale_downs": needless,
        "replicas_per_demand": round(float(replicas.sum() / demand.sum()), 3),
        "demand_above_percent": round(float(100 * np.maximum(demand - replicas, 0).sum() / demand.sum()), 3),
    }


if __name__ == "__main__":
    typer.run(main)
