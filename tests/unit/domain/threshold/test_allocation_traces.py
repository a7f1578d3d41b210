"""Plans from recorded demand: not what a bench measures, but what has to hold whatever the demand looks like."""

from pathlib import Path

import numpy as np
import pytest

from spillway.domain.threshold.allocation import allocate
from tests.bench.bench_threshold import real

TRACES = Path(__file__).parents[4].parent / "shared" / "traces"


@pytest.mark.skipif(not TRACES.is_dir(), reason="no recorded demand beside the project")
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_plans_from_recorded_demand_stay_below_the_target_and_use_what_is_there(share: float) -> None:
    demands = real(TRACES, seed=7, each=4)
    assert len(demands) >= 40
    load = np.sum([one.whole_replicas() * one.cpu_cores for one in demands], axis=0)
    capacity = share * float(load.max()) / 0.65

    plan = allocate(demands, capacity_cores=capacity, target_utilization=0.65)

    assert set(plan.thresholds) == {one.workload for one in demands}
    owned = np.sum([one.owned_load(plan.thresholds[one.workload]) for one in demands], axis=0)
    assert owned.max() <= capacity * 0.65 + 1e-6
    assert owned == pytest.approx(plan.owned_load)
    assert float(owned.sum()) == pytest.approx(plan.used_core_steps)
    # The bound that the plan itself proves.
    assert plan.used_core_steps >= 0.97 * plan.bound_core_steps
