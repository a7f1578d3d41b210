"""The values of flags that typer cannot check: those with a unit, such as a duration, and numbers above 0."""

import math
from collections.abc import Callable
from typing import TypeVar

from spillway.app.errors import SettingsError

Value = TypeVar("Value")


def parsed(name: str, read: Callable[[str], Value], text: str) -> Value:
    """The value of a flag; an error begins with the flag.

    Raises:
        SettingsError: the text has no such value.
    """
    try:
        return read(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error


def above_zero(name: str, value: float) -> float:
    """The value of a flag.

    Raises:
        SettingsError: it is not a finite number above 0.
    """
    if not 0 < value < math.inf:
        raise SettingsError(f"{name}: must be above 0, not {value:g}")
    return value
