"""How exact scale-downs are and what they leave behind: plain Kubernetes, flat costs and Spillway on the same day.

Beside them, plain Kubernetes with a Karpenter that drains nodes, and Spillway that empties nodes by moves.

Runs against a real control plane with Karpenter, all contenders side by side in one cluster, then a storm on each.
Writes `build/bench/scaledown.json`; the figures are explained in docs/explanation/benchmarks.md.
"""

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from rich.console import Console

from demo import results
from demo.contenders import Contender
from demo.day import Scene, idle, live_day, open_scene
from demo.scaledowns import ScaleDown
from demo.scenario import Day, plan_day
from demo.stage import clear_workloads
from demo.storm import FULL, REDUCED, SETS, storm
from demo.view import View, console_for, summary

NO_STORM: Final = (Contender.PLAIN_DRAIN, Contender.SPILLWAY_MOVES)
OUTPUT: Final = Path("build/bench/scaledown.json")


def main(
    *,
    contenders: Annotated[str, typer.Option(help="Who takes part, separated by commas.")] = ",".join(Contender),
    seconds: Annotated[float, typer.Option(help="How long the day takes.", min=60.0)] = 960.0,
    workloads: Annotated[int, typer.Option(help="Workloads of each contender.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same day.")] = 1,
    idle_seconds: Annotated[float, typer.Option(help="How long writes at rest are counted.")] = 120.0,
    storm_rounds: Annotated[int, typer.Option(help="Rounds of the storm; 0 leaves it out.")] = 4,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    taking_part = [Contender(name.strip()) for name in contenders.split(",")]
    day = plan_day(seed=seed, workloads=workloads, seconds=seconds)
    console = console_for(sys.stdout)
    measured = asyncio.run(_measure(console, day, taking_part, idle_seconds, storm_rounds))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(measured, indent=2) + "\n")
    console.print(f"figures: {output}", highlight=False)


async def _measure(
    console: Console, day: Day, contenders: list[Contender], idle_seconds: float, rounds: int
) -> dict[str, Any]:
    began = time.monotonic()
    view = View(console, contenders)
    async with open_scene(day, contenders, view.say) as scene:

        def tick(elapsed: float, closed: list[ScaleDown]) -> None:
            view.tick(scene, elapsed, closed)

        with view:
            await live_day(scene, tick)
            figures = results.day_figures(scene)
            about = results.ran_on(scene)
            view.say(f"waiting for rest, then counting writes for {idle_seconds:.0f} s")
            at_rest = await idle(scene, idle_seconds, tick)
        for contender in contenders:
            own = at_rest[contender]
            per_minute = None if scene.audit is None else round(own.total * 60 / idle_seconds, 2)
            figures[contender]["idle_writes_per_minute"] = per_minute
            figures[contender]["idle_writes"] = dict(own.by_resource)
        console.print(summary(figures))
        storms = await _storms(scene, contenders, rounds, view) if rounds else {}
        for each in (figures, storms):
            for contender in contenders:
                if contender.value in each:
                    each[contender.key] = each.pop(contender.value)
    about |= {"idle_seconds": idle_seconds, "storm": f"{rounds} rounds of {SETS} ReplicaSets {FULL} to {REDUCED}"}
    measured = {"about": about | {"bench_seconds": round(time.monotonic() - began)}, **figures, "storm": storms}
    return measured | {"goals": goals(figures, storms)}


async def _storms(scene: Scene, contenders: list[Contender], rounds: int, view: View) -> dict[str, Any]:
    await asyncio.to_thread(clear_workloads, scene.cluster, contenders)
    storms = {}
    # A storm is over before any node could be emptied.
    for contender in (one for one in contenders if one not in NO_STORM):
        before = scene.operator_writes()
        downs = await storm(scene, contender, rounds, view.say)
        figures = results.judged(scene, contender, downs)
        own = scene.writes_since(before)[contender]
        storms[contender.value] = figures | results.extra_writes(own, figures["victims"])
        view.say(
            f"{contender}: {figures['planned_ready_deleted']} of {figures['victims_ready']} ready victims as planned"
        )
    return storms


def goals(figures: dict[str, dict[str, Any]], storms: dict[str, Any]) -> list[dict[str, Any]]:
    """Each goal beside what was measured; those for which nothing was measured are left out.

    Without an audit log, which another cluster does not give, neither writes nor evictions are known.
    """
    ours, moves = figures.get(Contender.SPILLWAY.key), figures.get(Contender.SPILLWAY_MOVES.key)
    stormy, found = storms.get(Contender.SPILLWAY.key), _Goals()
    if ours is not None:
        _in_the_day(found, ours, figures)
    if moves is not None:
        _with_moves(found, moves, figures)
    if stormy is not None:
        found.at_least("planned victims deleted in the storm: 99.9 %", stormy["planned_ratio"], 0.999)
        found.at_most("webhook hold in the storm, p99: at most 500 ms", stormy["hold_ms"]["p99"], 500)
    return found.all


class _Goals:
    """The goals so far."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def add(self, words: str, value: float | None, *, met: bool) -> None:
        if value is not None:
            self.all.append({"goal": words, "measured": value, "met": met})

    def at_most(self, words: str, value: float | None, bound: float) -> None:
        self.add(words, value, met=value is not None and value <= bound)

    def at_least(self, words: str, value: float, bound: float) -> None:
        self.add(words, value, met=value >= bound)


def _in_the_day(found: _Goals, ours: dict[str, Any], figures: dict[str, dict[str, Any]]) -> None:
    found.at_least("planned victims deleted in the day: all", ours["planned_ratio"], 1)
    found.at_most("virtual-first violations: 0", ours["virtual_first_violations"], 0)
    skew, unavoidable = ours["zone_skew_max"], ours["skew_above_possible"] == 0
    found.add("zone skew at most 1 where possible", skew, met=skew <= 1 or unavoidable)
    found.at_most("evictions: 0", ours["evictions"], 0)
    found.at_most("extra writes a deleted pod: at most 1", ours["extra_api_writes_per_deleted_pod"], 1)
    found.at_most("writes a minute at rest: 0", ours["idle_writes_per_minute"], 0)
    for other, bound in ((Contender.PLAIN, 0.85), (Contender.FLAT, 0.92)):
        words = f"elastic node-hours against {other} (goal of the simulator: {bound})"
        found.at_most(words, _node_hours_ratio(ours, figures.get(other.key)), bound)


def _with_moves(found: _Goals, moves: dict[str, Any], figures: dict[str, dict[str, Any]]) -> None:
    for other, bound in ((Contender.PLAIN, 0.75), (Contender.PLAIN_DRAIN, 1.0)):
        words = f"elastic node-hours with moves against {other}: at most {bound}"
        found.at_most(words, _node_hours_ratio(moves, figures.get(other.key)), bound)
    found.at_most("evictions with moves: 0", moves["evictions"], 0)
    found.at_most("dips with moves: 0", moves["dips"], 0)


def _node_hours_ratio(ours: dict[str, Any], theirs: dict[str, Any] | None) -> float | None:
    """The elastic node-hours of a contender divided by those of another one; None if that one had none."""
    if theirs is None or not theirs["elastic_node_hours"]:
        return None
    found: float = round(ours["elastic_node_hours"] / theirs["elastic_node_hours"], 3)
    return found


if __name__ == "__main__":
    typer.run(main)
