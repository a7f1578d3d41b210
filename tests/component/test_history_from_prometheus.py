"""The history of the report from a real Prometheus."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

from harness.prometheus import Labels, PushedPrometheus, prometheus_running
from spillway.domain.forecast.spec import Floats
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus_history import read_history

NOW: Final = 1_790_000_100.0 // 3600 * 3600
UPGRADE: Final = NOW - 1800


@pytest.fixture
def server() -> Iterator[PushedPrometheus]:
    with prometheus_running() as running:
        yield running


def gauge(value: float, *, begin: float, end: float, **labels: str) -> tuple[Labels, Any, Any]:
    times = np.arange(begin, end, 15.0)
    return labels, times, np.full(times.size, value)


async def test_nodes_are_those_of_the_cluster_and_before_an_upgrade_the_most_of_a_policy(
    server: PushedPrometheus,
) -> None:
    begin = NOW - 3600
    old = {("a", "fixed"): 20.0, ("a", "elastic"): 10.0, ("b", "fixed"): 35.0}
    server.push(
        [
            *(
                gauge(count, begin=begin, end=NOW, __name__="spillway_policy_nodes", policy=policy, tier=tier)
                for (policy, tier), count in old.items()
            ),
            gauge(120.0, begin=begin, end=NOW, __name__="spillway_threshold_owned_cores", what="capacity"),
            gauge(20.0, begin=UPGRADE, end=NOW, __name__="spillway_nodes", tier="fixed"),
            gauge(10.0, begin=UPGRADE, end=NOW, __name__="spillway_nodes", tier="elastic"),
            gauge(160.0, begin=UPGRADE, end=NOW, __name__="spillway_node_cores", tier="fixed"),
        ]
    )
    async with ApiClient(Connection(url=server.url)) as client:
        history = await read_history(client, now=NOW, seconds=3600)

    def known(values: Floats | None) -> tuple[set[float], set[float]]:
        """The values before and after the upgrade."""
        assert values is not None
        before, after = history.times < UPGRADE, history.times > UPGRADE + 300
        return set(values[before]), set(values[after])

    assert known(history.nodes["fixed"]) == ({35.0}, {20.0})
    assert known(history.nodes["elastic"]) == ({10.0}, {10.0})
    assert known(history.owned_cores) == ({120.0}, {160.0})
