"""The ledger of one pool: its cost summed over time, each pod from its start to its end, at the price of the moment.

Contract: pure, exact, in whole Unix seconds. A pod owes the minimum billing time when it starts, and a second for each
second from when that is over; one that ends early has therefore paid the rest. So the amount between two moments is a
function of the pod and the two moments. It does not depend on how often the ledger is advanced, nor on which process
does it: a ledger that is created from a total and its time (`at`) and then gets the running pods continues as if there
had been no gap. The exception is a pod that ended in the gap: it is known to have run until `at`, and not longer.

A price, or a change of the time zone, counts from the moment it is set. When a month ends in the pool's time zone its
total is reset; the minimum billing time belongs to the month in which the pod started.

While no pod changes, `advance` costs the same whatever the number of accounts, and a caller that keeps `rates` need not
`collect` every account again: it takes the seconds that have passed (`pass_time`), and multiplies.
"""

import heapq
import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import Final, Generic, TypeVar

import msgspec

from spillway.api.virtualnodebudget import PoolPrice
from spillway.domain.budget.month import month_of
from spillway.domain.budget.price import EXACT, per_hour
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.model.usage import NOTHING, Usage

_PLACES: Final = Decimal("0.000000001")
_UP: Final = Context(prec=100, rounding=ROUND_CEILING)
_ZERO: Final = Decimal(0)

A = TypeVar("A", bound=Hashable)
"""The account that is charged: the key by which the caller wants the cost split."""


def owed_seconds(started: int, minimum_seconds: int, until: int) -> int:
    """For how many seconds a pod is billed that started then and runs at `until`."""
    return 0 if until <= started else max(minimum_seconds, until - started)


class _Tab(msgspec.Struct, gc=False):
    """The charges of one pod."""

    started: int
    billed: Usage
    running: bool = False
    """Its minimum billing time is over: it is in its account's sums."""
    begun: bool = False
    """Its minimum billing time has been charged."""
    ended: bool = False


_Due = tuple[int, int, _Tab]


@dataclass(slots=True)
class _Account:
    """The pods of one account; charged up to `at` when one of them changes, or when the whole pool is charged."""

    at: int
    running: Usage = NOTHING
    """The pods whose minimum billing time is over."""
    due: list[_Due] = field(default_factory=list)
    """A heap: when each pod starts, or has run for its minimum billing time."""
    present: Usage = NOTHING
    cost: Decimal = _ZERO
    """The charge since it was last collected, in money times seconds per hour."""


class PoolLedger(Generic[A]):
    """The running total of one pool. `spent` is what the month had cost at `at`."""

    def __init__(self, *, at: int, zone: tzinfo, price: PoolPrice | None, spent: Decimal = _ZERO) -> None:
        self._at = at
        self._zone = zone
        self._price = price
        self._currency = "" if price is None else price.currency
        """The currency of the total; it stays while there is no price."""
        self._month = month_of(at, zone)
        with localcontext(EXACT):
            self._total = spent * HOUR_SECONDS
        """In money times seconds per hour, so that no division is needed."""
        self._accounts: dict[A, _Account] = {}
        self._tabs: dict[str, tuple[A, _Tab]] = {}
        self._order = itertools.count()
        self._present = NOTHING
        self._yet = NOTHING
        """The pods of these whose minimum billing time is still to be charged."""
        self._running = NOTHING
        """The pods of these whose minimum billing time is over."""
        self._charged_at = at
        """Until when the accounts are charged. This is put off while they are steady."""
        self._steady_until: int | None = None
        """Until when every account costs the same in each second if no pod changes; None if that is not known."""
        self._collected = False
        """Whether all charges until `_charged_at` are collected."""
        self._passed = 0
        """For how many seconds since then the caller has charged the accounts itself."""
        self._ended_cost: dict[A, Decimal] = {}

    @property
    def at(self) -> int:
        """The time until which everything is charged."""
        return self._at

    @property
    def price(self) -> PoolPrice | None:
        return self._price

    @property
    def spent(self) -> Decimal:
        """The cost of the month until now, rounded up to nine decimals; never negative."""
        return _money(self._total_now)

    @property
    def owed(self) -> Decimal:
        """What has been spent, plus the minimum billing time of the pods that start at this moment."""
        if self._price is None or self._yet == NOTHING:
            return self.spent
        due = self._yet * self._minimum
        least = per_hour(self._price, due.cpu_millis, due.memory_bytes)
        return _money(self._sum(self._total_now, least))

    @property
    def present(self) -> Usage:
        """The pods that are charged now, and what the provider bills for them."""
        return self._present

    def present_of(self) -> Mapping[A, Usage]:
        """The same by account."""
        return {account: one.present for account, one in self._accounts.items()}

    def __contains__(self, uid: str) -> bool:
        return uid in self._tabs

    def begin(self, uid: str, account: A, *, started: int, billed: Usage, now: int) -> None:
        """Add a pod that has not been charged; it may have started before `now`, or start later."""
        self._catch_up(account, now)
        self._enter(uid, account, _Tab(started, billed), self._month.start)

    def resume(self, uid: str, account: A, *, started: int, billed: Usage, charged_until: int) -> None:
        """Add a pod that was charged until then: by an earlier ledger, on another pool or to another account.

        The ledger may have been advanced since: the pod is charged for the time in between.
        """
        self._catch_up(account, max(charged_until, self._at))
        self._enter(uid, account, _Tab(started, billed), charged_until)

    def resize(self, uid: str, *, billed: Usage, now: int) -> None:
        """A pod is billed differently from now on; it pays no second minimum."""
        found = self._tabs.get(uid)
        if found is None or found[1].billed == billed:
            return
        account, tab = found
        self._catch_up(account, now)
        self._count(account, tab, -1)
        tab.billed = billed
        self._count(account, tab, 1)

    def end(self, uid: str, *, now: int) -> None:
        """Remove a pod that has ended, or is no longer on this pool."""
        found = self._tabs.get(uid)
        if found is None:
            return
        account, tab = found
        self._catch_up(account, now)
        del self._tabs[uid]
        tab.ended = True
        self._count(account, tab, -1)
        left = self._accounts[account]
        if not tab.begun and left.at >= tab.started:
            # It ended in the second in which it started.
            self._charge(left, tab.billed * self._minimum)
        self._close(account)

    def charge(self, account: A, *, started: int, ended: int, billed: Usage, now: int, charged_until: int = 0) -> None:
        """Charge the life of a pod that ended unseen, without the parts until `charged_until` and before this month."""
        self._catch_up(account, now)
        before = owed_seconds(started, self._minimum, max(charged_until, self._month.start))
        seconds = max(0, max(self._minimum, ended - started) - before)
        self._charge(self._accounts[account], billed * seconds)
        self._close(account)

    def advance(self, now: int) -> bool:
        """Charge everything until now; a clock that goes back charges nothing. Returns whether a month has ended."""
        ended = False
        while now >= self._month.end:
            self._advance_all(self._month.end)
            self._settle()
            self._month = month_of(self._month.end, self._zone)
            self._total = _ZERO
            ended = True
        self._advance_all(now)
        return ended

    def reprice(self, price: PoolPrice | None, zone: tzinfo, *, now: int) -> bool:
        """Set the price from now on. Returns whether a new total starts, because the last one has another currency."""
        self.advance(now)
        self._change()
        another = price is not None and self._currency not in ("", price.currency)
        if another:
            self._total = _ZERO
        if price is not None:
            self._currency = price.currency
        self._price = price
        if zone is not self._zone:
            self._zone = zone
            self._month = month_of(self._at, zone)
        return another

    def collect(self) -> Mapping[A, Decimal]:
        """The charges of each account since the last call; rounded, for metrics."""
        self._settle()
        self._collected = True
        charged = self._ended_cost
        self._ended_cost = {}
        for account, one in self._accounts.items():
            charged[account] = self._sum(charged.get(account, _ZERO), one.cost)
            one.cost = _ZERO
        return {account: _UP.divide(cost, Decimal(HOUR_SECONDS)) for account, cost in charged.items() if cost}

    @property
    def unchanged(self) -> bool:
        """Whether each account has been charged the same for every second since the last `collect`."""
        return self._collected and self._steady_until is not None

    def rates(self) -> Mapping[A, Usage]:
        """What each account is charged for in every second while the ledger is `unchanged`."""
        return {account: one.running for account, one in self._accounts.items() if one.running.pods}

    def pass_time(self) -> int:
        """The seconds until `at` since the last call or `collect`, which the caller charges at the `rates` itself.

        Only while the ledger is `unchanged`.
        """
        if not self.unchanged:
            raise ValueError("the ledger has changed since it was collected")
        seconds = self._at - self._charged_at - self._passed
        self._passed += seconds
        return seconds

    @property
    def _total_now(self) -> Decimal:
        return self._sum(self._total, self._cost(self._running * (self._at - self._charged_at)))

    @property
    def _minimum(self) -> int:
        return 0 if self._price is None else self._price.minimum_seconds

    def _catch_up(self, account: A, now: int) -> None:
        """Charge one account until now, or all of them if a month has ended in the meantime."""
        if now >= self._month.end:
            self.advance(now)
        self._change()
        one = self._accounts.get(account)
        if one is None:
            # Nothing was charged to it, so it may begin at any time; not before what the pool has forgotten.
            one = self._accounts[account] = _Account(max(now, self._at))
        self._advance_one(one, now)

    def _close(self, account: A) -> None:
        """Remove accounts without pods; their charges are still to be collected."""
        one = self._accounts[account]
        if not one.present.pods:
            self._ended_cost[account] = self._sum(self._ended_cost.get(account, _ZERO), one.cost)
            del self._accounts[account]

    def _enter(self, uid: str, account: A, tab: _Tab, charged_until: int) -> None:
        """Open the tab of a pod, with the charge from `charged_until` until the time of its account, in this month."""
        if uid in self._tabs:
            raise ValueError(f"{uid} has a tab")
        self._tabs[uid] = (account, tab)
        one = self._accounts[account]
        since = owed_seconds(tab.started, self._minimum, max(charged_until, self._month.start))
        if seconds := owed_seconds(tab.started, self._minimum, one.at) - since:
            self._charge(one, tab.billed * seconds)
        tab.begun = one.at > tab.started
        tab.running = one.at >= tab.started + self._minimum and tab.begun
        self._count(account, tab, 1)
        if not tab.running:
            due = tab.started + self._minimum if tab.begun else tab.started
            heapq.heappush(one.due, (due, next(self._order), tab))

    def _count(self, account: A, tab: _Tab, sign: int) -> None:
        self._present += tab.billed * sign
        if not tab.begun:
            self._yet += tab.billed * sign
        one = self._accounts[account]
        one.present += tab.billed * sign
        if tab.running:
            one.running += tab.billed * sign
            self._running += tab.billed * sign

    def _advance_all(self, now: int) -> None:
        if now <= self._at:
            return
        if self._steady_until is not None and now <= self._steady_until:
            self._at = now
            return
        self._settle()
        for one in self._accounts.values():
            self._advance_one(one, now)
        self._at = self._charged_at = now
        self._collected = False
        if all(one.at == now for one in self._accounts.values()):
            self._steady_until = min(
                (one.due[0][0] for one in self._accounts.values() if one.due), default=self._month.end
            )
        else:
            self._steady_until = None

    def _change(self) -> None:
        """An account is about to be charged differently."""
        self._settle()
        self._steady_until = None

    def _settle(self) -> None:
        """Charge the accounts until `at`, except for the seconds that the caller has charged."""
        seconds = self._at - self._charged_at
        if not seconds:
            return
        self._total = self._total_now
        for one in self._accounts.values():
            one.at = self._at
            one.cost = self._sum(one.cost, self._cost(one.running * (seconds - self._passed)))
        self._charged_at, self._passed = self._at, 0

    def _advance_one(self, one: _Account, now: int) -> None:
        seconds = now - one.at
        if seconds <= 0:
            return
        usage_seconds = one.running * seconds
        while one.due and one.due[0][0] < now:
            when, _, tab = heapq.heappop(one.due)
            if tab.ended:
                continue
            if not tab.begun:
                tab.begun = True
                self._yet -= tab.billed
                usage_seconds += tab.billed * self._minimum
                heapq.heappush(one.due, (when + self._minimum, next(self._order), tab))
            else:
                tab.running = True
                usage_seconds += tab.billed * (now - when)
                one.running += tab.billed
                self._running += tab.billed
        one.at = now
        self._charge(one, usage_seconds)

    def _charge(self, one: _Account, usage_seconds: Usage) -> None:
        cost = self._cost(usage_seconds)
        if cost:
            self._total = self._sum(self._total, cost)
            one.cost = self._sum(one.cost, cost)

    def _cost(self, usage_seconds: Usage) -> Decimal:
        if self._price is None or not (usage_seconds.cpu_millis or usage_seconds.memory_bytes):
            return _ZERO
        return per_hour(self._price, usage_seconds.cpu_millis, usage_seconds.memory_bytes)

    @staticmethod
    def _sum(first: Decimal, second: Decimal) -> Decimal:
        return EXACT.add(first, second)


def _money(total: Decimal) -> Decimal:
    return _UP.quantize(_UP.divide(total, Decimal(HOUR_SECONDS)), _PLACES)
