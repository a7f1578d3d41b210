"""A snapshot of a cluster with all that admission and scale-downs decide by, as far as the cluster itself shows it.

Contract: built once from a world that was read through the API server; nothing in it changes afterwards. The verdicts
on pools, what they cost this month and the thresholds of mode Auto come from the statuses of Spillway's resources. What
the leader alone remembers is not in it: reservations of pods that are being created, and pools that did not start a
workload's pods in the last minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from spillway.api import ElasticPolicy
from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.controllers.pools.memory import PoolMemory
from spillway.controllers.pools.verdicts import verdict_of
from spillway.domain.explain.answers import GovernedBy
from spillway.domain.model.names import ZONE_LABEL, Tier
from spillway.domain.model.owners import WorkloadKey, owner_of, workload_of
from spillway.domain.model.places import Claim, NodePlace
from spillway.domain.model.records import NodeRecord, OwnerRecord, PodRecord
from spillway.domain.threshold.effective import ThresholdReason
from spillway.state.claims import claims_of_pod
from spillway.state.open_pools import OpenPools
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from spillway.state.world import World
from spillway.webhooks.placer import Placer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The world, and what is counted and planned in it."""

    world: World
    usage: LiveUsage
    open_pools: OpenPools
    placer: Placer

    @classmethod
    def of(cls, world: World) -> "Snapshot":
        """A snapshot of a world that was read completely."""
        usage = LiveUsage(world.state, world.membership, Reservations(world.now, known_until=world.now))
        board, governance = world.board, world.governance
        board.set_thresholds(_thresholds(governance.policies))
        spent: dict[str, Decimal] = {}
        for name, budget in governance.budgets.items():
            memory = PoolMemory.of_status(budget.status)
            nodes, coming = world.membership.nodes(name), usage.unstarted(name)
            board.set_verdict(name, verdict_of(budget, memory, nodes, coming=coming, now=world.now()))
            if budget.status.used is not None and budget.status.used.cost_this_month is not None:
                spent[name] = budget.status.used.cost_this_month.amount
        board.set_spent(spent)
        open_pools = OpenPools(usage, board, lambda: world.governance)
        return cls(world, usage, open_pools, Placer(usage, board, lambda: world.governance))

    def claim_of(self, pod: PodRecord) -> Claim | None:
        """The claim on a pod, by its owner's template or, of an owner that is not followed, by its own labels."""
        return next(iter(claims_of_pod(self.world.state, self.world.governance, pod)), None)

    def place_of(self, node: NodeRecord, claim: Claim | None) -> NodePlace:
        """The place of a node for the policy that governs a workload; without one, only its pool is known."""
        if claim is not None:
            return self.world.places.place(claim.policy, node, zone_key=claim.zone_key)
        pool = self.world.membership.pool_of_node(node.name)
        return NodePlace(Tier.VIRTUAL if pool else Tier.FIXED, node.zone_by(ZONE_LABEL), pool)

    def workload_of(self, pod: PodRecord) -> str:
        """Kind/namespace/name of what a user calls the workload of a pod."""
        return owner_of(pod, self.world.state.owner(pod.owner_uid)).key


def owners_of(world: World, workload: str) -> list[OwnerRecord]:
    """The ReplicaSets (or the StatefulSet) of a workload that want or have pods, the newest first."""
    namespace = WorkloadKey.parse(workload).namespace
    found = [one for one in world.state.owners() if one.namespace == namespace and workload_of(one).key == workload]
    wanted = [one for one in found if one.replicas or world.state.pods_of(one.uid)] or found
    return sorted(wanted, key=lambda one: (-getattr(one, "revision", 0), one.name))


def governed(claim: Claim | None) -> GovernedBy | None:
    """The policy that has a claim, for an answer."""
    return None if claim is None else GovernedBy(claim.policy, claim.mode.value, claim.workload_class)


def planned_threshold(snapshot: Snapshot, workload: str) -> WorkloadThreshold | None:
    """What the status says of a workload whose threshold is that of the plan."""
    policies = snapshot.world.governance.policies.values()
    listed = (one for policy in policies for one in policy.status.thresholds)
    return next((one for one in listed if one.workload == workload and one.reason == ThresholdReason.AUTO), None)


def _thresholds(policies: Mapping[str, ElasticPolicy]) -> dict[str, int]:
    """The plan of mode Auto, as far as the statuses list it (64 workloads a policy)."""
    return {
        one.workload: one.replicas
        for policy in policies.values()
        for one in policy.status.thresholds
        if one.reason == ThresholdReason.AUTO and one.replicas is not None
    }
