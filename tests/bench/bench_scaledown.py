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
            figures[contender]["idle_writes_per_minute"] = round(own.total * 60 / idle_seconds, 2)
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
    """Each goal beside what was measured."""
    ours, stormy = figures.get(Contender.SPILLWAY), storms.get(Contender.SPILLWAY)
    found = []

    def goal(words: str, value: float, *, met: bool) -> None:
        found.append({"goal": words, "measured": value, "met": met})

    if ours is not None:
        goal("planned victims deleted in the day: all", ours["planned_ratio"], met=ours["planned_ratio"] == 1)
        violations = ours["virtual_first_violations"]
        goal("virtual-first violations: 0", violations, met=violations == 0)
        unavoidable = ours["skew_above_possible"] == 0
        goal("zone skew at most 1 where possible", ours["zone_skew_max"], met=ours["zone_skew_max"] <= 1 or unavoidable)
        goal("evictions: 0", ours["evictions"], met=ours["evictions"] == 0)
        per_pod = ours["extra_api_writes_per_deleted_pod"]
        goal("extra writes a deleted pod: at most 1", per_pod, met=per_pod <= 1)
        at_rest = ours["idle_writes_per_minute"]
        goal("writes a minute at rest: 0", at_rest, met=at_rest == 0)
        for other, bound in ((Contender.PLAIN, 0.85), (Contender.FLAT, 0.92)):
            if other in figures and figures[other]["elastic_node_hours"]:
                ratio = round(ours["elastic_node_hours"] / figures[other]["elastic_node_hours"], 3)
                goal(f"elastic node-hours against {other} (goal of the simulator: {bound})", ratio, met=ratio <= bound)
    moves = figures.get(Contender.SPILLWAY_MOVES.key)
    if moves is not None:
        for other, bound in ((Contender.PLAIN, 0.75), (Contender.PLAIN_DRAIN, 1.0)):
            if figures.get(other.key, {}).get("elastic_node_hours"):
                ratio = round(moves["elastic_node_hours"] / figures[other.key]["elastic_node_hours"], 3)
                goal(f"elastic node-hours with moves against {other}: at most {bound}", ratio, met=ratio <= bound)
        goal("evictions with moves: 0", moves["evictions"], met=moves["evictions"] == 0)
        goal("dips with moves: 0", moves["dips"], met=moves["dips"] == 0)
    if stormy is not None:
        goal(
            "planned victims deleted in the storm: 99.9 %",
            stormy["planned_ratio"],
            met=stormy["planned_ratio"] >= 0.999,
        )
        hold = stormy["hold_ms"]["p99"]
        goal("webhook hold in the storm, p99: at most 500 ms", hold, met=hold <= 500)
    return found


if __name__ == "__main__":
    typer.run(main)
