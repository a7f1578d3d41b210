"""The price of a pod on a virtual pool: of its requested CPU and memory, or of the size requested from the provider.

Contract: exact. Amounts are integers (millicores, bytes), money is Decimal, and nothing here is rounded but what
`shown` returns. A price is for an hour of a core and of a GiB, as the providers quote it. Callers pass the size in a
mark only where Spillway wrote it, as its proof shows; it counts if it is on the pool's ladder and holds the pod's
requests.
"""

from collections.abc import Collection
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext
from typing import Final

from spillway.api.virtualnodebudget import PodSpecSize, PoolPrice
from spillway.domain.model.units import GIB
from spillway.domain.model.usage import Usage
from spillway.domain.pools.sizes import Size

EXACT: Final = Context(prec=200, traps=[Inexact])
"""Dividing by 2^30 adds 30 digits; what would not fit raises instead of being rounded."""

_GIB: Final = Decimal(GIB)
_SHOWN: Final = Decimal("0.000001")
_SHOWN_MOST: Final = Decimal("999999999999.999999")
"""The largest amount that a status may contain; a larger one must not keep the status from being written."""
_ROUNDING: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def size_asked(requests: Usage, mark: str, ladder: Collection[PodSpecSize]) -> Size:
    """The size that was asked of the provider for a pod with this mark, on a pool with this ladder."""
    own = Size(requests.cpu_millis, requests.memory_bytes)
    size = Size.parse(mark) if mark else None
    return size if size is not None and size.covers(own) and any(size == Size.of(step) for step in ladder) else own


def billed(requests: Usage, mark: str, ladder: Collection[PodSpecSize]) -> Usage:
    """What the provider bills of one pod: its requests, or the size asked of it."""
    if not mark:
        return requests
    size = size_asked(requests, mark, ladder)
    return Usage(requests.pods, size.cpu_millis, size.memory_bytes)


def per_hour(price: PoolPrice, cpu_millis: int, memory_bytes: int) -> Decimal:
    """The cost of these amounts per hour."""
    with localcontext(EXACT):
        return price.cpu_hour.amount * cpu_millis / 1000 + price.memory_gib_hour.amount * memory_bytes / _GIB


def shown(amount: Decimal) -> str:
    """An amount as a status shows it: at most six decimals, without trailing zeros, and below 10^12."""
    rounded = min(amount, _SHOWN_MOST).quantize(_SHOWN, context=_ROUNDING)
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".")
