"""The commands of `spillway`. Each is in a file of its own and imports heavy modules only when it runs."""

import sys

import typer

from spillway import __version__
from spillway.app.settings import SettingsError
from spillway.cli.crds import crds
from spillway.cli.plan import plan
from spillway.cli.restore import restore
from spillway.cli.run import run

app = typer.Typer(
    name="spillway",
    help="Spillway runs each replica on the cheapest suitable node and removes the right replicas when load falls.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(run)
app.command()(restore)
app.command()(crds)
app.add_typer(plan, name="plan")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point of `spillway` and `kubectl-spillway`."""
    try:
        app()
    except SettingsError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
