"""Loggers for the modules that commands load as well, which rarely have something to log.

Contract: as `structlog.get_logger`, which is imported with the first message: that takes a tenth of a second.
"""

from typing import Any


class Logger:
    """A logger of this name; its methods are structlog's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - a method of structlog's
        import structlog  # noqa: PLC0415

        return getattr(structlog.get_logger(self._name), method)
