"""The tables of `spillway plan scaling`, `headroom` and `moves`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.plan_views import plan_view
from spillway.domain.overview.plans import HeadroomPlan, HeadroomRow, MovesPlan, MovesRow, ScalingPlan, ScalingRow

SCALING = ScalingPlan((ScalingRow("online", "Deployment/shop/cart", 12, "Schedule", "evening", 9, "cart"),))
HEADROOM = HeadroomPlan((HeadroomRow("online", 6, 4, 2, "1", "2Gi", "Forecast", None, 6, None),))
MOVES = MovesPlan(
    (
        MovesRow("ZonalBalance", "even", "Active", "EvenLoad", ("shop/web-1: n1 to n4",), 1, 7, 2, (), (), 40, 12),
        MovesRow("ElasticPolicy", "online", "DryRun", "EmptyNodes", (), 0, 0, 0, ("db: Paused",), ("e1",), None, None),
    )
)


def shown(found: object, output: live.Format = live.Format.TABLE) -> str:
    return live.text_of(found, output, plan_view)


def test_scaling() -> None:
    assert "Schedule evening" in shown(SCALING)
    assert "FORECAST" not in shown(SCALING)
    assert "FORECAST" in shown(SCALING, live.Format.WIDE)
    assert json.loads(shown(SCALING, live.Format.JSON))["scaling"][0]["replicas"] == 12


def test_headroom() -> None:
    assert "4/6" in shown(HEADROOM)
    assert "(Recommend)" in shown(HEADROOM)
    assert "2Gi" in shown(HEADROOM, live.Format.WIDE)
    assert json.loads(shown(HEADROOM, live.Format.JSON))["headroom"][0]["heldBy"] is None


def test_moves() -> None:
    text = shown(MOVES)

    assert "ZonalBalance/even, to even out load (mode Active)" in text
    assert "imbalance: 40 points between the most and the least loaded node, 12 points after the moves" in text
    assert "next: shop/web-1: n1 to n4" in text
    assert "moved: 7 since the leader started, 2 in the last 24 hours; 1 in progress" in text
    assert "emptying: e1" in text
    assert "not moved: db: Paused" in text
    assert json.loads(shown(MOVES, live.Format.JSON))["moves"][0]["expectedImbalancePercent"] == 12


@pytest.mark.parametrize("empty", [ScalingPlan(()), HeadroomPlan(()), MovesPlan(())])
def test_there_may_be_no_plan(empty: object) -> None:
    assert shown(empty).startswith("No ")


@pytest.mark.parametrize("what", ["scaling", "headroom", "moves"])
def test_a_cluster_that_cannot_be_read(what: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(application(), ["plan", what, f"--kubeconfig={tmp_path / 'absent'}"])

    assert result.exit_code == live.UNREADABLE
