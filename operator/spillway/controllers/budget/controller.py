"""The accounting of every pool: its cost this month, its cost now, and the consumption of each workload.

Contract: follows the events of pods, so a pod that lives between two ticks is charged as well. The first tick takes up
the pods that there are, in slices of time, and follows their events from its beginning; what the pools have cost is
published when all are taken up. A tick, every `period_seconds`, brings the totals up to date, exports them as metrics
and publishes them on the board for admission. Nothing is written here: the status controller writes `status.used`, and
`status_due` is emitted when a total has to be stored (`PERSIST_SECONDS`), a month has ended, or a limit comes near. The
next leader goes on from the status that was written last: the time since then is charged from the start times of the
pods.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar, Final

from pydantic import ValidationError

from spillway.api.virtualnodebudget import BudgetUse, VirtualNodeBudgetStatus
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.budget.accounting import PoolAccounting, StoredSpending
from spillway.controllers.budget.pod_walk import PodWalk
from spillway.controllers.budget.pool_costs import PoolCosts, must_persist
from spillway.controllers.budget.resource_seconds import Account, Charge, Key, WorkloadConsumption
from spillway.domain.budget.alerts import TURNING_SHARES
from spillway.domain.budget.limits import LimitUse
from spillway.domain.budget.price import per_hour
from spillway.domain.budget.resource_seconds import counts_as_physical
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import PodRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.policies.governance import Governance
from spillway.kube.slices import in_slices
from spillway.state.catalog import Kind
from spillway.state.pool_membership import NodeChange
from spillway.state.signal import Signal
from spillway.telemetry.budget import BudgetSample, set_budgets

ALL: Final = "*"
LONGEST_GAP_SECONDS: Final = 62 * 86400
"""A month begins within it, and with it a new total: totals that were stored before are of no use."""


class BudgetController(Controller):
    """The controller of budgets, with one key for all pools."""

    name: ClassVar = "budget"
    admission_waits: ClassVar = True

    def __init__(self, world: World, *, period_seconds: float) -> None:
        super().__init__(world)
        self._period_seconds = period_seconds
        self._consumption = WorkloadConsumption(world.state)
        self._accounting = PoolAccounting(world.state, world.membership, self._consumption)
        self._governance: Governance | None = None
        """The budgets that the accounting is about; None until it is opened."""
        self._moved: set[NodeName] = set()
        """Nodes that changed their pool since the budgets changed, while the accounting is still about the old ones."""
        self._begun = False
        """Whether it is known what the pools have cost."""
        self._unmetered = PodWalk(world.state)
        """Pods whose consumption on physical nodes is not metered yet, while a leader begins."""
        self._turns: dict[str, object] = {}
        """The turning points between which the use of each limit lies, by pool."""
        self.status_due: Signal[()] = Signal("BudgetStatus")
        """Emitted when a status has something new to store or to show."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        state = self.world.state
        yield state.subscribe(PodRecord, self._pod_changed)
        yield self.world.membership.changed.subscribe(self._node_changed)
        yield self.world.catalog.subscribe(self.add_all)
        if self.world.membership.proof is not None:
            yield self.world.membership.proof.changed.subscribe(self._proof_changed)

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    def costs(self, budget: str) -> PoolCosts | None:
        """What a pool costs at this moment; None while its accounting is not open, or without a price."""
        pool = self._accounting.pools.get(budget)
        if pool is None or pool.ledger.price is None:
            return None
        pool.ledger.advance(self._now())
        rates: dict[str, Decimal] = {}
        for account, one in pool.ledger.present_of().items():
            workload = self._consumption.workload(account)
            rate = per_hour(pool.ledger.price, one.cpu_millis, one.memory_bytes)
            rates[workload] = rates.get(workload, Decimal(0)) + rate
        return PoolCosts(
            currency=pool.ledger.price.currency,
            per_hour=pool.per_hour,
            spent=pool.ledger.spent,
            at=pool.ledger.at,
            by_workload=rates,
        )

    def used(self, budget: str) -> Usage | None:
        """What the pods on a pool request, also on nodes that are gone; None while its accounting is not open."""
        pool = self._accounting.pools.get(budget)
        return None if pool is None else pool.used

    def limits(self, budget: str) -> tuple[LimitUse, ...] | None:
        """How far each limit of a pool is used at this moment; None while its accounting is not open."""
        return self._accounting.limits(budget) if budget in self._accounting.pools else None

    def resizing(self, budget: str) -> bool:
        """Whether resizes in place that no kubelet has granted are a part of its use."""
        pool = self._accounting.pools.get(budget)
        return pool is not None and pool.resizing != NOTHING

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002  # there is one
        now = self._now()
        self.world.membership.refresh()
        if self._governance is not self.world.governance:
            await self._open(now)
        await self._accounting.take_up(self._now)
        if not self._begun:
            # Admission waits for what the pools have cost.
            self._begun = True
            self._publish()
        async for pod in in_slices(self._unmetered):
            self._meter_physical(None, pod, self._now())
        now = self._now()
        tell = False
        for name, pool in self._accounting.pools.items():
            tell |= pool.ledger.advance(now)
            turns = _turns(self._accounting.limits(name))
            tell |= turns != self._turns.get(name)
            if pool.ledger.price is not None:
                spent, idle = pool.ledger.spent, not pool.ledger.present.pods
                tell |= must_persist(spent, now, self._stored(name), idle=idle)
            self._turns[name] = turns
        self._publish()
        await self._export(now)
        if tell:
            self.status_due.emit()
        return self._period_seconds

    async def _open(self, now: int) -> None:
        begins = self._governance is None
        # What was charged until now is in the currency of the price that ends.
        ended = {} if begins else self._collect_charges(now)
        if begins:
            self._unmetered = PodWalk(self.world.state, self.world.state.nodes_with_pods)
        self._accounting.open(self.world.governance, self._kept(now), now, moved=self._moved)
        self._governance = self.world.governance
        self._moved = set()
        # From here on the accounting follows every change, although its pods are not all taken up.
        if not begins:
            await self._consumption.export(now, ended, {})

    def _now(self) -> int:
        return int(self.world.now())

    # The totals in the status

    def _stored(self, budget: str) -> BudgetUse | None:
        entry = self.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET).get(budget)
        try:
            return None if entry is None else VirtualNodeBudgetStatus.model_validate(entry.status).used
        except ValidationError:
            return None  # Another client wrote it; the next status replaces it.

    def _kept(self, now: int) -> Mapping[str, StoredSpending]:
        found: dict[str, StoredSpending] = {}
        for budget in self.world.governance.budgets:
            used = self._stored(budget)
            if used is not None and used.at is not None and used.cost_this_month is not None:
                at = max(int(used.at.timestamp()), now - LONGEST_GAP_SECONDS)
                found[budget] = StoredSpending(at, used.cost_this_month.amount, used.currency or "")
        return found

    # Following the state

    def _node_changed(self, change: NodeChange) -> None:
        # Pods of a node that is gone go on to count on its pool until they are gone too.
        if self._governance is None or change.new is None or change.before == change.after:
            return
        if self._governance is not self.world.governance:
            # The accounting of its pool may not be open yet.
            self._moved.add(change.name)
        if change.old is not change.new:
            self._accounting.follow_node(change.name, self._now(), seen_late=change.old is None)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if self._governance is None:
            return
        if old is not None and new is not None and _counted_alike(old, new):
            return
        now = self._now()
        if self._accounting.follow(old, new, now):
            self._publish()
        if old is not None and self._unmetered.take(old):
            old = None
        if new is not None:
            self._unmetered.take(new)
        self._meter_physical(old, new, now)

    def _proof_changed(self) -> None:
        """The sizes in the marks of some pods may be believed now."""
        if self._governance is None:
            return
        now = self._now()
        for pod in [pod for pod in self.world.state.pods.values() if pod.size]:
            self._accounting.follow(pod, pod, now)
        self._publish()

    # Consumption on physical nodes

    def _meter_physical(self, old: PodRecord | None, new: PodRecord | None, now: int) -> None:
        if old is not None and (key := self._physical(old)) is not None:
            self._consumption.meter.remove(key, old.granted.cpu_millis, old.granted.memory_bytes, now=now)
        if new is not None and (key := self._physical(new)) is not None:
            self._consumption.meter.add(key, new.granted.cpu_millis, new.granted.memory_bytes, now=now)

    def _physical(self, pod: PodRecord) -> Key | None:
        """The account and tier of a pod's consumption, from the record alone, so that it can be removed again."""
        if not pod.node or not pod.started or pod.finished:
            return None
        if not pod.policy or not counts_as_physical(pod):
            return None
        return Key(self._consumption.account_of(pod), pod.tier, "")

    # Publishing and exporting

    def _publish(self) -> None:
        if not self._begun:
            return
        pools = self._accounting.pools.items()
        self.world.board.set_spent({name: pool.ledger.owed for name, pool in pools if pool.ledger.price is not None})

    def _collect_charges(self, now: int) -> Mapping[tuple[Account, str], Charge]:
        charges: dict[tuple[Account, str], Charge] = {}
        for name, pool in self._accounting.pools.items():
            pool.ledger.advance(now)
            if (price := pool.ledger.price) is not None:
                for account, amount in pool.ledger.collect().items():
                    charges[account, name] = Charge(amount, price.currency)
        return charges

    async def _export(self, now: int) -> None:
        samples: list[BudgetSample] = []
        for name, pool in self._accounting.pools.items():
            price, used, limits = pool.ledger.price, pool.used, self._accounting.limits(name)
            if price is None:
                samples.append(BudgetSample(name, used, limits))
                continue
            samples.append(BudgetSample(name, used, limits, price.currency, pool.per_hour, pool.ledger.spent))
        set_budgets(samples)
        ledgers = {name: pool.ledger for name, pool in self._accounting.pools.items() if pool.ledger.price is not None}
        if not self._consumption.pass_time(now, ledgers):
            await self._consumption.export(now, self._collect_charges(now), ledgers)


def _turns(uses: Iterable[LimitUse]) -> Mapping[str, tuple[bool, ...]]:
    return {use.name: (use.full, *(use.share >= share for share in TURNING_SHARES)) for use in uses}


def _counted_alike(old: PodRecord, new: PodRecord) -> bool:
    return (
        old.node == new.node
        and old.owner_uid == new.owner_uid
        and old.started == new.started
        and old.finished == new.finished
        and (old.requests, old.granted, old.size) == (new.requests, new.granted, new.size)
        and (old.policy, old.tier, old.pool) == (new.policy, new.tier, new.pool)
    )
