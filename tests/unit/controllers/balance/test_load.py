"""The controller of loads, with answers of metrics.k8s.io as a server gives them."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.balance.load import LoadController
from spillway.controllers.balance.readings import Readings
from spillway.domain.model.names import NodeName
from spillway.kube.errors import UnreachableError
from spillway.state.catalog import Kind
from tests.builders import make_node
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource

NAMES = ("n1", "n2")


class Metrics:
    """An API server that has metrics.k8s.io alone."""

    def __init__(self) -> None:
        self.asked = 0
        self.items: list[dict[str, Any]] = []
        self.down = False

    def use(self, **nodes: tuple[str, str]) -> None:
        self.items = [
            {"metadata": {"name": name}, "timestamp": "1970-01-01T00:16:40Z", "usage": {"cpu": cpu, "memory": memory}}
            for name, (cpu, memory) in nodes.items()
        ]

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        assert (method, path) == ("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
        self.asked += 1
        if self.down:
            raise UnreachableError("connection refused")
        return msgspec.json.encode({"kind": "NodeMetricsList", "items": self.items})


def scene(*balances: dict[str, Any]) -> tuple[LoadController, Metrics, FakeClock]:
    clock = FakeClock()
    world = make_world([make_node(name) for name in NAMES], balances, clock)
    metrics = Metrics()
    metrics.use(n1=("4000000000n", "16Gi"), n2=("800m", "0"))
    return LoadController(world, Readings(world, metrics, None)), metrics, clock


def balance(name: str = "even", **spec: Any) -> dict[str, Any]:
    return resource(Kind.ZONAL_BALANCE, name, **spec)


async def test_the_load_is_the_weighted_share_of_what_a_node_can_allocate() -> None:
    controller, _, _ = scene(balance(load={"weights": {"cpu": 50, "memory": 50}}))
    assert await controller.reconcile("even") == 30.0
    assert controller.world.board.loads["even"].percent == {NodeName("n1"): 50.0, NodeName("n2"): 5.0}


async def test_the_load_is_read_once_in_a_refresh_and_once_for_all_balances() -> None:
    controller, metrics, clock = scene(balance("even", load={}), balance("other", load={}), balance("third"))
    for key in ("even", "other", "third", "even"):
        await controller.reconcile(key)
    assert metrics.asked == 1
    assert set(controller.world.board.loads) == {"even", "other"}
    await clock.advance(29.0)
    assert await controller.reconcile("even") == pytest.approx(1.0)
    await clock.advance(1.0)
    assert await controller.reconcile("even") == 30.0
    assert metrics.asked == 2


async def test_a_failed_reading_keeps_the_last_loads_and_says_why() -> None:
    controller, metrics, clock = scene(balance(load={}))
    await controller.reconcile("even")
    before = controller.world.board.loads["even"]
    metrics.down = True
    await clock.advance(30.0)
    await controller.reconcile("even")
    after = controller.world.board.loads["even"]
    assert (after.percent, after.at) == (before.percent, before.at)
    assert after.problem is not None
    assert (after.problem.reason, "connection refused" in after.problem.message) == ("MetricsUnreachable", True)
    metrics.down = False
    await clock.advance(30.0)
    await controller.reconcile("even")
    assert controller.world.board.loads["even"].problem is None


async def test_a_partial_answer_does_not_count() -> None:
    controller, metrics, _ = scene(balance(load={}))
    metrics.use(n1=("1", "1Gi"))
    await controller.reconcile("even")
    loads = controller.world.board.loads["even"]
    assert loads.problem is not None
    assert (loads.problem.reason, loads.percent) == ("PartialLoad", {})


async def test_an_entry_that_is_no_amount_is_left_out() -> None:
    controller, metrics, _ = scene(balance(load={}))
    metrics.use(n1=("much", "1Gi"), n2=("1", "1Gi"))
    await controller.reconcile("even")
    loads = controller.world.board.loads["even"]
    assert loads.problem is not None
    assert loads.problem.message.startswith("1 of 2 nodes")


async def test_a_balance_that_needs_no_load_any_more_has_none() -> None:
    controller, _, _ = scene(balance(hotNodes={}))
    await controller.reconcile("even")
    assert "even" in controller.world.board.loads
    controller.world.catalog.replace(Kind.ZONAL_BALANCE, [resource(Kind.ZONAL_BALANCE, "even", version=2)], 60)
    await controller.reconcile("even")
    assert "even" not in controller.world.board.loads


async def test_without_a_prometheus_its_queries_have_no_answer() -> None:
    controller, _, _ = scene(balance(load={"source": "Prometheus", "queries": {"cpu": "node:cpu:ratio"}}))
    await controller.reconcile("even")
    problem = controller.world.board.loads["even"].problem
    assert problem is not None
    assert problem.reason == "NoPrometheus"
