"""The whole day of which `bench_foresight` plays a part, in the simulator: its planners, and models of the rest.

Contract: pure. The demand is that of the played day, from half a day before the start until half a day after it; what
is forecast follows from the days before. Forecasts, recommended replicas and headroom are those of production; the HPA,
the scheduler, the node autoscaler and kubelets are models. Nodes that are ordered count as paid for, ready or not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from demo.past import MINUTE, Floats
from spillway.domain.forecast.spec import STEP_SECONDS as GRID_SECONDS
from spillway.domain.forecast.spec import Flags
from spillway.domain.model.units import DAY_SECONDS, HOUR_SECONDS
from spillway.simulate.autoscaler import AutoscalerRules
from spillway.simulate.backtest.case import Case, HourlyPrices, Service, Setup
from spillway.simulate.backtest.contender import Planned
from spillway.simulate.backtest.forecasts import demand_forecasts
from spillway.simulate.backtest.recommended import recommended
from spillway.simulate.backtest.rises import headroom_rules
from spillway.simulate.backtest.scalings import scale_downs
from spillway.simulate.backtest.thresholds import Thresholds
from spillway.simulate.contenders import Contender, Plain
from spillway.simulate.course import Course
from spillway.simulate.headroom import HeadroomRules
from spillway.simulate.hpa import Ints
from spillway.simulate.replay import replay
from spillway.simulate.scenario import STEP_SECONDS, Scenario, SimulatedWorkload
from tests.bench import foresight_stage as stage
from tests.bench.foresight_demand import DailyDemand
from tests.bench.foresight_stage import Foresight

PUBLISHED_SECONDS: Final = 35.0
"""How long after the end of a step its forecasts are there."""
MOST_ELASTIC_NODES: Final = 30
_WITHOUT_MEMORY_GIB: Final = 1e6
_MINUTES: Final = int(GRID_SECONDS // MINUTE)


@dataclass(frozen=True, slots=True)
class Foreseen(Plain):
    """Kubernetes with recommended replicas, and nothing else of Spillway."""

    replicas: Ints | None = None

    def recommended(self, step: int) -> Ints | None:
        return None if self.replicas is None else self.replicas[:, step]


def owned_nodes(demand: DailyDemand) -> int:
    """The number of owned nodes that the days before call for: each of them is needed for so much of the time that it
    costs less than an elastic node in that time."""
    _, values = _grid(demand, demand.start)
    nodes = np.ceil(np.ceil(values).sum(axis=0) / stage.PODS_PER_NODE)
    share = stage.OWNED_CORE_HOUR / stage.ELASTIC_CORE_HOUR
    return sum(bool((nodes >= count).mean() >= share) for count in range(1, int(nodes.max()) + 1))


def modelled_day(
    demand: DailyDemand, owned: int, *, startup_seconds: float, window_seconds: float, node_startup_seconds: float
) -> Mapping[str, Any]:
    """The figures of each contender for the whole day, and for the played part of it."""
    start = demand.start - DAY_SECONDS / 2
    times: Floats = start + np.arange(0.0, DAY_SECONDS, STEP_SECONDS)
    first, values = _grid(demand, start + DAY_SECONDS + GRID_SECONDS)
    case = Case(
        title="bench-foresight",
        setup=Setup(
            nodes=owned,
            node_cores=stage.NODE_CORES,
            node_gib=0.0,
            elastic_nodes=MOST_ELASTIC_NODES,
            prices=HourlyPrices(owned_node=0.0, elastic_node=0.0, virtual_core=0.0),
            target=stage.TARGET_UTILIZATION / 100,
            node_startup_seconds=node_startup_seconds,
            pod_startup_seconds=startup_seconds - node_startup_seconds,
            window_seconds=window_seconds,
        ),
        services=tuple(Service(f"Deployment/day/{one.name}", stage.REQUEST_CORES) for one in demand.services),
        start=first,
        demand=values,
    )
    forecasts = demand_forecasts(case)
    made = ((times - PUBLISHED_SECONDS - first) // GRID_SECONDS).astype(np.int64)
    replicas = recommended(case, forecasts)[:, made]
    rules = headroom_rules(case, forecasts, [Thresholds(0, (None,) * len(case.services))])

    def rises(step: int, requested: Ints) -> Mapping[int, int]:
        return rules.rises(int(made[step]), requested)

    contenders: dict[Foresight, Contender] = {
        Foresight.REACTIVE: Plain(),
        Foresight.FLOOR: Foreseen(replicas=replicas),
        Foresight.SPILLWAY: Planned(
            thresholds=[Thresholds(0, (None,) * len(case.services))],
            replicas=replicas,
            headroom=HeadroomRules(rules.spec, rises),
        ),
    }
    played = (times >= demand.start) & (times < demand.start + MINUTE * demand.minutes)
    found: dict[str, Any] = {}
    for one, contender in contenders.items():
        scenario = _scenario(demand, times, owned, node_startup_seconds)
        course = Course(scenario, case.setup.target)
        replay(scenario, contender, AutoscalerRules(float(stage.CONSOLIDATE_AFTER.removesuffix("s"))), course)
        found[one.value] = {
            **_figures(course, times, np.full(times.size, fill_value=True)),
            "played": _figures(course, times, played),
        }
    return found


def _figures(course: Course, times: Floats, counted: Flags) -> dict[str, float]:
    downs = [scale_downs(_changes(times[counted], row[counted])) for row in course.replicas]
    used, allocatable = course.used_cores[counted].sum(), course.allocatable_cores[counted].sum()
    unmet, load = course.unmet_cores[counted].sum(), course.load_cores[counted].sum()
    return {
        "mean_cpu_percent": round(100 * float(used / allocatable), 1),
        "unmet_percent": round(100 * float(unmet / load), 2),
        "elastic_node_hours": round(float(course.elastic_nodes[counted].sum()) * STEP_SECONDS / HOUR_SECONDS, 2),
        "waiting_pod_minutes": round(float(course.waiting_pods[counted].sum()) * STEP_SECONDS / MINUTE, 1),
        "scale_downs": sum(of_one for of_one, _ in downs),
        "needless_scale_downs": sum(needless for _, needless in downs),
    }


def _changes(times: Floats, replicas: Ints) -> list[tuple[float, int]]:
    """The first number of replicas, and each other one with its time."""
    at = [0, *(np.flatnonzero(np.diff(replicas)) + 1).tolist()]
    return [(float(times[step]), int(replicas[step])) for step in at]


def _grid(demand: DailyDemand, end: float) -> tuple[float, Floats]:
    """The time of the first step, a whole hour, and the highest demand of each step that ends by `end`."""
    first = math.ceil((demand.start - demand.days * DAY_SECONDS) / HOUR_SECONDS) * float(HOUR_SECONDS)
    steps = int((end - first) // GRID_SECONDS)
    minutes: Floats = first + np.arange(float(steps * _MINUTES)) * MINUTE
    rows = [demand.at(index, minutes).reshape(steps, _MINUTES).max(axis=1) for index in range(len(demand.services))]
    return first, np.array(rows)


def _scenario(demand: DailyDemand, times: Floats, owned: int, node_startup_seconds: float) -> Scenario:
    return Scenario(
        workloads=tuple(
            SimulatedWorkload(
                name=one.name,
                cpu=stage.REQUEST_CORES,
                memory=0.0,
                min_replicas=stage.MIN_REPLICAS,
                max_replicas=stage.MAX_REPLICAS,
                hard_zone_spread=False,
                startup_steps=0,
                rollouts=(),
            )
            for one in demand.services
        ),
        demand=np.array([demand.at(index, times) for index in range(len(demand.services))]),
        node_cpu=stage.NODE_CORES,
        node_memory=_WITHOUT_MEMORY_GIB,
        fixed_nodes=owned,
        elastic_max=MOST_ELASTIC_NODES,
        virtual_pool_pods=(0,),
        seed=demand.seed,
        node_startup_seconds=node_startup_seconds,
        start=float(times[0]),
    )
