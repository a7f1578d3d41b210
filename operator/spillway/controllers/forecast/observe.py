"""The observation of the workloads that ask for a forecast, and of what one of their replicas carries.

Contract: walks owners in slices of time. A workload asks for one if its class has `scaling.target` and
`scaling.forecast` of another mode than Disabled. The request of a replica is that of its pods now; of a workload
without pods, what was last seen. A workload of which nothing can be asked has a problem instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.headroom import Headroom
from spillway.api.scaling import Scaling
from spillway.controllers.base import World
from spillway.controllers.threshold.observe import Observed, observe_all, request_now
from spillway.domain.forecast.named_days import occasions_within
from spillway.domain.forecast.occasions import Occasion
from spillway.domain.forecast.refresh import LONGEST_HISTORY_SECONDS, DemandNeed, DemandProblem, DemandSource
from spillway.domain.forecast.spec import LONGEST_WINDOW_SECONDS
from spillway.domain.headroom.startup import node_startup_seconds
from spillway.domain.model.units import GIB
from spillway.domain.scaling.rate import window_seconds
from spillway.kube.slices import in_slices
from spillway.sources.selectors import filled_in

Requests = dict[str, tuple[float, float]]
"""Cores and GiB that a replica requests, by workload."""


@dataclass(slots=True)
class WorkloadsToForecast:
    """The workloads that ask for a forecast."""

    observed: dict[str, Observed] = field(default_factory=dict)
    needs: list[DemandNeed] = field(default_factory=list)
    problems: list[DemandProblem] = field(default_factory=list)
    requests: Requests = field(default_factory=dict)


def asks(policy: ElasticPolicy) -> bool:
    """Whether some class of the policy asks for a forecast."""
    return any(one.scaling is not None and one.scaling.forecasts for one in policy.spec.workloads)


async def asked_of(world: World, known: Mapping[str, tuple[float, float]], now: float) -> WorkloadsToForecast:
    """The workloads that ask for a forecast at `now`, Unix seconds of demand; `known` are the requests last seen."""
    found = WorkloadsToForecast()
    if not any(asks(policy) for policy in world.governance.policies.values()):
        return found
    observed = await observe_all(world)
    occasions: dict[tuple[str, str], tuple[Occasion, ...]] = {}
    async for one in in_slices(list(observed.values())):
        workload_class = world.governance.class_of(one.claim)
        if workload_class is None or workload_class.scaling is None or not workload_class.scaling.forecasts:
            continue
        request = request_now(world, one) or known.get(one.workload)
        if request is not None:
            found.requests[one.workload] = request
        found.observed[one.workload] = one
        place = one.claim.policy, workload_class.name
        if place not in occasions:
            occasions[place] = _occasions(workload_class.scaling, now)
        headroom = world.governance.policies[one.claim.policy].spec.headroom
        need = _need(one.workload, workload_class.scaling, request, occasions[place], headroom)
        if isinstance(need, DemandNeed):
            found.needs.append(need)
        elif need is not None:
            found.problems.append(need)
    return found


def _occasions(scaling: Scaling, now: float) -> tuple[Occasion, ...]:
    if scaling.forecast is None:
        return ()
    begin = now - min(scaling.forecast.history.seconds, LONGEST_HISTORY_SECONDS)
    return occasions_within(scaling.forecast.occasions, begin, now + LONGEST_WINDOW_SECONDS)


def _need(
    workload: str,
    scaling: Scaling,
    request: tuple[float, float] | None,
    occasions: tuple[Occasion, ...],
    headroom: Headroom | None,
) -> DemandNeed | DemandProblem | None:
    """What is asked for; None while it is not known what a replica requests."""
    target, forecast = scaling.target, scaling.forecast
    if target is None or forecast is None:
        return None
    query = ""
    if target.query is not None and target.per_replica is not None:
        source, query = DemandSource.QUERY, filled_in(target.query, workload)
        per_replica = float(target.per_replica.amount)
        if per_replica <= 0:
            return DemandProblem(workload, "PerReplicaIsZero", "perReplica is 0")
    else:
        if request is None:
            return None
        source = DemandSource(target.metric or "cpu")
        amount = request[0] if source is DemandSource.CPU else request[1] * GIB
        per_replica = amount * (target.utilization or 0) / 100
        if per_replica <= 0:
            return DemandProblem(workload, "NoRequest", f"its replicas request no {source}")
    startup = float(forecast.startup.seconds)
    window = window_seconds(float(forecast.window.seconds), startup, per_hour=scaling.max_scalings_per_hour)
    beyond = 0.0
    if headroom is not None and headroom.from_ == "Forecast":
        beyond = node_startup_seconds(headroom, forecast)
    return DemandNeed(
        workload=workload,
        source=source,
        per_replica=per_replica,
        query=query,
        history_seconds=float(forecast.history.seconds),
        window_seconds=window,
        startup_seconds=startup,
        beyond_seconds=beyond,
        price=float(forecast.price.amount),
        occasions=occasions,
    )
