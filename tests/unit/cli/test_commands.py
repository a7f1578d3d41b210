"""The commands that need no cluster: version, completion, CustomResourceDefinitions, and flags that are refused."""

import ast
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from spillway import __version__
from spillway.app.errors import SettingsError
from spillway.app.settings import Settings
from spillway.cli.commands import application, listing


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_names_the_command(shell: str) -> None:
    script = CliRunner().invoke(application(), ["completion", shell]).output
    assert "spillway" in script
    assert "_SPILLWAY_COMPLETE" in script


def test_completion_offers_commands_and_flags() -> None:
    def offered(words: str) -> list[str]:
        env = {**os.environ, "_SPILLWAY_COMPLETE": "complete_bash", "COMP_WORDS": words}
        env["COMP_CWORD"] = str(words.count(" "))
        argv = [sys.executable, "-m", "spillway"]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True).stdout.split()

    assert set(offered("spillway re")) == {"report", "restore"}
    assert {"--context", "--yes"} <= set(offered("spillway restore --"))


HEAVY = ("aiohttp", "asyncio", "kopf", "kubernetes", "msgspec", "numpy", "plotly", "prometheus_client", "pydantic",
         "spillway.api", "spillway.kube", "structlog", "yaml")  # fmt: skip
"""What a command needs to act, and not to say what it does."""


def _loaded_by(entry: str, *words: str) -> tuple[str, list[str]]:
    """What the entry point prints for these words, and the heavy modules that it has loaded."""
    code = f"""
import sys
from spillway.cli import {entry}
try:
    {entry}()
except SystemExit as ended:
    assert not ended.code, ended.code
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True)
    *printed, loaded = done.stdout.splitlines()
    return "\n".join(printed), ast.literal_eval(loaded)


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--version"], __version__),
        (["version"], __version__),
        (["--help"], "savings and what needs"),
        (["status", "--help"], "--operator-namespace"),
        (["explain", "--help"], "Explain a pool"),
        (["explain", "pod", "--help"], "--operator-namespace"),
        (["plan", "thresholds", "--help"], "--prometheus-url"),
        (["run", "--help"], "--webhook-port"),
    ],
)
def test_version_and_help_load_no_heavy_module(words: list[str], printed: str) -> None:
    shown, loaded = _loaded_by("main", *words)
    assert printed in shown
    assert loaded == []


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        (
            "spillway.cli.reading",
            ("aiohttp", "kopf", "kubernetes", "numpy", "prometheus_client", "pydantic", "rich", "structlog"),
        ),
        (
            "spillway.cli.asking",
            (
                "kopf",
                "kubernetes",
                "numpy",
                "prometheus_client",
                "pydantic",
                "rich",
                "structlog",
                "spillway.app.explain",
            ),
        ),
        ("spillway.cli.explaining", ("kopf", "kubernetes", "numpy", "rich", "structlog")),
    ],
)
def test_a_live_command_loads_nothing_that_it_does_not_need(module: str, unneeded: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {unneeded!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ast.literal_eval(done.stdout) == []


@pytest.mark.parametrize(
    ("words", "imported"),
    [
        (["status", "--absent"], True),
        (["explain", "pod", "--absent"], True),
        (["simulate", "--absent"], False),
        (["crds", "--absent"], False),
    ],
)
def test_a_live_command_imports_the_http_client_while_its_flags_are_parsed(words: list[str], *, imported: bool) -> None:
    code = """
import sys, threading
from spillway.cli import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 2, ended.code
for one in threading.enumerate():
    if one is not threading.current_thread():
        one.join()
print("aiohttp" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"{imported}\n"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["st"], "status\t"),
        (["explain", ""], "node\t"),
        (["cordon", "--"], "--drain\t"),
        (["status", "-o", ""], "json"),
    ],
)
def test_completion_loads_no_heavy_module(words: list[str], printed: str) -> None:
    shown, loaded = _loaded_by("complete", *words)
    assert any(line.startswith(printed) for line in shown.splitlines())
    assert loaded == []


def test_a_candidate_with_its_description_is_one_line() -> None:
    """A second line would be offered as a candidate."""
    shown, _ = _loaded_by("complete", "run", "--")
    assert {line[:2] for line in shown.splitlines()} == {"--", ":4"}


def test_a_wrong_name_is_refused_with_the_next_one() -> None:
    argv = [sys.executable, "-m", "spillway", "sttus", "--watch"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Did you mean 'status'?" in done.stderr


def test_a_command_runs_also_after_two_dashes() -> None:
    argv = [sys.executable, "-m", "spillway", "--", "version"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == __version__


def test_the_listing_names_every_command_with_its_help() -> None:
    runner = CliRunner()
    assert runner.invoke(listing(), ["--help"]).output == runner.invoke(application(), ["--help"]).output


def test_commands() -> None:
    runner = CliRunner()
    assert runner.invoke(application(), ["--version"]).output.strip() == __version__
    assert runner.invoke(application(), ["version"]).output.strip() == __version__
    assert "kind: CustomResourceDefinition" in runner.invoke(application(), ["crds"]).output
    wrong = runner.invoke(application(), ["restore", "--stop-deployment", "spillway"])
    assert isinstance(wrong.exception, SettingsError)
    assert "spillway-system/spillway" in str(wrong.exception)


def test_the_help_of_run_has_the_default_of_every_setting() -> None:
    """They are written there, because reading them would import what `--help` need not wait for."""
    [run] = typer.main.get_command(application("run")).commands.values()  # type: ignore[attr-defined]
    helps = {one.name: one.help for one in run.params}
    given = {name: one.default for name, one in Settings.model_fields.items() if one.default_factory is None}
    shown = {name: default for name, default in given.items() if isinstance(default, int | float | str)}
    assert len(shown) > 20
    for name, default in shown.items():
        if not isinstance(default, bool):  # the help of a pair of flags shows the default by itself
            text = default if isinstance(default, str) else f"{default:g}"
            assert helps[name].endswith(f"Default: {text}."), name


@pytest.mark.parametrize(
    ("words", "candidates", "end"),
    [
        (["sta"], ["status"], ":4"),
        (["explain", ""], ["pod", "workload", "node", "pool"], ":4"),
        (["status", "-o", ""], ["table", "wide", "yaml", "json"], ":4"),
        (["doctor", "--operator-n"], ["--operator-namespace"], ":4"),
        (["simulate", "-f", ""], [], ":0"),
    ],
)
def test_completion_for_kubectl(words: list[str], candidates: list[str], end: str) -> None:
    """As `kubectl_complete-spillway` answers, and as a zipapp does, which has one entry point."""
    asked = [sys.executable, "-c", "from spillway.cli import complete; complete()", *words]
    done = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60)
    *found, last = done.stdout.splitlines()
    assert [line.partition("\t")[0] for line in found] == candidates
    assert last == end
    asked[2] = "from spillway.cli import main; main()"
    environment = {**os.environ, "SPILLWAY_COMPLETES_FOR_KUBECTL": "1"}
    zipapp = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60, env=environment)
    assert zipapp.stdout == done.stdout
