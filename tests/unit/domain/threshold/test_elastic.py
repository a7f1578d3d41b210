"""The part of a plan on elastic nodes."""

import math
from dataclasses import replace
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.billing import Billing
from spillway.domain.threshold.elastic import on_elastic, seen_elastic
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Requests
from spillway.domain.threshold.prices import Prices
from spillway.domain.threshold.request import PlanRequest, PolicyNeed
from spillway.domain.threshold.sums import Share
from tests.unit.domain.threshold.threshold_cases import demand

PRICES: Final = Prices(owned_node_core=1.0, elastic_core=1.0, virtual_core=2.0, billing=Billing(3600))


def share(name: str, replicas: list[float], owned: int, physical: int, **bounds: Any) -> Share:
    of = replace(demand(name, replicas), **bounds)
    return Share(of, PRICES, owned=owned, physical=physical, planned=True, learning=False, policy="online")


def placed(*shares: Share, nodes: int | None, size: float = 4.0, request_cores: float = 1.0) -> list[int]:
    policy = PolicyNeed(name="online", target=1.0, elastic_node_cores=size, elastic_max_nodes=nodes)
    request = PlanRequest(now=0.0, capacity_cores=8.0, node_cores=8.0, policies=(policy,), workloads=())
    requests = {one.demand.workload: Requests(request_cores) for one in shares}
    found = on_elastic(shares, requests, request)
    assert [one.demand.workload for one in found] == [one.demand.workload for one in shares]
    return [one.physical for one in found]


def test_all_workloads_of_a_policy_share_its_elastic_nodes() -> None:
    together = [share("a", [6, 6], 2, 6), share("b", [6, 6], 2, 6)]

    assert placed(*together, nodes=None) == [6, 6]
    assert placed(*together, nodes=2) == [6, 6]
    assert sum(placed(*together, nodes=1)) == 4 + 4
    # At different times of the day they use the same nodes.
    assert placed(share("a", [6, 2], 2, 6), share("b", [2, 6], 2, 6), nodes=1) == [6, 6]


def test_a_pod_that_fits_on_no_elastic_node_is_not_planned_there() -> None:
    assert placed(share("a", [6, 6], 2, 6), nodes=None, request_cores=5.0) == [2]
    assert placed(share("a", [6, 6], 2, 6), nodes=9, request_cores=2.5) == [6]
    assert placed(share("a", [6, 6], 2, 6), nodes=3, request_cores=2.5) == [5]


def test_a_given_number_holds_and_comes_first() -> None:
    given_number = share("given", [6, 6], 2, 5, minimum=5, maximum=5)

    assert placed(given_number, share("a", [6, 6], 2, 6), nodes=1) == [5, 3]


def test_the_elastic_nodes_of_a_day_by_their_size() -> None:
    seen = PolicyNeed(name="a", target=1.0, elastic_cores=32.0, elastic_node_cores=8.0, elastic_node_gib=16.0)
    gone = PolicyNeed(name="b", target=1.0, elastic_cores=32.0)

    assert seen_elastic([seen, gone, PolicyNeed(name="c", target=1.0)]) == (
        NodeGroup(count=4, cores=8.0, gib=16.0),
        NodeGroup(count=1, cores=32.0, gib=math.inf),
    )


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=4), st.integers(1, 5))
def test_no_step_needs_more_elastic_nodes_than_there_can_be(days: list[list[int]], nodes: int) -> None:
    shares = [share(f"w{row}", [float(count) for count in day], 1, max(*day, 1)) for row, day in enumerate(days)]

    found = placed(*shares, nodes=nodes)

    for step in range(4):
        there = sum(max(0, min(day[step], count) - 1) for day, count in zip(days, found, strict=True))
        assert there <= nodes * 4
    assert all(count >= 1 for count in found)
