"""The observation of governed workloads and owned nodes in the cluster's state, from which a plan is made.

Contract: walks owners in slices of time. A node is owned when it is fixed for
every policy (elastic for none, selected by no VirtualNodeBudget), open, and free of taints that keep ordinary pods
away. The requests of other pods there (DaemonSets, Jobs, other namespaces) are not available to the plan.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from spillway.api.elasticpolicy import ElasticPolicy, WorkloadClass
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.controllers.base import World
from spillway.controllers.threshold.room import owned_room
from spillway.domain.fit.taint_toleration import lasting_taints
from spillway.domain.model.names import OwnerUid, Tier
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import NodeRecord, OwnerRecord, PodRecord, ReplicaSetRecord
from spillway.domain.model.units import DAY_SECONDS, GIB
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason, effective
from spillway.domain.threshold.replicas import creatable_replicas, demanded_replicas, requested_replicas
from spillway.domain.threshold.request import (
    PAST_ENOUGH_SECONDS,
    Plan,
    PlanRequest,
    PolicyNeed,
    Stance,
    WorkloadNeed,
)
from spillway.kube.slices import in_slices
from spillway.sources.selectors import filled_in

_NOTHING_SEEN: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Observed:
    """One governed workload with ReplicaSets, or a StatefulSet."""

    workload: str
    claim: Claim
    total: int
    """The requested replicas of all of its ReplicaSets; in a rollout these are more than the workload's."""
    annotation: str
    newest: OwnerRecord
    owners: tuple[OwnerUid, ...]
    creatable: int
    """The part of `total` that exists or that the API server does not refuse."""
    pods: int
    """All its pods, with those that are being deleted."""

    @property
    def replicas(self) -> int:
        """The replicas that the workload requests."""
        return requested_replicas(self.newest, self.total)

    @property
    def demanded(self) -> int:
        """The part of these that counts as demand: no other workload makes room for replicas that cannot be created."""
        return demanded_replicas(self.replicas, creatable=self.creatable, pods=self.pods)


async def observe(world: World, namespace: str = "") -> Mapping[str, Observed]:
    """The governed workloads with ReplicaSets by Kind/namespace/name, of one namespace or of all."""
    found: dict[str, Observed] = {}
    replicasets = world.state.replicasets.values()
    async for replicaset in in_slices([one for one in replicasets if namespace in {"", one.namespace}]):
        claim = world.claim_of(replicaset)
        if claim is None:
            continue
        key = workload_of(replicaset).key
        before = found.get(key)
        pods = world.state.pods_of(replicaset.uid)
        creatable = creatable_replicas(replicaset, sum(pod.active for pod in pods) if replicaset.refused else 0)
        if before is None:
            found[key] = Observed(
                key,
                claim,
                replicaset.replicas,
                replicaset.threshold,
                replicaset,
                (replicaset.uid,),
                creatable,
                len(pods),
            )
            continue
        newest = max(before.newest, replicaset, key=_revision)
        found[key] = Observed(
            key,
            claim if newest is replicaset else before.claim,
            before.total + replicaset.replicas,
            newest.threshold,
            newest,
            (*before.owners, replicaset.uid),
            before.creatable + creatable,
            before.pods + len(pods),
        )
    return found


def _revision(owner: OwnerRecord) -> int:
    return owner.revision if isinstance(owner, ReplicaSetRecord) else 0


async def observe_all(world: World, namespace: str = "") -> Mapping[str, Observed]:
    """What `observe` finds, and the governed StatefulSets, which have a threshold but no plan."""
    found = dict(await observe(world, namespace))
    statefulsets = world.state.statefulsets.values()
    async for one in in_slices([one for one in statefulsets if namespace in {"", one.namespace}]):
        claim = world.claim_of(one)
        if claim is not None:
            key = workload_of(one).key
            pods = len(world.state.pods_of(one.uid))
            found[key] = Observed(key, claim, one.replicas, one.threshold, one, (one.uid,), one.replicas, pods)
    return found


def choice_of(workload_class: WorkloadClass, observed: Observed, thresholds: Mapping[str, int]) -> EffectiveThreshold:
    """The present threshold of the workload."""
    planned = isinstance(observed.newest, ReplicaSetRecord)
    auto = thresholds.get(observed.workload) if planned else None
    return effective(workload_class.threshold, observed.annotation, auto, planned=planned)


async def request_of(
    world: World,
    observed: Mapping[str, Observed],
    *,
    elastic_cores: Mapping[str, float],
    fingerprint: str,
    before: Plan | None = None,
    requests: Mapping[str, tuple[float, float]] = _NOTHING_SEEN,
) -> PlanRequest:
    """Everything that a plan needs except the history.

    `elastic_cores` is the most seen within a day, by policy; `before` is the plan in force, which the next one holds on
    to. The requests of a workload without pods come from that plan, else from `requests`: cores and GiB.
    """
    governance = world.governance
    owned = [node for node in world.state.nodes.values() if owned_by_all(world, node)]
    known = {**requests, **(before.requests() if before is not None else {})}
    watched = {
        owner
        for one in observed.values()
        if (policy := governance.policies.get(one.claim.policy)) is not None and not policy.spec.enforced
        for owner in one.owners
    }
    room = await owned_room(
        world, owned, governed={owner for one in observed.values() for owner in one.owners}, watched=watched
    )
    workloads: list[WorkloadNeed] = []
    async for one in in_slices(observed.values()):
        policy, workload_class = governance.policies.get(one.claim.policy), governance.class_of(one.claim)
        if policy is None or workload_class is None:
            continue
        request = request_now(world, one) or known.get(one.workload, (0.0, 0.0))
        workloads.append(_need(policy, workload_class, one, request, world.board.thresholds))
    return PlanRequest(
        now=world.now(),
        capacity_cores=room.cores,
        node_cores=room.node_cores,
        capacity_gib=room.gib,
        node_gib=room.node_gib,
        nodes=room.nodes,
        per_node_cores=room.per_node_cores,
        other_cores=room.other_cores,
        policies=tuple(
            policy_need(
                policy,
                [governance.budgets[name] for name in governance.pools_of(policy.metadata.name)],
                elastic_cores.get(policy.metadata.name, 0.0),
                _elastic(world, policy.metadata.name),
            )
            for policy in governance.policies.values()
        ),
        workloads=tuple(workloads),
        previous=before.thresholds() if before is not None else {},
        previous_owned=before.owned() if before is not None else {},
        fingerprint=fingerprint,
    )


def owned_by_all(world: World, node: NodeRecord) -> bool:
    """Whether the node is fixed for every policy and open to ordinary pods."""
    if node.deleting or node.unschedulable or world.membership.pool_of_node(node.name):
        return False
    if lasting_taints(node):
        return False
    return world.governance.elastic_owner(node) is None


def elastic_now(world: World) -> Mapping[str, float]:
    """Allocatable cores of each policy's elastic nodes."""
    return {name: sum(node.cpu_millis for node in _elastic(world, name)) / 1000 for name in world.governance.policies}


def _elastic(world: World, policy: str) -> list[NodeRecord]:
    return [
        node
        for node in world.state.nodes.values()
        if not node.deleting and world.places.place(policy, node).tier is Tier.ELASTIC
    ]


def policy_need(
    policy: ElasticPolicy, pools: Iterable[VirtualNodeBudget], elastic_cores: float, elastic: list[NodeRecord]
) -> PolicyNeed:
    """A policy's target and prices; virtual is what the first priced pool in its order costs."""
    tiers = policy.spec.tiers
    fixed = tiers.fixed.price if tiers.fixed is not None else None
    flexible = tiers.elastic.price if tiers.elastic is not None else None
    price = next((pool.spec.price for pool in pools if pool.spec.price is not None), None)
    target = tiers.fixed.target_utilization if tiers.fixed is not None else 65
    given = [one.currency for one in (fixed, price, flexible) if one is not None and one.currency]
    # Amounts in two currencies cannot be compared: without a comparison the plan goes by capacity alone.
    one_currency = len(set(given)) <= 1
    return PolicyNeed(
        name=policy.metadata.name,
        target=target / 100,
        fixed_node_hour=float(fixed.node_hour.amount) if fixed is not None and one_currency else None,
        elastic_node_hour=float(flexible.node_hour.amount) if flexible is not None and one_currency else None,
        virtual_core_hour=float(price.cpu_hour.amount) if price is not None and one_currency else None,
        virtual_gib_hour=float(price.memory_gib_hour.amount) if price is not None and one_currency else None,
        currency=given[0] if given else "",
        minimum_seconds=float(price.minimum_seconds or 0) if price is not None else 0.0,
        startup_seconds=max((startup_seconds(one) for one in policy.spec.workloads), default=0.0),
        elastic_cores=elastic_cores,
        elastic_node_cores=sum(node.cpu_millis for node in elastic) / 1000 / len(elastic) if elastic else 0.0,
        elastic_node_gib=sum(node.memory_bytes for node in elastic) / GIB / len(elastic) if elastic else 0.0,
        elastic_max_nodes=tiers.elastic.max_nodes if tiers.elastic is not None else None,
        acting=policy.spec.enforced,
    )


def startup_seconds(workload_class: WorkloadClass) -> float:
    """The time from a replica's creation until it is ready, as the class's forecasts assume it."""
    forecast = workload_class.scaling.forecast if workload_class.scaling is not None else None
    return float(forecast.startup.seconds) if forecast is not None else 0.0


def _need(
    policy: ElasticPolicy,
    workload_class: WorkloadClass,
    one: Observed,
    request: tuple[float, float],
    thresholds: Mapping[str, int],
) -> WorkloadNeed:
    threshold, scaling = workload_class.threshold, workload_class.scaling
    target = scaling.target if scaling is not None else None
    fixed = policy.spec.tiers.fixed
    load = (fixed.target_utilization if fixed is not None else 65) / 100
    query, per_replica = "", 1.0
    if target is not None and target.metric == "cpu" and target.utilization is not None:
        load = target.utilization / 100
    if target is not None and target.query is not None and target.per_replica is not None:
        query, per_replica = filled_in(target.query, one.workload), float(target.per_replica.amount)
    stance, pinned = _stance(workload_class, choice_of(workload_class, one, thresholds))
    return WorkloadNeed(
        workload=one.workload,
        policy=policy.metadata.name,
        stance=stance,
        replicas=one.demanded,
        request_cores=request[0],
        request_gib=request[1],
        load=load,
        pinned=pinned,
        minimum=(threshold.min or 0) if threshold is not None else 0,
        maximum=threshold.max if threshold is not None else None,
        priority=threshold.priority if threshold is not None else 0,
        # With a history shorter than a plan needs, as an older version accepted it, a workload would never get a
        # threshold.
        history_seconds=max(float(threshold.history.seconds), PAST_ENOUGH_SECONDS)
        if threshold is not None
        else 14.0 * DAY_SECONDS,
        query=query,
        per_replica=per_replica,
    )


def _stance(workload_class: WorkloadClass, choice: EffectiveThreshold) -> tuple[Stance, int]:
    virtual = workload_class.effective_placement.virtual
    if virtual == "Always":
        return Stance.VIRTUAL, 0
    if virtual == "Never" or choice.reason is ThresholdReason.NO_THRESHOLD:
        return Stance.PHYSICAL, 0
    if choice.reason in {ThresholdReason.MANUAL, ThresholdReason.ANNOTATION}:
        return Stance.PINNED, choice.replicas or 0
    return Stance.AUTO, 0


def request_now(world: World, observed: Observed) -> tuple[float, float] | None:
    """Cores and GiB that a replica requests; None while there is none."""
    return _request(pods_now(world, observed))


def pods_now(world: World, observed: Observed) -> list[PodRecord]:
    """The active pods of a workload."""
    return [pod for owner in observed.owners for pod in world.state.active_pods_of(owner)]


def _request(pods: list[PodRecord]) -> tuple[float, float] | None:
    """Cores and GiB that most of the pods request: some may carry sidecars for virtual nodes. None without pods."""
    counted = Counter((pod.cpu_millis, pod.memory_bytes) for pod in pods)
    if not counted:
        return None
    cpu_millis, memory_bytes = max(counted, key=lambda asked: (counted[asked], asked))
    return cpu_millis / 1000, memory_bytes / GIB
