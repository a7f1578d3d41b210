"""The load by zone is read from samples that are young enough, by the labels of the workload and the zone."""

from spillway.sources.zone_load import zone_loads
from tests.support.fake_prometheus import FakePrometheus


async def test_no_sample_is_read_that_is_older_than_stale_after() -> None:
    labels = {"zone": "a", "namespace": "shop", "workload": "web"}
    prometheus = FakePrometheus(load=[(labels, 3.0), ({**labels, "zone": ""}, 9.0)])
    assert await zone_loads(prometheus, "load", now=1000.0, stale_after=60.0) == {"shop/web": {"a": 3.0}}
    assert prometheus.lookbacks == [60.0]
