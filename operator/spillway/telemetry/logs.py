"""Loggers for the modules that commands load as well, which rarely have something to log.

Contract: as `structlog.get_logger`, which is imported with the first message: that takes a tenth of a second. In a
process that has not configured the logs, which is a command, only warnings and errors are shown, on stderr: stdout is
the answer of the command.
"""

import logging
import sys
from typing import Any


class Logger:
    """A logger of this name; its methods are structlog's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - a method of structlog's
        import structlog  # noqa: PLC0415

        if structlog.is_configured():
            return getattr(structlog.get_logger(self._name), method)
        filtering = structlog.make_filtering_bound_logger(logging.WARNING)
        return getattr(structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=filtering), method)
