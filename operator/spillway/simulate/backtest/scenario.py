"""The scenario of a backtest: what its case means to the simulator.

Contract: gaps are filled from the same time of other days. The HPA of a workload may have from 1 to twice the replicas
that were ever needed. Virtual nodes take whatever does not fit elsewhere.
"""

from typing import Final

import numpy as np

from spillway.domain.forecast.grid import filled
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.simulate.backtest.case import Case
from spillway.simulate.scenario import Floats, Scenario, SimulatedWorkload

_ENDLESS: Final = 10**9
_WITHOUT_MEMORY_GIB: Final = 1e6
SMALLEST_CORES: Final = 0.001


def whole_demand(case: Case) -> Floats:
    """The demand without gaps."""
    values, _ = filled(case.demand)
    return np.nan_to_num(values)


def most_replicas(demand: Floats) -> list[int]:
    """The most replicas that the HPA of each workload may have."""
    return [max(2, 2 * int(np.ceil(peak))) for peak in demand.max(axis=1)]


def scenario_of(case: Case) -> Scenario:
    """The scenario that the simulator replays."""
    setup, demand = case.setup, whole_demand(case)
    startup = int(setup.pod_startup_seconds / STEP_SECONDS + 0.5)
    workloads = tuple(
        SimulatedWorkload(
            name=one.workload,
            cpu=max(one.cores, SMALLEST_CORES),
            memory=one.gib if setup.node_gib > 0 else 0.0,
            min_replicas=1,
            max_replicas=most,
            hard_zone_spread=False,
            startup_steps=startup,
            rollouts=(),
            schedule_only=one.scaling is not None and one.scaling.schedule_only,
        )
        for one, most in zip(case.services, most_replicas(demand), strict=True)
    )
    return Scenario(
        workloads=workloads,
        demand=demand,
        node_cpu=setup.node_cores,
        node_memory=setup.node_gib if setup.node_gib > 0 else _WITHOUT_MEMORY_GIB,
        fixed_nodes=setup.nodes,
        elastic_max=setup.elastic_nodes,
        virtual_pool_pods=(_ENDLESS,),
        seed=1,
        step_seconds=STEP_SECONDS,
        node_startup_seconds=setup.node_startup_seconds,
        start=case.start,
    )
