"""Demand from CSV files: what coarse data means, and what an error says."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.history import STEP_SECONDS, History
from spillway.sources.csv_history import csv_file, csv_histories
from spillway.sources.csv_rules import CsvError

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
START = datetime(2026, 5, 1, tzinfo=UTC).timestamp()
HEADER = "workload,time,replicas"


def read(points: list[tuple[float, float]]) -> History:
    [found] = csv_histories([HEADER, *(f"cart,{time},{value}" for time, value in points)], now=NOW)
    return found


def test_a_level_holds_until_the_next_value() -> None:
    found = read([(START, 3), (START + 900, 7), (START + 1800, 5)])

    assert ((found.times - START) / 300).tolist() == list(range(9))
    assert found.replicas.tolist() == [3, 3, 3, 7, 7, 7, 5, 5, 5]


def test_a_gap_is_not_filled() -> None:
    hours = [0, 1, 2, 10, 11]

    found = read([(START + hour * 3600, 4) for hour in hours])

    covered = sorted({int(time - START) // 3600 for time in found.times})
    assert covered == hours
    assert found.seconds == len(hours) * 3600


def test_times_that_vary_a_little_leave_no_holes() -> None:
    found = read([(START + quarter * 900 + (quarter * 37) % 200, 4) for quarter in range(96)])

    assert set(np.diff(found.times)) == {STEP_SECONDS}


def test_several_values_within_a_step_count_with_the_highest() -> None:
    found = read([(START, 3), (START + 60, 9), (START + 120, 1), (START + 300, 2)])

    assert found.replicas.tolist() == [9, 2]


@given(st.dictionaries(st.integers(0, 200), st.integers(0, 50), min_size=1, max_size=60))
def test_the_grid_is_regular_and_has_no_value_that_the_file_has_not(values: dict[int, int]) -> None:
    found = read([(START + step * STEP_SECONDS, count) for step, count in values.items()])

    assert (np.diff(found.times) >= STEP_SECONDS).all()
    assert set(found.replicas.tolist()) <= {float(count) for count in values.values()}
    at = dict(zip(found.times, found.replicas, strict=True))
    assert all(at[START + step * STEP_SECONDS] == count for step, count in values.items())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["workload;time;replicas"], 'line 1: .* commas; missing: .*found: "workload;t', id="semicolon"),
        pytest.param([HEADER + ",time"], "line 1: the header names a column twice: time", id="twice"),
        pytest.param([], "line 1: .* missing: workload, time, replicas", id="nothing"),
        pytest.param([HEADER, "cart,yesterday,3"], 'line 2, column time: must be RFC .*not "yesterday"', id="time"),
        pytest.param([HEADER, "cart,nan,3"], "line 2, column time: must be RFC 3339", id="time is no number"),
        pytest.param([HEADER, "cart,-5,3"], 'line 2, column time: .*not "-5"', id="time is negative"),
        pytest.param([HEADER, "cart,5,3"], "line 2, column time: .*before the year 2000", id="time near 1970"),
        pytest.param([HEADER, "cart,1e300,3"], "line 2, column time: .*in the future", id="time too large"),
        pytest.param([HEADER, "cart,9999-12-31T23:59:59-23:59,3"], "line 2, column time", id="after the year 9999"),
        pytest.param([HEADER, f"cart,{NOW + 1e8},3"], "line 2, column time: .*in the future", id="future"),
        pytest.param([HEADER, f"cart,{NOW * 1e3:.0f},3"], "line 2, column time: .*milliseconds", id="milliseconds"),
        pytest.param([HEADER, f"cart,{NOW * 1e9:.0f},3"], "line 2, column time: .*nanoseconds", id="nanoseconds"),
        pytest.param(
            [HEADER, f"cart,{START},3", "cart,2001-01-01T00:00:00Z,3"],
            r"line 3, column time: is \d+ days before the last time \(line 2\)",
            id="far past",
        ),
        pytest.param([HEADER, f"cart,{START},many"], 'column replicas: must be a number .* "many"', id="text"),
        pytest.param([HEADER, f"cart,{START},-3"], "column replicas: must be a number from 0", id="negative"),
        pytest.param([HEADER, f"cart,{START},3e12"], "column replicas: must be a number from 0 to", id="too many"),
        pytest.param([HEADER, f"cart,{START}"], 'line 2, column replicas: must be .*not ""', id="short line"),
        pytest.param([HEADER, f"cart,{START},1,5"], "line 2: has 4 values, the header names 3", id="decimal comma"),
        pytest.param([HEADER, f",{START},3"], "line 2, column workload: is empty", id="workload"),
        pytest.param([HEADER, "x" * 200_000], "line 2: not CSV", id="a field without end"),
        pytest.param([HEADER, f'"cart,{START},3', f"cart,{START},3"], "line 2: not CSV", id="open quotation mark"),
    ],
)
def test_an_error_says_where_and_what_is_expected(lines: list[str], message: str) -> None:
    with pytest.raises(CsvError) as caught:
        csv_histories(lines, now=NOW)

    assert re.search(message, str(caught.value)), caught.value


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "past.csv"
    path.write_bytes(mark + f"{HEADER}\r\ncart,{START},3\r\n".encode())

    assert [(one.workload, one.replicas.tolist()) for one in csv_file(path, now=NOW)] == [("cart", [3.0])]


def test_a_file_in_utf_16_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "past.csv"
    path.write_bytes(HEADER.encode("utf-16"))

    with pytest.raises(CsvError, match=r"past\.csv: line 1: the file is UTF-16"):
        csv_file(path, now=NOW)
