"""Counts of pods by policy, workload, tier, zone and pool for the statuses, kept by owner.

Contract: a change only marks the owners that it concerns, and `refresh` counts these again, so it costs as much as the
owners' pods and not as all pods. The pods of a policy are those of the ReplicaSets and StatefulSets that it claims and,
of other owners (a Job, for example, whose template is not watched), those that carry the mark of the policy. Of owners
that only a ZonalBalance covers, the zones are counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import ZONE_LABEL, OwnerUid, Tier
from spillway.domain.model.owners import owner_of, workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import (
    NamespaceRecord,
    NodeRecord,
    OwnerRecord,
    PodRecord,
    ReplicaSetRecord,
    StatefulSetRecord,
)
from spillway.domain.model.usage import NOTHING, Usage, add_count
from spillway.domain.scale_down.foreign_writer import foreign_pods
from spillway.kube.slices import TimeSlice
from spillway.state.claims import balance_of, losers_of
from spillway.state.signal import Signal

NAMED_PODS: Final = 5
"""Pods with a foreign cost that are named for each owner; the others are counted."""
K = TypeVar("K")


class OwnerCount(NamedTuple):
    """One owner's active pods on nodes."""

    policy: str
    """Empty for a workload that only a ZonalBalance covers: its zones alone are counted."""
    workload: str
    """Kind/namespace/name of what a user calls the workload."""
    tiers: Mapping[Tier, int]
    zones: Mapping[str, int]
    """Without pods on virtual nodes: a zone is where physical nodes are lost together."""
    pools: Mapping[str, Usage]
    """What its active pods request on the pools that the policy lists; a pool may have other pods too."""
    foreign: int
    """Pods whose deletion cost another client wrote; only counted if the policy would write costs."""
    foreign_pods: tuple[str, ...] = ()
    """Namespace/name of the first of them."""
    losers: tuple[str, ...] = ()
    """Younger policies that select the workload too."""


@dataclass(slots=True)
class PolicyCount:
    """One policy's workloads."""

    workloads: Counter[str] = field(default_factory=Counter)
    """Owners by workload: a Deployment has several ReplicaSets."""
    tiers: Counter[Tier] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)
    """Pods with a foreign cost, by workload."""
    foreign_pods: Counter[str] = field(default_factory=Counter)
    """Some of these pods by namespace/name, at most `NAMED_PODS` a workload's owner."""
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Owners that the policy selects and an older one governs, by (workload, that policy)."""


class WorkloadCounts:
    """The counts of all owners; empty before the first `refresh`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._owners: dict[OwnerUid, OwnerCount] = {}
        self._stale: set[OwnerUid] = set()
        self._all_stale = True
        self._policies: dict[str, PolicyCount] = {}
        self.changed: Signal[()] = Signal("WorkloadCounts")
        """Emitted when a pod has appeared, has gone, or has changed in something that a status counts."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow the state. The first `refresh` counts everything."""
        state = self._world.state
        yield state.subscribe(PodRecord, self._pod_changed)
        yield state.subscribe(ReplicaSetRecord, self._owner_changed)
        yield state.subscribe(StatefulSetRecord, self._owner_changed)
        yield state.subscribe(NodeRecord, self._node_changed)
        yield state.subscribe(NamespaceRecord, self._namespace_changed)
        yield self._world.catalog.subscribe(self._resources_changed)

    def policy(self, name: str) -> PolicyCount:
        """The counts of one policy as of the last `refresh`."""
        return self._policies.get(name) or PolicyCount()

    def workloads_on(self, pool: str) -> Mapping[str, Usage]:
        """What each governed workload uses of one virtual pool, as of the last `refresh`."""
        sums: dict[str, Usage] = defaultdict(Usage)
        for count in self._owners.values():
            if (usage := count.pools.get(pool)) is not None:
                sums[count.workload] = sums[count.workload] + usage
        return sums

    def zones_by_workload(self, owners: Iterable[OwnerRecord]) -> Mapping[str, Counter[str]]:
        """Pods on physical nodes by zone of these owners' workloads, if a policy or a ZonalBalance covers them."""
        zones: dict[str, Counter[str]] = defaultdict(Counter)
        for owner in owners:
            if (count := self._owners.get(owner.uid)) is not None:
                zones[count.workload].update(count.zones)
        return zones

    async def refresh(self) -> None:
        """Count again what has changed, in slices of time."""
        state = self._world.state
        if self._all_stale:
            self._all_stale = False
            marked = (pod.owner_uid for pod in state.pods.values() if pod.policy)
            self._stale = {*self._owners, *state.replicasets, *state.statefulsets, *marked}
        time_slice = TimeSlice()
        while self._stale:
            self._recount(self._stale.pop())
            await time_slice.pause()

    def _recount(self, owner: OwnerUid) -> None:
        self._add(self._owners.pop(owner, None), -1)
        if owner and (count := self._count(owner)) is not None:
            self._owners[owner] = count
            self._add(count, 1)

    def _count(self, owner: OwnerUid) -> OwnerCount | None:
        world = self._world
        pods = world.state.active_pods_of(owner)
        record = world.state.owner(owner)
        enforced = False
        zone_key = ZONE_LABEL
        losers: tuple[str, ...] = ()
        if record is not None:
            claim: Claim | None = world.claim_of(record)
            workload = workload_of(record).key
            if claim is None:
                zones = self._zones_of_ungoverned(record, pods)
                return None if zones is None else OwnerCount("", workload, {}, zones, {}, 0)
            policy = claim.policy
            # A StatefulSet's scale-down goes by ordinals, whatever a pod's deletion cost says.
            enforced = claim.enforced and isinstance(record, ReplicaSetRecord)
            zone_key = claim.zone_key
            losers = losers_of(world.state, world.governance, record)
        else:
            marked = next((pod for pod in pods if pod.policy), None)
            if marked is None or marked.policy not in world.governance.policies:
                return None
            policy, workload = marked.policy, owner_of(marked, None).key
        tiers: Counter[Tier] = Counter()
        zones = Counter[str]()
        pools: dict[str, Usage] = {}
        for pod in pods:
            node = world.state.nodes.get(pod.node)
            if node is None:
                continue
            place = world.places.place(policy, node, zone_key=zone_key)
            tiers[place.tier] += 1
            if world.governance.budget_of(node) is None:
                zones[place.zone] += 1
            if place.pool:
                pools[place.pool] = pools.get(place.pool, NOTHING) + pod.requests
        foreign = foreign_pods(pods) if enforced else ()
        named = tuple(sorted(pod.key for pod in foreign)[:NAMED_PODS])
        return OwnerCount(policy, workload, tiers, zones, pools, len(foreign), named, losers)

    def _zones_of_ungoverned(self, record: OwnerRecord, pods: Iterable[PodRecord]) -> Counter[str] | None:
        """The pods by zone of a workload that no policy governs; None where no ZonalBalance covers it either."""
        state, governance = self._world.state, self._world.governance
        name = balance_of(state, governance, record)
        if name is None:
            return None
        zone_key = governance.balances[name].spec.zone_key
        return Counter(
            node.zone_by(zone_key)
            for pod in pods
            if (node := state.nodes.get(pod.node)) is not None and governance.budget_of(node) is None
        )

    def _add(self, count: OwnerCount | None, sign: int) -> None:
        if count is None or not count.policy:
            return
        total = self._policies.setdefault(count.policy, PolicyCount())
        add_count(total.workloads, count.workload, sign)
        add_count(total.foreign, count.workload, sign * count.foreign)
        for name in count.foreign_pods:
            add_count(total.foreign_pods, name, sign)
        for tier, pods in count.tiers.items():
            total.tiers[tier] += sign * pods
        for loser in count.losers:
            lost = self._policies.setdefault(loser, PolicyCount()).lost
            add_count(lost, (count.workload, count.policy), sign)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is not None and new is not None and _counted(old) == _counted(new):
            return
        self._stale.update(pod.owner_uid for pod in (old, new) if pod is not None and pod.owner_uid)
        self.changed.emit()

    def _owner_changed(self, old: OwnerRecord | None, new: OwnerRecord | None) -> None:
        owner = new or old
        if owner is not None and (old is None or new is None or old.labels != new.labels):
            self._stale.add(owner.uid)

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        node = new or old
        if node is not None and (old is None or new is None or old.labels != new.labels):
            self._stale.update(pod.owner_uid for pod in self._world.state.pods_on(node.name))

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None and (old is None or old.labels != new.labels):
            self._stale.update(one.uid for one in self._world.state.owners() if one.namespace == new.name)

    def _resources_changed(self) -> None:
        self._all_stale = True


def _counted(pod: PodRecord) -> tuple[object, ...]:
    """Everything about a pod that a status counts."""
    return pod.owner_uid, pod.node, pod.active, pod.policy, pod.deletion_cost, pod.cost_written, pod.requests
