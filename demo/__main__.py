"""`python -m demo`: run a compressed day and show the results of each contender at its end."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from demo import report, results
from demo.contenders import Contender
from demo.day import Scene, live_day, open_scene, programs
from demo.scaledowns import ScaleDown
from demo.scenario import Day, plan_day
from demo.view import PIPED_WIDTH, View, console_for, summary
from localcluster import ClusterError, build

DEFAULT_SECONDS: Final = 480.0
_INTERRUPTED: Final = 130

_SVG: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="rich-terminal">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px;
 line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""
"""Rich's own frame without the font that a reader would have to download."""


def main(
    *,
    contenders: Annotated[str, typer.Option(help="The contenders, separated by commas.")] = "plain,spillway",
    seconds: Annotated[float, typer.Option(help="The length of the day in seconds.", min=60.0)] = DEFAULT_SECONDS,
    workloads: Annotated[int, typer.Option(help="Number of workloads of each contender.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same day.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the report and the figures.")] = Path("build/demo"),
    placement: Annotated[
        bool, typer.Option("--placement", help="Let Spillway decide which of its pods run on virtual nodes.")
    ] = False,
    moves: Annotated[
        bool, typer.Option("--moves", help="Let Spillway also empty elastic nodes by moves (consolidation).")
    ] = False,
    foresight: Annotated[
        bool, typer.Option(help="Let Spillway also scale ahead of the forecast demand, and keep headroom.")
    ] = True,
    picture: Annotated[Path | None, typer.Option(help="Also write the last view to this SVG file.")] = None,
) -> None:
    console = console_for(sys.stdout)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        taking_part = [Contender(name.strip()) for name in contenders.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{error}; choose from {', '.join(Contender)}", param_hint="--contenders") from error
    day = plan_day(seed=seed, workloads=workloads, seconds=seconds)
    try:
        build.ensure_built(programs(foresees=foresight))
        asyncio.run(
            _run(console, day, taking_part, output, picture, placement=placement, moves=moves, foresees=foresight)
        )
    except KeyboardInterrupt:
        console.print("interrupted, the cluster was stopped", highlight=False)
        raise typer.Exit(_INTERRUPTED) from None
    except (ClusterError, TimeoutError) as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(1) from error


async def _run(
    console: Console,
    day: Day,
    contenders: list[Contender],
    output: Path,
    picture: Path | None,
    *,
    placement: bool,
    moves: bool,
    foresees: bool,
) -> None:
    moving = (Contender.SPILLWAY, Contender.SPILLWAY_MOVES) if moves else (Contender.SPILLWAY_MOVES,)
    with View(console, contenders) as view:
        async with open_scene(day, contenders, view.say, placement=placement, moves=moving, foresees=foresees) as scene:
            view.say(f"the day begins: {day.seconds_per_hour:.1f} s to the hour, {day.seconds:.0f} s in all")

            def tick(elapsed: float, closed: list[ScaleDown]) -> None:
                view.tick(scene, elapsed, closed)

            await live_day(scene, tick)
            figures = results.day_figures(scene)
            series = results.day_series(scene)
            about = results.ran_on(scene)
    page = _write(output, scene, figures, about, series)
    console.print(view.picture(scene, scene.wall_seconds))
    console.print(summary(figures))
    console.print(f"\ncharts: {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
    if picture is not None:
        _draw(picture, view, scene, figures)


def _write(
    output: Path,
    scene: Scene,
    figures: dict[str, dict[str, object]],
    about: dict[str, object],
    series: dict[str, list[dict[str, float | None]]],
) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    (output / "day.json").write_text(json.dumps({"about": about, **figures, "series": series}, indent=2) + "\n")
    page = output / "day.html"
    page.write_text(report.page(scene, figures, about))
    return page


def _draw(path: Path, view: View, scene: Scene, figures: dict[str, dict[str, object]]) -> None:
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=PIPED_WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(summary(figures))
        console.print(view.picture(scene, scene.wall_seconds))
        path.parent.mkdir(parents=True, exist_ok=True)
        console.save_svg(str(path), title="make demo", theme=DIMMED_MONOKAI, code_format=_SVG)


if __name__ == "__main__":
    typer.run(main)
    sys.exit(0)
