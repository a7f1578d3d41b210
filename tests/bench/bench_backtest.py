"""The time of a backtest: 200 workloads with two peaks a day and all three tiers, over two weeks, on one core.

Writes `build/bench/backtest.json`: the CPU seconds of each part of the run, their sum beside the goal, the highest
number of replicas that the demand asks for, and the figures of each contender, which the time must not change.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer

from spillway.simulate.backtest.examples import two_peaks
from spillway.simulate.backtest.run import run
from tests.bench.ran_on import ran_on

OUTPUT: Final = Path("build/bench/backtest.json")
GOALS: Final = {"cpu_seconds_max": 120.0}


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
        "cpu_seconds": round(time.process_time() - start, 1),
        "cpu_seconds_by_part": {
            what: round(end - began, 1) for (what, began), end in zip(begun.items(), ends, strict=True)
        },
        "goals": GOALS,
        "workloads": workloads,
        "days": days,
        "replicas_max": int(np.ceil(case.demand).sum(axis=0).max()),
        "nodes": {"owned": case.setup.nodes, "elastic_max": case.setup.elastic_nodes},
        "contenders": {one.name: msgspec.to_builtins(one.figures) for one in result.outcomes},
        "ran_on": ran,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(measured, indent=2) + "\n")
    typer.echo(json.dumps({key: measured[key] for key in ("cpu_seconds", "cpu_seconds_by_part")}, indent=2))
    typer.echo(f"figures: {output}")


if __name__ == "__main__":
    typer.run(main)
