"""Every command that reads a cluster or a history: its exit code and its error where that cannot be read."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

from spillway.cli import live
from spillway.cli.commands import application, main

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "reference" / "kubectl-spillway.md"
NO_CLUSTER: Final = ("run", "crds", "version", "completion")
"""The operator, and commands that read nothing."""
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "check-admission": ("--namespace=shop",),
    "cordon": ("eci-a",),
    "explain node": ("node-1",),
    "explain pod": ("cart-1",),
    "explain pool": ("eci-a",),
    "explain workload": ("cart",),
    "plan thresholds": ("--policy=online", "--prometheus-url=http://127.0.0.1:9"),
    "restore": ("--yes",),
    "simulate": ("-f", str(PAGE.parents[2] / "examples" / "1-recommend.yaml")),
    "uncordon": ("eci-a",),
}
"""What a command must be given."""
SIZED: Final = ("--node-cores=4", "--cpu=1")
PRICED: Final = (*SIZED, "--node-hour=1", "--virtual-cpu-hour=1")


def _commands() -> Iterator[tuple[str, Any]]:
    """Every command by its name."""
    for name, one in typer.main.get_command(application()).commands.items():  # type: ignore[attr-defined]
        inner = getattr(one, "commands", None)
        yield from ((f"{name} {sub}", command) for sub, command in inner.items()) if inner else ((name, one),)


COMMANDS: Final = {name: one for name, one in _commands() if name not in NO_CLUSTER}
READING: Final = sorted(name for name, one in COMMANDS.items() if any("--kubeconfig" in p.opts for p in one.params))


def test_most_commands_read_a_cluster() -> None:
    assert len(READING) > 12
    assert sorted(set(COMMANDS) - set(READING)) == ["backtest", "forecast"]


@pytest.mark.parametrize("name", READING)
def test_a_cluster_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    absent = f"--kubeconfig={tmp_path / 'absent'}"

    result = CliRunner().invoke(application(), [*name.split(), *NEEDED.get(name, ()), absent])

    assert (result.exit_code, result.stdout) == (live.UNREADABLE, ""), result.output
    assert re.fullmatch(r"error: the cluster cannot be read( or changed)?: kubeconfig .* not found\n", result.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "thresholds", "--prometheus-url=http://127.0.0.1:9", *SIZED),
        ("plan", "thresholds", "--csv=absent.csv", *SIZED),
        ("backtest", "--prometheus-url=http://127.0.0.1:9", *PRICED),
        ("backtest", "--folder=absent", *PRICED),
        ("forecast", "absent.csv"),
    ],
    ids=" ".join,
)
def test_a_history_that_cannot_be_read(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(application(), [*words])

    assert (result.exit_code, result.stdout) == (live.UNREADABLE, "")
    assert re.fullmatch(r"error: .* cannot be (read|reached).*\n", result.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_lists_the_exit_codes(name: str) -> None:
    text = " ".join(str(COMMANDS[name].help).split())
    _, found, codes = text.partition("Exit codes: ")
    assert found
    assert re.match(r"0 .*, 1 .*, 2 wrong usage, 3 .*could not be read", codes)


def test_the_page_lists_the_exit_codes() -> None:
    listed = re.findall(r"^\| (\d) \| \S", PAGE.read_text(), re.MULTILINE)
    assert listed == [str(code) for code in (0, live.NEGATIVE, 2, live.UNREADABLE)]


def test_a_flag_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["spillway", "cordon", "eci-a", "--until=foo"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: --until: must be RFC 3339, for example ")
