"""The scalings of workloads, and which of their scale-downs were needless."""

import numpy as np
import pytest

from spillway.simulate.backtest.scalings import scale_downs, scalings


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([(0, 4), (60, 10)], (0, 0)),
        ([(0, 10), (60, 8), (90, 6), (300, 9)], (1, 1)),
        ([(0, 10), (60, 8), (961, 9)], (1, 0)),
        ([(0, 10), (60, 8), (120, 9), (180, 7), (240, 8), (300, 2)], (3, 2)),
    ],
    ids=["up alone", "two steps are one scale-down", "up too late to count", "each dip counts"],
)
def test_a_scale_down_is_needless_if_the_workload_is_scaled_up_soon(
    steps: list[tuple[float, int]], found: tuple[int, int]
) -> None:
    assert scale_downs(steps) == found


def test_every_change_of_every_workload_is_a_scaling() -> None:
    replicas = np.array([[4, 4, 6, 6, 5, 6, 6], [3, 3, 3, 3, 3, 3, 3], [9, 8, 7, 7, 7, 7, 9]])
    assert scalings(replicas) == (6, 1)
