"""The loads that plans of moves go by: the reading, and what it does not show yet of pods that have come or gone."""

import math

import pytest

from spillway.domain.balance.in_transit import Transit, expected_loads
from spillway.domain.balance.load import COUNTED_SECONDS, SMOOTHING_SECONDS, Loads
from spillway.domain.model.names import NodeName

N1, N2 = NodeName("n1"), NodeName("n2")
READ = 1000.0
LOADS = Loads({N1: 40.0, N2: 5.0}, READ)


@pytest.mark.parametrize(
    ("at", "load"),
    [
        pytest.param(READ + 5.0, 50.0, id="since the reading"),
        pytest.param(READ - SMOOTHING_SECONDS, 40.0 + 10.0 / math.e, id="shown in part"),
        pytest.param(READ - COUNTED_SECONDS, pytest.approx(40.0, abs=0.1), id="shown"),
    ],
)
def test_a_pod_that_has_come_counts_as_far_as_the_reading_does_not_show_it(at: float, load: float) -> None:
    assert expected_loads(LOADS, [Transit(N1, at, 10.0)]) == {N1: load, N2: 5.0}


def test_a_pod_that_has_left_is_taken_off_and_no_load_is_negative() -> None:
    gone = [Transit(N1, READ, -10.0), Transit(N2, READ, -10.0)]
    assert expected_loads(LOADS, gone) == {N1: 30.0, N2: 0.0}


def test_one_that_leaves_makes_room_for_one_that_comes() -> None:
    assert expected_loads(LOADS, [Transit(N2, READ, -10.0), Transit(N2, READ, 10.0)]) == LOADS.percent


def test_a_pod_is_in_the_first_measurement_of_its_node_and_one_on_a_node_without_a_reading_counts_nowhere() -> None:
    first = Loads(LOADS.percent, READ, first={N1: READ})
    transits = [Transit(N1, READ - 60.0, 10.0), Transit(NodeName("new"), READ, 10.0)]
    assert expected_loads(first, transits) == LOADS.percent
