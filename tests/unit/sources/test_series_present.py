"""What is wrong with the series that the resources of a cluster read from Prometheus."""

import pytest

from spillway.sources.series_present import problems_of
from tests.support.fake_prometheus import FakePrometheus


@pytest.mark.parametrize(
    ("by_zone", "zone", "found"),
    [
        pytest.param({"load"}, "a", "", id="a zone"),
        pytest.param({"load"}, "<none>", "the query has the value '<none>' of the label zone", id="no zone"),
        pytest.param(set[str](), "<none>", "", id="not by zone"),
    ],
)
async def test_a_zone_that_no_node_can_have_is_a_problem(by_zone: set[str], zone: str, found: str) -> None:
    prometheus = FakePrometheus(load=[({"zone": zone}, 1.0)])
    problems = await problems_of(prometheus, ["load"], by_zone=by_zone, now=0.0)
    assert problems.get("load", "").startswith(found)
    assert bool(problems) is bool(found)
