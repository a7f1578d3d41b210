"""The console blocks of the documents: their commands, what they print there, and a shell that runs them.

Contract: a command is a line that begins with `$ `, with all lines up to the end of its here-document or of its last
backslash. The lines after it are its output as the page shows it: `…` stands for any text, and as a line of its own for
any number of lines.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import yaml

PROJECT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("charts/**/*.md")])

_FENCE: Final = re.compile(r"^ *```(?:console|sh|bash|shell)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_HERE: Final = re.compile(r"<<'?(\w+)'?")
_AGES: Final = re.compile(r"\b(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+[smhd]\b|<unknown>|<invalid>")
_TIMES: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NUMBERS: Final = re.compile(r"-?\d+(?:\.\d+)?")
_OUTPUT_SECONDS: Final = 180.0
"""How long what a command prints may take to become what the page shows; commands with an output only read."""
_COMMAND_SECONDS: Final = 300.0
"""The end of a command that hangs; on a busy machine the deletion of the kinds alone has taken 90 s."""


@dataclass(frozen=True)
class Command:
    """One command of a page, and the lines that the page shows below it."""

    text: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """The commands of one block; `where` is its page and line, for messages."""

    where: str
    commands: tuple[Command, ...]


def pages() -> Iterator[str]:
    """The pages that have console blocks, by their path in the project."""
    return (str(path.relative_to(PROJECT)) for path in DOCUMENTS if _FENCE.search(path.read_text()))


def blocks(page: str) -> list[Block]:
    """The console blocks of a page, from top to bottom."""
    text = (PROJECT / page).read_text()
    return [
        Block(f"{page}:{text.count(chr(10), 0, found.start()) + 1}", tuple(_commands(dedent(found[1]))))
        for found in _FENCE.finditer(text)
    ]


def _commands(text: str) -> Iterator[Command]:
    lines = text.splitlines()
    assert lines[0].startswith("$ "), f"a console block begins with a command, not with {lines[0]!r}"
    while lines:
        command = [lines.pop(0).removeprefix("$ ")]
        if here := _HERE.search(command[0]):
            while command[-1] != here[1]:
                command.append(lines.pop(0))
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        output: list[str] = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        yield Command("\n".join(command), tuple(output))


def matches(shown: tuple[str, ...], printed: str, *, masked: bool) -> bool:
    """Whether a command printed what its page shows; ages and the widths of columns do not count.

    `masked`: numbers and times are examples, so what is compared is the text around them, row by row; further rows are
    of the same form.
    """
    expected = [_normal(line, masked=masked) for line in shown]
    found = [_normal(line, masked=masked) for line in printed.strip("\n").splitlines()]
    pattern = "".join(r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in expected)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


def _normal(line: str, *, masked: bool) -> str:
    line = _AGES.sub("AGE", line)
    if masked:
        line = _NUMBERS.sub("N", _TIMES.sub("TIME", line))
    return " ".join(line.split())


def has_keys_of(shown: tuple[str, ...], printed: str) -> bool:
    """Whether the YAML or JSON that was printed has every field that the page shows, lists element by element."""
    return _covers(yaml.safe_load("\n".join(shown)), yaml.safe_load(printed))


def _covers(shown: Any, found: Any) -> bool:
    if isinstance(shown, dict):
        return isinstance(found, dict) and all(key in found and _covers(shown[key], found[key]) for key in shown)
    if isinstance(shown, list):
        return isinstance(found, list) and all(any(_covers(one, other) for other in found) for one in shown)
    return isinstance(found, type(shown))


class Console:
    """A shell whose tools point at one cluster; what runs in its background ends with it."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        path = os.pathsep.join(
            [str(PROJECT / ".cache/localcluster/bin"), str(PROJECT / ".venv/bin"), os.environ["PATH"]]
        )
        self._env = {
            **{name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
            "PATH": path,
            "PYTHONPATH": f"{PROJECT / 'operator'}{os.pathsep}{PROJECT}",
            "HOME": str(folder),
            "COLUMNS": "200",
            **env,
        }
        for entry in ("charts", "examples", ".venv"):
            (folder / entry).symlink_to(PROJECT / entry)

    def export(self, line: str) -> None:
        """Keep a variable that a command of a page exports."""
        name = line.removeprefix("export ").partition("=")[0]
        self._env[name] = self.run(f'{line}; printf %s "${name}"')[1]

    def run(self, command: str) -> tuple[int, str]:
        """The exit code of a command and all that it printed."""
        with subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                printed, _ = process.communicate(timeout=_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                printed, _ = process.communicate()
                raise AssertionError(f"took longer than {_COMMAND_SECONDS:g} s: {command}\n{printed}") from None
        return process.returncode, printed

    def check(self, command: str, fits: Callable[[str], bool] | None, *, fails: bool = False) -> str:
        """Run a command until it prints what fits; what it printed. One without an output runs once."""
        deadline = time.monotonic() + _OUTPUT_SECONDS
        while True:
            code, printed = self.run(command)
            if (code != 0) == fails and (fits is None or fits(printed)):
                return printed
            assert fits is not None, f"exit code {code}: {command}\n{printed}"
            assert time.monotonic() < deadline, f"exit code {code}, and not what the page shows: {command}\n{printed}"
            time.sleep(0.3)
