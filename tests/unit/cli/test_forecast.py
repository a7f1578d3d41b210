"""`spillway forecast`: what it writes for a file, what it says of it, and what it refuses."""

import csv
import gzip
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.commands import application

START = 1_770_000_000 // 86_400 * 86_400
DAY_STEPS = 288


def forecast(*arguments: object) -> Result:
    return CliRunner().invoke(application(), ["forecast", *map(str, arguments)])


def load(day: int, step: int) -> float:
    """Ten at night, a hundred from nine to six, with a little that differs."""
    return (100 if 9 * 12 <= step < 18 * 12 else 10) * (1 + 0.02 * math.sin(day * 7 + step))


def write(path: Path, days: int, *, column: str = "value", seconds: int = 300, factor_after: int = -1) -> Path:
    lines = [f"ts,{column}"]
    for second in range(0, days * 86_400, seconds):
        value = load(second // 86_400, second % 86_400 // 300)
        if 0 <= factor_after <= second:
            value = 12345.0
        lines.append(f"{START + second},{value:.6f}")
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rows(path: Path) -> dict[int, tuple[float, bool]]:
    with path.open() as file:
        found = csv.DictReader(file)
        assert found.fieldnames == ["ts", "forecast", "predictable"]
        return {int(row["ts"]): (float(row["forecast"]), row["predictable"] == "true") for row in found}


@pytest.mark.parametrize("name", ["load.csv", "load.csv.gz"])
def test_each_step_is_forecast_and_the_jump_of_the_morning_before_it_comes(tmp_path: Path, name: str) -> None:
    path, out = write(tmp_path / name, 8), tmp_path / "out.csv"

    result = forecast(path, "--emit", out)

    assert result.exit_code == 0, result.output
    found = rows(out)
    assert list(found) == [START + step * 300 for step in range(1, 8 * DAY_STEPS + 1)]
    before_nine = START + 7 * 86_400 + 8 * 3600 + 45 * 60
    assert found[before_nine][0] > 90
    assert found[before_nine][1]
    assert found[START + 7 * 86_400 + 3600][0] < 15
    assert not found[START + 300][1]


def test_nothing_is_known_of_what_comes_later(tmp_path: Path) -> None:
    cut = 5 * 86_400 + 10 * 3600
    one, other = write(tmp_path / "one.csv", 7), write(tmp_path / "other.csv", 7, factor_after=cut)

    forecast(one, "--emit", tmp_path / "a.csv")
    forecast(other, "--emit", tmp_path / "b.csv")

    first, second = rows(tmp_path / "a.csv"), rows(tmp_path / "b.csv")
    assert {at: row for at, row in first.items() if at <= START + cut} == {
        at: row for at, row in second.items() if at <= START + cut
    }
    assert first[START + cut + 300] != second[START + cut + 300]


def test_the_summary_compares_with_the_present_demand(tmp_path: Path) -> None:
    result = forecast(write(tmp_path / "load.csv", 8))

    assert result.exit_code == 0
    assert "2304 values from 2026-" in result.output
    assert "from 15 min to 60 min ahead" in result.output
    table = {
        line.rsplit("  ", 4)[0].strip(): line for line in result.output.splitlines() if line.rstrip().endswith("min")
    }
    ours, reactive = (
        float(line.split("%")[0].split()[-1])
        for name, line in table.items()
        if name.startswith(("the forecast", "the present demand  ")) or name == "the present demand"
    )
    assert ours < 0.2 * reactive


def test_hourly_data_and_another_column(tmp_path: Path) -> None:
    path = write(tmp_path / "load.csv", 8, column="cpu", seconds=3600)

    result = forecast(path, "--column", "cpu", "--startup", "30m", "--window", "2h", "--emit", tmp_path / "out.csv")

    assert result.exit_code == 0, result.output
    assert "usually 60 min apart" in result.output
    assert len(rows(tmp_path / "out.csv")) == 8 * DAY_STEPS


def test_a_file_of_one_value(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text(f"ts,value\n{START},7\n")

    result = forecast(path, "--emit", tmp_path / "out.csv")

    assert result.exit_code == 0, result.output
    assert rows(tmp_path / "out.csv") == {START + 300: (7.0, False)}
    assert "no comparison with the present demand" in result.output
    assert "unmet demand" not in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ts,load\n0,1\n", "line 1: the header must name the columns ts, value"),
        ("ts,value\n0,1\n300,x\n", 'line 3, column value: must be a number from 0, or empty or NaN for a gap, not "x"'),
        ("", "line 1: the header must name"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "load.csv"
    path.write_text(content)

    result = forecast(path)

    assert result.exit_code == live.UNREADABLE
    assert result.stderr.startswith("error: ")
    assert message in result.output
    assert str(path) in result.output


@pytest.mark.parametrize(("ending", "kind"), [("csv.gz", "gzip"), ("parquet", "Parquet")])
@pytest.mark.parametrize("content", [b"not such a file", b"\xff\x00\x01", b"ts,value\n1770000000,1\n", b""])
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, ending: str, kind: str, content: bytes) -> None:
    path = tmp_path / f"load.{ending}"
    path.write_bytes(content)

    result = forecast(path)

    assert result.exit_code == live.UNREADABLE
    ending = ending.rpartition(".")[2]
    assert result.stderr == f"error: {path}: not a {kind} file, although its name ends with .{ending}\n"


def test_files_that_are_not_there(tmp_path: Path) -> None:
    missing = forecast(tmp_path / "gone.csv")
    unwritable = forecast(write(tmp_path / "load.csv", 1), "--emit", tmp_path / "no" / "out.csv")

    assert (missing.exit_code, unwritable.exit_code) == (live.UNREADABLE, live.NEGATIVE)
    assert "cannot be read: No such file" in missing.output
    assert "cannot be written: No such file" in unwritable.output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--window", "soon"), "--window: 'soon' is not a duration"),
        (("--startup", "60m"), "--startup, --window: a forecast needs 0 <= start-up < window <= 24 hours"),
        (("--window", "25h"), "--startup, --window: a forecast needs 0 <= start-up < window <= 24 hours"),
        (("--price", "0"), "--price: must be above 0, not 0"),
        (("--price", "nan"), "--price: must be above 0, not nan"),
    ],
)
def test_flags_that_make_no_sense(tmp_path: Path, flags: tuple[str, str], message: str) -> None:
    result = forecast(write(tmp_path / "load.csv", 1), *flags)

    assert isinstance(result.exception, SettingsError)
    assert message in str(result.exception)
