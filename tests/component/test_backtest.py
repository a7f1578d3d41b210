"""`spillway backtest` on the past that a real Prometheus has."""

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from harness.prometheus import PushedPrometheus, prometheus_running
from spillway.cli import live
from spillway.cli.commands import application
from tests.support.prometheus import replicas_series

DAY = 86_400.0
SETUP = ("--nodes=3", "--node-cores=4", "--node-hour=0.2", "--virtual-cpu-hour=0.06", "--cpu=1")


@pytest.fixture(scope="module")
def server() -> Iterator[PushedPrometheus]:
    now = time.time()
    minutes = np.arange(now - 3.2 * DAY, now, 60.0)
    hour = minutes % DAY / 3600
    with prometheus_running() as running:
        running.push(
            [
                (replicas_series("Deployment/shop/cart"), minutes, np.where((hour >= 18) & (hour < 22), 20.0, 5.0)),
                (replicas_series("Deployment/shop/pay"), minutes, np.full(minutes.size, 3.0)),
            ]
        )
        yield running


def backtest(*arguments: str) -> Result:
    return CliRunner().invoke(application(), ["backtest", *arguments])


def test_all_workloads_that_it_knows_are_replayed(server: PushedPrometheus) -> None:
    found = backtest(f"--prometheus-url={server.url}", "--history=3d", *SETUP, "-o", "json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["hours"] == pytest.approx(24, abs=1.1)
    assert set(told["thresholds"][-1]["replicas"]) == {"Deployment/shop/cart", "Deployment/shop/pay"}
    # 23 cores at the peak need six nodes of four.
    assert told["contenders"]["owned for the peak"]["cost"] == pytest.approx(0.2 * 6 * told["hours"])
    assert told["contenders"]["spillway"]["virtualCoreHours"] > 0


def test_one_that_does_not_answer_is_named() -> None:
    found = backtest("--prometheus-url=http://127.0.0.1:9", *SETUP)
    assert found.exit_code == live.UNREADABLE
    assert "127.0.0.1:9" in found.stderr
