"""The occasions that a user's recurring entries bring: which days they are, and the day that each of them is like.

Contract: pure. An entry is divided at the midnights of its time zone, because each of its days is like another day. A
day is never like one of the same period: the second week of a sale is compared with the week before the sale. An entry
that is not valid brings none.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from spillway.api.forecast import ForecastOccasion
from spillway.domain.forecast.occasions import Occasion
from spillway.domain.model.recurring import CronError, Recurrence, TimeZoneError, recurrence_of
from spillway.domain.model.units import DAY_SECONDS

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEK: Final = 7
_MOST: Final = 200
"""Parts of one entry: no history has more days, and who names every hour means no occasion."""


def occasions_within(entries: Iterable[ForecastOccasion], begin: float, end: float) -> tuple[Occasion, ...]:
    """The occasions that overlap this span of Unix seconds, in order of their begin."""
    found: list[Occasion] = []
    for entry in entries:
        try:
            recurrence = recurrence_of(entry)
        except (CronError, TimeZoneError):
            continue
        found += islice(_of(entry, recurrence, begin, end), _MOST)
    return tuple(sorted(found, key=lambda one: (one.begin, one.end, one.like_days_before, one.factor)))


def _of(entry: ForecastOccasion, recurrence: Recurrence, begin: float, end: float) -> Iterator[Occasion]:
    starts = recurrence.starts_after(begin - recurrence.duration_seconds)
    for start in takewhile(lambda one: one < end, starts):
        for first, last in _days(start, start + recurrence.duration_seconds, recurrence):
            back = _days_before(entry, datetime.fromtimestamp(first, recurrence.zone))
            while last - back * DAY_SECONDS > start:
                back += _WEEK
            yield Occasion(first, last, back, float(entry.factor.amount))


def _days(start: float, end: float, recurrence: Recurrence) -> Iterator[tuple[float, float]]:
    """The parts of the period between the midnights of its time zone."""
    while start < end:
        moment = datetime.fromtimestamp(start, recurrence.zone)
        midnight = (moment + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        until = min(max(midnight.timestamp(), start + 1), end)
        yield start, until
        start = until


def _days_before(entry: ForecastOccasion, day: datetime) -> int:
    if entry.like is None:
        return _WEEK
    return (day.weekday() - _DAYS.index(entry.like)) % _WEEK or _WEEK
