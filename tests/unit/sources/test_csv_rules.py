"""The rules that all CSV files of demand share, apart from the files that use them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.sources.csv_rules import CsvError, Span, TimeColumn, add_to_step, held, number, rows, usual_distance

NOW = 1_780_000_000.0


def test_a_value_holds_for_the_usual_distance_and_not_over_a_gap() -> None:
    steps = {900.0 * index: float(index) for index in (0, 1, 2, 3, 20, 21)}

    times, values = held(steps, usual_distance(steps))

    assert usual_distance(steps) == 900
    assert (times[values == 3] - 2700).tolist() == [0, 300, 600]


@given(st.dictionaries(st.integers(0, 500), st.floats(0, 9), min_size=1, max_size=50))
def test_the_grid_has_no_step_twice(values: dict[int, float]) -> None:
    steps = {step * 300.0: value for step, value in values.items()}
    times, found = held(steps, usual_distance(steps))

    assert (np.diff(times) >= 300).all()
    assert set(found.tolist()) <= set(values.values())


def test_one_value_is_usually_a_step_away() -> None:
    assert usual_distance({0.0: 1.0}) == 300
    steps: dict[float, float] = {}
    add_to_step(steps, 899.9, 1.0)
    assert steps == {600: 1.0}


@pytest.mark.parametrize(("text", "expected"), [("1.5", 1.5), ("1e-9", 1e-9), ("many", -1.0), ("", -1.0)])
def test_numbers(text: str, expected: float) -> None:
    assert number(text) == expected


def test_a_time_before_the_earliest_is_refused_in_the_words_of_the_file() -> None:
    times = TimeColumn("at", NOW, 1000.0, "before the beginning")

    assert times.seconds("1000", 3) == 1000
    with pytest.raises(CsvError, match=r'line 3, column at: .*"999" is before the beginning'):
        times.seconds("999", 3)


def test_columns_are_found_by_name_and_blanks_do_not_matter() -> None:
    assert list(rows(["b, a ,c", "1, 2 ,3"], ("a", "b"))) == [(2, ["2", "1"])]


def test_a_span_names_the_line_of_its_first_time() -> None:
    span = Span("at", 2.0)
    span.check()
    span.add(5 * 86_400.0, 2)
    span.add(1 * 86_400.0, 7)

    with pytest.raises(CsvError, match=r"line 7, column at: is 4 days before the last time \(line 2\)"):
        span.check()
