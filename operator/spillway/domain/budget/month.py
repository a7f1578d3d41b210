"""Calendar months in a pool's time zone.

Contract: pure, except for the time zone data of the system, which is read once per zone. Times are whole Unix seconds.
A day without a midnight (because clocks were put forward) starts with its first moment; a day with two midnights starts
with the first.
"""

from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from spillway.domain.model.recurring import TimeZoneError, zone_of


class Month(NamedTuple):
    """One month, from `start` until just before `end`."""

    start: int
    end: int


def time_zone(name: str) -> tzinfo:
    """The IANA time zone; UTC if the system does not know it (the webhook refuses an unknown name)."""
    try:
        return zone_of(name)
    except TimeZoneError:
        return UTC


def month_of(moment: int, zone: tzinfo) -> Month:
    """The month of a moment."""
    first = datetime.fromtimestamp(moment, zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Month(int(first.timestamp()), int(following.timestamp()))
