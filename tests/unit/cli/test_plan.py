"""`spillway plan thresholds` from a file: no cluster, no Prometheus."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.thresholds_view import thresholds_view
from spillway.domain.overview.thresholds import thresholds_plan
from spillway.domain.threshold.request import Plan, PlannedPolicy

START = datetime(2026, 1, 5, tzinfo=UTC)
SIZED = ("--nodes=4", "--node-cores=10", "--target-utilization=100", "--cpu=1")
PRICED = ("--node-hour=10", "--virtual-cpu-hour=1.5", "--currency=CNY")


def replicas_at(hour: int) -> int:
    """40 replicas for the four hours of the evening, else 28: the day of the arithmetic, C being 40 cores' hour."""
    return 40 if 18 <= hour < 22 else 28


@pytest.fixture
def past(tmp_path: Path) -> Path:
    lines = ["workload,time,replicas"]
    for hour in range(8 * 24):
        for minute in range(0, 60, 5):
            moment = START + timedelta(hours=hour, minutes=minute)
            lines.append(f"Deployment/shop/cart,{moment.isoformat()},{replicas_at(moment.hour)}")
    path = tmp_path / "past.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def plan(*arguments: str) -> Result:
    return CliRunner().invoke(application(), ["plan", "thresholds", *arguments])


def planned(*arguments: str) -> dict[str, Any]:
    result = plan(*arguments, "-o", "json")
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)["plan"]
    return found


def test_the_saving_of_the_textbook_day(past: Path) -> None:
    # Three of four nodes: 30 of 40 replicas at the peak, all 28 of the rest of the day.
    found = planned(f"--csv={past}", "--nodes=3", *SIZED[1:], *PRICED)

    [cart] = found["workloads"]
    assert (cart["threshold"], cart["peak"], cart["confidence"]) == (30, 40, 100)
    assert cart["problem"] is None
    [policy] = found["policies"]
    assert policy["enforced"]
    # 4 nodes at 10 an hour; planned: 3 nodes, and 10 replicas for 4 of 24 hours at 1.5.
    assert policy["savedVsOwned"] == pytest.approx(40 - (30 + 10 * 1.5 * 4 / 24))
    assert cart["savingPerHour"] == pytest.approx(policy["savedVsOwned"])
    # 28 owned for the valley, 12 rented for 4 of 24 hours.
    against_virtual = (28 + 12 * 1.5 * 4 / 24) - (30 + 10 * 1.5 * 4 / 24)
    assert cart["savingPerHourAgainstVirtual"] == pytest.approx(against_virtual)
    assert policy["ownedNodesAdvised"] == 3
    costs = {point["nodes"]: point["costPerHour"] for point in policy["nodes"]}
    assert costs[0] == pytest.approx((28 * 20 + 40 * 4) / 24 * 1.5, abs=0.01)
    assert costs[3] == pytest.approx(32.5)
    assert costs[4] == pytest.approx(40)


def test_what_is_owned_is_never_planned_fuller_than_allowed(past: Path) -> None:
    found = planned(f"--csv={past}", "--nodes=4", "--node-cores=10", "--target-utilization=50", "--cpu=1")

    # A replica uses half of its request: 40 of them are 20 of the 20 cores that may be used.
    assert found["workloads"][0]["threshold"] == 40
    assert (found["peakCores"], found["allowedCores"]) == (20, 20)
    assert found["policies"][0]["savedVsOwned"] is None, "no prices, no amounts"


def test_the_table_says_the_same(past: Path) -> None:
    text = plan(f"--csv={past}", "--nodes=3", *SIZED[1:], *PRICED).stdout

    assert "Deployment/shop/cart" in text
    assert "cheapest number of owned nodes: 3\n" in text
    assert "30 of 30 cores" in text
    assert "saving per hour: 7.50 CNY compared with owning nodes for the peak" in text
    assert "no saving is shown" in plan(f"--csv={past}", *SIZED).stdout


def test_the_formats_are_those_of_the_other_plans(past: Path) -> None:
    flags = (f"--csv={past}", "--nodes=3", *SIZED[1:], *PRICED, "-o")

    assert plan(*flags, "table").stdout.startswith("WORKLOAD ")
    assert "SAVING/H AGAINST VIRTUAL" not in plan(*flags, "table").stdout
    assert "SAVING/H AGAINST VIRTUAL" in plan(*flags, "wide").stdout
    of_yaml, of_json = yaml.safe_load(plan(*flags, "yaml").stdout), json.loads(plan(*flags, "json").stdout)
    assert {**of_yaml["plan"], "made": 0} == {**of_json["plan"], "made": 0}


@pytest.mark.parametrize("minutes", [15, 60])
def test_data_of_every_quarter_or_hour_is_a_whole_history(tmp_path: Path, minutes: int) -> None:
    lines = ["workload,time,replicas"]
    for step in range(8 * 24 * 60 // minutes):
        moment = START + timedelta(minutes=minutes * step)
        lines.append(f"Deployment/shop/cart,{moment.isoformat()},{replicas_at(moment.hour)}")
    path = tmp_path / "past.csv"
    path.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")

    [cart] = planned(f"--csv={path}", "--nodes=3", *SIZED[1:], *PRICED)["workloads"]

    assert (cart["threshold"], cart["peak"], cart["confidence"]) == (30, 40, 100)
    assert cart["historySeconds"] == 8 * 86_400


def test_values_that_are_a_day_apart_are_said_to_be_too_few(tmp_path: Path) -> None:
    path = tmp_path / "past.csv"
    days = "".join(f"cart,{(START + timedelta(days=day)).isoformat()},3\n" for day in range(30))
    path.write_text(f"workload,time,replicas\n{days}")

    shown = " ".join(plan(f"--csv={path}", *SIZED).stdout.split())

    assert "24.0 hours apart" in shown


def test_a_short_past_keeps_everything_physical(tmp_path: Path) -> None:
    path = tmp_path / "past.csv"
    path.write_text("workload,time,replicas\ncart,1790000000,3\ncart,1790003600,9\n")

    found = planned(f"--csv={path}", *SIZED)

    assert found["workloads"][0]["threshold"] is None
    assert found["policies"][0]["learning"] == 1
    assert "less than 2 days" in plan(f"--csv={path}", *SIZED).stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("name,time,replicas\n", 'line 1: .* missing: workload; found: "name,time', id="column"),
        pytest.param("workload,time,replicas\ncart,1790000000\n", "line 2, column replicas: must", id="short line"),
        pytest.param("workload,time,replicas\ncart,1790000000000,3\n", "line 2, .* milliseconds", id="milliseconds"),
        pytest.param(b"workload,time,replicas\n\xff,1,2", "line 2: byte 1 is not UTF-8 text", id="binary"),
        pytest.param("workload,time,replicas\n", "no workload found", id="empty"),
        pytest.param(None, "cannot be read", id="no file"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "past.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    result = plan(f"--csv={path}", *SIZED)

    assert result.exit_code == (live.NEGATIVE if message == "no workload found" else live.UNREADABLE)
    assert result.stdout == ""
    assert re.search(f"^error: .*{message}", result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((), "either --csv or --prometheus-url", id="no source"),
        pytest.param(("--csv=a", "--prometheus-url=http://b"), "either --csv or", id="two sources"),
        pytest.param(("--csv=a",), "--node-cores and --cpu", id="no size"),
        pytest.param(("--csv=a", "--policy=p", "--nodes=3", "--cpu=1"), "^--cpu, --nodes: only without", id="policy"),
        pytest.param(("--csv=a", "--node-cores=8", "--cpu=much"), "--cpu: .* is not a quantity", id="cpu"),
        pytest.param(("--csv=a", *SIZED, "--memory=much"), "--memory: .* is not a quantity", id="memory"),
        pytest.param(("--csv=a", *SIZED, "--history=2weeks"), "--history: .* is not a duration", id="history"),
        pytest.param(("--csv=a", *SIZED, "--history=47h"), '--history: must be at least two days.*"47h"', id="short"),
        pytest.param(
            ("--prometheus-url=prometheus:9090", *SIZED), "--prometheus-url: .* http\\(s\\) URL", id="address"
        ),
        pytest.param(("--prometheus-url=http://b", *SIZED, "--prometheus-matcher=cluster"), "NAME=VALUE", id="matcher"),
        pytest.param(("--prometheus-url=http://b", *SIZED, "--prometheus-ca-file=ca"), "need an https URL", id="TLS"),
    ],
)
def test_flags_that_do_not_go_together(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CliRunner().invoke(application(), ["plan", "thresholds", *arguments], catch_exceptions=False)


def test_a_variable_for_prometheus_does_not_stand_in_the_way_of_a_file(
    past: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPILLWAY_PROMETHEUS_URL", "http://127.0.0.1:9")

    assert planned(f"--csv={past}", *SIZED)["workloads"]
    assert "cannot be reached" in plan(*SIZED).stderr


def test_a_cluster_that_is_away(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )

    result = plan("--policy=online", f"--kubeconfig={kubeconfig}", "--prometheus-url=http://127.0.0.1:9")

    assert result.exit_code == live.UNREADABLE
    assert "the cluster cannot be read" in result.stderr

    result = plan(
        "--policy=online", f"--kubeconfig={kubeconfig}", "--context=prod", "--prometheus-url=http://127.0.0.1:9"
    )
    assert result.exit_code == live.UNREADABLE
    assert "prod" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "kubeconfig .* not found", id="no file"),
        pytest.param("workload,time,replicas", "cannot be used", id="another file"),
        pytest.param("{}", "current-context", id="empty"),
        pytest.param("a: [1", "cannot be used: while parsing", id="no YAML"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, content: str | None, message: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)

    result = plan("--policy=online", f"--kubeconfig={kubeconfig}", "--prometheus-url=http://127.0.0.1:9")

    assert (result.exit_code, len(result.stderr.splitlines())) == (live.UNREADABLE, 1)
    assert re.search(f"^error: the cluster cannot be read: .*{message}", result.stderr), result.stderr


def test_a_prometheus_that_is_away() -> None:
    result = plan("--prometheus-url=http://127.0.0.1:9", *SIZED)

    assert (result.exit_code, result.stdout) == (live.UNREADABLE, "")
    assert re.fullmatch(r"error: http://127\.0\.0\.1:9 cannot be reached: .*\n", result.stderr), result.stderr


def test_what_must_stay_and_does_not_fit_is_said(tmp_path: Path) -> None:
    young = tmp_path / "young.csv"
    young.write_text("workload,time,replicas\nDeployment/shop/cart,2026-01-05T18:00:00Z,12\n")

    assert "2 cores more than the target allows" in plan(f"--csv={young}", "--nodes=1", *SIZED[1:]).stdout
    assert "more than the target" not in plan(f"--csv={young}", "--nodes=2", *SIZED[1:]).stdout


def test_the_example_of_the_docs_is_what_the_command_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "docs/how-to/thresholds.md").read_text()
    [command, shown] = re.findall(r"\$ spillway plan thresholds (--csv demand.csv .*)\n((?:.*\n)+?)```", text)[0]
    moments = [START + timedelta(minutes=5 * step) for step in range(7 * 288)]
    lines = [f"Deployment/shop/cart,{one:%Y-%m-%dT%H:%M:%SZ},{replicas_at(one.hour)}" for one in moments]
    (tmp_path / "demand.csv").write_text("\n".join(["workload,time,replicas", *lines, ""]))
    monkeypatch.chdir(tmp_path)

    result = plan(*command.split())

    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.stdout.rstrip().splitlines()] == shown.splitlines()
    assert "\n".join(["workload,time,replicas", *lines[:2]]) in text


def test_no_node_is_free_beside_what_must_be_owned(tmp_path: Path) -> None:
    """Two samples are no history, so all 40 replicas stay on owned nodes, whatever that costs."""
    path = tmp_path / "young.csv"
    path.write_text(
        "workload,time,replicas\n"
        "Deployment/shop/cart,2026-01-05T18:00:00Z,28\nDeployment/shop/cart,2026-01-05T18:05:00Z,40\n"
    )
    found = planned(f"--csv={path}", "--nodes=0", "--node-cores=10", "--cpu=1", *PRICED)

    [policy] = found["policies"]
    assert [(one["nodes"], one["costPerHour"]) for one in policy["nodes"]] == [(4, 40.0)]
    assert policy["ownedNodesAdvised"] == 4


@pytest.mark.parametrize(("others", "said"), [((), False), ((PlannedPolicy(name="online", auto=1, learning=0),), True)])
def test_the_sums_of_a_plan_beside_a_policy_that_only_recommends(
    others: tuple[PlannedPolicy, ...], *, said: bool
) -> None:
    watched = PlannedPolicy(name="watched", auto=1, learning=0, acting=False)
    made = Plan(
        made=0.0,
        fingerprint="",
        capacity_cores=10.0,
        peak_cores=4.0,
        allowed_cores=6.5,
        seconds=0.1,
        policies=(watched, *others),
    )

    text = live.text_of(thresholds_plan("watched", made), live.Format.TABLE, thresholds_view)

    assert ("this is the plan of the enforced policies; watched is in Recommend" in text) == said
