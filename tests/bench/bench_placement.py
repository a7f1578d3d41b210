"""Thresholds, placement, budgets and failover on the real control plane: what is in the wrong tier, what a day costs.

`make bench-placement` → `build/bench/placement.json`. Three sections, each with a cluster and an operator of its own:
`day` (20 workloads, thresholds planned from 14 days in a real Prometheus), `burst`, `failover`. What the keys say is in
docs/explanation/benchmarks.md. Every wait has an end, and everything dies with the bench.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer

from localcluster import ClusterError
from tests.bench import placement_burst, placement_day, placement_failover
from tests.bench.placement_goals import goals, headline
from tests.bench.placement_scenario import plan_dates
from tests.bench.progress import progress
from tests.bench.ran_on import ran_on

_say: Final = progress("bench-placement")
OUTPUT: Final = Path("build/bench/placement.json")
SECTIONS: Final = ("day", "failover", "burst")
MOST_SECONDS: Final = {"day": 1100.0, "failover": 300.0, "burst": 400.0}
"""When a section is given up."""


def main(
    *,
    only: Annotated[str, typer.Option(help="Sections to run, separated by commas.")] = ",".join(SECTIONS),
    seconds: Annotated[float, typer.Option(help="How long the day takes.", min=60.0)] = 480.0,
    workloads: Annotated[int, typer.Option(help="Workloads of the day.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same days.")] = 1,
    bursts: Annotated[int, typer.Option(help="Bursts with each number of replicas of the operator.")] = 5,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := sorted(set(wanted) - set(SECTIONS)):
        raise typer.BadParameter(f"{', '.join(unknown)}; choose from {', '.join(SECTIONS)}", param_hint="--only")
    dates = plan_dates(seed=seed, workloads=workloads)
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "day": lambda: _bounded("day", placement_day.measure(_say, dates, seconds=seconds)),
        "failover": lambda: _bounded("failover", placement_failover.measure(_say)),
        "burst": lambda: _bounded("burst", placement_burst.measure(_say, rounds=bursts)),
    }
    began, machine = time.monotonic(), ran_on("highspy")
    measured: dict[str, Any] = {}
    failed = []
    for name in SECTIONS:
        if name not in wanted:
            continue
        started = time.monotonic()
        try:
            measured[name] = sections[name]()
        except (ClusterError, TimeoutError, RuntimeError) as error:
            _say(f"{name} failed: {error}")
            failed.append({"section": name, "error": str(error)[:2000]})
        else:
            measured[name]["section_seconds"] = round(time.monotonic() - started, 1)
        _write(output, measured, failed, machine | {"bench_seconds": round(time.monotonic() - began)})
    for line in goals(measured):
        _say(f"{'met' if line['met'] else 'MISSED'}: {line['goal']}; measured {line['measured']}")
    if failed:
        raise typer.Exit(1)


def _bounded(name: str, section: Any) -> dict[str, Any]:
    async def inside() -> dict[str, Any]:
        async with asyncio.timeout(MOST_SECONDS[name]):
            found: dict[str, Any] = await section
            return found

    return asyncio.run(inside())


def _write(output: Path, measured: dict[str, Any], failed: list[dict[str, str]], machine: dict[str, Any]) -> None:
    """After each section, so that what was measured is there when a later one fails."""
    figures = headline(measured) | {"goals": goals(measured), "sections": measured, "failed": failed, "ran_on": machine}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    _say(f"figures: {output}")


if __name__ == "__main__":
    typer.run(main)
