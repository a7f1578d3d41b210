"""The values of flags that are written with a unit, such as a duration or an amount of memory."""

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
