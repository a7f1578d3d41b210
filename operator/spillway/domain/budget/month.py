"""When a month begins and ends in a pool's time zone.

Contract: pure but for the time zone data of the system, which is read once a zone. Times are whole Unix seconds. A day
that has no midnight (clocks were put forward then) begins with its first moment; one that has two begins with the
first.
"""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Month(NamedTuple):
    """From `start` until just before `end`."""

    start: int
    end: int


@lru_cache(maxsize=256)
def time_zone(name: str) -> tzinfo:
    """Return the IANA time zone; UTC where the system does not know it (the webhook refuses a name that is none)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def month_of(moment: int, zone: tzinfo) -> Month:
    """Return the month in which a moment lies."""
    first = datetime.fromtimestamp(moment, zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Month(int(first.timestamp()), int(following.timestamp()))
