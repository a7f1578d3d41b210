"""The progress bar of a backtest, on standard error; none where that is no terminal."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from spillway.simulate.backtest.case import Case
from spillway.simulate.backtest.run import Result, run


def run_with_progress(case: Case) -> Result:
    """Replay a case and show how far it is."""
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as shown:

        def progress(what: str, done: int, of: int) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what, total=of)
            shown.update(bars[what], completed=done)

        return run(case, progress=progress)
