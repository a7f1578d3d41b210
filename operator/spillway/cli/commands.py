"""The commands of `spillway`. Each is in a file of its own and imports heavy modules only when it runs."""

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from spillway import __version__
from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.backtest import backtest
from spillway.cli.check_admission import check_admission
from spillway.cli.cordon import cordon, uncordon
from spillway.cli.crds import crds
from spillway.cli.doctor import doctor
from spillway.cli.explain import explain
from spillway.cli.forecast import forecast
from spillway.cli.plan import plan
from spillway.cli.report import report
from spillway.cli.restore import restore
from spillway.cli.run import run
from spillway.cli.simulate import simulate
from spillway.cli.status import status

NAME: Final = "spillway"
_COMPLETE: Final = "_SPILLWAY_COMPLETE"
"""The environment variable by which a completion script asks for candidates."""
_WORDS: Final = "_TYPER_COMPLETE_ARGS"
"""The environment variable with the words up to the cursor; in bash it is COMP_WORDS."""
_ONE_LINE: Final = "4000"
"""The columns for descriptions of candidates: rich folds them, and each line would be taken for a candidate."""
_FOR_KUBECTL: Final = "SPILLWAY_COMPLETES_FOR_KUBECTL"
"""The environment variable by which a program with one entry point alone, such as a zipapp, completes for kubectl."""


class Shell(StrEnum):
    """The shells for which there is completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")]) -> None:
    """Print the completion script of a shell, for `source <(spillway completion bash)`.

    For `kubectl spillway` nothing is needed but kubectl's own completion: it runs kubectl_complete-spillway, which is
    installed beside kubectl-spillway.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # noqa: PLC0415  # rarely needed

    typer.echo(get_completion_script(prog_name=NAME, complete_var=_COMPLETE, shell=shell.value))


_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "status": status,
    "doctor": doctor,
    "simulate": simulate,
    "report": report,
    "check-admission": check_admission,
    "cordon": cordon,
    "uncordon": uncordon,
    "run": run,
    "restore": restore,
    "forecast": forecast,
    "backtest": backtest,
    "crds": crds,
    "version": version,
    "completion": completion,
}
_GROUPS: Final = {"explain": explain, "plan": plan}
_LIVE: Final = frozenset({"status", "doctor", "explain"})
"""The commands that read the cluster as soon as their flags are known."""


class _Light:
    """What keeps typer from loading pydantic where no value is given or used; the types have no public names."""

    def get_help_option(self, ctx: Any) -> Any:  # noqa: ANN401
        """The flag --help, which is false where it is not given; typer would convert the lack of a value."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Parse the arguments, without converting them if only a word is completed."""
        if ctx.resilient_parsing:
            for param in self.get_params(ctx):  # type: ignore[attr-defined]
                param.process_value = _unconverted
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest


class _Command(_Light, TyperCommand): ...


class _Group(_Light, TyperGroup): ...


def application(only: str | None = None) -> typer.Typer:
    """The command line; with the name of a command, only that one: typer takes 0.2 s to build all their flags."""
    built = _empty()
    for name, command in _COMMANDS.items():
        if only in (None, name):
            built.command(name, cls=_Command)(command)
    for name, group in _GROUPS.items():
        if only in (None, name):
            for one in group.registered_commands:
                one.cls = _Command
            built.add_typer(group, name=name, cls=_Group)
    return built


def listing() -> typer.Typer:
    """The command line without the flags of its commands, to show or complete their names; it runs none of them."""
    built = _empty()
    for name, command in _COMMANDS.items():
        built.command(name, help=command.__doc__)(_unavailable)
    for name, group in _GROUPS.items():
        built.command(name, help=group.info.help)(_unavailable)
    return built


def main() -> None:
    """Entry point of `spillway` and `kubectl-spillway`."""
    if os.environ.pop(_FOR_KUBECTL, ""):
        complete()
        return
    words = sys.argv[1:]
    if _COMPLETE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # noqa: PLC0415  # rarely needed

        os.environ["COLUMNS"] = _ONE_LINE
        completion_init()
        _, *words = os.environ.get(_WORDS, os.environ.get("COMP_WORDS", NAME)).split()
    elif "--help" not in words and _command_of(words) in _LIVE:
        live.prepare()
    called = _command_of(words)
    try:
        (listing() if called is None else application(called))(prog_name=NAME)
    except SettingsError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


def complete() -> None:
    """Entry point of `kubectl_complete-spillway`, which kubectl runs to complete `kubectl spillway …`.

    Prints a candidate a line with its description after a tab, and at the end what kubectl's shells do with them: `:4`
    for these candidates alone, `:0` for the names of files as well where there are none.
    """
    os.environ[_COMPLETE] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ[_WORDS] = shlex.join([NAME, *sys.argv[1:]])
    found = io.StringIO()
    with contextlib.redirect_stdout(found), contextlib.suppress(SystemExit):
        main()
    candidates = [line for line in found.getvalue().splitlines() if line.strip()]
    typer.echo("\n".join([*candidates, ":4" if candidates else ":0"]))


def _empty() -> typer.Typer:
    """The command line before its commands are added."""
    built = typer.Typer(
        name=NAME,
        help="Spillway runs each replica on the cheapest suitable node and removes the right replicas when load falls.",
        cls=_Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    built.callback()(_global_flags)
    return built


def _unconverted(_: object, value: object) -> object:
    return value


def _unavailable() -> None:
    raise RuntimeError("the listing runs no command")


def _command_of(arguments: Sequence[str]) -> str | None:
    """The command that is called; None for help, for global flags and for an unknown name."""
    first = next((one for one in arguments if one != "--"), "")
    return first if first in _COMMANDS or first in _GROUPS else None


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it with the flag's value
    if wanted:
        version()
        raise typer.Exit


def _global_flags(
    *,
    version: Annotated[  # its callback has acted
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None: ...
