"""Recurring times: from each moment at which a cron expression matches, for a duration.

Contract: pure, except for the time zone data of the system. Times are Unix seconds. A period includes its start and
excludes its end, and lasts `duration` of real time, also where clocks are changed in between. A start that clocks skip
is moved to the first moment after the skipped hour; one whose hour comes twice counts once, the first time, unless its
minute or hour field begins with `*` (as in Debian's cron). Where both day fields are restricted, either is enough.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from spillway.api.common import RecurringTime

_FIELDS: Final = (
    ("minute", "*, or numbers from 0 to 59", "*/15"),
    ("hour", "*, or numbers from 0 to 23", "8-18"),
    ("day of month", "*, L (the last day), LW (the last weekday), or numbers from 1 to 31", "1,15"),
    ("month", "*, or numbers from 1 to 12 or JAN to DEC", "JAN-MAR"),
    ("day of week", "*, or numbers from 0 to 7 or SUN to SAT, also FRI#2 (the second Friday) or 5L", "MON-FRI"),
)
_DAY_FIELDS: Final = (2, 4)
_ANY_TIME: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""Whether an expression ever matches is asked from here: a year with all the days that there are."""
_MOST_JOINED: Final = 100
"""Periods without a gap that are looked at as one, so that the look ahead is short."""

T = TypeVar("T", bound=RecurringTime)


class CronError(ValueError):
    """The text is not a cron expression; the message says what is allowed."""


class TimeZoneError(ValueError):
    """The system knows no time zone of this name."""


def check_cron(text: str) -> str:
    """The expression as it is evaluated.

    Raises:
        CronError: the text is not a cron expression of five fields, or never matches.

    """
    words = text.split()
    if len(words) != len(_FIELDS):
        raise CronError(
            f"has {len(words)} fields, must have five: minute, hour, day of month, month, day of week;"
            ' for example "0 18 * * *"'
        )
    for day in _DAY_FIELDS:
        words[day] = "*" if words[day] == "?" else words[day]
    for index, word in enumerate(words):
        alone = ["*"] * len(_FIELDS)
        alone[index] = word
        try:
            CronSim(" ".join(alone), _ANY_TIME)
        except CronSimError as error:
            name, allowed, example = _FIELDS[index]
            raise CronError(
                f'{name} "{word}" must be {allowed}, with ranges, lists and steps; for example {example}'
            ) from error
    expression = " ".join(words)
    try:
        next(CronSim(expression, _ANY_TIME))
    except (CronSimError, StopIteration) as error:
        raise CronError(
            f'never comes: no month in "{words[3]}" has a day "{words[2]}"; for example "0 18 1 {words[3]} *"'
        ) from error
    return expression


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """The IANA time zone of this name.

    Raises:
        TimeZoneError: there is none.

    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TimeZoneError(f'"{name}" is not an IANA time zone, for example Asia/Shanghai or UTC') from error


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When one recurring time holds."""

    expression: str
    """A cron expression that `check_cron` has returned."""
    duration_seconds: float
    zone: tzinfo

    def starts_after(self, moment: float) -> Iterator[float]:
        """The starts later than `moment`, in their order; none once it has not matched for 50 years."""
        if self.zone is not UTC and any(field.startswith("*") for field in self.expression.split()[:2]):
            yield from self._by_the_clock(moment)
            return
        for start in CronSim(self.expression, datetime.fromtimestamp(moment, self.zone)):
            # In an hour that comes twice cronsim goes by the clock on the wall, which has been there before.
            if start.timestamp() > moment:
                yield start.timestamp()

    def _by_the_clock(self, moment: float) -> Iterator[float]:
        """Every minute at which the clock on the wall matches, also those that come twice.

        Between two changes of the clock the wall is a fixed distance from UTC. cronsim alone misses a match right after
        a change by half an hour.
        """
        known = float(math.floor(moment))
        offset = self._offset(known)
        wall = datetime.fromtimestamp(known, UTC).replace(tzinfo=None) + offset
        while True:
            for start in CronSim(self.expression, wall):
                instant = (start - offset).replace(tzinfo=UTC).timestamp()
                if self._offset(instant) != offset:
                    known = self._change(known, instant)
                    offset = self._offset(known)
                    # A second before, because the change itself may match.
                    wall = datetime.fromtimestamp(known - 1, UTC).replace(tzinfo=None) + offset
                    break
                yield instant
                known = instant
            else:
                return

    def _offset(self, instant: float) -> timedelta:
        return datetime.fromtimestamp(instant, self.zone).utcoffset() or timedelta()

    def _change(self, before: float, after: float) -> float:
        """The first second of another distance from UTC than at `before`."""
        offset = self._offset(before)
        while after - before > 1:
            middle = before + (after - before) // 2
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def at(self, now: float) -> tuple[bool, float]:
        """Whether it holds at `now`, and until when that stays so; infinite if for ever.

        Where many periods follow each other without a gap, the time may be that of a later one of them.
        """
        starts = self.starts_after(now - self.duration_seconds)
        start = next(starts, float("inf"))
        if start > now:
            return False, start
        end = start + self.duration_seconds
        for _ in range(_MOST_JOINED):
            following = next(starts, float("inf"))
            if following > end:
                break
            end = following + self.duration_seconds
        return True, end


def recurrence_of(entry: RecurringTime) -> Recurrence:
    """The recurrence that an entry of a spec describes.

    Raises:
        CronError: `start` is not a cron expression.
        TimeZoneError: `time_zone` is not known.

    """
    return Recurrence(check_cron(entry.start), float(entry.duration.seconds), zone_of(entry.time_zone))


@dataclass(slots=True)
class _Entry(Generic[T]):
    spec: T
    recurrence: Recurrence
    holds: bool = False
    since: float = float("inf")
    until: float = float("-inf")

    def look(self, now: float) -> None:
        if not self.since <= now < self.until:
            self.holds, self.until = self.recurrence.at(now)
            self.since = now


class Timetable(Generic[T]):
    """A list of recurring times of one spec. An entry that is not valid never holds, and the others stay in force."""

    def __init__(self, entries: Iterable[T]) -> None:
        valid: list[_Entry[T]] = []
        problems: dict[str, str] = {}
        for entry in entries:
            try:
                valid.append(_Entry(entry, recurrence_of(entry)))
            except CronError as error:
                problems[f"[{entry.name}].start"] = f'"{entry.start}": {error}'
            except TimeZoneError as error:
                problems[f"[{entry.name}].timeZone"] = str(error)
        self._valid = tuple(valid)
        self.problems: Mapping[str, str] = MappingProxyType(problems)
        """What is wrong, by the place below the list, for example `[evening].start`."""

    def at(self, now: float) -> tuple[Sequence[T], float]:
        """The entries that hold at `now`, and when that may change next; infinite if never."""
        for one in self._valid:
            one.look(now)
        active = tuple(one.spec for one in self._valid if one.holds)
        return active, min((one.until for one in self._valid), default=float("inf"))

    def upcoming(self, now: float, until: float) -> Sequence[T]:
        """The entries that hold at some time from `now` to `until`."""
        return tuple(one.spec for one in self._valid if self._holds_within(one, now, until))

    @staticmethod
    def _holds_within(entry: _Entry[T], now: float, until: float) -> bool:
        entry.look(now)
        return entry.holds or entry.until <= until
