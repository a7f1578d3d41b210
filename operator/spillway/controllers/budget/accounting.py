"""The ledgers and totals of all pools: which pods are on each, and since when they are charged.

Contract: called by the ledger controller, with times in whole Unix seconds; nothing here waits. A pod counts in the
pool of its node, which is the oldest VirtualNodeBudget that selects the node. A pod that was seen from its start is
charged from its start; a pod that enters a pool by a change of labels or budgets is charged from that change. A ledger
begins with the total that the status has stored and the time of that total, from which running pods are charged. A pod
is charged at most what its node can allocate: anybody may name a node in a pod that requests more than there is. A
budget without a stored total, or with one in another currency, is charged from the opening of its ledger.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import structlog

from spillway.controllers.budget.resource_seconds import Account, Key, WorkloadConsumption
from spillway.domain.budget.ledger import PoolLedger
from spillway.domain.budget.limits import LimitUse, room
from spillway.domain.budget.month import time_zone
from spillway.domain.budget.price import billed, per_hour
from spillway.domain.budget.resource_seconds import counts_as_physical
from spillway.domain.model.names import NodeName, PodUid, Tier
from spillway.domain.model.records import PodRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.policies.governance import Governance
from spillway.state.cluster import ClusterState
from spillway.state.pool_membership import PoolMembership

log = structlog.get_logger(__name__)


class StoredSpending(NamedTuple):
    """The total that the status of a pool has stored, and its time."""

    at: int
    spent: Decimal
    currency: str


class _Held(NamedTuple):
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
        self._held: dict[PodUid, _Held] = {}

    def open(
        self,
        governance: Governance,
        kept: Mapping[str, StoredSpending],
        now: int,
        *,
        moved: Collection[NodeName] = (),
    ) -> None:
        """Budgets have changed: which pools there are, at what price, and which pods are on them.

        `moved` are the nodes that are in another pool since.
        """
        self._governance = governance
        for pool in self.pools.values():
            pool.ledger.advance(now)
        for name in self.pools.keys() - governance.budgets.keys():
            for uid in [uid for uid, held in self._held.items() if held.pool == name]:
                self._drop(uid, now)
            del self.pools[name]
        opened = [name for name in governance.budgets if name not in self.pools]
        for name, budget in governance.budgets.items():
            price, zone = budget.spec.price, time_zone(budget.spec.time_zone)
            if name in self.pools:
                if self.pools[name].ledger.reprice(price, zone, now=now) and price is not None:
                    log.info(
                        "the cost of the month starts at zero in another currency", key=name, currency=price.currency
                    )
                continue
            before = kept.get(name)
            if before is None or price is None or before.currency != price.currency:
                before = StoredSpending(now, Decimal(0), "")
            ledger = PoolLedger[Account](at=min(before.at, now), zone=zone, price=price, spent=before.spent)
            self.pools[name] = PoolTotals(ledger)
        joined = [node.name for name in opened for node in self._membership.nodes(name)]
        for node in dict.fromkeys((*moved, *joined)):
            self._follow_pods(node, now, seen=False)
        for name in opened:
            self._end_unseen(name, now)
            self.pools[name].ledger.advance(now)

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
        for pool in self.pools.values():
            pool.ledger.advance(now)
        self._follow_pods(name, now, seen=seen_late)

    def _follow_pods(self, name: NodeName, now: int, *, seen: bool) -> None:
        for pod in tuple(self._state.pods_on(name)):
            self.follow(pod, now, seen=seen)

    def follow(
        self, pod: PodRecord, now: int, *, gone: bool = False, seen: bool = True, finished: bool = False
    ) -> bool:
        """Account for the present state of a pod; False if nothing of it counts differently.

        `seen` says that the watch showed it from its start, `finished` that this change is its end.
        """
        held = self._held.get(pod.uid)
        if finished and (held is None or not held.started):
            self._charge(pod, now)
        wanted = None if gone else self._wanted(pod)
        if held == wanted:
            return False
        if held is not None and wanted is not None and held[:2] == wanted[:2] and held.started == wanted.started:
            self._resize(pod.uid, held, wanted, now)
            return True
        if held is not None:
            self._drop(pod.uid, min(now, int(pod.ended)) if pod.ended else now)
        if wanted is not None:
            if held is not None and held.started and held.pool == wanted.pool:
                # Another is charged for it from now on: its owner has let it go.
                self.pools[wanted.pool].ledger.advance(now)
                seen = False
            self._hold(pod.uid, wanted, now, seen=seen)
        return True

    def _wanted(self, pod: PodRecord) -> _Held | None:
        pool = "" if pod.finished else self._pool_of(pod)
        if not pool:
            return None
        return _Held(
            pool,
            self._book.account_of(pod),
            pod.requests,
            self._granted(pod),
            self._billed(pod, pool),
            int(pod.started),
            not counts_as_physical(pod),
        )

    def _billed(self, pod: PodRecord, pool: str) -> Usage:
        size = self._membership.size_of(pod)
        ladder = self._governance.ladder(pool) if size and self._governance is not None else ()
        return billed(self._granted(pod), size, ladder)

    def _granted(self, pod: PodRecord) -> Usage:
        """What its node holds for the pod, which is at most what it can allocate."""
        granted, node = pod.granted, self._state.nodes.get(pod.node)
        if node is None:
            held = self._held.get(pod.uid)
            return granted if held is None else granted.at_most(held.granted)
        return granted.at_most(Usage(1, node.cpu_millis, node.memory_bytes))

    def _pool_of(self, pod: PodRecord) -> str:
        pool = self._membership.pool_of_pod(pod)
        return pool if pool in self.pools else ""

    def _charge(self, pod: PodRecord, now: int) -> None:
        """Charge a pod that started and ended between two observations."""
        pool = self._pool_of(pod)
        if pool and pod.started:
            charged = self._billed(pod, pool)
            started = int(pod.started)
            self.pools[pool].ledger.charge(
                self._book.account_of(pod),
                started=started,
                ended=max(started, int(pod.ended)) if pod.ended else now,
                billed=charged,
                now=now,
            )

    def _hold(self, uid: PodUid, held: _Held, now: int, *, seen: bool) -> None:
        self._held[uid] = held
        pool = self.pools[held.pool]
        pool.used += held.used
        pool.resizing += held.used - held.granted
        if not held.started:
            pool.waiting += held.billed
            return
        if seen:
            pool.ledger.begin(uid, held.account, started=held.started, billed=held.billed, now=now)
        else:
            pool.ledger.resume(uid, held.account, started=held.started, billed=held.billed)
        self._meter(held, 1, now)

    def _drop(self, uid: PodUid, now: int) -> None:
        held = self._held.pop(uid)
        pool = self.pools[held.pool]
        pool.used -= held.used
        pool.resizing -= held.used - held.granted
        if not held.started:
            pool.waiting -= held.billed
            return
        pool.ledger.end(uid, now=now)
        self._meter(held, -1, now)

    def _resize(self, uid: PodUid, held: _Held, wanted: _Held, now: int) -> None:
        self._held[uid] = wanted
        pool = self.pools[held.pool]
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

    def _end_unseen(self, name: str, now: int) -> None:
        """Charge pods that ended without a leader and whose objects still exist."""
        ledger = self.pools[name].ledger
        nodes = [node.name for node in self._membership.nodes(name)]
        ended = [
            pod
            for node in nodes
            for pod in self._state.pods_on(node)
            if pod.finished and pod.started and ledger.at < pod.ended <= now
        ]
        for pod in ended:
            charged = self._billed(pod, name)
            account = self._book.account_of(pod)
            ledger.resume(pod.uid, account, started=int(pod.started), billed=charged)
        for pod in sorted(ended, key=lambda pod: pod.ended):
            ledger.end(pod.uid, now=int(pod.ended))
