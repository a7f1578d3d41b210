"""Room under a pool's limits: what counts, what is refused, and that no order of admissions passes a limit."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.virtualnodebudget import BudgetLimits, PodSpecSize, PoolPrice
from spillway.domain.budget.limits import NEAR_SHARE, UNLIMITED, LimitRoom, fits, room
from spillway.domain.budget.price import billed, per_hour
from spillway.domain.model.usage import Usage

GIB = 1 << 30
PRICE = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044", "minimumSeconds": 60})
NONE = Decimal(0)
UNUSED = Usage()


def limits(**values: object) -> BudgetLimits:
    return BudgetLimits.model_validate(values)


def left_of(
    values: dict[str, object], used: Usage = UNUSED, spent: str = "0", price: PoolPrice | None = PRICE
) -> LimitRoom:
    return room(limits(**values), price, used, Decimal(spent))


def test_a_pool_without_limits_takes_everything() -> None:
    assert room(None, None, Usage(10**6, 10**9, 10**15), NONE) == UNLIMITED
    assert fits(UNLIMITED, 10**9, 10**15) == ""


@pytest.mark.parametrize(
    ("values", "used", "pod", "broken"),
    [
        ({"pods": 3}, Usage(2, 0, 0), (0, 0), ""),
        ({"pods": 3}, Usage(3, 0, 0), (0, 0), "pods"),
        ({"pods": 0}, Usage(), (0, 0), "pods"),
        ({"cpu": "2"}, Usage(1, 1500, 0), (500, 0), ""),
        ({"cpu": "2"}, Usage(1, 1500, 0), (501, 0), "cpu"),
        ({"cpu": "2"}, Usage(1, 5000, 0), (0, GIB), ""),
        ({"memory": "4Gi"}, Usage(1, 0, 3 * GIB), (100, GIB), ""),
        ({"memory": "4Gi"}, Usage(1, 0, 3 * GIB), (100, GIB + 1), "memory"),
        ({"costPerHour": "0.788"}, Usage(1, 1000, GIB), (1000, GIB), ""),
        ({"costPerHour": "0.787"}, Usage(1, 1000, GIB), (1000, GIB), "costPerHour"),
        ({"costPerHour": "0.1"}, Usage(1, 9000, GIB), (0, 0), ""),
        ({"pods": 1, "cpu": "1"}, Usage(1, 1000, 0), (1000, 0), "pods"),
    ],
)
def test_a_sum_may_reach_its_limit_and_not_pass_it(
    values: dict[str, object], used: Usage, pod: tuple[int, int], broken: str
) -> None:
    assert fits(left_of(values, used), *pod) == broken


@pytest.mark.parametrize(
    ("spent", "broken"),
    [
        ("0", ""),
        ("99.99", ""),
        # A core with 4 GiB costs 0.526 an hour: at least 0.00876… for its 60 seconds.
        ("99.99123", ""),
        ("99.99124", "costPerMonth"),
        ("100", "costPerMonth"),
        ("120", "costPerMonth"),
    ],
)
def test_a_month_has_to_have_room_for_the_minimum_billing_time(spent: str, broken: str) -> None:
    assert fits(left_of({"costPerMonth": "100"}, spent=spent), 1000, 4 * GIB) == broken


def test_a_month_that_is_spent_takes_no_pod_even_where_nothing_is_billed_at_least() -> None:
    by_the_second = PRICE.model_copy(update={"minimum_seconds": 0})
    assert fits(left_of({"costPerMonth": "100"}, spent="99.999999", price=by_the_second), 1000, GIB) == ""
    assert fits(left_of({"costPerMonth": "100"}, spent="100", price=by_the_second), 1000, GIB) == "costPerMonth"


def test_pods_that_have_not_started_have_their_minimum_reserved() -> None:
    budget = limits(costPerMonth="0.05")
    promised = Usage(5, 5000, 20 * GIB)  # five of these cost 0.0438… for 60 seconds
    tight = room(budget, PRICE, promised, NONE, waiting=promised)
    assert fits(tight, 700, 2 * GIB) == ""
    assert fits(tight, 1000, 4 * GIB) == "costPerMonth"
    assert fits(room(budget, PRICE, promised, NONE), 1000, 4 * GIB) == ""


def test_a_bigger_size_costs_more_and_takes_no_more_of_the_requests() -> None:
    asked = Usage(1, 1000, 2 * GIB)
    ladder = [
        PodSpecSize.model_validate({"cpu": cpu, "memory": memory}) for cpu, memory in (("500m", "9Gi"), ("4", "8Gi"))
    ]
    size = billed(asked, "4000m-8589934592", ladder)
    assert size == Usage(1, 4000, 8 * GIB)
    assert fits(left_of({"cpu": "1", "memory": "2Gi", "costPerHour": "2"}), 1000, 2 * GIB, billed=size) == ""
    assert fits(left_of({"costPerHour": "1.7"}), 1000, 2 * GIB, billed=size) == "costPerHour"
    present = room(limits(costPerHour="2"), PRICE, Usage(1, 1000, GIB), NONE, billed=Usage(1, 4000, 8 * GIB))
    assert fits(present, 1000, GIB) == "costPerHour"


def test_a_cost_limit_without_a_price_limits_nothing() -> None:
    assert fits(left_of({"costPerMonth": "1", "costPerHour": "1"}, spent="9", price=None), 10**6, GIB) == ""


def test_how_far_each_limit_is_used() -> None:
    budget = limits(pods=100, cpu="200", memory="1Ti", costPerHour="350", costPerMonth="90000")
    price = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "1", "memoryGiBHour": "0", "minimumSeconds": 60})
    used, as_billed = Usage(10, 50_000, 1 << 38), Usage(10, 70_000, 1 << 38)
    found = room(budget, price, used, Decimal(45_000), billed=as_billed).uses
    assert {one.name: (one.share, one.step / one.limit.unit) for one in found} == {
        "pods": (Decimal("0.1"), 1),
        "cpu": (Decimal("0.25"), 5),
        "memory": (Decimal("0.25"), (1 << 38) / Decimal(10)),
        "costPerHour": (Decimal("0.2"), 7),
        "costPerMonth": (Decimal("0.5"), 7 * 60 / Decimal(3600)),
    }
    assert [one.name for one in room(budget, None, used, NONE).uses] == ["pods", "cpu", "memory"]


@pytest.mark.parametrize(
    ("spent", "waiting"),
    [
        pytest.param("99.98", 0, id="the minimum of one more pod is not left"),
        pytest.param("99.01", 29, id="nor beside that of the pods that have a place"),
    ],
)
def test_a_month_is_full_when_it_takes_no_pod_of_average_size(spent: str, waiting: int) -> None:
    price = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "1", "memoryGiBHour": "0", "minimumSeconds": 60})
    of_pods = Usage(waiting + 1, 2000 * (waiting + 1), 0)
    left = room(limits(costPerMonth="100"), price, of_pods, Decimal(spent), waiting=Usage(waiting, 2000 * waiting, 0))
    assert fits(left, 2000, 0) == "costPerMonth"
    assert left.uses[0].full
    assert left.uses[0].share < 1


sums = st.builds(Usage, st.integers(0, 9), st.integers(0, 9000), st.integers(0, 64 * GIB))


@given(sums, sums, st.decimals(0, 20, places=3), st.sampled_from([0, 60]))
def test_a_pool_is_full_exactly_where_it_refuses_one_more_pod(
    there: Usage, waiting: Usage, spent: Decimal, minimum: int
) -> None:
    """A pod of average size, on a pool that is used to at least 80 % of the limit."""
    budget = limits(pods=8, cpu="8", memory="40Gi", costPerHour="5", costPerMonth="15")
    price = PRICE.model_copy(update={"minimum_seconds": minimum})
    left = room(budget, price, there, spent, waiting=waiting)
    for use in left.uses:
        # The pods together are to such a pool as one of average size is to this one.
        larger = replace(use, allowed=use.allowed * there.pods, used=use.used * there.pods)
        if use.share >= NEAR_SHARE and there.pods:
            assert use.full == (use.left <= 0 or not larger.takes(left.demand(there, there))), use


pods = st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 64 * GIB)), max_size=40)


@given(pods, st.integers(0, 10), st.integers(0, 20_000), st.integers(0, 100 * GIB), st.decimals(0, 9, places=4))
def test_no_order_of_admissions_passes_a_limit(
    asked: list[tuple[int, int]], count: int, cpu: int, memory: int, hourly: Decimal
) -> None:
    budget = limits(pods=count, cpu=f"{cpu}m", memory=str(memory), costPerHour=str(hourly))
    used = Usage()
    for one in asked:
        left = room(budget, PRICE, used, NONE)
        if not fits(left, *one):
            used += Usage(1, *one)
        assert used.pods <= count
        assert used.cpu_millis <= cpu
        assert used.memory_bytes <= memory
        assert per_hour(PRICE, used.cpu_millis, used.memory_bytes) <= hourly
