"""The consumption of each workload by tier and pool, for the metrics.

Contract: measured by the leader only, from the moment at which it began to lead, so a gap without a leader is a gap in
the counters. The workloads that use most have their own series and the others share `other`, so the number of series is
bounded; the series of a workload that is no longer among the largest are removed. While no pod starts, ends or is
resized, an export costs as much as there are series, and not as there are workloads.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from spillway.domain.budget.resource_seconds import Consumed, Meter
from spillway.domain.model.named_workloads import named
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import WorkloadKey, counted_as_by_name, workload_key, workload_of
from spillway.domain.model.records import PodRecord
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


class WorkloadConsumption:
    """The meter of all tiers, the names of its accounts, and the counters."""

    def __init__(self, state: ClusterState, *, size: int = NAMED) -> None:
        self._state = state
        self._size = size
        self.meter: Meter[Key] = Meter()
        self._workloads: dict[Account, str] = {}
        self._named: frozenset[str] = frozenset()
        self._series: dict[str, set[tuple[CounterMetric, tuple[str, ...]]]] = {}
        self._labels: Mapping[Account, str] = {}
        """The name under which each account is exported, as of the last time that the names were looked up."""
        self._rates: Mapping[Key, Consumed] = {}
        """What these names consume in a second, while no pod changes."""
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

    async def export(self, now: int, charges: Mapping[tuple[Account, str], Charge]) -> None:
        """Add the consumption and the charges since the last call to the counters, in slices of time."""
        known = all(account in self._labels for account, _ in charges)
        if known and self.meter.unchanged and now < self._names_until:
            seconds = self.meter.pass_time(now)
            if seconds:
                self._count({key: _times(rate, seconds) for key, rate in self._rates.items()})
        else:
            await self._export_anew(now, charges)
        for (account, pool), charge in charges.items():
            label = Key(self._labels[account], "", pool)
            self._add(metrics.CONSUMED_COST, label, (pool, charge.currency), float(charge.amount))

    async def _export_anew(self, now: int, charges: Iterable[tuple[Account, str]]) -> None:
        """Export the consumption, look up the name of each account again, and keep the rates."""
        present = self.meter.present()
        consumed = self.meter.collect(now)
        # A Job that started and ended since the last call has consumed, although none of its pods is left.
        gone = {key.account for key in consumed} | {account for account, _ in charges}
        exported = {key.account for key in present} | gone
        # A ReplicaSet's name is looked up while it exists and kept as long as it has a series.
        for account in self._workloads.keys() - exported:
            del self._workloads[account]
        counted_as = {}
        async for account in in_slices(exported):
            counted_as[account] = counted_as_by_name(self.workload(account))
        self._name(present, gone, counted_as)
        self._labels = {account: name if name in self._named else OTHER for account, name in counted_as.items()}
        self._names_until = now + NAMES_KEPT_SECONDS
        self._count(await _by_label(consumed, self._labels))
        if self.meter.unchanged:
            # Otherwise a pod has changed in between, and the next call looks at all of them again.
            rates = {key: rate for key, rate in present.items() if any(rate)}
            self._rates = await _by_label(rates, self._labels)

    def _count(self, consumed: Mapping[Key, Consumed]) -> None:
        for key, (cpu, memory) in consumed.items():
            self._add(metrics.CONSUMED_CPU_SECONDS, key, (key.tier, key.pool), cpu / 1000)
            self._add(metrics.CONSUMED_MEMORY_BYTE_SECONDS, key, (key.tier, key.pool), memory)

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

    def _add(self, counter: CounterMetric, key: Key, rest: tuple[str, str], amount: float) -> None:
        workload = key.account
        namespace = "" if workload == OTHER else WorkloadKey.parse(workload).namespace
        labels = (namespace, workload, *rest)
        counter.labels(*labels).inc(amount)
        self._series.setdefault(workload, set()).add((counter, labels))


async def _by_label(consumed: Mapping[Key, Consumed], labels: Mapping[Account, str]) -> Mapping[Key, Consumed]:
    sums: dict[Key, Consumed] = {}
    async for key, (cpu, memory) in in_slices(consumed.items()):
        label = key._replace(account=labels[key.account])
        before = sums.get(label, Consumed())
        sums[label] = Consumed(before.cpu_millis_seconds + cpu, before.memory_byte_seconds + memory)
    return sums


def _times(rate: Consumed, seconds: int) -> Consumed:
    return Consumed(rate.cpu_millis_seconds * seconds, rate.memory_byte_seconds * seconds)
