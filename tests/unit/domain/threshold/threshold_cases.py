"""Made-up demands for the tests of the threshold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import Allocation
from spillway.domain.threshold.demand import Demand

STEPS = 12


def demand(name: str, replicas: Sequence[float], cpu_cores: float = 1.0, **bounds: Any) -> Demand:
    return Demand(f"Deployment/shop/{name}", np.array(replicas, dtype=np.float64), cpu_cores, **bounds)


@st.composite
def some_demands(
    draw: st.DrawFn, *, most: int = 8, highest: int = 12, bounds: bool = True, priorities: int = 2
) -> list[Demand]:
    """Up to `most` workloads of a cycle of 12 steps, with bounds and priorities or without."""
    found = []
    for index in range(draw(st.integers(1, most))):
        replicas = draw(st.lists(st.integers(0, highest), min_size=STEPS, max_size=STEPS))
        minimum = draw(st.integers(0, 2)) if bounds else 0
        maximum = draw(st.none() | st.integers(minimum, highest)) if bounds else None
        found.append(
            demand(
                f"w{index}",
                replicas,
                draw(st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.7, 4.0])),
                priority=draw(st.integers(0, priorities)),
                minimum=minimum,
                maximum=maximum,
            )
        )
    return found


def peak_cores(demands: Sequence[Demand]) -> float:
    """The highest real load of all together."""
    return float(np.sum([one.whole_replicas() * one.cpu_cores for one in demands], axis=0).max())


def numbers(plan: Allocation) -> list[int]:
    """The thresholds by name."""
    return [count for _, count in sorted(plan.thresholds.items())]
