"""The reference page of the command line, generated from the commands themselves."""

from collections.abc import Iterator
from typing import Any

import typer

from spillway.cli.commands import NAME, application


def commands_page() -> Iterator[str]:
    """The lines of the page."""
    yield "# Command line"
    yield ""
    yield (
        "`spillway` and the kubectl plugin `kubectl-spillway` are the same program. "
        "[The commands of `kubectl spillway`](kubectl-spillway.md) explains those that read a live cluster."
    )
    yield from _commands(typer.main.get_command(application()), NAME)


def _commands(group: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - typer's own copy of click has no public type
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield from _command(command, f"{path} {name}")


def _command(command: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - as above
    yield ""
    yield f"## {path}"
    yield ""
    yield " ".join((command.help or "").split())
    rows = [row for one in command.params if (row := _row(one)) is not None]
    if rows:
        yield ""
        yield "| argument or flag | default | meaning |"
        yield "|---|---|---|"
        yield from rows


def _row(parameter: Any) -> str | None:  # noqa: ANN401 - as above
    if getattr(parameter, "hidden", False) or parameter.name == "help":
        return None
    argument = parameter.param_type_name == "argument"
    names = [parameter.metavar or parameter.name.upper()] if argument else [*parameter.opts, *parameter.secondary_opts]
    default = parameter.default() if callable(parameter.default) else parameter.default
    meaning = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    if parameter.required:
        shown = "required"
    elif getattr(parameter, "is_flag", False):
        shown = "on" if default else "off"
    elif default is None or default in ((), [], ""):
        shown = "see meaning" if "Default: " in meaning else "none"
    else:
        shown = f"`{getattr(default, 'value', default)}`"
    return f"| {', '.join(f'`{one}`' for one in names)} | {shown} | {meaning} |"
