"""The replicas of a forecast rise at once, and fall only where noise and the coming demand do not raise them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.scaling.demand import DemandForecast, replicas_for
from spillway.domain.scaling.settled import TOLERANCE, settled


def _forecast(highest: float, soon_after: float = 0.0) -> DemandForecast:
    return DemandForecast(1_000_000.0, 0.0, highest, predictable=True, soon_after=soon_after)


@pytest.mark.parametrize(
    ("highest", "soon_after", "before", "expected"),
    [
        (4.1, 0.0, 4, 5),
        (4.0, 0.0, 4, 4),
        (3.7, 0.0, 5, 5),
        (3.6, 0.0, 5, 4),
        (36.5, 0.0, 40, 40),
        (35.4, 0.0, 40, 36),
        (3.0, 3.0, 5, 3),
        (3.0, 3.8, 5, 5),
        (0.0, 0.0, 1, 0),
        (0.95, 0.0, 1, 1),
        (0.0, 0.2, 1, 1),
    ],
    ids=[
        "a rise counts at once",
        "nothing changes",
        "a fall within the tolerance",
        "a fall beyond it",
        "ten percent of many",
        "more than ten percent of many",
        "nothing comes soon after",
        "the demand is back soon after",
        "to zero",
        "one replica is needed",
        "from zero soon after",
    ],
)
def test_it_falls_only_where_it_does_not_rise_again_at_once(
    highest: float, soon_after: float, before: int, expected: int
) -> None:
    assert settled(_forecast(highest, soon_after), before) == expected


_DEMAND = st.floats(0, 200)


@given(_DEMAND, _DEMAND, st.integers(0, 250))
def test_it_serves_the_forecast_and_adds_nothing(highest: float, soon_after: float, before: int) -> None:
    found = settled(_forecast(highest, soon_after), before)
    assert found in {before, replicas_for(highest)}
    assert found >= replicas_for(highest)
    if found < before:
        assert replicas_for(highest * (1 + TOLERANCE)) < before
        # Once it has fallen, the same forecast moves it no further.
        assert settled(_forecast(highest, soon_after), found) == found


@given(st.integers(1, 200), st.lists(st.floats(0.955, 1.045), min_size=1, max_size=20))
def test_noise_within_the_tolerance_moves_it_up_once_at_most(level: int, noise: list[float]) -> None:
    numbers = [level]
    for one in noise:
        numbers.append(settled(_forecast(level * one), numbers[-1]))
    assert numbers == sorted(numbers)
