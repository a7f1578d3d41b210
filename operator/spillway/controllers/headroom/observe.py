"""The observation of governed workloads, from which the size of a policy's headroom follows, in the cluster's state.

Contract: reads and never writes; walks workloads in slices of time.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spillway.api.elasticpolicy import ElasticPolicy, WorkloadClass
from spillway.api.headroom import Headroom, HeadroomSchedule
from spillway.controllers.base import World
from spillway.controllers.headroom.nodes import ElasticMemory
from spillway.controllers.threshold.observe import Observed, choice_of, pods_now, request_now
from spillway.domain.fit.room import waits_for_room
from spillway.domain.headroom.rise import rise_of
from spillway.domain.headroom.shape import Shape, common_unit
from spillway.domain.headroom.size import FixedRooms, HeadroomNeeds, Replica
from spillway.domain.model.names import NodeName, Tier, Zone
from spillway.domain.model.units import GIB
from spillway.domain.scaling.demand import STALE_SECONDS
from spillway.kube.slices import in_slices
from spillway.state.autoscalers import Autoscalers


@dataclass(slots=True)
class Governed:
    """The governed workloads of one policy."""

    stale: bool = False
    """Whether some workload's forecast is out of date, or it has none and no other workload has an up-to-date one."""
    rising: Counter[Replica] = field(default_factory=Counter)
    """The replicas that are expected to start."""
    waiting: Counter[Replica] = field(default_factory=Counter)
    """The pods that wait for a node, as replicas of their workload."""
    requests: Counter[Shape] = field(default_factory=Counter)
    """The replicas of all workloads that have a node or are expected, by their request."""
    replicas: Counter[Shape] = field(default_factory=Counter)
    """The replicas that all workloads ask for, by their request."""
    zones: set[Zone] = field(default_factory=set)
    """Where their pods run, without virtual nodes."""


async def governed_by_policy(
    world: World, observed: Mapping[str, Observed], autoscalers: Autoscalers
) -> Mapping[str, Governed]:
    """The governed workloads of each policy with `headroom`."""
    governance = world.governance
    found = {name: Governed() for name, policy in governance.policies.items() if policy.spec.headroom is not None}
    nodes: dict[str, set[NodeName]] = defaultdict(set)
    now = world.now()
    async for one in in_slices(observed.values()):
        name = one.claim.policy
        governed, workload_class = found.get(name), governance.class_of(one.claim)
        if governed is None or workload_class is None:
            continue
        if workload_class.effective_placement.virtual == "Always":
            continue
        request = request_now(world, one)
        if request is None:
            continue
        shape = Shape(round(request[0] * 1000), round(request[1] * GIB))
        rise = _rise(world, workload_class, one, autoscalers)
        governed.stale = governed.stale or _is_stale(world, workload_class, one.workload, now)
        replica = Replica(shape, one.newest.node_rules)
        if rise:
            governed.rising[replica] += rise
        governed.replicas[shape] += one.replicas
        pods = pods_now(world, one)
        nodes[name].update(pod.node for pod in pods if pod.node)
        # Replicas that only are asked for cost nothing: by them one workload could make every unit its own.
        governed.requests[shape] += sum(bool(pod.node) for pod in pods) + rise
        if waiting := sum(waits_for_room(pod, now) and not world.membership.needs_pool(pod) for pod in pods):
            governed.waiting[replica] += waiting
    for name, governed in found.items():
        async for node in in_slices(nodes[name]):
            place = world.places.place_of(name, node)
            if place.tier is not Tier.VIRTUAL:
                governed.zones.add(place.zone)
    return found


def _is_stale(world: World, workload_class: WorkloadClass, workload: str, now: float) -> bool:
    scaling = workload_class.scaling
    if scaling is None or not scaling.acts_on_forecast:
        return False
    forecast = world.board.forecasts.get(workload)
    if forecast is not None:
        return forecast.is_stale(now)
    # Only a recent refresh that gave others a forecast tells that this workload has none.
    published = world.board.forecasts_published
    return published is None or now - published > STALE_SECONDS


def _rise(world: World, workload_class: WorkloadClass, one: Observed, autoscalers: Autoscalers) -> int:
    scaling = workload_class.scaling
    if scaling is None or not scaling.acts_on_forecast:
        return 0
    bounds = [scaling.max_replicas]
    autoscaler = autoscalers.of(one.workload)
    if autoscaler is not None:
        bounds.append(autoscaler.maximum)
    if workload_class.effective_placement.virtual != "Never" and world.governance.pools_of(one.claim.policy):
        # What is beyond the threshold goes to virtual nodes, which need no headroom.
        bounds.append(choice_of(workload_class, one, world.board.thresholds).replicas)
    return rise_of(
        world.board.forecasts.get(one.workload),
        replicas=one.replicas,
        most=min((bound for bound in bounds if bound is not None), default=None),
        now=world.now(),
    )


def needs_of(
    policy: ElasticPolicy,
    governed: Governed,
    active: Sequence[HeadroomSchedule],
    fixed: FixedRooms,
    memory: ElasticMemory,
) -> HeadroomNeeds | None:
    """What the size follows from; None while the size of a unit is not known."""
    spec = policy.spec.headroom or Headroom()
    if spec.unit is not None:
        memory.unit = Shape(spec.unit.cpu.millis, spec.unit.memory.bytes)
    else:
        memory.unit = common_unit(governed.requests, memory.unit, node=memory.node)
    if memory.unit is None or not memory.unit.known:
        return None
    elastic = policy.spec.tiers.elastic
    return HeadroomNeeds(
        spec=spec,
        unit=memory.unit,
        rising=governed.rising,
        active=active,
        fixed=fixed,
        waiting=governed.waiting,
        node=memory.node,
        max_nodes=elastic.max_nodes if elastic is not None else None,
    )
