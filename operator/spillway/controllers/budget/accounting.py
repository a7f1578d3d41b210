"""The ledgers and totals of all pools: which pods are on each, and since when they are charged.

Contract: called by the budget controller, with times in whole Unix seconds; only `take_up` waits. A pod counts in the
pool of its node, which is the oldest VirtualNodeBudget that selects the node. A pod that was seen from its start is
charged from its start; a pod that enters a pool by a change of labels or budgets is charged from that change. A ledger
begins with the total that the status has stored and the time of that total, from which running pods are charged. A pod
is charged at most what its node can allocate: anybody may name a node in a pod that requests more than there is. A
budget without a stored total, or with one in another currency, is charged from the opening of its ledger.

`open` says which pools there are, and `take_up` then takes up their pods in slices of time. A pod that changes before
`take_up` has reached it is first taken up as it was, on the pool in which its node was when the ledger was opened, and
then changed. So every pod counts once, as if all had been taken up at once, and a pool is shown when it is complete.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import msgspec
import structlog

from spillway.controllers.budget.pod_walk import PodWalk
from spillway.controllers.budget.resource_seconds import Account, Key, WorkloadConsumption
from spillway.domain.budget.ledger import PoolLedger
from spillway.domain.budget.limits import LimitUse, room
from spillway.domain.budget.month import time_zone
from spillway.domain.budget.price import billed, per_hour
from spillway.domain.budget.resource_seconds import counts_as_physical
from spillway.domain.model.names import NodeName, PodUid, Tier
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.policies.governance import Governance
from spillway.kube.slices import in_slices
from spillway.state.cluster import ClusterState
from spillway.state.pool_membership import PoolMembership

log = structlog.get_logger(__name__)


class StoredSpending(NamedTuple):
    """The total that the status of a pool has stored, and its time."""

    at: int
    spent: Decimal
    currency: str


class _Place(NamedTuple):
    """Where a pod is accounted for."""

    pool: str
    node: NodeRecord | None
    """None where the node is gone, or not seen yet."""


class _Held(msgspec.Struct, frozen=True, gc=False):
    """A pod on a pool, as it was last taken into account."""

    pool: str
    account: Account
    used: Usage
    """What it requests."""
    granted: Usage
    """What of that its node holds for it: less while a resize in place is not done."""
    billed: Usage
    """What the provider bills."""
    started: int
    """0 while its kubelet has not taken it."""
    metered: bool
    """Whether its consumption counts here: of a pod whose policy does not list this pool it counts by its marks."""


@dataclass(slots=True)
class PoolTotals:
    """The ledger and the totals of one pool."""

    ledger: PoolLedger[Account]
    used: Usage = NOTHING
    """The requests of its unfinished pods, also on nodes that are gone, since those are still charged; not of
    pods that are only sent there."""
    resizing: Usage = NOTHING
    """Of these, what resizes in place ask for and no kubelet has granted."""
    waiting: Usage = NOTHING
    """Of these, as billed, what has not started."""

    @property
    def per_hour(self) -> Decimal:
        """What the pods that run cost in an hour; nothing where there is no price."""
        price, present = self.ledger.price, self.ledger.present
        return Decimal(0) if price is None else per_hour(price, present.cpu_millis, present.memory_bytes)


class PoolAccounting:
    """The accounting of all pools."""

    def __init__(self, state: ClusterState, membership: PoolMembership, book: WorkloadConsumption) -> None:
        self._state = state
        self._membership = membership
        self._book = book
        self._governance: Governance | None = None
        self.pools: dict[str, PoolTotals] = {}
        """The pools whose pods are all taken up."""
        self._totals: dict[str, PoolTotals] = {}
        """These, and those that are being opened."""
        self._opening: dict[str, int] = {}
        """The pools that are being opened, and until when the pods that ran then have been charged."""
        self._places: dict[NodeName, _Place] = {}
        """The nodes of these pools, as they were when the opening began."""
        self._left = PodWalk(state)
        """The pods that are still to be taken up."""
        self._held: dict[PodUid, _Held] = {}

    def open(
        self,
        governance: Governance,
        kept: Mapping[str, StoredSpending],
        now: int,
        *,
        moved: Collection[NodeName] = (),
    ) -> None:
        """Budgets have changed: which pools there are, and at what price. `take_up` is due.

        `moved` are the nodes that are in another pool since.
        """
        # An exception may have interrupted `take_up`.
        for pod in self._left:
            self._take(pod, now)
        self._complete(now)
        self._governance = governance
        for pool in self._totals.values():
            pool.ledger.advance(now)
        for name in self._totals.keys() - governance.budgets.keys():
            for uid in [uid for uid, held in self._held.items() if held.pool == name]:
                self._drop(uid, now)
            del self._totals[name], self.pools[name]
        opened: dict[str, PoolTotals] = {}
        for name, budget in governance.budgets.items():
            price, zone = budget.spec.price, time_zone(budget.spec.time_zone)
            if name in self._totals:
                if self._totals[name].ledger.reprice(price, zone, now=now) and price is not None:
                    log.info(
                        "the cost of the month starts at zero in another currency", key=name, currency=price.currency
                    )
                continue
            before = kept.get(name)
            if before is None or price is None or before.currency != price.currency:
                before = StoredSpending(now, Decimal(0), "")
            ledger = PoolLedger[Account](at=min(before.at, now), zone=zone, price=price, spent=before.spent)
            opened[name] = PoolTotals(ledger)
        self._totals |= opened
        self._opening = {name: pool.ledger.at for name, pool in opened.items()}
        self._places = {node.name: _Place(name, node) for name in opened for node in self._membership.nodes(name)}
        self._left = PodWalk(self._state, (*moved, *self._places))

    async def take_up(self, now: Callable[[], int]) -> None:
        """Take up the pods of the pools that are being opened, and of the nodes that have moved, in slices of time."""
        async for pod in in_slices(self._left):
            self._take(pod, now())
        self._complete(now())

    def _take(self, pod: PodRecord, now: int) -> None:
        place = self._places.get(pod.node)
        if place is None:
            # Its node has moved to another pool.
            self._account(pod, self._place_of(pod), now, charged_until=now)
            return
        charged_until = self._opening[place.pool]
        if not pod.finished:
            self._account(pod, place, now, charged_until=charged_until)
        elif charged_until < pod.ended <= now:
            # It ended without a leader, and its object still exists.
            self._charge(pod, place, now, charged_until=charged_until)

    def _complete(self, now: int) -> None:
        for name in self._opening:
            self._totals[name].ledger.advance(now)
            self.pools[name] = self._totals[name]
        self._opening = {}
        self._places = {}

    def limits(self, name: str) -> tuple[LimitUse, ...]:
        """How far each limit of a pool is used; what has a place there and has not started counts."""
        pool, governance = self.pools[name], self._governance
        model = None if governance is None else governance.budgets.get(name)
        if model is None:
            return ()
        spec, as_billed = model.spec, pool.ledger.present + pool.waiting
        return room(spec.limits, spec.price, pool.used, pool.ledger.owed, billed=as_billed, waiting=pool.waiting).uses

    def follow_node(self, name: NodeName, now: int, *, seen_late: bool) -> None:
        """A node has come or changed its labels, and is in another pool.

        Its pods are charged from now on; if only the watch is late, from their start.
        """
        for pod in self._left.on(name):
            self._take(pod, now)
        for pod in tuple(self._state.pods_on(name)):
            self._account(pod, self._place_of(pod), now, charged_until=None if seen_late else now)

    def follow(self, old: PodRecord | None, new: PodRecord | None, now: int) -> bool:
        """Account for a change of a pod that the watch showed; False if nothing of it counts differently."""
        if old is not None and self._left.take(old):
            self._take(old, now)
        if new is not None:
            # One that came after the opening is accounted for by its changes alone.
            self._left.take(new)
        pod = new or old
        if pod is None:
            return False
        place, held = self._place_of(pod), self._held.get(pod.uid)
        finished = new is not None and new.finished and (old is None or not old.finished)
        if finished and (held is None or not held.started):
            self._charge(pod, place, now)
        return self._account(pod, place, now, gone=new is None, charged_until=None)

    def _account(
        self, pod: PodRecord, place: _Place, now: int, *, gone: bool = False, charged_until: int | None
    ) -> bool:
        """Account for the present state of a pod at this place; False if nothing of it counts differently.

        What it cost until `charged_until` is charged already; None for a pod that was seen from its start.
        """
        held = self._held.get(pod.uid)
        wanted = None if gone else self._wanted(pod, place)
        if held == wanted:
            return False
        if (
            held is not None
            and wanted is not None
            and (held.pool, held.account, held.started) == (wanted.pool, wanted.account, wanted.started)
        ):
            self._resize(pod.uid, held, wanted, now)
            return True
        if held is not None:
            self._drop(pod.uid, min(now, int(pod.ended)) if pod.ended else now)
        if wanted is not None:
            if held is not None and held.started:
                # Another pool is charged for it from now on, or another account, since its owner has let it go.
                charged_until = max(now, self._totals[wanted.pool].ledger.at)
            self._hold(pod.uid, wanted, now, charged_until=charged_until)
        return True

    def _wanted(self, pod: PodRecord, place: _Place) -> _Held | None:
        if pod.finished or not place.pool:
            return None
        granted = self._granted(pod, place)
        return _Held(
            place.pool,
            self._book.account_of(pod),
            pod.requests,
            granted,
            self._billed(pod, place.pool, granted),
            int(pod.started),
            not counts_as_physical(pod),
        )

    def _billed(self, pod: PodRecord, pool: str, granted: Usage) -> Usage:
        size = self._membership.size_of(pod)
        ladder = self._governance.ladder(pool) if size and self._governance is not None else ()
        return billed(granted, size, ladder)

    def _granted(self, pod: PodRecord, place: _Place) -> Usage:
        """What its node holds for the pod, which is at most what it can allocate."""
        granted, node = pod.granted, place.node
        if node is None:
            held = self._held.get(pod.uid)
            return granted if held is None else granted.at_most(held.granted)
        return granted.at_most(Usage(1, node.cpu_millis, node.memory_bytes))

    def _place_of(self, pod: PodRecord) -> _Place:
        pool = self._membership.pool_of_pod(pod)
        return _Place(pool if pool in self._totals else "", self._state.nodes.get(pod.node))

    def _charge(self, pod: PodRecord, place: _Place, now: int, *, charged_until: int = 0) -> None:
        """Charge what a pod that has ended cost since `charged_until`, none of which was observed."""
        if place.pool and pod.started:
            started = int(pod.started)
            self._totals[place.pool].ledger.charge(
                self._book.account_of(pod),
                started=started,
                ended=max(started, int(pod.ended)) if pod.ended else now,
                billed=self._billed(pod, place.pool, self._granted(pod, place)),
                now=now,
                charged_until=charged_until,
            )

    def _hold(self, uid: PodUid, held: _Held, now: int, *, charged_until: int | None) -> None:
        self._held[uid] = held
        pool = self._totals[held.pool]
        pool.used += held.used
        pool.resizing += held.used - held.granted
        if not held.started:
            pool.waiting += held.billed
            return
        if charged_until is None:
            pool.ledger.begin(uid, held.account, started=held.started, billed=held.billed, now=now)
        else:
            pool.ledger.resume(uid, held.account, started=held.started, billed=held.billed, charged_until=charged_until)
        self._meter(held, 1, now)

    def _drop(self, uid: PodUid, now: int) -> None:
        held = self._held.pop(uid)
        pool = self._totals[held.pool]
        pool.used -= held.used
        pool.resizing -= held.used - held.granted
        if not held.started:
            pool.waiting -= held.billed
            return
        pool.ledger.end(uid, now=now)
        self._meter(held, -1, now)

    def _resize(self, uid: PodUid, held: _Held, wanted: _Held, now: int) -> None:
        self._held[uid] = wanted
        pool = self._totals[held.pool]
        pool.used = pool.used - held.used + wanted.used
        pool.resizing = pool.resizing - (held.used - held.granted) + (wanted.used - wanted.granted)
        if not held.started:
            pool.waiting = pool.waiting - held.billed + wanted.billed
            return
        pool.ledger.resize(uid, billed=wanted.billed, now=now)
        self._meter(held, -1, now)
        self._meter(wanted, 1, now)

    def _meter(self, held: _Held, sign: int, now: int) -> None:
        if held.metered:
            key = Key(held.account, Tier.VIRTUAL.value, held.pool)
            change = self._book.meter.add if sign > 0 else self._book.meter.remove
            change(key, held.granted.cpu_millis, held.granted.memory_bytes, now=now)
