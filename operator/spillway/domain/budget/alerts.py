"""Alerts on limits of a pool: which limits are near and which are reached, for its conditions and Events.

Contract: pure. A limit is near from 80 % of it, and reached where all of it is used, or so much that a pod of the
pool's average size finds no room: otherwise a limit of 200 cores would never be reached by pods of three. Both hold
until use has fallen by five points, so that a pool at the edge does not repeat its Event every minute. The previous
state is read from the condition's reason, so a restart repeats no Event.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final, Protocol

from spillway.api.virtualnodebudget import BudgetLimits, PoolPrice
from spillway.domain.budget.price import EXACT, per_hour
from spillway.domain.model.usage import Usage

NEAR: Final = "NearLimit"
"""Condition: some limit is used to 80 % or more."""
AT: Final = "AtLimit"
"""Condition: some limit is reached."""

NEAR_SHARE: Final = Decimal("0.80")
_NEAR_UNTIL: Final = Decimal("0.75")
_FULL_UNTIL: Final = Decimal("0.95")


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit that is set: pods, cores, bytes or money."""

    name: str
    """As the manifest has it, for example costPerHour."""
    used: Decimal
    limit: Decimal
    step: Decimal
    """The amount that a pod of average size takes of it."""

    @property
    def share(self) -> Decimal:
        """The used share of the limit, from 0; a limit of zero is fully used."""
        return self.used / self.limit if self.limit else Decimal(1)

    @property
    def full(self) -> bool:
        """Whether the next pod finds no room."""
        with localcontext(EXACT):
            no_room = self.step > 0 and self.used + self.step > self.limit
        return self.used >= self.limit or (no_room and self.share >= NEAR_SHARE)


class Found(Protocol):
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


def limit_uses(
    limits: BudgetLimits | None, price: PoolPrice | None, used: Usage, billed: Usage, spent: Decimal
) -> tuple[LimitUse, ...]:
    """The use of each limit that is set; a limit of cost only if there is a price."""
    if limits is None:
        return ()
    found: list[LimitUse] = []

    def add(name: str, used: Decimal, limit: Decimal, pods: int) -> None:
        found.append(LimitUse(name, used, limit, used / pods if pods else Decimal(0)))

    if limits.pods is not None:
        add("pods", Decimal(used.pods), Decimal(limits.pods), used.pods)
    if limits.cpu is not None:
        add("cpu", Decimal(used.cpu_millis) / 1000, Decimal(limits.cpu.millis) / 1000, used.pods)
    if limits.memory is not None:
        add("memory", Decimal(used.memory_bytes), Decimal(limits.memory.bytes), used.pods)
    if price is not None and limits.cost_per_hour is not None:
        rate = per_hour(price, billed.cpu_millis, billed.memory_bytes)
        add("costPerHour", rate, limits.cost_per_hour.amount, billed.pods)
    if price is not None and limits.cost_per_month is not None:
        add("costPerMonth", spent, limits.cost_per_month.amount, 0)
    return tuple(found)


def alerts(
    uses: Iterable[LimitUse], *, near: Found | None, at: Found | None, written: BudgetLimits | None
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


def limits_of(condition: Found | None, kind: str) -> frozenset[str]:
    """The limits that a condition names in its reason; none without a condition."""
    words = condition.reason.split(",") if condition is not None else []
    return frozenset(name for name, word in _WORDS.items() if f"{word}{kind}" in words)


def _alert(kind: str, names: list[str], written: BudgetLimits | None, text: str) -> Alert:
    if not names or written is None:
        return Alert(kind, holds=False, reason="WithinLimits", message="Every limit has room.")
    reason = ",".join(f"{_WORDS[name]}{kind}" for name in names)
    amounts = {name: getattr(written, attribute) for name, attribute in _ATTRIBUTES.items()}
    message = "; ".join(f"{name} {text.format(limit=amounts[name])}" for name in names)
    return Alert(kind, holds=True, reason=reason, message=f"{message}.")


_ATTRIBUTES: Final = {
    "pods": "pods",
    "cpu": "cpu",
    "memory": "memory",
    "costPerHour": "cost_per_hour",
    "costPerMonth": "cost_per_month",
}
_WORDS: Final = {name: name[0].upper() + name[1:] for name in _ATTRIBUTES}
