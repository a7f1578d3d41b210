"""Cron expressions of five fields: a parser with error messages.

Contract: minute, hour, day of month, month, day of week, as in crontab(5): `*`, numbers, names (JAN, MON), ranges,
lists and steps; `?` is `*` in the two day fields; Sunday is 0 or 7. Where both day fields are restricted, either is
enough. Extensions (L, W, #, @daily) are refused, not guessed.
"""

from dataclasses import dataclass
from typing import Final


class CronError(ValueError):
    """The text is not a cron expression; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The values at which each field matches; days of week from 0 (Sunday) to 6."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both day fields are restricted: a day matches where one of them does."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    example: str = "*"
    day: bool = False


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    _Field("minute", 0, 59, example="*/15"),
    _Field("hour", 0, 23, example="8-18"),
    _Field("day of month", 1, 31, example="1,15", day=True),
    _Field("month", 1, 12, _MONTHS, example="JAN-MAR"),
    _Field("day of week", 0, 7, _WEEKDAYS, example="MON-FRI", day=True),
)
_LONGEST_MONTHS: Final = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))


def parse_cron(text: str) -> Cron:
    """Parse a cron expression.

    Raises:
        CronError: the text is not a cron expression, or names only days that no month has.
    """
    words = text.split()
    if len(words) != len(_FIELDS):
        raise CronError(
            f"has {len(words)} fields, must have five: minute, hour, day of month, month, day of week;"
            ' for example "0 18 * * *"'
        )
    minutes, hours, days, months, weekdays = (_values(word, field) for word, field in zip(words, _FIELDS, strict=True))
    weekdays = frozenset(day % 7 for day in weekdays)
    either_day = not words[2].startswith(("*", "?")) and not words[4].startswith(("*", "?"))
    if not either_day and all(min(days) > _LONGEST_MONTHS[month] for month in months):
        raise CronError(
            f'never comes: no month in "{words[3]}" has a day {min(days)}; for example "0 18 1 {words[3]} *"'
        )
    return Cron(minutes, hours, days, months, weekdays, either_day)


def _values(word: str, field: _Field) -> frozenset[int]:
    values: set[int] = set()
    for part in word.split(","):
        values.update(_part(part, field))
    return frozenset(values)


def _part(part: str, field: _Field) -> range:
    span, slash, step_text = part.partition("/")
    step = 1
    if slash:
        if not step_text.isdecimal() or not 1 <= int(step_text) <= field.high:
            raise _wrong(part, field)
        step = int(step_text)
    if span == "*" or (span == "?" and field.day and not slash):
        return range(field.low, field.high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _number(first_text, field, part)
    open_end = field.high if slash else first
    last = _number(last_text, field, part) if dash else open_end
    if last < first:
        raise _wrong(part, field)
    return range(first, last + 1, step)


def _number(text: str, field: _Field, part: str) -> int:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.low
    if not (text.isascii() and text.isdecimal()) or not field.low <= int(text) <= field.high:
        raise _wrong(part, field)
    return int(text)


def _wrong(part: str, field: _Field) -> CronError:
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    return CronError(
        f'{field.name} "{part}" must be *, or numbers from {field.low} to {field.high}{names},'
        f" with ranges, lists and steps; for example {field.example}"
    )
