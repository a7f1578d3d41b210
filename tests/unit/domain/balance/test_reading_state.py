"""Whether something that is read is known."""

import pytest

from spillway.domain.balance.load import LoadProblem
from spillway.domain.balance.reading_state import ReadingState

DOWN = LoadProblem("MetricsUnreachable", "connection refused")
PARTIAL = LoadProblem("PartialZoneLoad", "half")


@pytest.mark.parametrize(
    ("readings", "unknown"),
    [
        pytest.param([], None, id="not read yet"),
        pytest.param([(0, DOWN)], DOWN, id="never good"),
        pytest.param([(0, None)], None, id="good"),
        pytest.param([(0, None), (60, DOWN)], DOWN, id="good too long ago"),
        pytest.param([(120, None), (180, DOWN)], None, id="good lately"),
        pytest.param([(0, None), (60, DOWN), (120, PARTIAL)], PARTIAL, id="the newest problem"),
        pytest.param([(0, DOWN), (60, None)], None, id="good again"),
    ],
)
def test_it_is_unknown_once_no_reading_was_good_for_long_enough(
    readings: list[tuple[float, LoadProblem | None]], unknown: LoadProblem | None
) -> None:
    state = ReadingState()
    for at, problem in readings:
        state = state.after(problem, 1000.0 + at)
    assert state.unknown(1300.0, 180.0) == unknown
