"""The reading of what the report shows: the current state and the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.app.history import read_from_history
from spillway.app.installed import Installed, read_installed
from spillway.controllers.threshold.observe import policy_need
from spillway.domain.overview.history import ClusterHistory, DayCost, cost_by_day
from spillway.domain.overview.status import Overview
from spillway.domain.threshold.request import PolicyNeed
from spillway.kube.client import KubeClient
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus_history import highest_replicas, read_history


@dataclass(frozen=True, slots=True, eq=False)
class ClusterReport:
    """Everything on the page."""

    overview: Overview
    thresholds: Sequence[WorkloadThreshold]
    history: ClusterHistory | None = None
    """None without Prometheus."""
    highest: Mapping[str, float] = field(default_factory=dict)
    """The highest replicas of each workload in the history."""
    prices: PolicyNeed | None = None
    """The prices that the costs are made of; None where no policy has them in one currency."""
    days: Sequence[DayCost] = ()


async def read_report(
    client: KubeClient, *, namespace: str, lease: str, prometheus: Connection | None, seconds: float
) -> ClusterReport:
    """The report of the last `seconds`.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
        NotFoundError: Spillway's kinds are not installed.
        UnreadableError: Prometheus does not answer.
    """
    found = await read_installed(client, namespace=namespace, lease=lease)
    thresholds = [one for policy in found.policies for one in policy.status.thresholds]
    if prometheus is None:
        return ClusterReport(found.overview(), thresholds)
    now = found.now.timestamp()
    with read_from_history("the history"):
        async with ApiClient(prometheus) as server:
            history = await read_history(server, now=now, seconds=seconds)
            highest = await highest_replicas(server, now=now, seconds=seconds)
    prices = _prices(found)
    days = () if prices is None else cost_by_day(history, prices)
    return ClusterReport(found.overview(), thresholds, history, highest, prices, days)


def _prices(found: Installed) -> PolicyNeed | None:
    """The prices of the first policy by name that has a price of fixed nodes in one currency with the others."""
    budgets = {one.metadata.name: one for one in found.budgets}
    for policy in sorted(found.policies, key=lambda one: one.metadata.name):
        virtual = policy.spec.tiers.virtual
        names = () if virtual is None else virtual.budgets
        need = policy_need(policy, [budgets[name] for name in names if name in budgets], 0.0, [])
        if need.fixed_node_hour is not None:
            return need
    return None
