"""`spillway backtest`: what it prints and writes, and what it refuses."""

import json
import math
from pathlib import Path

import pytest
import yaml
from pyarrow import csv, parquet
from typer.testing import CliRunner, Result

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.commands import application

START = 1_770_000_000 // 86_400 * 86_400
SETUP = ("--nodes", 3, "--node-cores", 4, "--node-hour", "0.2", "--virtual-cpu-hour", "0.06")


def backtest(*arguments: object) -> Result:
    return CliRunner().invoke(application(), ["backtest", *map(str, arguments)])


def replicas(step: int) -> float:
    return 4 + 12 * math.exp(-(((step / 12 % 24 - 19) / 2) ** 2) / 2)


def folder(path: Path, days: float = 3) -> Path:
    steps = range(int(days * 288))
    many = [f"Deployment/shop/cart,{START + step * 300},{replicas(step):.2f}" for step in steps]
    one = [f"{START + step * 300},{100 * replicas(step + 30):.2f}" for step in steps]
    (path / "shop.csv").write_text("\n".join(["workload,time,replicas", *many]) + "\n")
    (path / "search.csv").write_text("\n".join(["ts,value", *one]) + "\n")
    (path / "requests.csv").write_text("workload,cpu,memory\nsearch,500m,1Gi\n")
    (path / "notes.txt").write_text("not a history")
    return path


def test_the_known_arithmetic_is_an_example() -> None:
    found = backtest("--example", "evening-peak")
    assert found.exit_code == 0, found.output
    assert "22.5 % less than owned for the peak" in found.output
    cost = next(line for line in found.output.splitlines() if line.startswith("cost "))
    assert cost.split()[3:5] == ["18.60", "24.00"]


def test_a_folder_of_both_forms_is_replayed_with_each_workloads_requests(tmp_path: Path) -> None:
    found = backtest("--folder", folder(tmp_path), *SETUP, "--cpu", "1", "--per-replica", "100", "-o", "json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["workloads"] == 2
    assert told["hours"] == pytest.approx(24)
    assert list(told["contenders"]) == ["plain", "flat cost", "spillway", "owned for the peak", "clairvoyant"]
    # Both have their peaks at nearly the same time: 16 of one core and 16 of half a core fit on six nodes of four.
    assert told["contenders"]["owned for the peak"]["cost"] == pytest.approx(24 * 6 * 0.2, rel=0.01)
    assert set(told["thresholds"][-1]["replicas"]) == {"Deployment/shop/cart", "search"}
    assert all(one["elasticNodeHours"] == 0 for one in told["contenders"].values())
    assert (told["setup"]["nodeCores"], told["setup"]["prices"]["virtualCore"]) == (4, 0.06)


def test_yaml_has_the_keys_of_json_and_wide_is_the_table() -> None:
    table, wide, as_yaml, as_json = (
        backtest("--example", "evening-peak", "-o", one).stdout for one in ("table", "wide", "yaml", "json")
    )
    assert wide == table
    assert yaml.safe_load(as_yaml) == json.loads(as_json)


def test_parquet_files_are_replayed_as_csv_files_are(tmp_path: Path) -> None:
    arguments = (*SETUP, "--cpu", "1", "--per-replica", "100", "-o", "json")
    expected = backtest("--folder", folder(tmp_path), *arguments)
    for path in tmp_path.glob("*.csv"):
        parquet.write_table(csv.read_csv(path), path.with_suffix(".parquet"))
        path.unlink()

    found = backtest("--folder", tmp_path, *arguments)

    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) == json.loads(expected.stdout)


def test_the_report_is_one_page_that_needs_no_network(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    found = backtest("--example", "evening-peak", "--report", page)
    assert found.exit_code == 0, found.output
    text = page.read_text()
    for words in (
        "22.5 % less than",
        "Demand and capacity by tier",
        "Demand, forecast and capacity",
        "Cost of each day",
        "Thresholds",
        "clairvoyant",
    ):
        assert words in text
    assert 'src="http' not in text
    assert text.count('<div class="chart">') == 5


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "workload,time,replicas\nx,yesterday,3\n", "a.csv: line 2, column time: must be RFC 3339"),
        ("a.csv", "ts,value\n1770000000,many\n", "a.csv: line 2, column value: must be a number from 0"),
        ("a.csv", "name,count\n", "a.csv: line 1: the header must name the columns workload, time, replicas"),
        ("requests.csv", "workload,cpu,memory\nsearch,fast,1Gi\n", "requests.csv: line 2, column cpu: "),
        ("requests.csv", "workload,cpu,memory\nsearch,1,\nsearch,1,\n", "line 3, column workload: search occurs twice"),
        ("z.csv", f"workload,time,replicas\nsearch,{START},1\n", "z.csv: search is in search.csv as well"),
    ],
    ids=["time", "number", "header", "cpu", "twice", "two files"],
)
def test_a_bad_file_is_refused_by_its_place(tmp_path: Path, name: str, text: str, told: str) -> None:
    (folder(tmp_path) / name).write_text(text)
    found = backtest("--folder", tmp_path, *SETUP, "--cpu", "1")
    assert found.exit_code == live.UNREADABLE
    assert found.stderr.startswith("error: ")
    assert told in found.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*SETUP,), "requests of Deployment/shop/cart are not known: give --cpu"),
        ((*SETUP, "--cpu", "1", "--requests", "missing.csv"), "missing.csv cannot be read"),
    ],
)
def test_requests_must_be_known(tmp_path: Path, arguments: tuple[object, ...], told: str) -> None:
    found = backtest("--folder", folder(tmp_path), *arguments)
    assert found.exit_code == (live.UNREADABLE if "cannot be read" in told else live.NEGATIVE)
    assert told in found.stderr


def test_less_than_two_days_are_refused(tmp_path: Path) -> None:
    found = backtest("--folder", folder(tmp_path, days=1), *SETUP, "--cpu", "1")
    assert found.exit_code == live.NEGATIVE
    assert "there are 24.0 hours of demand; a backtest needs two days to learn from" in found.stderr


def test_an_empty_folder_says_what_is_expected(tmp_path: Path) -> None:
    found = backtest("--folder", tmp_path, *SETUP, "--cpu", "1")
    assert found.exit_code == live.UNREADABLE
    assert (
        "has no history; expected files *.csv, *.csv.gz or *.parquet with the columns workload,time,replicas"
        in found.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give one of --example, --folder and --prometheus-url"),
        (("--example", "two-peaks", "--folder", "."), "give one of --example"),
        (("--folder", "."), "give --node-cores, --node-hour and --virtual-cpu-hour"),
        (("--folder", ".", *SETUP, "--elastic-nodes", 3), "--elastic-nodes: give --elastic-node-hour"),
        (("--folder", ".", *SETUP, "--window", "2m"), "the window of a forecast must be longer than the start"),
        (("--folder", ".", *SETUP, "--node-memory", "big"), "--node-memory: "),
        (("--folder", ".", *SETUP, "--price", "0"), "--price: must be above 0, not 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(arguments: tuple[object, ...], told: str) -> None:
    found = backtest(*arguments)
    assert isinstance(found.exception, SettingsError)
    assert told in str(found.exception)
