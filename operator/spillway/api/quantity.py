"""Kubernetes quantities, durations and money as exact numbers.

Contract: pure functions from the text in a manifest to an integer or a Decimal; a text that Kubernetes would refuse
raises ValueError with an example of what is allowed. Rounding is as in Kubernetes, away from zero
(`resource.Quantity.MilliValue`). Results are memoised, because a cluster has few distinct quantities and many pods.
"""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?P<suffix>[eE][+-]?[0-9]{1,2}|[KMGTPE]i|[numkMGTPE]?)"
)
_FACTOR: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
_MAX_CHARS: Final = 64
_COUNTED_MOST: Final = 2**63 - 1
"""Kubernetes counts in 64 bits: the API server takes a larger amount, and the scheduler does not count it."""
_DURATION: Final = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?", re.ASCII)
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Decimal:
    """The value of a Kubernetes quantity in its base unit (cores, bytes), exactly.

    Raises:
        ValueError: the text is not a quantity.
    """
    found = _QUANTITY.fullmatch(text) if len(text) <= _MAX_CHARS else None
    if found is None:
        raise ValueError(f'{text[:_MAX_CHARS]!r} is not a quantity: write for example "500m", "2", "4Gi" or "1e3"')
    suffix = found["suffix"]
    # "1E" is one exa, "1E3" is an exponent: the pattern tries the exponent first.
    factor = _FACTOR[suffix] if suffix in _FACTOR else Decimal(10) ** int(suffix[1:])
    return Decimal(found["number"]) * factor


@lru_cache(maxsize=4096)
def cpu_millis(text: str) -> int:
    """Thousandths of a core, rounded up.

    Raises:
        ValueError: the text is not a quantity, or is more than Kubernetes can count.
    """
    return _counted(text, parse_quantity(text) * 1000)


@lru_cache(maxsize=4096)
def memory_bytes(text: str) -> int:
    """Bytes, rounded up.

    Raises:
        ValueError: the text is not a quantity, or is more than Kubernetes can count.
    """
    return _counted(text, parse_quantity(text))


def _counted(text: str, exact: Decimal) -> int:
    if abs(exact) > _COUNTED_MOST:
        raise ValueError(f'{text!r} is more than Kubernetes can count: write for example "500m", "2" or "4Gi"')
    return int(exact.to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=1024)
def duration_seconds(text: str) -> int:
    """Seconds of a duration made of days, hours, minutes and seconds, in this order: `60s`, `5h`, `14d`, `1h30m`.

    Raises:
        ValueError: the text is not such a duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise ValueError(f'{text[:_MAX_CHARS]!r} is not a duration: write for example "60s", "5m", "1h30m" or "14d"')
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@lru_cache(maxsize=1024)
def money(text: str) -> Decimal:
    """An amount that is not negative, exactly: `"0.35"`.

    Raises:
        ValueError: the text is not a plain decimal number, or it is negative.
    """
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f'{text[:_MAX_CHARS]!r} is not an amount: write a plain decimal such as "0.35" or "90000"')
    return Decimal(text)
