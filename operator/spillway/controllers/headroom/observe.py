"""The observation of what the size of a policy's headroom follows from, in the cluster's state.

Contract: reads and never writes. What is known of elastic nodes (their zones, size and taints) is remembered while none
of them exists, because in the valley there may be none.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spillway.api.elasticpolicy import ElasticPolicy, WorkloadClass
from spillway.api.headroom import Headroom, HeadroomSchedule
from spillway.controllers.base import World
from spillway.controllers.threshold.observe import Observed, choice_of, owned_by_all, request_now
from spillway.domain.fit.taint_toleration import hard_taints, lasting_taints
from spillway.domain.headroom.leaving import BalloonNode
from spillway.domain.headroom.rise import rise_of
from spillway.domain.headroom.shape import Shape, common_unit
from spillway.domain.headroom.size import HeadroomNeeds, Rising
from spillway.domain.model.names import NodeName, Tier, Zone
from spillway.domain.model.owners import PER_NODE, is_balloon
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.domain.model.units import GIB
from spillway.domain.scaling.demand import DemandForecast
from spillway.kube.slices import in_slices
from spillway.state.autoscalers import Autoscalers

_DEFAULT_STARTUP_SECONDS: Final = 180.0


@dataclass(slots=True)
class ElasticMemory:
    """What is known of the elastic nodes of one policy."""

    zones: set[Zone] = field(default_factory=set)
    node: Shape | None = None
    taints: tuple[Taint, ...] = ()
    unit: Shape | None = None


class ForecastMemory:
    """The present forecast of each workload and the one before it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[DemandForecast | None, DemandForecast]] = {}

    def take(self, forecasts: Mapping[str, DemandForecast]) -> None:
        """Take the present forecasts; those that are gone are forgotten."""
        known: dict[str, tuple[DemandForecast | None, DemandForecast]] = {}
        for workload, forecast in forecasts.items():
            before, present = self._known.get(workload, (None, forecast))
            known[workload] = (present, forecast) if forecast.made > present.made else (before, forecast)
        self._known = known

    def of(self, workload: str) -> tuple[DemandForecast | None, DemandForecast | None]:
        """The forecast before, and the present one."""
        return self._known.get(workload, (None, None))


@dataclass(frozen=True, slots=True)
class Governed:
    """The governed workloads of one policy."""

    rising: Sequence[Rising]
    waiting: Sequence[Rising]
    requests: Sequence[tuple[Shape, int]]
    """The request of each workload, and its replicas."""
    nodes: frozenset[NodeName]
    """Where their pods run."""


async def governed_by_policy(
    world: World, observed: Mapping[str, Observed], forecasts: ForecastMemory, autoscalers: Autoscalers
) -> Mapping[str, Governed]:
    """The governed workloads of each policy with `headroom`."""
    governance = world.governance
    rising: dict[str, list[Rising]] = defaultdict(list)
    waiting: dict[str, list[Rising]] = defaultdict(list)
    requests: dict[str, list[tuple[Shape, int]]] = defaultdict(list)
    nodes: dict[str, set[NodeName]] = defaultdict(set)
    async for one in in_slices(observed.values()):
        name = one.claim.policy
        policy, workload_class = governance.policies.get(name), governance.class_of(one.claim)
        if policy is None or policy.spec.headroom is None or workload_class is None:
            continue
        if workload_class.effective_placement.virtual == "Always":
            continue
        request = request_now(world, one)
        if request is None:
            continue
        shape = Shape(round(request[0] * 1000), round(request[1] * GIB))
        requests[name].append((shape, one.replicas))
        replicas = _rise(world, workload_class, one, forecasts, autoscalers)
        if replicas:
            rising[name].append(Rising(one.workload, replicas, shape))
        pods = [pod for owner in one.owners for pod in world.state.pods_of(owner) if pod.active]
        nodes[name].update(pod.node for pod in pods if pod.node)
        unplaced = sum(not pod.node and pod.pending is not None and not pod.pending.virtual for pod in pods)
        if unplaced:
            waiting[name].append(Rising(one.workload, unplaced, shape))
    return {
        name: Governed(rising[name], waiting[name], requests[name], frozenset(nodes[name]))
        for name, policy in governance.policies.items()
        if policy.spec.headroom is not None
    }


def _rise(
    world: World, workload_class: WorkloadClass, one: Observed, forecasts: ForecastMemory, autoscalers: Autoscalers
) -> int:
    scaling = workload_class.scaling
    forecast = scaling.forecast if scaling is not None else None
    if scaling is None or forecast is None or forecast.mode != "Active":
        return 0
    bounds = [scaling.max_replicas]
    autoscaler = autoscalers.of(one.workload)
    if autoscaler is not None:
        bounds.append(autoscaler.maximum)
    if workload_class.effective_placement.virtual != "Never" and world.governance.pools_of(one.claim.policy):
        # What is beyond the threshold goes to virtual nodes, which need no headroom.
        bounds.append(choice_of(workload_class, one, world.board.thresholds).replicas)
    before, present = forecasts.of(one.workload)
    return rise_of(
        present,
        before,
        replicas=one.replicas,
        most=min((bound for bound in bounds if bound is not None), default=None),
        startup_seconds=float(forecast.startup.seconds) or _DEFAULT_STARTUP_SECONDS,
        now=world.now(),
    )


def needs_of(
    world: World,
    policy: ElasticPolicy,
    governed: Governed,
    active: Sequence[HeadroomSchedule],
    memory: ElasticMemory,
) -> HeadroomNeeds | None:
    """What the size follows from; None while the size of a unit is not known."""
    spec = policy.spec.headroom or Headroom()
    nodes = elastic_nodes(world, policy.metadata.name)
    remember(memory, world, policy.metadata.name, nodes, governed)
    if spec.unit is not None:
        memory.unit = Shape(spec.unit.cpu.millis, spec.unit.memory.bytes)
    else:
        memory.unit = common_unit(governed.requests, memory.unit)
    if memory.unit is None or not memory.unit.known:
        return None
    elastic = policy.spec.tiers.elastic
    return HeadroomNeeds(
        spec=spec,
        unit=memory.unit,
        rising=governed.rising,
        active=active,
        free_fixed=[
            world.state.node_usage.free_on(node)
            for node in (world.state.nodes.values() if governed.rising else ())
            if node.ready and owned_by_all(world, node)
        ],
        waiting=governed.waiting,
        node=memory.node,
        max_nodes=elastic.max_nodes if elastic is not None else None,
    )


def elastic_nodes(world: World, policy: str) -> list[NodeRecord]:
    """The elastic nodes of a policy."""
    return [node for node in world.state.nodes.values() if world.places.place(policy, node).tier is Tier.ELASTIC]


def remember(memory: ElasticMemory, world: World, policy: str, nodes: Sequence[NodeRecord], governed: Governed) -> None:
    """Note what the elastic nodes, and the pods of governed workloads, tell."""
    memory.zones.update(world.places.place(policy, node).zone for node in nodes)
    for name in governed.nodes:
        place = world.places.place_of(policy, name)
        if place.tier is not Tier.VIRTUAL:
            memory.zones.add(place.zone)
    memory.zones.discard(Zone(""))
    if nodes:
        sizes = Counter(_for_pods(world, node) for node in nodes)
        memory.node = max(sizes, key=lambda shape: (sizes[shape], shape))
        memory.taints = tuple({taint: None for node in nodes for taint in lasting_taints(node)})


def _for_pods(world: World, node: NodeRecord) -> Shape:
    """What a node has for pods, without those that come with it."""
    own = [pod for pod in world.state.pods_on(node.name) if pod.owner_kind in PER_NODE and not pod.finished]
    return Shape(
        node.cpu_millis - sum(pod.cpu_millis for pod in own),
        node.memory_bytes - sum(pod.memory_bytes for pod in own),
    )


def balloon_nodes(
    world: World, policy: str, memory: ElasticMemory, balloons: Sequence[PodRecord]
) -> Mapping[NodeName, BalloonNode]:
    """The elastic nodes of a policy with what its balloons have to know of them."""
    order = world.places.order(policy)
    mine = {pod.uid for pod in balloons}
    here = Counter(pod.node for pod in balloons if pod.node and pod.active)
    found: dict[NodeName, BalloonNode] = {}
    for node in elastic_nodes(world, policy):
        others = sum(
            pod.uid not in mine and pod.owner_kind not in PER_NODE and not pod.finished
            for pod in world.state.pods_on(node.name)
        )
        found[node.name] = BalloonNode(
            name=node.name,
            zone=world.places.place(policy, node).zone,
            order=order.get(node.name, 0),
            free=world.state.node_usage.free_on(node),
            balloons=here[node.name],
            others=others,
            open=node.ready
            and not node.unschedulable
            and not node.deleting
            and set(hard_taints(node)) <= set(memory.taints),
        )
    return found


def balloons_by_name(world: World, namespace: str) -> Mapping[str, Sequence[PodRecord]]:
    """The balloons that are not being deleted, by the name of the object that holds them."""
    found: dict[str, list[PodRecord]] = defaultdict(list)
    for pod in world.state.pods_in(namespace):
        if is_balloon(pod) and pod.active:
            # A ReplicaSet is named after its Deployment.
            found[pod.owner_name.rpartition("-")[0]].append(pod)
    return found
