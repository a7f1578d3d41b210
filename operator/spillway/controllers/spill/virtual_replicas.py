"""Virtual replicas: the workloads with replicas to bring back.

Contract: it reads only the state. A replica is virtual if it is on a pool that the policy of its workload lists or,
while it has no node, may go to one (`PoolMembership.pools_of_pod`).
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from spillway.api.elasticpolicy import WorkloadClass
from spillway.controllers.base import World
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import LIKE_REPLICASETS, WITHOUT_REPLICAS, workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.model.usage import Usage
from spillway.domain.spill.bring_back import ReplicaSplit
from spillway.domain.surge.steps import Progress, progress_of
from spillway.domain.threshold.effective import effective
from spillway.kube.slices import TimeSlice, in_slices
from spillway.state.claims import placing_policies


@dataclass(frozen=True, slots=True)
class SpilledWorkload:
    """A ReplicaSet with replicas on virtual nodes, of a class that brings back."""

    replicaset: ReplicaSetRecord
    claim: Claim
    physical: tuple[PodRecord, ...]
    """Active pods on fixed and elastic nodes, or decided physical."""
    virtual: tuple[PodRecord, ...]
    """Active pods on virtual nodes, or decided virtual."""
    threshold: int | None

    @property
    def uid(self) -> OwnerUid:
        return self.replicaset.uid

    @property
    def pods(self) -> tuple[PodRecord, ...]:
        return (*self.physical, *self.virtual)

    @property
    def split(self) -> ReplicaSplit:
        """The split of its replicas; a pod without a node is not yet one to bring back."""
        bound = sum(bool(pod.node) for pod in self.virtual)
        return ReplicaSplit(self.replicaset.replicas, self.threshold, len(self.physical), bound)

    @property
    def ready_physical(self) -> int:
        return sum(pod.ready for pod in self.physical)

    @property
    def request(self) -> Usage:
        """The requests of one of its virtual pods, since all come from one template."""
        return self.virtual[0].requests

    def progress(self, asked: int, now: float, *, wanted: bool, available: int | None) -> Progress:
        """The progress for the next step of a surge; `asked` and `available` are read from the API server."""
        placed = self.ready_physical
        return progress_of(
            self.replicaset, self.pods, now, asked=asked, placed=placed, wanted=wanted, available=available
        )


def workload(world: World, replicaset: ReplicaSetRecord, claim: Claim) -> SpilledWorkload:
    """The ReplicaSet's active pods as the policy sees their nodes."""
    workload_class = world.governance.class_of(claim)
    auto = world.board.thresholds.get(workload_of(replicaset).key)
    chosen = None if workload_class is None else workload_class.threshold
    threshold = effective(chosen, replicaset.threshold, auto).replicas
    physical: list[PodRecord] = []
    virtual: list[PodRecord] = []
    listed = world.governance.pools_of(claim.policy)
    for pod in world.state.pods_of(replicaset.uid):
        if pod.active:
            is_virtual = any(pool in listed for pool in world.membership.pools_of_pod(pod))
            (virtual if is_virtual else physical).append(pod)
    return SpilledWorkload(replicaset, claim, tuple(physical), tuple(virtual), threshold)


async def workloads(world: World) -> AsyncIterator[SpilledWorkload]:
    """The workloads with a pod on a virtual node."""
    state, governance = world.state, world.governance
    owners: dict[OwnerUid, None] = {}
    async for node in in_slices(list(world.membership.nodes_in_pools())):
        owners.update((pod.owner_uid, None) for pod in state.pods_on(node.name) if pod.active)
    async for uid in in_slices(owners):
        replicaset = state.replicasets.get(uid)
        claim = None if replicaset is None else world.claim_of(replicaset)
        if replicaset is not None and claim is not None and brings_back(governance.placing_class(claim)):
            yield workload(world, replicaset, claim)


def brings_back(workload_class: WorkloadClass | None) -> bool:
    """Whether the virtual replicas of a placing class are brought back: placed by overflow, and not disabled."""
    placement = None if workload_class is None else workload_class.effective_placement
    return placement is not None and placement.virtual == "Overflow" and placement.bring_back


async def without_surge(world: World) -> Counter[str]:
    """Replicas on virtual nodes by policy whose owner is neither a ReplicaSet nor a Job (a StatefulSet's)."""
    found: Counter[str] = Counter()
    others = WITHOUT_REPLICAS | LIKE_REPLICASETS
    state, governance = world.state, world.governance
    of_owners: dict[tuple[str, OwnerUid], Collection[str]] = {}
    time_slice = TimeSlice()
    for node in list(world.membership.nodes_in_pools()):
        for pod in tuple(state.pods_on(node.name)):
            if not (pod.active and pod.policy and pod.owner_kind) or pod.owner_kind in others:
                continue
            owner = (pod.namespace, pod.owner_uid)
            policies = of_owners.get(owner)
            if policies is None:
                policies = placing_policies(state, governance, pod)
                # Where the owner is not followed they follow from the labels of each pod.
                if state.owner(pod.owner_uid) is not None:
                    of_owners[owner] = policies
            found[pod.policy] += pod.policy in policies
            await time_slice.pause()
    return +found
