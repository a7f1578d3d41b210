"""The controller of hot nodes, with the real state and catalog and a writer that keeps what it was asked."""

from typing import Any

import pytest

from spillway.controllers.balance.hot_nodes import ORPHANS, HotNodesController
from spillway.controllers.base import World
from spillway.domain.balance.hot_nodes import hot_taint
from spillway.domain.balance.load import Loads
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.domain.model.records import NodeRecord, Taint
from spillway.state.catalog import Kind
from tests.builders import make_node
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter
from tests.support.world import make_world, resource

THEIRS = Taint("dedicated", "NoSchedule", "gpu")
NAMES = ("n1", "n2", "n3")


class Scene:
    """Three nodes of one zone and the balances of a test."""

    def __init__(
        self, *balances: dict[str, Any], tainted: dict[str, str] | None = None, more: tuple[Any, ...] = ()
    ) -> None:
        self.clock = FakeClock()
        marks = tainted or {}
        nodes = [
            make_node(
                name,
                labels={ZONE_LABEL: "a", "pool": name},
                taints=(THEIRS, hot_taint(marks[name])) if name in marks else (THEIRS,),
            )
            for name in NAMES
        ]
        self.world: World = make_world(nodes, [*balances, *more], self.clock)
        self.writer = FakeWriter()
        self.events = FakeRecorder()
        self.controller = HotNodesController(self.world, self.writer, self.events)

    def load(self, balance: str, *percent: float) -> None:
        loads = {NodeName(name): value for name, value in zip(NAMES, percent, strict=True)}
        self.world.board.set_loads(balance, Loads(loads, self.clock.now()))

    async def reconcile(self, *keys: str) -> None:
        """Reconcile, and show the state what was written."""
        for key in keys:
            self.writer.writes.clear()
            await self.controller.reconcile(key)
            for write in self.writer.writes:
                seen, wanted = write.body["taints"]
                node = self.world.state.nodes[NodeName(write.name)]
                assert node.taints == tuple(seen)
                self.world.state.apply(make_node(write.name, labels=node.labels, taints=tuple(wanted)))

    @property
    def hot(self) -> dict[str, str]:
        return {
            node.name: taint.value
            for node in self.world.state.nodes.values()
            for taint in node.taints
            if taint.key == "spillway.dev/hot"
        }


def balance(name: str = "even", *, version: int = 1, **spec: Any) -> dict[str, Any]:
    return resource(Kind.ZONAL_BALANCE, name, version=version, **{"hotNodes": {"above": 80, "for": "5m"}, **spec})


async def test_a_node_is_tainted_after_the_time_and_untainted_when_it_has_cooled() -> None:
    scene = Scene(balance())
    for minutes, load, hot in (
        (0, 95.0, {}),
        (4, 95.0, {}),
        (1, 95.0, {"n1": "even"}),
        (1, 75.0, {"n1": "even"}),
        (1, 69.0, {}),
    ):
        await scene.clock.advance(60.0 * minutes)
        scene.load("even", load, 20.0, 20.0)
        await scene.reconcile("even")
        assert scene.hot == hot
    assert all(THEIRS in node.taints for node in scene.world.state.nodes.values())
    [event] = scene.events.said
    assert (event.about, event.what) == ("ZonalBalance/even", "Warning NodesHot")
    assert "n1" in event.message


async def test_without_a_load_nothing_changes() -> None:
    scene = Scene(balance(), tainted={"n1": "even"})
    scene.load("even", 10.0, 10.0, 10.0)
    await scene.clock.advance(181.0)
    await scene.reconcile("even", ORPHANS)
    assert scene.hot == {"n1": "even"}


@pytest.mark.parametrize(
    ("balances", "hot"),
    [
        pytest.param((), {}, id="the balance is gone"),
        pytest.param((balance(hotNodes={"softTaint": False}),), {}, id="it only reports"),
        pytest.param((resource(Kind.ZONAL_BALANCE, "even"),), {}, id="it asks for nothing"),
        pytest.param((balance(nodeSelector={"matchLabels": {"pool": "n2"}}),), {}, id="it does not select the node"),
        pytest.param((balance(),), {"n1": "even"}, id="it asks for the taint"),
        pytest.param((balance(), balance("older", version=0)), {}, id="an older one decides, and the node is not hot"),
    ],
)
async def test_a_taint_that_nobody_asks_for_is_removed(
    balances: tuple[dict[str, Any], ...], hot: dict[str, str]
) -> None:
    scene = Scene(*balances, tainted={"n1": "even"})
    for one in balances:
        scene.load(one["metadata"]["name"], 75.0, 20.0, 20.0)
    await scene.reconcile(ORPHANS, *(one["metadata"]["name"] for one in balances))
    assert scene.hot == hot


async def test_a_balance_that_only_reports_names_its_hot_nodes() -> None:
    scene = Scene(balance(hotNodes={"above": 80, "for": "0s", "softTaint": False}))
    scene.load("even", 95.0, 85.0, 20.0)
    await scene.reconcile("even")
    assert scene.controller.hot == {"even": ("n1", "n2")}
    assert not scene.writer.writes


async def test_a_virtual_node_is_never_tainted() -> None:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": {"pool": "n1"}})
    scene = Scene(balance(hotNodes={"above": 80, "for": "0s"}), more=(budget,))
    scene.load("even", 95.0, 90.0, 20.0)
    await scene.reconcile("even")
    assert scene.hot == {"n2": "even"}


@pytest.mark.parametrize("down", [{"ready": False}, {"unschedulable": True}], ids=["not ready", "cordoned"])
async def test_a_node_that_is_left_alone_in_its_zone_loses_its_taint(down: dict[str, bool]) -> None:
    scene = Scene(balance(hotNodes={"above": 80, "for": "0s"}))
    scene.load("even", 95.0, 90.0, 20.0)
    await scene.reconcile("even")
    assert scene.hot == {"n1": "even"}
    for name in ("n2", "n3"):
        scene.world.state.apply(make_node(name, labels={ZONE_LABEL: "a", "pool": name}, **down))
    await scene.reconcile("even")
    assert scene.hot == {}


async def test_a_node_that_changed_in_the_meantime_is_tried_again() -> None:
    async def refuse(_: object) -> bool:
        return False

    scene = Scene(balance(hotNodes={"above": 80, "for": "0s"}))
    scene.load("even", 95.0, 20.0, 20.0)
    scene.writer.respond = refuse
    assert await scene.controller.reconcile("even")


async def test_a_reading_and_a_changed_taint_queue_a_reconcile() -> None:
    scene = Scene(balance())
    assert len(list(scene.controller.subscribe())) == 3
    scene.load("even", 10.0, 10.0, 10.0)
    node: NodeRecord = make_node("n1", taints=(hot_taint("gone"),))
    scene.world.state.apply(node)
    assert len(scene.controller.queue) == 2
