"""The load of nodes is read from samples that are young enough, by the label `node`."""

import math

import pytest

from spillway.domain.balance.load import NodeShare
from spillway.sources.node_load import node_shares
from spillway.sources.prometheus import lookback
from tests.support.fake_prometheus import FakePrometheus

NOW = 1000.0


async def test_no_sample_is_read_that_is_older_than_stale_after() -> None:
    prometheus = FakePrometheus(
        cpu=[({"node": "a"}, 0.4), ({"node": "b"}, 0.2), ({"instance": "10.0.0.1:9100"}, 0.9)],
        memory=[({"node": "a"}, 0.5)],
    )
    found = await node_shares(prometheus, "cpu", "memory", now=NOW, stale_after=180.0)
    assert found == {"a": NodeShare(0.4, NOW, 0.5)}
    assert prometheus.lookbacks == [180.0, 180.0]


@pytest.mark.parametrize("values", [(0.1, 0.5), (0.5, 0.1), (math.nan, 0.5), (0.5, math.nan)])
async def test_of_several_series_of_a_node_the_highest_counts(values: tuple[float, float]) -> None:
    prometheus = FakePrometheus(cpu=[({"node": "a", "pod": str(index)}, one) for index, one in enumerate(values)])
    found = await node_shares(prometheus, "cpu", None, now=NOW, stale_after=180.0)
    assert found == {"a": NodeShare(0.5, NOW)}


@pytest.mark.parametrize(
    ("seconds", "parameter"), [(None, {}), (180.0, {"lookback_delta": "180000ms"}), (0.5, {"lookback_delta": "500ms"})]
)
def test_the_parameter_for_the_age_of_samples(seconds: float | None, parameter: dict[str, str]) -> None:
    assert lookback(seconds) == parameter
