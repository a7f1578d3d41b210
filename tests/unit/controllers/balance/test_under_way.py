"""Several ZonalBalances over the same nodes, and consolidation beside them: what one moves counts for the others."""

from collections.abc import Mapping

import msgspec
import pytest

from spillway.controllers.balance.under_way import MovesUnderWay
from spillway.controllers.surge.moves import MoveRequest
from spillway.domain.balance.arrivals import SUCCESSOR_SECONDS
from spillway.domain.balance.load import Loads
from spillway.domain.balance.move_effect import EFFECT_SECONDS
from spillway.domain.balance.moves import MovePlan
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase
from spillway.domain.surge.steps import Purpose
from spillway.state.catalog import Kind
from tests.builders import make_pod, make_replicaset
from tests.support.rebalancing import NODES, SETTLE_SECONDS, START, Scene
from tests.support.world import resource

BALANCES = {"even": "web", "second": "api", "third": "cart"}
"""Each ZonalBalance, and the one workload that it matches."""


class Several(Scene):
    """Three ZonalBalances over the same nodes."""

    def __init__(self, by: str = "Surge") -> None:
        load = {"load": {"weights": {"cpu": 100, "memory": 0}}, "rebalance": {"mode": "Active", "by": by}}
        matched = {name: {"match": {"labels": {"matchLabels": {"app": app}}}} for name, app in BALANCES.items()}
        more = [
            resource(Kind.ZONAL_BALANCE, name, version=version, **load, **matched[name])
            for version, name in ((2, "second"), (3, "third"))
        ]
        super().__init__(*more, spec={**load, **matched["even"]})

    def measured(self, *percent: float) -> None:
        """A reading of the loads of the nodes for all of them."""
        loads = Loads(dict(zip(map(NodeName, NODES), percent, strict=True)), self.clock.now())
        self.world.state.mark_synced()
        for name in BALANCES:
            self.world.board.set_loads(name, loads)

    async def passed(self, *percent: float, seconds: float = SETTLE_SECONDS) -> None:
        """A pass of each with these loads, some time later."""
        await self.clock.advance(seconds)
        self.measured(*percent)
        for name in BALANCES:
            await self.controller.reconcile(name)

    @property
    def moves(self) -> Mapping[str, list[str]]:
        """The texts of the moves that each has planned."""
        return {name: [move.text for move in plan.moves] for name, plan in self.controller.plans.items()}

    @property
    def imbalance(self) -> int:
        """By how much the loads differ that the second one plans with."""
        plan = self.controller.plans["second"]
        assert isinstance(plan, MovePlan)
        return round(plan.before)

    def appears(self, app: str, node: str) -> None:
        """The pod that takes the place of a moved one is on a node."""
        now = self.clock.now()
        uid = make_replicaset(app).uid
        self.world.state.apply(make_pod(f"{app}-9", node=NodeName(node), owner_uid=uid, created=now, ready_since=now))

    def finishes(self, name: str) -> None:
        pod = self.world.state.pods[make_pod(name).uid]
        self.world.state.apply(msgspec.structs.replace(pod, phase=Phase.SUCCEEDED))


@pytest.mark.parametrize("by", ["Surge", "Evict"])
async def test_a_move_that_evens_the_nodes_is_enough_whoever_asks(by: str) -> None:
    scene = Several(by)
    await scene.passed(95.0, 20.0, 60.0)
    assert scene.moves == {"even": ["shop/web-1: busy (95 % to 70 %) to idle"], "second": [], "third": []}
    expected = {name: found.expected_imbalance_percent for name in BALANCES if (found := scene.controller.moves(name))}
    assert expected == dict.fromkeys(BALANCES, 25), "of the nodes as they will be"
    assert len(scene.surges.under_way()) + len(scene.evicted) == 1


async def test_a_move_counts_once_while_its_pods_come_and_go() -> None:
    scene = Several()
    await scene.passed(95.0, 20.0, 60.0)
    assert scene.imbalance == 25
    scene.appears("web", "idle")
    await scene.passed(95.0, 20.0, 60.0, seconds=1)
    assert scene.imbalance == 25, "the pod that came counts instead of the one that is expected"
    scene.finishes("web-1")
    await scene.passed(95.0, 20.0, 60.0, seconds=1)
    assert scene.imbalance == 26, "and the pod that has gone instead of the one that is to go; the reading shows a part"


async def test_a_move_that_was_given_up_no_longer_counts() -> None:
    scene = Several()
    await scene.passed(95.0, 20.0, 60.0)
    scene.surges.forget(make_replicaset("web").uid)
    await scene.passed(95.0, 20.0, 60.0, seconds=1)
    assert scene.moves["second"] == ["shop/api-1: busy (95 % to 70 %) to idle"]


async def test_an_eviction_counts_until_its_successor_could_be_there() -> None:
    scene = Several("Evict")
    await scene.passed(95.0, 20.0, 60.0)
    await scene.passed(95.0, 20.0, 60.0, seconds=SUCCESSOR_SECONDS / 2)
    assert scene.evicted == ["web-1"]
    await scene.passed(95.0, 20.0, 60.0, seconds=SUCCESSOR_SECONDS / 2)
    assert scene.evicted == ["web-1", "api-1"]


async def test_an_eviction_counts_among_the_pods_of_a_node_until_the_load_shows_it_or_the_clock_is_set_back() -> None:
    scene = Several("Evict")
    pod = scene.world.state.pods[make_pod("web-1").uid]
    found = MovesUnderWay(scene.world, scene.surges)
    found.note_eviction(
        MoveRequest(pod.owner_uid, pod.uid, Purpose.REBALANCE, "even", NodeName("idle"), scene.clock.now()), pod
    )
    assert [(one.comes, one.lately) for one in found.of_others("second")] == [(True, True)]
    await scene.clock.advance(SUCCESSOR_SECONDS)
    assert [(one.comes, one.lately) for one in found.of_others("second")] == [(False, True)]
    await scene.clock.advance(EFFECT_SECONDS - SUCCESSOR_SECONDS)
    assert not found.of_others("second")
    found.note_eviction(
        MoveRequest(pod.owner_uid, pod.uid, Purpose.REBALANCE, "even", NodeName("idle"), scene.clock.now() + 3600), pod
    )
    assert not found.of_others("second")


async def test_at_most_two_pods_leave_a_node_at_once_whoever_moves_them() -> None:
    scene = Several()
    scene.metrics.cpu = dict.fromkeys(scene.metrics.names, "400m")
    await scene.passed(95.0, 20.0, 20.0)
    assert scene.moves == {
        "even": ["shop/web-1: busy (95 % to 90 %) to idle"],
        "second": ["shop/api-1: busy (90 % to 85 %) to other"],
        "third": [],
    }
    await scene.passed(95.0, 20.0, 20.0, seconds=EFFECT_SECONDS)
    assert scene.moves["third"] == ["shop/cart-1: busy (85 % to 80 %) to idle"], "slow ones hold up no other"


async def test_the_moves_of_consolidation_count_as_well() -> None:
    scene = Several()
    pod = scene.world.state.pods[make_pod("cart-1").uid]
    scene.surges.ask(MoveRequest(pod.owner_uid, pod.uid, Purpose.CONSOLIDATE, "online", NodeName("idle"), START))
    await scene.passed(95.0, 20.0, 60.0)
    assert scene.moves["even"] == []


async def test_what_a_pod_uses_that_is_not_measured_is_not_counted() -> None:
    scene = Several()
    scene.metrics.names = [name for name in scene.metrics.names if not name.startswith("web")]
    pod = scene.world.state.pods[make_pod("web-1").uid]
    scene.surges.ask(MoveRequest(pod.owner_uid, pod.uid, Purpose.REBALANCE, "even", NodeName("idle"), START))
    await scene.passed(95.0, 20.0, 60.0)
    assert scene.moves["second"] == ["shop/api-1: busy (95 % to 70 %) to idle"]
