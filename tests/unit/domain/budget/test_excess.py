"""Which pods have to go when a limit is passed."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.virtualnodebudget import BudgetLimits, PoolPrice
from spillway.domain.budget.excess import Resident, beyond, passed
from spillway.domain.budget.limits import LimitRoom, room
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.usage import NOTHING, Usage

GIB = 1 << 30
PRICE = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "1", "memoryGiBHour": "0"})


def left(used: Usage, *, billed: Usage | None = None, spent: str = "0", **limits: Any) -> LimitRoom:
    return room(BudgetLimits.model_validate(limits), PRICE, used, Decimal(spent), billed=billed)


def pod(name: str, cpu: int, *, created: float = 0.0, billed: int = 0) -> Resident:
    return Resident(PodUid(name), OwnerUid("own"), (created, 0), Usage(1, cpu, GIB), Usage(1, billed or cpu, GIB))


A, B, C = pod("a", 300, created=1.0), pod("b", 300, created=2.0), pod("c", 300, created=3.0)


@pytest.mark.parametrize(
    ("used", "limits", "going"),
    [
        pytest.param(1000, {"cpu": "1"}, (), id="a limit may be reached"),
        pytest.param(1200, {"cpu": "1"}, ("c",), id="the newest goes"),
        pytest.param(1500, {"cpu": "1"}, ("c", "b"), id="until the limit holds"),
        pytest.param(9000, {"cpu": "1"}, ("c", "b", "a"), id="all, where running pods have passed it"),
        pytest.param(1200, {"memory": "1Gi"}, ("c",), id="memory"),
        pytest.param(1200, {"pods": 1}, ("c",), id="pods"),
        pytest.param(1200, {"costPerHour": "1"}, ("c",), id="the cost of an hour"),
        pytest.param(1200, {"costPerMonth": "1"}, (), id="the cost of a month ends no pod"),
        pytest.param(1200, {"cpu": "8"}, (), id="nothing is passed"),
    ],
)
def test_of_those_that_never_started_the_newest_go(used: int, limits: dict[str, Any], going: tuple[str, ...]) -> None:
    assert beyond(left(Usage(2, used, 2 * GIB), spent="5", **limits), [A, C, B]) == going


def test_one_that_is_no_part_of_the_excess_stays() -> None:
    nothing = Resident(PodUid("z"), OwnerUid("own"), (9.0, 0), Usage(1), Usage(1))
    assert beyond(left(Usage(5, 1200, 0), cpu="1"), [A, nothing]) == ("a",)


def test_the_cost_is_that_of_the_size_asked_for() -> None:
    bigger = pod("big", 100, billed=2000)
    assert beyond(left(Usage(2, 1100, 0), billed=Usage(2, 3000, 0), costPerHour="1"), [bigger]) == ("big",)


def stays(name: str, cpu: int, since: float, owner: str = "other") -> Resident:
    return Resident(PodUid(name), OwnerUid(owner), (since, 0), Usage(1, cpu, GIB), Usage(1, cpu, GIB), may_leave=False)


@pytest.mark.parametrize(
    ("other", "going"),
    [
        pytest.param(stays("x", 900, 9.0), (), id="one that came or grew since answers for itself"),
        pytest.param(stays("x", 900, float("inf")), (), id="a resize that is not done too"),
        pytest.param(stays("x", 900, 9.0, ""), (), id="a bare pod too"),
        pytest.param(stays("x", 700, 9.0, "own"), ("c", "b"), id="one of the same owner counts"),
        pytest.param(stays("x", 900, 0.0), ("c", "b", "a"), id="one that was there before counts"),
        pytest.param(stays("x", 300, 0.0), ("c",), id="as far as it leaves room"),
    ],
)
def test_a_pod_goes_for_what_was_there_before_it(other: Resident, going: tuple[str, ...]) -> None:
    there = [A, B, C, other]
    assert beyond(left(sum((one.used for one in there), NOTHING), cpu="1"), there) == going


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 5)), max_size=12),
    st.integers(0, 3000),
    st.integers(1, 4),
)
def test_no_more_go_than_have_to(unstarted: list[tuple[int, int]], running: int, cores: int) -> None:
    pods = [pod(f"p{index}", cpu, created=created) for index, (cpu, created) in enumerate(unstarted)]
    sums = sum((one.used for one in pods), NOTHING) + Usage(1, running, 0)
    going = beyond(left(sums, cpu=str(cores)), pods)
    without = {one.uid: one.used.cpu_millis for one in pods}
    rest = sums.cpu_millis - sum(without[uid] for uid in going)
    assert rest <= cores * 1000 or set(going) == {uid for uid, cpu in without.items() if cpu}
    if going:
        assert passed(left(sums, cpu=str(cores))) == ("cpu",)
        assert rest + without[going[-1]] > cores * 1000, "the last one had to go"
