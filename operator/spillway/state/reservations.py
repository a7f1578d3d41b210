"""Places promised to pods that the informer does not show yet.

Contract: a reservation is made in the same step that decides a pod, under a token that the pod carries as a mark. It
stands until the informer shows the pod (from then on the pod itself is counted) or until its time is up: the pod was
refused by somebody after us and never came to be. Only a watch that was heard since can tell: a silent one may owe us
the pod. So a count with reservations in it is never too low, and too high for at most `seconds` and a silence.

An owner's controller creates no pod while it knows as many as it wants. Where it does, reservations that we still hold
for it were for pods that never came: `disown` takes them out of the owner's count. Against the limits of the pools they
count until their time is up, because there being wrong costs money, but never more of them than `hold_to` allows: the
pods that the owner wants and that the informer does not show. And when a promise's time is up and no pod came, further
promises of that owner count against no pool until one of its pods is seen: a request that is repeated, whoever sends
it, keeps no pool closed.
"""

import math
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.usage import NOTHING, Usage
from spillway.telemetry import placement as metrics

RESERVATION_SECONDS: Final = 10.0
"""Longer than the informer lags when it is well."""
CATCH_UP_SECONDS: Final = 1.0
"""What a watch needs to tell what it owes after a silence."""
REMEMBERED_OWNERS: Final = 4096
"""Of whose promises one was for a pod that never came."""


@dataclass(slots=True)
class Reservation:
    """One pod's place."""

    owner: OwnerUid
    pools: tuple[str, ...]
    """Every pool that may take it; empty for a pod decided physical."""
    used: Usage
    """What it requests."""
    billed: Usage
    """What the provider would bill of it."""
    due: float
    """When its time is up."""
    owned: bool = True
    """Whether it counts among its owner's pods."""
    held: bool = True
    """Whether it counts on its pools."""


@dataclass(slots=True)
class _Owner:
    tokens: dict[str, None] = field(default_factory=dict)
    """Oldest first."""
    physical: int = 0
    held: dict[str, None] = field(default_factory=dict)
    """Promises that count on pools, oldest first."""

    @property
    def empty(self) -> bool:
        """Whether nothing stands for this owner."""
        return not self.tokens and not self.held


class Reservations:
    """All that stand. `clock` gives seconds that never go back.

    `heard` gives the time, of the same clock, up to which the informer knows of pods; by default it is never behind.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        heard: Callable[[], float] | None = None,
        seconds: float = RESERVATION_SECONDS,
    ) -> None:
        self.clock = clock
        self._heard = heard or clock
        self._seconds = seconds
        self._owed = -math.inf
        """When the watch was last found to be silent about a pod whose time is up."""
        self._held: dict[str, Reservation] = {}
        self._owners: dict[OwnerUid, _Owner] = {}
        self._unproven: OrderedDict[OwnerUid, None] = OrderedDict()
        """Owners whose last promise was for a pod that never came."""
        self._used: dict[str, Usage] = {}
        self._billed: dict[str, Usage] = {}

    def reserve(
        self,
        owner: OwnerUid,
        *,
        pools: tuple[str, ...] = (),
        used: Usage,
        billed: Usage | None = None,
        token: str = "",
        hold: bool = True,
    ) -> str:
        """Promise a pod its place: on physical nodes where no pool is given.

        Returns the token for its mark: the given one, or a new one. With `hold` False it counts for the owner alone.
        """
        self.expire()
        token = token or new_token()
        reservation = Reservation(owner, pools, used, billed or used, self.clock() + self._seconds)
        self._held[token] = reservation
        owned = self._owners.setdefault(owner, _Owner())
        owned.tokens[token] = None
        owned.physical += not pools
        reservation.held = hold and bool(pools) and owner not in self._unproven
        if reservation.held:
            owned.held[token] = None
            self._count(reservation, 1)
        metrics.RESERVATIONS.set(len(self._held))
        return token

    def get(self, token: str) -> Reservation | None:
        """The reservation that stands under this token."""
        return self._held.get(token)

    def remeasure(self, token: str, *, used: Usage, billed: Usage) -> None:
        """The pod has been changed since by another webhook: what it asks for now."""
        reservation = self._held.get(token)
        if reservation is not None:
            counts = reservation.held
            if counts:
                self._count(reservation, -1)
            reservation.used, reservation.billed = used, billed
            if counts:
                self._count(reservation, 1)

    def settle(self, token: str) -> None:
        """The informer shows the pod; it is counted there."""
        reservation = self._held.pop(token, None)
        if reservation is not None:
            self._unproven.pop(reservation.owner, None)
            self._release(token, reservation)
            metrics.RESERVATIONS.set(len(self._held))

    def expire(self) -> None:
        """Let go what nobody came for."""
        now = self.clock()
        heard = self._heard()
        # All stand equally long, so they expire in the order in which they were made.
        while self._held:
            token, reservation = next(iter(self._held.items()))
            if reservation.due > now:
                break
            if reservation.due > heard:
                self._owed = now
            if now - self._owed < CATCH_UP_SECONDS:
                break
            del self._held[token]
            self._release(token, reservation)
            self._doubt(reservation.owner)
            metrics.RESERVATIONS_EXPIRED.inc()
            metrics.RESERVATIONS.set(len(self._held))

    def disown(self, owner: OwnerUid, count: int) -> None:
        """Do not count the oldest `count` of this owner's reservations among its pods any more."""
        owned = self._owners.get(owner)
        for token in list(owned.tokens)[: max(count, 0)] if owned is not None else ():
            self._disown(token, self._held[token])

    def hold_to(self, owner: OwnerUid, count: int) -> None:
        """Let only the newest `count` of this owner's promises count on pools."""
        owned = self._owners.get(owner)
        if owned is None:
            return
        for token in list(owned.held)[: max(0, len(owned.held) - max(0, count))]:
            self._let_go(token, self._held[token], owned)
        if owned.empty:
            del self._owners[owner]

    def count_of(self, owner: OwnerUid) -> int:
        """Of this owner's pods, those promised a place and not seen."""
        owned = self._owners.get(owner)
        return 0 if owned is None else len(owned.tokens)

    def physical_of(self, owner: OwnerUid) -> int:
        """Of these, the ones on physical nodes."""
        owned = self._owners.get(owner)
        return 0 if owned is None else owned.physical

    def used_of(self, pool: str) -> Usage:
        """What is promised of a pool, in requests."""
        return self._used.get(pool, NOTHING)

    def billed_of(self, pool: str) -> Usage:
        """The same as the provider would bill it."""
        return self._billed.get(pool, NOTHING)

    def by_pool(self) -> Counter[str]:
        """Pods promised a place, by pool."""
        return Counter({pool: usage.pods for pool, usage in self._used.items()})

    def _doubt(self, owner: OwnerUid) -> None:
        self._unproven[owner] = None
        self._unproven.move_to_end(owner)
        if len(self._unproven) > REMEMBERED_OWNERS:
            self._unproven.popitem(last=False)

    def _release(self, token: str, reservation: Reservation) -> None:
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


def new_token() -> str:
    """The name of a reservation that has yet to be made; as a mark on a pod it is no secret and cannot be guessed."""
    return uuid.uuid4().hex[:16]
