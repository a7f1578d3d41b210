"""The costs of one pool as the ledger knows them, and when a total must be written to the status.

Contract: pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spillway.api.virtualnodebudget import BudgetUse
from spillway.domain.budget.price import shown

PERSIST_SECONDS: Final = 300
"""Twelve writes an hour for a pool on which pods run and nothing else happens: recent enough to be read by people."""


@dataclass(frozen=True, slots=True)
class PoolCosts:
    """The costs of one pool."""

    currency: str
    per_hour: Decimal
    spent: Decimal
    """Since the month began."""
    at: int
    by_workload: Mapping[str, Decimal]
    """Cost in an hour, by kind/namespace/name."""


def must_persist(spent: Decimal, at: int, before: BudgetUse | None, *, idle: bool) -> bool:
    """Whether a total has to be written although nothing else has changed.

    This is so if the last one was written long ago, or if the pool is `idle`: the next leader charges running pods from
    their start, but nothing tells it what a pod has cost that came and went.
    """
    if before is None or before.at is None or before.cost_this_month is None:
        return True
    kept = before.cost_this_month.amount
    if (spent := Decimal(shown(spent))) == kept:
        return False
    # A total that has fallen belongs to another month or currency.
    return idle or spent < kept or at - before.at.timestamp() >= PERSIST_SECONDS
