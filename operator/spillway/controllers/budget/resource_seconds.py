"""The consumption of each workload by tier and pool, for the metrics.

Contract: measured by the leader only, from the moment at which it began to lead, so a gap without a leader is a gap in
the counters. The workloads that use most have their own series and the others share `other`, so the number of series is
bounded; the series of a workload that is no longer among the largest are removed. While no pod starts, ends or is
resized, the time that passes (`pass_time`) costs as much as there are series, and not as there are workloads.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from spillway.domain.budget.ledger import PoolLedger
from spillway.domain.budget.price import per_hour
from spillway.domain.budget.resource_seconds import Consumed, Meter
from spillway.domain.model.named_workloads import named
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import WorkloadKey, counted_as_by_name, workload_key, workload_of
from spillway.domain.model.records import PodRecord
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.model.usage import NOTHING, Usage
from spillway.kube.slices import in_slices
from spillway.state.cluster import ClusterState
from spillway.telemetry import budget as metrics
from spillway.telemetry.registry import CounterMetric

OTHER: Final = "other"
"""The name that all workloads share that have none of their own."""
NAMED: Final = 200
"""Workloads with a name of their own."""
NAMES_KEPT_SECONDS: Final = 300
"""How long the names of the accounts are used without looking them up again, while no pod changes."""
Account = str
"""The account: the uid of the pods' owner, or one account per namespace for pods without an owner."""


class Key(NamedTuple):
    """What consumption is counted by."""

    account: Account
    tier: str
    pool: str


class Charge(NamedTuple):
    """An amount that was spent on a pool."""

    amount: Decimal
    currency: str


class _Rate(NamedTuple):
    """By how much a series grows in a second, while no pod changes."""

    series: CounterMetric
    per_second: float


class WorkloadConsumption:
    """The meter of all tiers, the names of its accounts, and the counters."""

    def __init__(self, state: ClusterState, *, size: int = NAMED) -> None:
        self._state = state
        self._size = size
        self.meter: Meter[Key] = Meter()
        self._workloads: dict[Account, str] = {}
        self._named: frozenset[str] = frozenset()
        self._series: dict[str, set[tuple[CounterMetric, tuple[str, ...]]]] = {}
        self._rates: Sequence[_Rate] = ()
        """Of what is consumed."""
        self._cost_rates: Mapping[str, Sequence[_Rate]] = {}
        """Of what is charged, by pool."""
        self._ledgers: Mapping[str, PoolLedger[Account]] | None = None
        """Those from which the rates follow; None while there are no rates."""
        self._names_until = 0

    def account_of(self, pod: PodRecord) -> Account:
        """The account of this pod."""
        account = pod.owner_uid or f"Pod/{pod.namespace}"
        if account not in self._workloads:
            kind, name = (pod.owner_kind, pod.owner_name) if pod.owner_uid else ("Pod", "*")
            self._workloads[account] = workload_key(kind, pod.namespace, name)
        return account

    def workload(self, account: Account) -> str:
        """The workload of an account: kind/namespace/name."""
        owner = self._state.owner(OwnerUid(account))
        if owner is not None:
            self._workloads[account] = workload_of(owner).key
        return self._workloads.get(account, f"//{account}")

    def pass_time(self, now: int, ledgers: Mapping[str, PoolLedger[Account]]) -> bool:
        """Add the consumption and the charges since the last export, which the rates give while no pod changes.

        Returns whether this was possible; otherwise nothing is added, and `export` is due.
        """
        if self._ledgers != ledgers or now >= self._names_until or not self._is_steady(ledgers):
            return False
        _grow(self._rates, self.meter.pass_time(now))
        for pool, ledger in ledgers.items():
            _grow(self._cost_rates[pool], ledger.pass_time())
        return True

    async def export(
        self, now: int, charges: Mapping[tuple[Account, str], Charge], ledgers: Mapping[str, PoolLedger[Account]]
    ) -> None:
        """Add the consumption and the charges since the last call to the counters, in slices of time.

        The names of the accounts are looked up again, and the rates are kept, of the charges those of these ledgers.
        """
        present = self.meter.present()
        consumed = self.meter.collect(now)
        billed = {pool: ledger.rates() for pool, ledger in ledgers.items()}
        # A Job that started and ended since the last call has consumed, although none of its pods is left.
        gone = {key.account for key in consumed} | {account for account, _ in charges}.union(*billed.values())
        exported = {key.account for key in present} | gone
        # A ReplicaSet's name is looked up while it exists and kept as long as it has a series.
        for account in self._workloads.keys() - exported:
            del self._workloads[account]
        counted_as = {}
        async for account in in_slices(exported):
            counted_as[account] = counted_as_by_name(self.workload(account))
        self._name(present, gone, counted_as)
        labels = {account: name if name in self._named else OTHER for account, name in counted_as.items()}
        self._names_until = now + NAMES_KEPT_SECONDS
        for key, (cpu, memory) in (await _by_label(consumed, labels)).items():
            for series, amount in self._consumption(key, cpu, memory):
                series.inc(amount)
        async for (account, pool), charge in in_slices(charges.items()):
            self._cost(labels[account], pool, charge.currency).inc(float(charge.amount))
        self._ledgers = None
        if self._is_steady(ledgers):
            # If a pod changes from here on, the meter or a ledger says so, and the next call is an export again.
            rates = await _by_label({key: rate for key, rate in present.items() if any(rate)}, labels)
            self._rates = [
                _Rate(series, amount)
                for key, (cpu, memory) in rates.items()
                for series, amount in self._consumption(key, cpu, memory)
            ]
            self._cost_rates = {
                pool: await self._rates_of(pool, ledgers[pool], of, labels) for pool, of in billed.items()
            }
            self._ledgers = ledgers

    def _is_steady(self, ledgers: Mapping[str, PoolLedger[Account]]) -> bool:
        return self.meter.unchanged and all(ledger.unchanged for ledger in ledgers.values())

    async def _rates_of(
        self, pool: str, ledger: PoolLedger[Account], billed: Mapping[Account, Usage], labels: Mapping[Account, str]
    ) -> Sequence[_Rate]:
        sums: dict[str, Usage] = {}
        async for account, usage in in_slices(billed.items()):
            sums[labels[account]] = sums.get(labels[account], NOTHING) + usage
        price = ledger.price
        if price is None:
            return ()
        return [
            _Rate(
                self._cost(label, pool, price.currency),
                float(per_hour(price, usage.cpu_millis, usage.memory_bytes)) / HOUR_SECONDS,
            )
            for label, usage in sums.items()
        ]

    def _name(
        self, present: Mapping[Key, Consumed], gone: Iterable[Account], counted_as: Mapping[Account, str]
    ) -> None:
        by_workload = Counter(dict.fromkeys((counted_as[account] for account in gone), 0))
        for key, rate in present.items():
            by_workload[counted_as[key.account]] += rate.cpu_millis_seconds
        self._named = named(self._named, by_workload, size=self._size)
        for workload in self._series.keys() - self._named - {OTHER}:
            for counter, labels in self._series.pop(workload):
                counter.remove(*labels)

    def _consumption(self, key: Key, cpu: int, memory: int) -> Iterable[tuple[CounterMetric, float]]:
        """The series of a key, whose account is a label, and by how much they grow."""
        yield self._of(metrics.CONSUMED_CPU_SECONDS, key.account, key.tier, key.pool), cpu / 1000
        yield self._of(metrics.CONSUMED_MEMORY_BYTE_SECONDS, key.account, key.tier, key.pool), memory

    def _cost(self, label: str, pool: str, currency: str) -> CounterMetric:
        return self._of(metrics.CONSUMED_COST, label, pool, currency)

    def _of(self, counter: CounterMetric, label: str, *rest: str) -> CounterMetric:
        """The series of a label, which is remembered so that it can be removed."""
        labels = ("" if label == OTHER else WorkloadKey.parse(label).namespace, label, *rest)
        self._series.setdefault(label, set()).add((counter, labels))
        return counter.labels(*labels)


async def _by_label(consumed: Mapping[Key, Consumed], labels: Mapping[Account, str]) -> Mapping[Key, Consumed]:
    sums: dict[Key, Consumed] = {}
    async for key, (cpu, memory) in in_slices(consumed.items()):
        label = key._replace(account=labels[key.account])
        before = sums.get(label, Consumed())
        sums[label] = Consumed(before.cpu_millis_seconds + cpu, before.memory_byte_seconds + memory)
    return sums


def _grow(rates: Iterable[_Rate], seconds: int) -> None:
    if seconds:
        for series, per_second in rates:
            series.inc(per_second * seconds)
