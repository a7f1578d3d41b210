"""The warning about a name that no object can have: one line in the log for each, however often it is met."""

from functools import lru_cache
from typing import Final

from spillway.kube.errors import InvalidNameError
from spillway.telemetry.logs import Logger

log: Final = Logger(__name__)
_REMEMBERED: Final = 1024


def warn_once(error: InvalidNameError) -> None:
    """Log that nothing was sent for this name, unless that was logged before."""
    _warn(error.field, str(error))


@lru_cache(maxsize=_REMEMBERED)
def _warn(field: str, message: str) -> None:
    log.warning("nothing was sent: a name that no object can have", key=field, error=message)
