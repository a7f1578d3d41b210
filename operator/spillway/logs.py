"""Structured logs on standard error: one line per event, as JSON for machines or as coloured text for people.

Contract: the entry point of a process calls `configure` once. The loggers of the standard library (kopf, aiohttp and
others) are written in the same form. An event is a lower-case sentence; field names are snake_case; the object that a
line is about is in `key`.
"""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

Format = Literal["json", "console"]

# These loggers are noisy at INFO and add nothing to the operator's own log lines.
_QUIETER = ("aiohttp.access", "kopf", "kubernetes", "kubernetes.aio.leaderelection", "asyncio")


def configure(log_format: Format = "json", level: str = "info", *, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process.

    Raises:
        ValueError: `level` is not one of debug, info, warning and error.

    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}: one of debug, info, warning, error")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format, handler)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _QUIETER:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _renderers(log_format: Format, handler: "logging.StreamHandler[Any]") -> list[structlog.typing.Processor]:
    if log_format == "console":
        return [structlog.dev.ConsoleRenderer(colors=handler.stream.isatty())]
    # Tracebacks omit local variables: they can hold credentials, and they fill the log.
    exceptions = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    return [exceptions, structlog.processors.JSONRenderer()]
