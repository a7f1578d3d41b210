"""One line an event, whoever logs it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from spillway import logs


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_own_and_the_librarys_lines_have_one_form() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    structlog.get_logger("spillway.test").info("node_tainted", key="n1")
    logging.getLogger("library").warning("odd %s", "thing")
    ours, theirs = lines(stream)
    assert (ours["event"], ours["key"], ours["level"], ours["logger"]) == (
        "node_tainted",
        "n1",
        "info",
        "spillway.test",
    )
    assert (theirs["event"], theirs["level"]) == ("odd thing", "warning")
    assert "timestamp" in ours
    assert "timestamp" in theirs


def test_an_exception_is_in_its_line() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger("spillway.test").exception("failed", key="a")
    (line,) = lines(stream)
    assert "broken" in json.dumps(line["exception"])


def test_below_the_level_and_chatty_libraries_are_silent() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    structlog.get_logger("spillway.test").debug("detail")
    logging.getLogger("kopf.objects").info("Handler 'x' succeeded.")
    assert lines(stream) == []


def test_console_is_for_people() -> None:
    stream = io.StringIO()
    logs.configure("console", "debug", stream=stream)
    structlog.get_logger("spillway.test").debug("detail", key="n1")
    assert "detail" in stream.getvalue()
    assert "key=n1" in stream.getvalue()


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown log level"):
        logs.configure("json", "loud")
