"""The load by zone is read from samples that are young enough, by the labels of the workload and the zone."""

import math

import pytest

from spillway.sources.zone_load import ZoneLoads, zone_loads
from tests.support.fake_prometheus import FakePrometheus


async def loads(prometheus: FakePrometheus) -> ZoneLoads:
    return await zone_loads(prometheus, "load", zones={"a", "b"}, now=1000.0, stale_after=60.0)


async def test_no_sample_is_read_that_is_older_than_stale_after() -> None:
    labels = {"zone": "a", "namespace": "shop", "workload": "web"}
    prometheus = FakePrometheus(load=[(labels, 3.0), ({**labels, "zone": ""}, 9.0)])
    assert await loads(prometheus) == ({"shop/web": {"a": 3.0}}, "")
    assert prometheus.lookbacks == [60.0]


@pytest.mark.parametrize("values", [(1.0, 90.0), (90.0, 1.0), (math.nan, 90.0), (90.0, math.nan)])
async def test_of_several_series_of_a_zone_the_highest_counts(values: tuple[float, float]) -> None:
    labels = {"zone": "a", "namespace": "shop", "workload": "web"}
    prometheus = FakePrometheus(load=[({**labels, "pod": str(index)}, value) for index, value in enumerate(values)])
    assert await loads(prometheus) == ({"shop/web": {"a": 90.0}}, "")


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        pytest.param("c", "", id="no node has it"),
        pytest.param("<none>", "the query has the value '<none>' of the label zone, which no node can have", id="form"),
        pytest.param(
            "z" * 64, f"the query has the value '{'z' * 63}' of the label zone, which no node can have", id="length"
        ),
    ],
)
async def test_only_the_zones_of_nodes_are_read(zone: str, told: str) -> None:
    labels = {"namespace": "shop", "workload": "web"}
    prometheus = FakePrometheus(load=[({**labels, "zone": "a"}, 3.0), ({**labels, "zone": zone}, 90.0)])
    assert await loads(prometheus) == ({"shop/web": {"a": 3.0}}, told)
