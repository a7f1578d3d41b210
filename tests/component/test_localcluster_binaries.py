"""Where binaries come from: the environment if they fit, else built once from the pinned module."""

import shutil
from pathlib import Path

import pytest

from localcluster import ClusterError, binaries, build

PROGRAM = """package main

import "fmt"

func main() { fmt.Println("v1.2.3") }
"""


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A component of our own, `hello`, whose module is in the returned folder, and an empty cache."""
    folder = tmp_path / "tools" / "hello"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module example.org/hello\n\ngo 1.25\n")
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text(PROGRAM)
    (folder / "kind.yaml").write_text("kind: Hello\n")
    tool = binaries.Tool(
        "hello",
        "example.org/hello",
        version_args=("--version",),
        minimum=(1, 2),
        data=(("example.org/hello", "*.yaml"),),
    )
    monkeypatch.setattr(binaries, "TOOLS", {"hello": tool})
    monkeypatch.setattr(binaries, "TOOLS_DIR", tmp_path / "tools")
    monkeypatch.setenv("LOCALCLUSTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPILLWAY_BIN_DIR", raising=False)
    return folder


def _script(path: Path, version: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho hello version {version}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go toolchain")
def test_a_component_is_built_once_and_again_when_its_pins_change(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.ensure_built(["hello"])
    assert "[1/1] hello: building example.org/hello" in capsys.readouterr().err
    built = binaries.find("hello")
    assert built.is_relative_to(binaries.cache_dir())
    assert (binaries.share_dir("hello") / "kind.yaml").read_text() == "kind: Hello\n"

    build.ensure_built(["hello"])
    assert capsys.readouterr().err == ""

    (hello / "go.mod").write_text("module example.org/hello\n\ngo 1.24\n")
    assert build.missing(["hello"]) == ["hello"]
    with pytest.raises(ClusterError, match="python -m localcluster build hello"):
        binaries.find("hello")


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go toolchain")
def test_a_failed_build_says_what_the_compiler_said_and_leaves_nothing(hello: Path) -> None:
    (hello / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")

    with pytest.raises(ClusterError, match="undefined: nonsense"):
        build.ensure_built(["hello"])

    assert build.missing(["hello"]) == ["hello"]


def test_a_folder_of_binaries_is_used_for_what_is_new_enough_in_it(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = _script(tmp_path / "old" / "hello", "v1.1.9"), _script(tmp_path / "new" / "hello", "v1.10.0")

    monkeypatch.setenv("SPILLWAY_BIN_DIR", str(old.parent))
    assert build.missing(["hello"]) == ["hello"]
    monkeypatch.setenv("SPILLWAY_BIN_DIR", str(new.parent))
    assert binaries.find("hello") == new


def test_one_binary_named_by_its_variable_must_fit(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPILLWAY_BIN_HELLO", str(_script(tmp_path / "old" / "hello", "v1.1.9")))

    with pytest.raises(ClusterError, match=r"SPILLWAY_BIN_HELLO=.*older than 1\.2"):
        binaries.find("hello")


def test_without_a_toolchain_the_message_says_what_to_do(hello: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ClusterError, match="SPILLWAY_BIN_DIR"):
        build.ensure_built(["hello"])


def test_an_unknown_component_is_refused_with_the_known_ones(hello: Path) -> None:
    with pytest.raises(ClusterError, match="no component helo; there are hello"):
        binaries.find("helo")
