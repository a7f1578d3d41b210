"""Moves for requests on nodes with little load, and for crowded load classes: after those for zones and the load."""

from typing import Any

import msgspec
import pytest

from spillway.domain.balance.bounds import PERIOD_SECONDS, WORKLOAD_SECONDS
from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.move_effect import EFFECT_SECONDS
from spillway.domain.balance.moves import MovePlan
from spillway.domain.model.names import LOAD_CLASS, ZONE_LABEL, NodeName
from spillway.domain.surge.steps import SurgeOutcome
from spillway.state.catalog import Kind
from spillway.telemetry import balance as metrics
from spillway.telemetry.registry import REGISTRY
from tests.builders import make_pod, make_replicaset
from tests.support.rebalancing import APPS, SETTLE_SECONDS, Scene
from tests.support.world import ELASTIC, Record, policy_resource

MEMORY_COUNTS = {"weights": {"cpu": 20, "memory": 80}}
CLASSES = {"load": MEMORY_COUNTS, "classes": {"history": "1h"}}


def _reserved(record: Record) -> Record:
    """`web` and `api` request 94 % of the node that is idle."""
    requested = {"web-1": 5000, "api-1": 2500}.get(getattr(record, "name", ""))
    if requested is None:
        return record
    return msgspec.structs.replace(record, node=NodeName("idle"), cpu_millis=requested)


def reserved_scene(*more: dict[str, Any], **rebalance: Any) -> Scene:
    """A busy node none of whose pods helps, and an idle node that has no room for pods."""
    scene = Scene(*more, change=_reserved, **rebalance)
    scene.metrics.cpu = dict.fromkeys(scene.metrics.names, "100m")
    return scene


def classed_scene(*more: dict[str, Any], change: Any = None, **rebalance: Any) -> Scene:
    """Nodes of even load, of which two are full of pods that use much CPU."""
    scene = Scene(*more, change=change, spec={**CLASSES, **rebalance.pop("spec", {})}, **rebalance)
    scene.world.board.set_load_classes("even", {f"Deployment/shop/{app}": LoadClass.CPU for app in APPS})
    return scene


async def evenly(scene: Scene, seconds: float = SETTLE_SECONDS) -> None:
    """A pass in which the load of all nodes is even."""
    await scene.clock.advance(seconds)
    scene.load(50.0, 50.0, 50.0)
    await scene.controller.reconcile("even")


def lines(scene: Scene) -> tuple[str, ...]:
    moves = scene.controller.moves("even")
    assert moves is not None
    return moves.next


async def test_room_is_made_on_an_idle_node_that_is_reserved() -> None:
    scene = reserved_scene()
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert moves.next == ("shop/web-1: idle (requests 94 % to 31 %) to other",)
    assert moves.expected_imbalance_percent is None, "it says nothing about the load"
    [event] = scene.events.said
    assert event.message == (
        "Nodes with little load have more than 90 % of their CPU or memory requested: moves planned: 1, first "
        "shop/web-1: idle (requests 94 % to 31 %) to other."
    )
    assert b'spillway_balance_moves_planned{balance="even",reason="Requests"} 1' in metrics.MOVES_PLANNED.text


async def test_moves_for_the_load_come_before_those_for_requests() -> None:
    scene = reserved_scene()
    scene.metrics.cpu["cart-1"] = "2"
    await scene.later()
    assert lines(scene) == ("shop/cart-1: busy (95 % to 70 %) to idle",)


async def test_no_room_is_made_at_the_expense_of_elastic_nodes() -> None:
    labels = {"labels": {ZONE_LABEL: "a", "pool": "elastic"}}
    scene = reserved_scene(policy_resource(elastic=ELASTIC), nodes={"other": labels, "busy": labels})
    await scene.later()
    assert lines(scene) == ()


async def test_moves_without_effect_are_exported_before_the_first_one_until_the_balance_is_gone() -> None:
    def exported() -> float | None:
        return REGISTRY.get_sample_value("spillway_balance_moves_without_effect_total", {"balance": "even"})

    scene = reserved_scene()
    metrics.MOVES_WITHOUT_EFFECT.clear()
    await scene.later()
    assert exported() == 0
    scene.world.catalog.replace(Kind.ZONAL_BALANCE, [], 100)
    await scene.controller.reconcile("even")
    assert exported() is None


async def test_moves_for_requests_wait_and_pause_while_they_do_not_help() -> None:
    scene = reserved_scene(mode="Active", by="Evict")
    before = metrics.MOVES_WITHOUT_EFFECT.labels("even")._value.get()
    await scene.later()
    assert scene.evicted == ["web-1"]
    message = "Evicted to free requests on a node with little load: shop/web-1: idle (requests 94 % to 31 %) to other."
    assert [one.message for one in scene.events.said if one.what == "Normal PodMoved"] == [message]
    await scene.later(EFFECT_SECONDS - 1.0)
    assert scene.evicted == ["web-1"]
    # The state does not change: it is as if the pod had come back.
    await scene.later(1.0)
    assert metrics.MOVES_WITHOUT_EFFECT.labels("even")._value.get() == before + 1
    await scene.later(PERIOD_SECONDS)
    assert (lines(scene), scene.evicted) == ((), ["web-1"]), "none is planned in the pause"
    await scene.later(WORKLOAD_SECONDS)
    assert scene.evicted == ["web-1", "web-1"]


async def test_a_class_is_spread_over_nodes_of_even_load() -> None:
    scene = classed_scene()
    await evenly(scene)
    assert lines(scene) == (
        "shop/api-1: busy (cpu-bound 75 % to 50 %) to idle",
        "shop/cart-2: other (cpu-bound 75 % to 50 %) to idle",
    )
    [event] = scene.events.said
    assert event.message.startswith("Pods of one load class are crowded on nodes: moves planned: 2, first shop/api-1:")
    assert b'spillway_balance_moves_planned{balance="even",reason="Classes"} 2' in metrics.MOVES_PLANNED.text


async def test_by_surge_the_event_says_why_and_the_next_moves_wait() -> None:
    scene = classed_scene(mode="Active", by="Surge", maxMovesPerMinute=1)
    counted = metrics.MOVES.labels("even", "Classes", "moved")
    before = counted._value.get()
    await evenly(scene)
    assert scene.in_progress == 1
    scene.end(SurgeOutcome.SUCCEEDED)
    [moved] = [one.message for one in scene.events.said if one.what == "Normal PodMoved"]
    assert moved.startswith("A pod was moved off node busy to spread its load class over nodes: ")
    assert counted._value.get() == before + 1
    await evenly(scene, EFFECT_SECONDS - 1.0)
    assert scene.in_progress == 0


async def test_the_end_of_a_move_that_a_former_leader_began_counts_as_one_for_the_load() -> None:
    scene = classed_scene(mode="Active", by="Surge")
    await evenly(scene)
    scene.controller._memories["even"].begun.clear()
    scene.end(SurgeOutcome.SUCCEEDED, node="")
    [moved] = [one.message for one in scene.events.said if one.what == "Normal PodMoved"]
    assert moved.startswith("A pod was moved off its node to make the load of nodes even: ")


async def test_a_move_that_a_former_leader_began_is_not_judged() -> None:
    scene = Scene(mode="Active", by="Surge")
    before = metrics.MOVES_WITHOUT_EFFECT.labels("even")._value.get()
    await scene.later()
    scene.controller._memories.clear()
    await scene.controller.reconcile("even")
    scene.end(SurgeOutcome.SUCCEEDED)
    await scene.later(EFFECT_SECONDS - 1.0)
    assert scene.in_progress == 0, "the load has to show what it did"
    await scene.later(1.0)
    assert (scene.in_progress, scene.planned) == (1, ["shop/cart-1"])
    assert metrics.MOVES_WITHOUT_EFFECT.labels("even")._value.get() == before


async def test_a_move_that_is_given_back_says_for_what_it_was() -> None:
    scene = classed_scene(mode="Active", by="Surge", maxMovesPerMinute=1)
    await evenly(scene)
    scene.end(SurgeOutcome.NO_GAIN)
    [left] = [one.message for one in scene.events.said if one.what == "Normal MoveLeft"]
    assert left.startswith("A pod is not moved to spread its load class over nodes: ")


def _labelled(record: Record) -> Record:
    """The template of `api` says that it is of another class."""
    if record.name == "api" and hasattr(record, "labels"):
        return msgspec.structs.replace(record, labels={LOAD_CLASS: "gpu"})
    return record


async def test_the_label_of_a_template_counts_instead_of_the_measured_class() -> None:
    scene = classed_scene(change=_labelled)
    await evenly(scene)
    assert lines(scene)[0] == "shop/cart-1: busy (cpu-bound 50 % to 25 %) to idle"


POOL = {"labels": {ZONE_LABEL: "a", "pool": "elastic"}}


async def test_an_elastic_node_is_not_relieved_of_a_class_and_does_not_count() -> None:
    scene = classed_scene(policy_resource(elastic=ELASTIC), nodes={"busy": POOL})
    await evenly(scene)
    assert lines(scene) == ("shop/api-2: other (cpu-bound 75 % to 50 %) to idle",)
    plan = scene.controller.plans["even"]
    assert isinstance(plan, MovePlan)
    assert (plan.before, plan.after) == (55.0, 5.0), "what is beyond 20 points on the node that can be relieved"


async def test_a_class_with_pods_on_elastic_nodes_alone_is_not_crowded() -> None:
    scene = classed_scene(policy_resource(elastic=ELASTIC), nodes={"busy": POOL, "other": POOL})
    await evenly(scene)
    assert lines(scene) == ()


def _never_starts(record: Record) -> Record:
    """A replica of `web` is bound and never ready."""
    return msgspec.structs.replace(record, ready=False) if record.name == "web-2" else record


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "never started"])
async def test_pods_that_are_not_measured_switch_off_class_moves_of_no_other_workload(*, ready: bool) -> None:
    scene = classed_scene(change=None if ready else _never_starts)
    scene.metrics.names = [name for name in scene.metrics.names if name != "web-2"]
    for index in range(3, 9):
        owner = make_replicaset("web").uid
        scene.world.state.apply(make_pod(f"web-{index}", node=NodeName("other"), owner_uid=owner, ready=ready))
    await evenly(scene)
    # What `web` uses on `busy` counts if all of its pods that have started are measured.
    share = "50 % to 25 %" if ready else "75 % to 50 %"
    assert lines(scene)[0] == f"shop/api-1: busy (cpu-bound {share}) to idle"


@pytest.mark.parametrize("why", ["only reported", "no class", "not measured", "elastic target", "uneven load"])
async def test_no_class_is_spread(why: str) -> None:
    reported = {"spec": {"classes": {"enabled": False}}} if why == "only reported" else {}
    elastic = {"idle": {"labels": {ZONE_LABEL: "a", "pool": "elastic"}}} if why == "elastic target" else {}
    scene = classed_scene(policy_resource(elastic=ELASTIC), nodes=elastic, **reported)
    if why == "no class":
        scene.world.board.set_load_classes("even", {})
    if why == "not measured":
        scene.metrics.names = scene.metrics.names[::2]
    if why == "uneven load":
        # It would be more uneven with a pod that uses 5 points more on `idle`.
        await scene.clock.advance(SETTLE_SECONDS)
        scene.load(40.0, 55.0, 50.0)
        await scene.controller.reconcile("even")
    else:
        await evenly(scene)
    assert lines(scene) == ()
