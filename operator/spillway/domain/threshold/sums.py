"""The totals of a plan for one policy: the saving per hour, and the number of nodes that would be worth owning.

Contract: pure; without the prices of owned and of virtual nodes there is no amount, and a workload that cannot be
priced (its replicas request nothing, as far as is known) is left out of the policy's amounts. These take one price for
a core of real load on virtual nodes, the mean over its workloads by their load; a workload's own saving takes its own.
Owned cores count as many as there are, shared by policies by the peak that is planned for each. What is on elastic
nodes is paid for while it is needed. The advice on nodes to own has room for what is on them in any case: the minima of
workloads without a price, the pods of each node, and the other pods that no policy governs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np

from spillway.domain.threshold.billing import Billed
from spillway.domain.threshold.demand import Demand, Series
from spillway.domain.threshold.nodes_worth_owning import NodeSize, worth_owning
from spillway.domain.threshold.prices import Prices
from spillway.domain.threshold.request import NodePoint, PlannedPolicy, PolicyNeed
from spillway.domain.threshold.saving import HourlyCost, hourly_cost


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """The part of one workload in the plan."""

    demand: Demand
    prices: Prices
    owned: int
    """Replicas on owned nodes."""
    physical: int
    """Replicas on owned or elastic nodes."""
    planned: bool
    """Whether its threshold is planned, or kept from the previous plan."""
    learning: bool
    policy: str = ""
    on_node: Demand | None = None
    """The demand, its replicas as large as their part of a node with as many as fit; None for `demand`."""

    @property
    def fixed(self) -> bool:
        """Whether nothing is left to decide about its threshold."""
        return self.demand.maximum == self.demand.minimum


def policy_sums(policy: PolicyNeed, shares: Sequence[Share], *, there: float, node: NodeSize | None) -> PlannedPolicy:
    """The totals of one policy.

    `there` is its part of the owned nodes' cores; `node` is one of these nodes, with the policy's part of what others
    take, and None where no node has room.
    """
    sums = PlannedPolicy(
        name=policy.name,
        auto=sum(one.planned or one.learning for one in shares),
        learning=sum(one.learning for one in shares),
        acting=policy.acting,
        currency=policy.currency,
    )
    known = [one for one in shares if one.prices.known]
    core = known[0].prices.owned_node_core if known else None
    if core is None:
        return sums
    cost = _cost(policy, known, there, core)
    sums = msgspec.structs.replace(
        sums, saved_vs_owned=cost.saved_against_owned, saved_vs_virtual=cost.saved_against_virtual
    )
    if node is None:
        return sums
    unpriced = [one.demand for one in shares if not one.prices.known]
    held = sum(float(one.owned_load(one.minimum).max()) for one in unpriced) / policy.target
    advice = worth_owning(
        [one.demand for one in known],
        [one.on_node or one.demand for one in known],
        owned_price=core,
        virtual_price=_instead(known),
        target_utilization=policy.target,
        billing=known[0].prices.billing,
        node=replace(node, elsewhere_cores=node.elsewhere_cores + held),
    )
    return msgspec.structs.replace(
        sums,
        owned_nodes_advised=advice.best.nodes,
        nodes=tuple(
            NodePoint(one.nodes, round(one.cost_per_hour, 4), round(100 * one.used_share, 1)) for one in advice.curve
        ),
    )


class Saved(NamedTuple):
    """The saving of one workload per hour; None without prices."""

    against_owned: float | None = None
    """Compared with owning nodes for its own peak."""
    against_virtual: float | None = None
    """Compared with owning nodes for its valley and using virtual nodes beyond it."""


def saving_of(share: Share, target: float) -> Saved:
    """The saving of one workload alone, per hour."""
    prices = share.prices
    if not prices.known or prices.owned_node_core is None or prices.virtual_core is None:
        return Saved()
    cost = hourly_cost(
        [share.demand],
        {share.demand.workload: share.physical},
        owned_price=prices.owned_node_core,
        virtual_price=prices.virtual_core,
        target_utilization=target,
        billing=prices.billing,
        owned_cores=float(share.demand.owned_load(share.owned).max()) / target,
    )
    elastic = _elastic_hour([share])
    return Saved(cost.saved_against_owned - elastic, cost.saved_against_virtual - elastic)


def owned_load(shares: Sequence[Share]) -> Series:
    """Cores in use on owned nodes at each step."""
    loads = [one.demand.owned_load(one.owned) for one in shares]
    return np.sum(loads, axis=0) if loads else np.zeros(1)


def _cost(policy: PolicyNeed, shares: Sequence[Share], there: float, core: float) -> HourlyCost:
    needed = float(owned_load(shares).max()) / policy.target
    cost = hourly_cost(
        [one.demand for one in shares],
        {one.demand.workload: one.physical for one in shares},
        owned_price=core,
        virtual_price=_virtual_core(shares),
        target_utilization=policy.target,
        billing=shares[0].prices.billing,
        owned_cores=max(there, needed),
    )
    return HourlyCost(cost.planned + _elastic_hour(shares), cost.all_owned, cost.all_virtual)


def _elastic_hour(shares: Iterable[Share]) -> float:
    """The cost of replicas on elastic nodes in an average hour."""
    total = 0.0
    for one in shares:
        if one.physical > one.owned and one.prices.elastic_core is not None:
            billed = Billed.of(one.demand, one.prices.elastic_billing)
            total += (billed.at(one.owned) - billed.at(one.physical)) * one.prices.elastic_core
    return total


def _virtual_core(shares: Sequence[Share]) -> float:
    """The mean price of one core of these workloads' real load on virtual nodes."""
    loads = np.array([float(one.demand.whole_replicas().mean()) * one.demand.cpu_cores for one in shares])
    prices = np.array([one.prices.virtual_core or 0.0 for one in shares])
    return float(prices @ loads / loads.sum()) if loads.any() else float(prices.mean())


def _instead(shares: Sequence[Share]) -> float:
    """The price of a core of load that is not owned: on elastic nodes, if these are cheaper."""
    elastic = shares[0].prices.elastic_core
    return _virtual_core(shares) if not elastic else min(elastic, _virtual_core(shares))
