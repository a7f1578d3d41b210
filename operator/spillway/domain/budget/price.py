"""The price of a pod on a virtual pool: of its requested CPU and memory, or of the size requested from the provider.

Contract: exact. Amounts are integers (millicores, bytes), money is Decimal, and nothing here is rounded but what
`shown` returns. A price is for an hour of a core and of a GiB, as the providers quote it.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext
from typing import Final

from spillway.api.virtualnodebudget import PoolPrice
from spillway.domain.model.usage import Usage

EXACT: Final = Context(prec=200, traps=[Inexact])
"""Dividing by 2^30 adds 30 digits; what would not fit raises instead of being rounded."""

_GIB: Final = Decimal(1 << 30)
_SIZE: Final = re.compile(r"([0-9]{1,9})m-([0-9]{1,18})", re.ASCII)
_SHOWN: Final = Decimal("0.000001")
_ROUNDING: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def parse_size(text: str) -> tuple[int, int]:
    """Millicores and bytes of a size mark such as `4000m-8589934592`; zero if the mark is not valid."""
    found = _SIZE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found is not None else (0, 0)


def billed(requests: Usage, size: str) -> Usage:
    """Return what the provider bills of one pod: its requests, or the size asked of it, whichever is more."""
    if not size:
        return requests
    cpu, memory = parse_size(size)
    return Usage(requests.pods, max(requests.cpu_millis, cpu), max(requests.memory_bytes, memory))


def per_hour(price: PoolPrice, cpu_millis: int, memory_bytes: int) -> Decimal:
    """Return the cost of these amounts per hour."""
    with localcontext(EXACT):
        return price.cpu_hour.amount * cpu_millis / 1000 + price.memory_gib_hour.amount * memory_bytes / _GIB


def shown(amount: Decimal) -> str:
    """Return an amount as a status shows it: at most six decimals, without trailing zeros."""
    rounded = amount.quantize(_SHOWN, context=_ROUNDING)
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".")
