"""What the grid keeps, what it leaves out, and how it moves."""

import numpy as np
import pytest

from spillway.domain.forecast.demand_grid import DemandGrid, Identity
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, STEP_SECONDS, Floats

END = 4000 * HOUR_STEPS + 5
CART, PAY = Identity("Deployment/shop/cart", "cpu", ""), Identity("Deployment/shop/pay", "query", "up")


def ends(*back: int) -> Floats:
    """The times at which the steps end that are so many before the end of the grid."""
    return np.array([(END - one + 1) * STEP_SECONDS for one in back], dtype=np.float64)


def last(grid: DemandGrid, identity: Identity, count: int = 3) -> list[float]:
    return [float(one) for one in grid.history([identity], DAY_STEPS)[1][0, -count:]]


@pytest.fixture
def grid() -> DemandGrid:
    made = DemandGrid(DAY_STEPS, END)
    made.add(CART)
    return made


def test_a_history_begins_at_a_whole_hour_and_ends_with_the_last_step_that_has_ended(grid: DemandGrid) -> None:
    grid.write(CART, ends(1, 2), np.array([7.0, 6.0]))

    first, values = grid.history([CART], DAY_STEPS)

    assert first % HOUR_STEPS == 0
    assert first + values.shape[1] == END
    assert values.shape[1] >= DAY_STEPS
    assert values[0, -2:].tolist() == [6.0, 7.0]
    assert np.isnan(values[0, :-2]).all()


def test_nothing_of_the_future_and_nothing_absurd_is_kept(grid: DemandGrid) -> None:
    grid.write(CART, ends(3, 2, 1, 0, -5), np.array([np.nan, -1.0, np.inf, 8.0, 9.0]))

    assert np.isnan(grid.history([CART], DAY_STEPS)[1]).all()


def test_a_later_answer_replaces_a_step_and_a_gap_in_it_does_not(grid: DemandGrid) -> None:
    grid.write(CART, ends(2, 1), np.array([5.0, 5.0]))
    grid.write(CART, ends(2, 1), np.array([np.nan, 6.0]))

    assert last(grid, CART, 2) == [5.0, 6.0]


def test_it_moves_on_step_by_step_and_keeps_the_whole_history() -> None:
    grid = DemandGrid(2 * DAY_STEPS, END)
    grid.add(CART)
    for end in range(END, END + 6 * DAY_STEPS):
        grid.advance(end + 1)
        grid.write(CART, np.array([(end + 1) * STEP_SECONDS], dtype=np.float64), np.array([float(end % 1000)]))

        first, values = grid.history([CART], 2 * DAY_STEPS)
        wanted = np.arange(first, end + 1)
        known = wanted >= END
        np.testing.assert_array_equal(values[0, known], wanted[known] % 1000)


def test_a_grid_that_slept_for_longer_than_its_history_is_empty(grid: DemandGrid) -> None:
    grid.write(CART, ends(1), np.array([5.0]))
    grid.advance(END + 100 * DAY_STEPS)

    assert np.isnan(grid.history([CART], DAY_STEPS)[1]).all()
    grid.advance(END)
    assert grid.end == END + 100 * DAY_STEPS, "a clock that goes back changes nothing"


def test_a_row_that_was_forgotten_is_empty_for_the_next_workload(grid: DemandGrid) -> None:
    grid.write(CART, ends(1), np.array([5.0]))
    grid.forget(CART)
    for index in range(100):
        grid.add(Identity(f"Deployment/shop/{index}", "cpu", ""))
    grid.add(PAY)

    assert CART not in grid
    everyone = list(grid.identities)
    assert len(everyone) == 101
    assert np.isnan(grid.history(everyone, DAY_STEPS)[1]).all()


def test_a_longer_history_keeps_what_is_known(grid: DemandGrid) -> None:
    grid.write(CART, ends(2, 1), np.array([4.0, 5.0]))

    longer = grid.resized(7 * DAY_STEPS)

    first, values = longer.history([CART], 7 * DAY_STEPS)
    assert values.shape[1] >= 7 * DAY_STEPS
    assert first + values.shape[1] == END
    assert values[0, -2:].tolist() == [4.0, 5.0]
