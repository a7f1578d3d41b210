"""Watches where pods are, by a watch of its own, and keeps what the figures of `bench_placement` are made of.

Contract: goes by the bench's own node labels and by nothing that the operator wrote, but for the thresholds (given to
it) and the size asked of a provider. Every change that the API server tells of is taken in its order, so a moment at
which a pool held too much is seen however short it was. Times are hours of the caller's clock.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Phase, PodRecord, ReplicaSetRecord
from spillway.state.cluster import ClusterState
from tests.bench import placement_tiers
from tests.bench.placement_pools import Size, Tenants, parse_size
from tests.bench.placement_stage import NAMESPACE, POOL_LABEL
from tests.bench.placement_tiers import MINUTES, Census, Count

LISTED: Final = 100
_FINISHED: Final = (Phase.SUCCEEDED, Phase.FAILED)


class Observer:
    """One section's observations."""

    def __init__(self, state: ClusterState, tenants: Tenants, now: Callable[[], float]) -> None:
        self.state = state
        self.tenants = tenants
        self.thresholds: Mapping[str, int | None] = {}
        """By the name of the workload; what is absent has none."""
        self.by_minute: list[Count | None] = [None] * MINUTES
        self.episodes: list[dict[str, Any]] = []
        """Who was in the wrong tier, and when; bounded."""
        self.changes = 0
        """Of pods, so that rest can be told."""
        self.now = now
        state.subscribe(PodRecord, self._pod)

    def _pod(self, old: PodRecord | None, new: PodRecord | None) -> None:
        pod = new or old
        if pod is None or pod.namespace != NAMESPACE:
            return
        self.changes += 1
        pool = None if new is None or new.phase in _FINISHED else self.pool_of(new.node)
        size = parse_size(pod.size, Size(pod.cpu_millis, pod.memory_bytes))
        self.tenants.move(pod.uid, pool, size, self.now())

    def pool_of(self, node: NodeName) -> str | None:
        """The virtual pool of a node; None where it is owned, or no node."""
        record = self.state.nodes.get(node)
        return None if record is None else record.labels.get(POOL_LABEL)

    def replicasets(self) -> list[ReplicaSetRecord]:
        """Those of the bench that are to have pods or still have some."""
        return [
            owner
            for owner in self.state.replicasets.values()
            if owner.namespace == NAMESPACE and (owner.replicas or self.state.pods_of(owner.uid))
        ]

    def census(self, owner: OwnerUid) -> Census:
        """Where the active pods of a ReplicaSet are."""
        virtual = unassigned = physical = 0
        for pod in self.state.pods_of(owner):
            if not pod.active:
                continue
            if not pod.node:
                unassigned += 1
            elif self.pool_of(pod.node) is None:
                physical += 1
            else:
                virtual += 1
        return Census(physical, virtual, unassigned)

    def count(self) -> Count:
        """Pods in the wrong tier now."""
        return placement_tiers.count(
            (self.census(owner.uid), self.thresholds.get(owner.owner_name)) for owner in self.replicasets()
        )

    def minute(self) -> None:
        """Count for this minute of the day, the first time in each."""
        hours = self.now()
        minute = int(hours * 60)
        if not 0 <= minute < MINUTES or self.by_minute[minute] is not None:
            return
        found = self.by_minute[minute] = self.count()
        if found.wrong:
            self._keep_episode(minute)

    def _keep_episode(self, minute: int) -> None:
        for owner in self.replicasets():
            census, threshold = self.census(owner.uid), self.thresholds.get(owner.owner_name)
            if placement_tiers.wrong(census, threshold) and len(self.episodes) < LISTED:
                self.episodes.append(
                    {
                        "minute": minute,
                        "workload": owner.owner_name,
                        "threshold": threshold,
                        "physical": census.physical,
                        "virtual": census.virtual,
                        "unassigned": census.unassigned,
                    }
                )

    def settled(self) -> bool:
        """Whether every ReplicaSet has the pods that it asks for, all of them ready."""
        asked = ready = pods = 0
        for owner in self.replicasets():
            asked += owner.replicas
            members = [pod for pod in self.state.pods_of(owner.uid) if not pod.terminating]
            pods += len(members)
            ready += sum(pod.ready and bool(pod.node) for pod in members)
        return asked == ready == pods

    def placed(self) -> Counter[str]:
        """Active pods by pool; `physical` and `unassigned` for the others."""
        found: Counter[str] = Counter()
        for pod in self.state.pods_in(NAMESPACE):
            if pod.active:
                found[(self.pool_of(pod.node) or "physical") if pod.node else "unassigned"] += 1
        return found

    def ready_pods(self) -> Mapping[str, int]:
        """Ready pods by workload."""
        found: dict[str, int] = defaultdict(int)
        for owner in self.replicasets():
            found[owner.owner_name] += sum(pod.active and pod.ready for pod in self.state.pods_of(owner.uid))
        return found
