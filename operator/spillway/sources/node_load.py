"""The load of nodes from Prometheus: one query for each resource, with one value by the label `node`."""

import math
from collections.abc import Mapping

import numpy as np

from spillway.domain.balance.load import NodeShare
from spillway.domain.model.names import NodeName
from spillway.sources.prometheus import Series
from spillway.sources.queries import Queries
from spillway.sources.selectors import with_matchers


async def node_shares(
    prometheus: Queries, cpu: str, memory: str | None, *, now: float, stale_after: float
) -> dict[NodeName, NodeShare]:
    """The share of each node that the query for CPU names; with a query for memory, of each node that both name.

    The age of a value is not known, so samples that are older than `stale_after` seconds are not read.

    Raises:
        PrometheusError: a query has no answer.
    """
    connection = prometheus.connection

    async def read(query: str) -> Mapping[NodeName, float]:
        return _by_node(await prometheus.instant(with_matchers(query, connection), now, lookback_seconds=stale_after))

    cpu_shares = await read(cpu)
    if memory is None:
        return {name: NodeShare(value, now) for name, value in cpu_shares.items()}
    memory_shares = await read(memory)
    return {
        name: NodeShare(value, now, memory_shares[name]) for name, value in cpu_shares.items() if name in memory_shares
    }


def _by_node(answer: list[Series]) -> Mapping[NodeName, float]:
    """The value of each node; of several series of a node the highest."""
    found: dict[NodeName, float] = {}
    for series in answer:
        name = NodeName(series.labels.get("node", ""))
        if name and series.values.size:
            # Unlike `max`, `fmax` keeps nan only where there is no other value; it is refused later.
            found[name] = float(np.fmax(found.get(name, math.nan), series.values[-1]))
    return found
