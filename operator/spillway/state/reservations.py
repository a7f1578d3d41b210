"""Reservations: places for pods that the informer does not show yet.

Contract: a reservation is made in the same step that decides a pod, under a token that the pod carries as a mark. It
lasts until the informer shows the pod (from then on the pod itself is counted) or until it expires: a later admission
step refused the pod, so it was never created. It expires only after the watch was active since, because a silent watch
may still show the pod. So a count with reservations is never too low, and too high for at most `seconds` and a silence.

If the owner's controller says that the API server refused a pod (`refuse`), the owner's reservations end as soon as the
watch has caught up.

An owner's controller creates no pod while it knows as many as it wants. If it does, the remaining reservations of that
owner were for pods that were never created: `disown` removes them from the owner's count. They count against the limits
of the pools until they expire, because an error there costs money, but never more of them than `hold_to` allows: as
many as the owner wants pods. Of owners that are not followed that number is not known, and anybody who reaches the
webhook can invent one, so the number of all their reservations is bounded.

When a reservation that counts on pools expires without a pod, its namespace is distrusted for a time that doubles with
each further one (`distrust`), so that a repeated request, from any client, keeps no pool closed. In such a namespace an
owner's reservations count on pools as far as its pods that exist request as much (`may_hold`), which a ResourceQuota
bounds; beyond that one pod at a time is tried (`is_trying`), and its reservation counts for its owner alone. The same
holds for an owner whose last reservation expired, until one of its pods is seen. A pod that was created without its
marks, because the answer came too late for the API server, is none that did not appear (`created_unmarked`).
"""

import math
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.remember import FairMemory
from spillway.domain.model.usage import NO_AMOUNTS, NOTHING, Usage, add_amounts
from spillway.domain.placement.refusals import NO_CHANGES, PoolChanges
from spillway.state.growth import grown_by
from spillway.state.signal import Signal
from spillway.telemetry import placement as metrics

RESERVATION_SECONDS: Final = 10.0
"""Longer than the normal lag of the informer."""
CATCH_UP_SECONDS: Final = 1.0
"""The seconds that a watch needs to catch up after a silence."""
SETTLE_SECONDS: Final = 0.25
"""After a refused creation: the seconds in which the watch shows those pods of the owner that were created."""
UNFOLLOWED_MAX: Final = 4096
"""The number of reservations of all owners that are not followed, shared out by namespace; beyond it the oldest end."""
DISTRUST_SECONDS: Final = 60.0
LONGEST_DISTRUST_SECONDS: Final = 3600.0
"""How long a namespace is distrusted after the first reservation that expired, and at most."""
REMEMBERED_OWNERS: Final = 4096
"""The number of owners to remember whose reservation expired without a pod, shared out by namespace."""


@dataclass(slots=True)
class Reservation:
    """The reserved place of one pod."""

    owner: OwnerUid
    pools: tuple[str, ...]
    """The pools that may take it; empty for a pod decided physical."""
    used: Usage
    """The requests of the pod."""
    billed: Usage
    """What the provider would bill for it."""
    measured: Usage | None
    """What it requested when it was decided, without the growth that was expected; None where no limit needs it."""
    changes: PoolChanges
    """What its pools change of the pod."""
    extended: Mapping[str, int]
    """What it requests beside CPU and memory."""
    namespace: str
    """The namespace of the pod."""
    due: float
    """The time at which it expires."""
    owned: bool = True
    """Whether it counts among its owner's pods."""
    held: bool = True
    """Whether it counts on its pools."""


@dataclass(slots=True)
class _Distrust:
    """A namespace in which a pod did not appear."""

    until: float
    times: int


@dataclass(slots=True)
class _Owner:
    tokens: dict[str, None] = field(default_factory=dict)
    """Oldest first."""
    physical: int = 0
    held: dict[str, None] = field(default_factory=dict)
    """Reservations that count on pools, oldest first."""
    unmarked: int = 0
    """The pods that were seen without a token while it had reservations."""
    grown: Usage = NOTHING
    """By how much pods that are not seen yet have grown since they were decided."""

    @property
    def empty(self) -> bool:
        """Whether this owner has no reservation."""
        return not self.tokens and not self.held


class Reservations:
    """All reservations. `clock` gives monotonic seconds.

    `known_until` gives the time, of the same clock, up to which the informer knows the pods; by default it is never
    behind.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        known_until: Callable[[], float] | None = None,
        seconds: float = RESERVATION_SECONDS,
    ) -> None:
        self.clock = clock
        self._known_until = known_until or clock
        self._seconds = seconds
        self._owed = -math.inf
        """When the watch was last silent about an expired reservation."""
        self._held: dict[str, Reservation] = {}
        self._refused: OrderedDict[str, float] = OrderedDict()
        """Reservations of owners that had a pod refused since, and when they end."""
        self.lost: Signal[OwnerUid, Sequence[Reservation], bool] = Signal("Reservation", key=lambda owner, *_: owner)
        """Emitted with an owner's reservations that have ended without a pod, and whether it had a pod refused."""
        self._owners: dict[OwnerUid, _Owner] = {}
        self._unproven: FairMemory[OwnerUid, None] = FairMemory(REMEMBERED_OWNERS)
        """Owners whose last reservation expired without a pod."""
        self._distrusted: dict[str, _Distrust] = {}
        self._trying: dict[str, str] = {}
        """By namespace, the token of the one pod that is tried."""
        self._unfollowed: FairMemory[str, None] = FairMemory(UNFOLLOWED_MAX)
        """The tokens of owners that are not followed."""
        self._used: dict[str, Usage] = {}
        self._billed: dict[str, Usage] = {}
        self._extended: dict[str, dict[str, int]] = {}

    def reserve(
        self,
        owner: OwnerUid,
        *,
        pools: tuple[str, ...] = (),
        used: Usage,
        billed: Usage | None = None,
        measured: Usage | None = None,
        changes: PoolChanges = NO_CHANGES,
        extended: Mapping[str, int] = MappingProxyType({}),
        token: str = "",
        counts_on_pools: bool = True,
        namespace: str = "",
        followed: bool = True,
        existing: Usage | None = NOTHING,
    ) -> str:
        """Reserve a place for a pod of this namespace: on physical nodes if no pool is given.

        `measured` is the part of `used` that is no expected growth. Returns the token for its mark: the given one, or a
        new one. With `counts_on_pools` False it counts for the owner alone. `followed` says whether it is known how
        many pods the owner wants. `existing` is what the owner's pods that exist request; None if the pod is one of
        them, or the owner is trusted.
        """
        self.expire()
        token = token or new_token()
        if not followed:
            self._end_unfollowed(self._unfollowed.put(token, None, share=namespace))
        due = self.clock() + self._seconds
        reservation = Reservation(owner, pools, used, billed or used, measured, changes, extended, namespace, due)
        self._held[token] = reservation
        owned = self._owners.setdefault(owner, _Owner())
        owned.tokens[token] = None
        owned.physical += not pools
        reservation.held = counts_on_pools and bool(pools)
        if reservation.held and existing is not None and not self.may_hold(owner, namespace, used, existing):
            reservation.held = False
            self._trying.setdefault(namespace, token)
        if reservation.held:
            owned.held[token] = None
            self._count(reservation, 1)
        metrics.RESERVATIONS.set(len(self._held))
        return token

    def may_hold(self, owner: OwnerUid, namespace: str, used: Usage, existing: Usage) -> bool:
        """Whether a reservation of so much counts on its pools; `existing` is what the owner's pods request."""
        self.expire()
        if self.trusts(owner, namespace):
            return True
        owned = self._owners.get(owner)
        held = (self._held[token].used for token in owned.held) if owned is not None else ()
        return existing.covers(sum(held, used))

    def is_trying(self, namespace: str) -> bool:
        """Whether a pod of this namespace has a place that does not count on its pools."""
        return namespace in self._trying

    def trusts(self, owner: OwnerUid, namespace: str) -> bool:
        """Whether the pods of an owner are expected to appear, because the earlier ones did."""
        known = self._distrusted.get(namespace)
        return owner not in self._unproven and (known is None or self.clock() >= known.until)

    def distrust(self, namespace: str) -> None:
        """A pod of this namespace did not appear for which a pool had kept its place."""
        now = self.clock()
        # Those of long ago are forgotten.
        self._distrusted = {
            name: one for name, one in self._distrusted.items() if now < one.until + LONGEST_DISTRUST_SECONDS
        }
        before = self._distrusted.get(namespace)
        if before is not None and now < before.until:
            return
        times = 1 if before is None else before.times + 1
        seconds = backoff_seconds(times, first=DISTRUST_SECONDS, longest=LONGEST_DISTRUST_SECONDS)
        self._distrusted[namespace] = _Distrust(now + seconds, times)

    def get(self, token: str) -> Reservation | None:
        """The reservation with this token."""
        return self._held.get(token)

    def remeasure(self, token: str, *, used: Usage, billed: Usage) -> None:
        """Set the use of a pod that another webhook has changed since."""
        reservation = self._held.get(token)
        if reservation is not None:
            owned = self._owners.get(reservation.owner)
            if owned is not None and reservation.measured is not None:
                owned.grown = owned.grown.at_least(grown_by(reservation.measured, used))
            counts = reservation.held
            if counts:
                self._count(reservation, -1)
            reservation.used, reservation.billed = used, billed
            if counts:
                self._count(reservation, 1)

    def grown_of(self, owner: OwnerUid) -> Usage:
        """By how much the largest pod of this owner that is reserved has grown since it was decided."""
        owned = self._owners.get(owner)
        return NOTHING if owned is None else owned.grown

    def settle(self, token: str) -> Reservation | None:
        """End a reservation, because the informer shows the pod and counts it; the one that ended."""
        reservation = self._held.pop(token, None)
        if reservation is not None:
            self._unproven.pop(reservation.owner)
            self._release(token, reservation)
            metrics.RESERVATIONS.set(len(self._held))
        return reservation

    def created_unmarked(self, owner: OwnerUid) -> None:
        """A pod of this owner has appeared without a token: it may be the one of any of its reservations."""
        owned = self._owners.get(owner)
        if owned is not None:
            owned.unmarked += 1

    def refuse(self, owner: OwnerUid) -> None:
        """The API server has refused a pod of this owner.

        The controller has ended its attempt by then, so those of its reservations that the watch does not settle
        within `SETTLE_SECONDS` were for pods that do not exist.
        """
        owned = self._owners.get(owner)
        if owned is not None:
            due = self.clock() + SETTLE_SECONDS
            for token in (*owned.tokens, *owned.held):
                self._refused.setdefault(token, due)

    def unsettled_seconds(self, owner: OwnerUid) -> float:
        """The seconds until it is known which of the owner's reservations are for pods that exist."""
        owned = self._owners.get(owner)
        if owned is None or not self._refused:
            return 0.0
        now = self.clock()
        return max((self._refused.get(token, now) - now for token in (*owned.tokens, *owned.held)), default=0.0)

    def expire(self) -> None:
        """End the reservations that have expired, or whose pods were refused."""
        # All last equally long, so while the first has not expired none has.
        first = next(iter(self._held.values()), None)
        if not self._refused and (first is None or first.due > self.clock()):
            return
        for refused, ended in ((True, self._end_refused()), (False, self._end_expired())):
            for owner, lost in ended.items():
                self.lost.emit(owner, lost, refused)

    def _end_refused(self) -> Mapping[OwnerUid, Sequence[Reservation]]:
        ended: dict[OwnerUid, list[Reservation]] = {}
        now = self.clock()
        while self._refused:
            token, due = next(iter(self._refused.items()))
            if due > now:
                break
            del self._refused[token]
            reservation = self._held.pop(token, None)
            if reservation is not None:
                self._release(token, reservation)
                ended.setdefault(reservation.owner, []).append(reservation)
                metrics.RESERVATIONS.set(len(self._held))
        return ended

    def _end_expired(self) -> Mapping[OwnerUid, Sequence[Reservation]]:
        ended: dict[OwnerUid, list[Reservation]] = {}
        now = self.clock()
        known_until = self._known_until()
        # All last equally long, so they expire in the order in which they were made.
        while self._held:
            token, reservation = next(iter(self._held.items()))
            if reservation.due > now:
                break
            if reservation.due > known_until:
                self._owed = now
            if now - self._owed < CATCH_UP_SECONDS:
                break
            del self._held[token]
            if not self._is_excused(reservation.owner):
                if reservation.held and reservation.pools:
                    self.distrust(reservation.namespace)
                self._unproven.put(reservation.owner, None, share=reservation.namespace)
            self._release(token, reservation)
            ended.setdefault(reservation.owner, []).append(reservation)
            metrics.RESERVATIONS_EXPIRED.inc()
            metrics.RESERVATIONS.set(len(self._held))
        return ended

    def _is_excused(self, owner: OwnerUid) -> bool:
        """Whether a pod that appeared without a token accounts for a reservation that has expired."""
        owned = self._owners.get(owner)
        if owned is None or not owned.unmarked:
            return False
        owned.unmarked -= 1
        return True

    def disown(self, owner: OwnerUid, count: int) -> None:
        """No longer count the oldest `count` of this owner's reservations among its pods."""
        owned = self._owners.get(owner)
        for token in list(owned.tokens)[: max(count, 0)] if owned is not None else ():
            self._disown(token, self._held[token])

    def hold_to(self, owner: OwnerUid, count: int) -> None:
        """Let only the newest `count` of this owner's reservations count on pools."""
        owned = self._owners.get(owner)
        if owned is None:
            return
        for token in list(owned.held)[: max(0, len(owned.held) - max(0, count))]:
            self._let_go(token, self._held[token], owned)
        if owned.empty:
            del self._owners[owner]

    def count_of(self, owner: OwnerUid) -> int:
        """The reservations that count among this owner's pods."""
        owned = self._owners.get(owner)
        return 0 if owned is None else len(owned.tokens)

    def physical_of(self, owner: OwnerUid) -> int:
        """The part of these on physical nodes."""
        owned = self._owners.get(owner)
        return 0 if owned is None else owned.physical

    def count_on(self, owner: OwnerUid, pool: str) -> int:
        """The owner's reservations that a pool may have to keep."""
        owned = self._owners.get(owner)
        return 0 if owned is None else sum(pool in self._held[token].pools for token in owned.tokens)

    def used_of(self, pool: str) -> Usage:
        """The reserved requests on a pool."""
        return self._used.get(pool, NOTHING)

    def billed_of(self, pool: str) -> Usage:
        """The reserved amounts on a pool, as the provider would bill them."""
        return self._billed.get(pool, NOTHING)

    def extended_of(self, pool: str, resource: str) -> int:
        """How much of a resource beside CPU and memory is reserved on a pool."""
        return self._extended.get(pool, NO_AMOUNTS).get(resource, 0)

    def by_pool(self) -> Counter[str]:
        """The number of reservations by pool."""
        return Counter({pool: usage.pods for pool, usage in self._used.items()})

    def _end_unfollowed(self, token: str | None) -> None:
        reservation = None if token is None else self._held.pop(token, None)
        if token is not None and reservation is not None:
            self._release(token, reservation)

    def _release(self, token: str, reservation: Reservation) -> None:
        self._unfollowed.pop(token)
        if self._trying.get(reservation.namespace) == token:
            del self._trying[reservation.namespace]
        owned = self._owners.get(reservation.owner)
        if owned is None:
            return
        self._let_go(token, reservation, owned)
        self._disown(token, reservation)

    def _let_go(self, token: str, reservation: Reservation, owned: _Owner) -> None:
        if reservation.held:
            reservation.held = False
            del owned.held[token]
            self._count(reservation, -1)

    def _disown(self, token: str, reservation: Reservation) -> None:
        owned = self._owners.get(reservation.owner)
        if owned is None:
            return
        if reservation.owned:
            reservation.owned = False
            del owned.tokens[token]
            owned.physical -= not reservation.pools
        if owned.empty:
            del self._owners[reservation.owner]

    def _count(self, reservation: Reservation, sign: int) -> None:
        for pool in reservation.pools:
            for sums, usage in ((self._used, reservation.used), (self._billed, reservation.billed)):
                total = sums.get(pool, NOTHING) + usage * sign
                if total.pods:
                    sums[pool] = total
                else:
                    sums.pop(pool, None)
            if reservation.extended:
                add_amounts(self._extended, pool, reservation.extended, sign)


def new_token() -> str:
    """A token for a new reservation; as a mark on a pod it is not secret, and it cannot be guessed."""
    return os.urandom(8).hex()
