"""The bounds of a backtest: nodes owned for the peak, and a clairvoyant that knows the demand ahead.

Contract: pure. Both have exactly the replicas that serve all of the demand at the target. The clairvoyant moves pods at
no cost and fills nodes to the last core, orders elastic nodes for single steps, and takes at each step the cheapest of
elastic and virtual nodes for what the owned ones do not hold: no contender that serves all of the demand can cost less.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from spillway.domain.forecast.spec import HOUR_STEPS, Floats
from spillway.domain.threshold.demand import ROUNDING
from spillway.simulate.backtest.case import LEARNING_STEPS, Case
from spillway.simulate.backtest.figures import ContenderResult, CpuByTier, costs, percent
from spillway.simulate.backtest.scalings import scalings
from spillway.simulate.backtest.scenario import whole_demand

CLAIRVOYANT = "clairvoyant"
OWNED = "owned for the peak"


@dataclass(frozen=True, slots=True, eq=False)
class _Needed:
    """What the demand takes at each counted step."""

    cores: Floats
    gib: Floats
    load: Floats
    """CPU in use."""
    nodes: Floats
    """Nodes that hold it, a fraction counts."""
    scalings: tuple[int, int]
    """Of all workloads, and the needless scale-downs."""


def clairvoyant(case: Case) -> ContenderResult:
    """The cheapest way to serve all of the demand, for what it is known to be."""
    setup, prices, needed = case.setup, case.setup.prices, _needed(case)
    beyond = np.maximum(needed.nodes - setup.nodes, 0.0)
    share = np.divide(beyond, needed.nodes, out=np.zeros_like(beyond), where=needed.nodes > 0)
    virtual_price = share * (needed.cores * prices.virtual_core + needed.gib * prices.virtual_gib)
    per_node = np.divide(virtual_price, beyond, out=np.zeros_like(beyond), where=beyond > 0)
    whole = np.floor(beyond + ROUNDING)
    rest = np.maximum(beyond - whole, 0.0)
    wanted = np.where(per_node > prices.elastic_node, whole + (rest * per_node > prices.elastic_node), 0.0)
    elastic = np.minimum(wanted, setup.elastic_nodes)
    left = np.maximum(beyond - elastic, 0.0)
    virtual_cores = np.divide(left, needed.nodes, out=np.zeros_like(left), where=needed.nodes > 0) * needed.cores
    on_elastic = share * needed.cores - virtual_cores
    owned = needed.cores * (1 - share)
    physical = np.divide(owned + on_elastic, needed.cores, out=np.zeros_like(owned), where=needed.cores > 0)
    allocatable = float((setup.nodes + elastic).sum()) * setup.node_cores
    figures = msgspec.structs.replace(
        costs(case, elastic * prices.elastic_node, left * per_node),
        elastic_node_hours=float(elastic.sum()) / HOUR_STEPS,
        virtual_core_hours=float(virtual_cores.sum()) / HOUR_STEPS,
        scalings=needed.scalings[0],
        needless_scale_downs=needed.scalings[1],
        cpu_percent=percent(float((needed.load * physical).sum()), allocatable),
        packing_percent=percent(float((owned + on_elastic).sum()), allocatable),
    )
    return ContenderResult(CLAIRVOYANT, figures, CpuByTier(owned, on_elastic, virtual_cores, np.zeros_like(owned)))


def nodes_for_the_peak(case: Case) -> int:
    """The number of nodes that hold the highest demand."""
    return math.ceil(float(_needed(case).nodes.max()) - ROUNDING)


def owned_for_the_peak(case: Case) -> ContenderResult:
    """As many owned nodes as the peak needs, and nothing else."""
    needed, nodes = _needed(case), nodes_for_the_peak(case)
    nothing = np.zeros_like(needed.cores)
    allocatable = nodes * case.setup.node_cores * needed.cores.size
    figures = msgspec.structs.replace(
        costs(case, nothing, nothing, nodes),
        scalings=needed.scalings[0],
        needless_scale_downs=needed.scalings[1],
        cpu_percent=percent(float(needed.load.sum()), allocatable),
        packing_percent=percent(float(needed.cores.sum()), allocatable),
    )
    return ContenderResult(OWNED, figures, CpuByTier(needed.cores, nothing, nothing, nothing))


def _needed(case: Case) -> _Needed:
    demand = whole_demand(case)[:, LEARNING_STEPS:]
    replicas = np.ceil(demand - ROUNDING)
    cores = np.array([one.cores for one in case.services])
    gib = np.array([one.gib for one in case.services]) if case.setup.node_gib > 0 else np.zeros_like(cores)
    by_cores, by_gib = cores @ replicas, gib @ replicas
    nodes = by_cores / case.setup.node_cores
    if case.setup.node_gib > 0:
        nodes = np.maximum(nodes, by_gib / case.setup.node_gib)
    changes = scalings(replicas.astype(np.int64))
    return _Needed(by_cores, by_gib, cores @ demand * case.setup.target, nodes, changes)
