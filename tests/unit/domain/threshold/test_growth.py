from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.growth import grown, reserved
from tests.unit.domain.threshold.threshold_cases import demand, peak_cores, some_demands

DAY = [2.0, 4.0, 4.0, 2.0]


@pytest.mark.parametrize(
    ("demands", "asked", "cores", "expected"),
    [
        pytest.param([demand("a", DAY)], [8], 10.0, [8], id="as many as are asked for"),
        pytest.param([demand("a", DAY)], [8], 6.5, [6], id="as many as there is room for"),
        pytest.param([demand("a", DAY)], [3], 10.0, [4], id="no threshold is lowered"),
        pytest.param([demand("a", DAY, maximum=5)], [8], 10.0, [5], id="up to the maximum"),
        pytest.param([demand("a", DAY), demand("b", DAY)], [8, 8], 12.0, [6, 6], id="by the same share"),
        pytest.param([demand("a", DAY), demand("b", DAY)], [8, 8], 13.0, [7, 6], id="what is left over by name"),
        pytest.param([demand("a", DAY), demand("b", DAY, priority=1)], [8, 8], 12.0, [4, 8], id="priority first"),
        pytest.param([demand("a", DAY)], [8], 3.0, [3], id="nothing where the past has no room"),
        # At night there would be room for both, at noon there is none.
        pytest.param([demand("a", DAY), demand("b", [0.0, 4.0, 0.0, 0.0])], [8, 4], 8.0, [4, 4], id="at every step"),
    ],
)
def test_what_is_left_goes_to_what_is_asked_for(
    demands: list[Demand], asked: list[int], cores: float, expected: list[int]
) -> None:
    plan = allocate(demands, capacity_cores=cores, target_utilization=1.0)
    wanted = {one.workload: count for one, count in zip(demands, asked, strict=True)}

    found = grown(plan.thresholds, wanted, demands=demands, usable_cores=cores)

    assert [found[one.workload] for one in demands] == expected


def test_one_that_may_not_grow_does_not() -> None:
    one = demand("a", DAY)
    assert dict(grown({one.workload: 4}, {}, demands=[one], usable_cores=100.0)) == {one.workload: 4}
    assert dict(grown({}, {}, demands=[], usable_cores=100.0)) == {}
    assert reserved({}, []) == 0


@given(
    some_demands(),
    st.floats(0.05, 2.0),
    st.lists(st.integers(0, 30), min_size=8, max_size=8),
    st.randoms(use_true_random=False),
)
def test_growth_never_exceeds_the_target_and_lowers_nothing(
    demands: list[Demand], share: float, asked: list[int], random: Random
) -> None:
    plan = allocate(demands, capacity_cores=share * peak_cores(demands), target_utilization=0.65)
    wanted = {one.workload: count for one, count in zip(demands, asked, strict=False)}

    found = grown(plan.thresholds, wanted, demands=demands, usable_cores=plan.usable_cores)

    before = float(np.max(plan.owned_load))
    assert reserved(found, demands) <= max(plan.usable_cores, before) + 1e-6
    for one in demands:
        assert plan.thresholds[one.workload] <= found[one.workload]
        assert found[one.workload] <= max(plan.thresholds[one.workload], wanted[one.workload])
        assert one.maximum is None or found[one.workload] <= one.maximum
    shuffled = list(demands)
    random.shuffle(shuffled)
    assert dict(grown(plan.thresholds, wanted, demands=shuffled, usable_cores=plan.usable_cores)) == dict(found)
