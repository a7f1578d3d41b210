"""Errors that are reported as one line, without a traceback; importing this loads next to nothing else."""

from collections.abc import Iterable
from typing import Final

from spillway.domain.model.wording import first_names

_NAMED: Final = 10
"""The names that an error lists."""


class SettingsError(ValueError):
    """A flag or an environment variable has a value that cannot be used."""


class NotFoundError(Exception):
    """What was asked for does not exist; the message says what does."""


class UnreadableError(Exception):
    """Something besides the API server could not be read; the message says what."""


def no_such(missing: str, names: Iterable[str]) -> NotFoundError:
    """The error for something that does not exist, which names the first of those that do."""
    found = sorted(names)
    there = f"there are: {first_names(found, most=_NAMED)}" if found else "there are none"
    return NotFoundError(f"there is no {missing}; {there}")
