"""The flags, the output and the exit codes of the commands that read a live cluster or a history of demand.

Contract: such a command reads through the API server with the user's own kubeconfig. It prints what it found on stdout
and errors on stderr. Its exit code is 0 for an answer, 1 where the command's own help says so, 2 for wrong usage and 3
if the cluster, Prometheus or a file could not be read, or the cluster refused a change. Colours and the terminal's
width are used only where stdout is a terminal.
"""

import gc
import importlib
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Protocol, TypeVar

import typer

from spillway.app.errors import NotFoundError, UnreadableError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from spillway.kube.client import KubeClient

Found = TypeVar("Found")

NEGATIVE: Final = 1
"""The exit code of a command that found an error, or did not find what was asked for."""
UNREADABLE: Final = 3
"""The exit code where the cluster or the history could not be read."""
WATCH_SECONDS: Final = 2.0
MESSAGE: Final = "message"
"""The heading of a column with sentences."""
_WIDE_ENOUGH: Final = 4_000
"""Columns for output that is no terminal: nothing is folded or cut there."""


class Format(StrEnum):
    """The format of the output."""

    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"


TABLES: Final = (Format.TABLE, Format.WIDE)
"""The formats for people."""
READING: Final = "spillway.cli.reading"
"""The module of the commands that read all pods and nodes."""

KUBECONFIG_HELP: Final = "Kubeconfig. Default: $KUBECONFIG, else the pod's service account, else ~/.kube/config."
Kubeconfig = Annotated[Path | None, typer.Option(help=KUBECONFIG_HELP)]
CONTEXT_HELP: Final = "Context of the kubeconfig. Default: its current context."
Context = Annotated[str | None, typer.Option(help=CONTEXT_HELP)]
OPERATOR_NAMESPACE_HELP: Final = "Namespace of the operator."
OperatorNamespace = Annotated[str, typer.Option(help=OPERATOR_NAMESPACE_HELP)]
LeaseName = Annotated[str, typer.Option(help="Name of the Lease by which the operator's replicas elect a leader.")]
FormatFlag = Annotated[
    Format,
    typer.Option("--output", "-o", help="table, wide (more columns), yaml or json. The keys are camelCase and stable."),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show the output again whenever it changes, until Ctrl-C.")]


class View(Protocol):
    """The tables that show a document to people."""

    def __call__(self, found: Any, /, *, wide: bool) -> "Sequence[RenderableType]": ...  # noqa: ANN401 - one view for each


def prepare() -> None:
    """Begin to import what `read` needs: in a thread, because OpenSSL reads the system's authorities without Python.

    Until `read` has ended no garbage is collected: modules and records are hardly ever in cycles, and looking for them
    takes a tenth of the time.
    """
    import threading  # noqa: PLC0415  # `--help` need not wait for it

    gc.disable()
    threading.Thread(target=importlib.import_module, args=("aiohttp",)).start()


def read(
    kubeconfig: Path | None,
    context: str | None,
    work: "Callable[[KubeClient], Awaitable[Found]]",
    *,
    modules: Sequence[str] = (),
) -> Found:
    """What `work` finds with a client for the cluster; the process ends if the cluster cannot be read.

    `modules` are those that `work` needs before its first request. They are imported before the client, which a thread
    may be importing already (see `prepare`).
    """
    gc.disable()
    try:
        for one in modules:
            importlib.import_module(one)
        return _connected(kubeconfig, context, work, "read")
    finally:
        gc.enable()


def change(kubeconfig: Path | None, context: str | None, work: "Callable[[KubeClient], Awaitable[Found]]") -> Found:
    """What `work` returns, which changes the cluster; the process ends if the cluster cannot be read or changed."""
    return _connected(kubeconfig, context, work, "read or changed")


def _connected(
    kubeconfig: Path | None, context: str | None, work: "Callable[[KubeClient], Awaitable[Found]]", does: str
) -> Found:
    import asyncio  # noqa: PLC0415  # `--help` need not wait for it

    from spillway.kube.client import KubeClient  # noqa: PLC0415
    from spillway.kube.errors import RequestError  # noqa: PLC0415

    async def connected() -> Found:
        async with await KubeClient.connect(str(kubeconfig) if kubeconfig else None, context, patient=True) as client:
            return await work(client)

    with reported():
        try:
            return asyncio.run(connected())
        except (RequestError, OSError) as error:
            raise UnreadableError(f"the cluster cannot be {does}: {error or 'timed out'}") from error


@contextmanager
def reported() -> Iterator[None]:
    """End the process with an error on stderr if something does not exist or cannot be read."""
    try:
        yield
    except NotFoundError as error:
        fail(str(error), NEGATIVE)
    except UnreadableError as error:
        fail(str(error), UNREADABLE)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """End the process with an error on stderr if the file cannot be written."""
    try:
        yield
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror or error}", NEGATIVE)


def fail(message: str, code: int) -> NoReturn:
    """End the process with an error on stderr."""
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)


def show(found: Any, output: Format, view: View) -> None:  # noqa: ANN401 - any struct
    """Print a document in the wanted format, at the end of the process."""
    # What was read need not be searched for garbage any more, neither by the printing nor by the interpreter's end.
    gc.freeze()
    typer.echo(text_of(found, output, view), nl=False)


def show_watched(look: Callable[[], Any], output: Format, view: View) -> None:
    """Print a document again whenever it has changed, until the user interrupts."""
    shown = ""
    try:
        while True:
            text = text_of(look(), output, view)
            if _without_time(text) != _without_time(shown):
                if sys.stdout.isatty():
                    typer.echo("\x1b[H\x1b[2J", nl=False)
                elif shown:
                    typer.echo("---" if output is Format.YAML else "")
                typer.echo(text, nl=False)
                sys.stdout.flush()
                shown = text
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        sys.exit(0)


def text_of(found: Any, output: Format, view: View) -> str:  # noqa: ANN401
    """A document in the wanted format."""
    import msgspec  # noqa: PLC0415  # `--help` need not wait for it

    if output is Format.JSON:
        return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
    if output is Format.YAML:
        import yaml  # noqa: PLC0415

        return str(yaml.safe_dump(msgspec.to_builtins(found), sort_keys=False, allow_unicode=True, width=_WIDE_ENOUGH))
    return printed(view(found, wide=output is Format.WIDE))


def printed(parts: "Sequence[RenderableType]") -> str:
    """Tables and lines as text, with an empty line between two parts."""
    import io  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    terminal = sys.stdout.isatty()
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=_WIDE_ENOUGH, highlight=False, emoji=False)
    folded = shutil.get_terminal_size().columns if terminal else _WIDE_ENOUGH
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part, width=folded if _folds(part) else _WIDE_ENOUGH)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _folds(part: "RenderableType") -> bool:
    """Whether a part has long texts, which are folded at the width of a terminal."""
    columns = getattr(part, "columns", None)
    return columns is None or not columns[-1].no_wrap


_COMMANDS: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Control characters, and those that change the direction of what follows, with what is shown instead."""


def table(*columns: str) -> "Table":
    """A table as kubectl prints it: capital headings and no lines. Only a last column `message` is folded."""
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column.upper(), no_wrap=column != MESSAGE, overflow="fold")
    return made


def cell(value: object) -> str:
    """A value in a table; what is not known is shown as `-`, as kubectl does for what it does not know."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return literal(str(value))


def literal(text: str) -> str:
    """A text as it is, for a terminal: neither rich nor the terminal takes a part of it for a command.

    Names, Events and messages come from whoever may write them, and could clear the screen or forge lines.
    """
    from rich.markup import escape  # noqa: PLC0415

    return escape(text.translate(_COMMANDS))


def coloured(severity: str, text: str = "") -> str:
    """A severity, or a text of that severity, in its colour."""
    colour = {"error": "bold red", "warning": "yellow"}.get(severity, "dim")
    return f"[{colour}]{text or severity}[/]"


def _without_time(text: str) -> str:
    """The text without the line that says when it was read."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip(' "').startswith(("at:", 'at":', "renewed")))
