"""Alerts on limits of a pool: which limits are near and which are reached, for its conditions and Events.

Contract: pure. A limit is near from 80 % of it, and reached where all of it is used, or so much that a pod of the
pool's average size finds no room: otherwise a limit of 200 cores would never be reached by pods of three. Both hold
until use has fallen by five points, so that a pool at the edge does not repeat its Event every minute. The previous
state is read from the condition's reason, so a restart repeats no Event.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from spillway.api.virtualnodebudget import BudgetLimits
from spillway.domain.budget.limits import LIMITS, NEAR_SHARE, LimitUse

NEAR: Final = "NearLimit"
"""Condition: some limit is used to 80 % or more."""
AT: Final = "AtLimit"
"""Condition: some limit is reached."""

_NEAR_UNTIL: Final = Decimal("0.75")
_FULL_UNTIL: Final = Decimal("0.95")
TURNING_SHARES: Final = (_NEAR_UNTIL, NEAR_SHARE, _FULL_UNTIL)
"""The shares of a limit at which a condition may turn."""


class PresentCondition(Protocol):
    """The part of a present condition that matters here."""

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Alert:
    """The content of one condition; `reason` names the limits and is read again the next time."""

    kind: str
    holds: bool
    reason: str
    message: str


def alerts(
    uses: Iterable[LimitUse],
    *,
    near: PresentCondition | None,
    at: PresentCondition | None,
    written: BudgetLimits | None,
) -> list[Alert]:
    """The content of both conditions. `near` and `at` are the present ones, `written` the user's limits."""
    listed = list(uses)
    was_near, was_at = limits_of(near, NEAR), limits_of(at, AT)
    is_near = [
        use.name for use in listed if use.share >= NEAR_SHARE or (use.name in was_near and use.share >= _NEAR_UNTIL)
    ]
    is_at = [use.name for use in listed if use.full or (use.name in was_at and use.share >= _FULL_UNTIL)]
    return [
        _alert(NEAR, is_near, written, "is used to 80 % or more of its limit of {limit}"),
        _alert(AT, is_at, written, "has reached its limit of {limit}: the pool takes no pod that needs more of it"),
    ]


def limits_of(condition: PresentCondition | None, kind: str) -> frozenset[str]:
    """The limits that a condition names in its reason; none without a condition."""
    words = condition.reason.split(",") if condition is not None else []
    return frozenset(name for name, word in _WORDS.items() if f"{word}{kind}" in words)


def _alert(kind: str, names: list[str], written: BudgetLimits | None, text: str) -> Alert:
    if not names or written is None:
        return Alert(kind, holds=False, reason="WithinLimits", message="Every limit has room.")
    reason = ",".join(f"{_WORDS[name]}{kind}" for name in names)
    amounts = {limit.name: getattr(written, limit.attribute) for limit in LIMITS}
    message = "; ".join(f"{name} {text.format(limit=amounts[name])}" for name in names)
    return Alert(kind, holds=True, reason=reason, message=f"{message}.")


_WORDS: Final = {limit.name: limit.name[0].upper() + limit.name[1:] for limit in LIMITS}
