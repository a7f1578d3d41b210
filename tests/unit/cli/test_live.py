"""What the commands that read a live cluster say of something that does not exist."""

import gc
import sys
from pathlib import Path

import pytest

from spillway.app.errors import no_such
from spillway.cli.live import Format, cell, coloured, literal, printed, read, show


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "there is no pool c; there are none"),
        (["b", "a"], "there is no pool c; there are: a, b"),
        (
            [f"{index:02}" for index in range(12)],
            "there is no pool c; there are: 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 2 more",
        ),
    ],
    ids=["none", "sorted", "too many"],
)
def test_what_exists_is_named(names: list[str], said: str) -> None:
    assert str(no_such("pool c", names)) == said


def test_garbage_is_collected_again_after_a_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def unused(_: object) -> None:
        raise AssertionError("there is no client")

    with pytest.raises(SystemExit, match="3"):
        read(tmp_path / "absent", None, unused)

    assert "not found" in capsys.readouterr().err
    assert gc.isenabled()


def test_what_is_shown_last_is_not_searched_for_garbage(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"pods": [1, 2]}
    try:
        show(found, Format.YAML, lambda _, *, wide: [f"{wide}"])
        frozen = gc.get_freeze_count()
    finally:
        gc.unfreeze()
    assert capsys.readouterr().out == "pods:\n- 1\n- 2\n"
    assert frozen > 0
    assert not gc.get_freeze_count()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web-1 (Virtual)", "web-1 (Virtual)"),
        ("\x1b[2J\x1b]52;c;cm0=\x07", r"\x1b[2J\x1b]52;c;cm0=\x07"),
        ("gone\nremedy: none\t\x9b1A", r"gone\x0aremedy: none\x09\x9b1A"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("[red]é[/]", r"\[red]é\[/]"),
        ("", ""),
    ],
    ids=["plain", "clears the screen", "forges lines", "turns the direction", "markup", "empty"],
)
def test_what_others_have_written_commands_no_terminal(text: str, shown: str) -> None:
    assert literal(text) == shown
    assert cell(text) == (shown or "-")


@pytest.mark.parametrize(
    ("terminal", "no_color", "shown"),
    [
        (True, None, "\x1b[1;31merror\x1b[0m\n"),
        (True, "1", "\x1b[1merror\x1b[0m\n"),
        (False, None, "error\n"),
        (False, "1", "error\n"),
    ],
    ids=["a terminal", "a terminal without colours", "a pipe", "a pipe without colours"],
)
def test_colours_are_used_on_a_terminal_and_not_with_no_color(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, no_color: str | None, shown: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)

    assert printed([coloured("error")]) == shown
