"""The headroom of a policy over time: its size, the objects that hold it, and the nodes that may go."""

import pytest
from msgspec.structs import replace

from spillway.api.headroom import HeadroomStatus
from spillway.controllers.headroom.controller import BARREN_SECONDS, CHANGED_SECONDS, IGNORED_SECONDS, TAKEN_SECONDS
from spillway.domain.model.names import ZONE_LABEL
from spillway.domain.model.records import Pending, Phase, Taint
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.scaling.demand import STALE_SECONDS
from spillway.state.catalog import Kind
from spillway.telemetry.registry import exposition
from tests.builders import make_node, make_pod
from tests.unit.controllers.headroom.scene import FIXED, HOLD, JOBS, UNIT, Scene, elastic, policy


async def test_the_expected_rise_is_kept_evenly_over_the_zones() -> None:
    scene = Scene(policy({}))
    await scene.look()
    assert scene.server.items == {}
    scene.forecast(8.6)
    await scene.look()
    assert scene.server.replicas() == {"a": 3, "b": 2}
    headroom = scene.status.headroom
    assert headroom is not None
    assert (headroom.pods, headroom.nodes, headroom.reason) == (5, 2, "Forecast")
    assert headroom.unit is not None
    assert (headroom.unit.cpu, headroom.unit.memory) == ("1", "1024Mi")
    assert scene.condition == (False, "WaitingForNodes")
    [event] = scene.recorder.said
    assert event.what == "Normal HeadroomChanged"
    assert "is 5 placeholder pods of 1 of cpu and 1024Mi of memory (Forecast), before 0" in event.message
    assert b'spillway_headroom_pods{policy="online",zone="a"} 3.0' in exposition()


async def test_nothing_is_written_again_and_what_others_changed_is_put_back() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}))
    await scene.look()
    writes = len(scene.writer.writes)
    await scene.look()
    assert len(scene.writer.writes) == writes
    next(iter(scene.server.items.values()))["spec"]["replicas"] = 9
    await scene.look()
    assert scene.server.replicas() == {"a": 1, "b": 1}


async def test_it_shrinks_after_a_spike_once_less_was_enough_for_long_enough() -> None:
    scene = Scene(policy({}))
    scene.forecast(8.0)
    await scene.look()
    assert scene.server.replicas() == {"a": 2, "b": 2}
    scene.forecast(4.0)
    # The next pass is due when it may shrink.
    assert await scene.look(HOLD - 1) == 1.0
    assert scene.server.replicas() == {"a": 2, "b": 2}
    assert scene.status.headroom is not None
    assert scene.status.headroom.reason == "Held"
    await scene.look(2)
    assert scene.server.items == {}


async def test_nodes_are_ordered_before_the_peak_and_not_twice_when_it_takes_them() -> None:
    scene = Scene(policy({}))
    # The floor of autoscalers is still four; one start-up later it is ten.
    scene.forecast(4.0, later=10.0)
    await scene.look()
    assert scene.server.replicas() == {"a": 3, "b": 3}
    # The floor has come, and the replicas with it: what they take is not kept free once more.
    scene.forecast(10.0, later=10.0)
    scene.scale(10)
    await scene.look(1)
    assert scene.server.items == {}


async def test_replicas_that_may_take_headroom_from_a_forecast_require_a_pass_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(policy({}))
    await scene.look()
    asked: list[float] = []
    monkeypatch.setattr(scene.controller.queue, "add_after", lambda _, seconds: asked.append(seconds))
    list(scene.controller.subscribe())
    # There is no headroom to take.
    scene.scale(5)
    assert asked == []
    scene.forecast(5.0, later=10.0)
    await scene.look()
    scene.scale(8)
    assert asked == [TAKEN_SECONDS]
    scene.scale(6)
    assert asked == [TAKEN_SECONDS]


async def test_a_new_leader_keeps_what_there_is_until_it_has_forecasts() -> None:
    old = Scene(policy({}))
    old.forecast(8.0)
    await old.look()
    new = Scene(policy({}), items=old.server)
    await new.look()
    await new.look(HOLD + 1)
    assert new.server.replicas() == {"a": 2, "b": 2}
    new.forecast(4.0)
    await new.look(1)
    assert new.server.replicas() == {"a": 2, "b": 2}, "it shrinks as late as any other"
    await new.look(HOLD + 1)
    assert new.server.items == {}


def headroom_of(scene: Scene) -> HeadroomStatus:
    found = scene.status.headroom
    assert found is not None
    return found


async def test_a_new_leader_knows_the_size_of_elastic_nodes_while_there_are_none() -> None:
    """At night there may be none, and `max` in nodes bounds the units of the next morning by that size."""
    asked = {**FIXED, "min": {"pods": 9}, "max": {"nodes": 2}}
    old = Scene(policy(asked))
    await old.look()
    told = headroom_of(old)
    assert told.pods == 8

    without = Scene(policy(asked), nodes=())
    await without.look()
    assert (headroom_of(without).pods, headroom_of(without).node) == (2, None)

    new = Scene(policy(asked) | {"status": {"headroom": told.model_dump(mode="json", by_alias=True)}}, nodes=())
    await new.look()
    assert (headroom_of(new).pods, headroom_of(new).node) == (8, told.node)


@pytest.mark.parametrize("told", [{"cpu": "lots", "memory": "1Gi"}, {"cpu": "0", "memory": "1Gi"}, {"cpu": "2"}])
async def test_a_size_of_elastic_nodes_that_is_not_valid_counts_as_unknown(told: dict[str, str]) -> None:
    """It must not keep the controller from the policies that are in order."""
    asked = {**FIXED, "min": {"pods": 9}, "max": {"nodes": 2}}
    scene = Scene(policy(asked), nodes=())
    scene.world.catalog.replace(Kind.ELASTIC_POLICY, [policy(asked), policy(asked, name="sales")], 60)
    # The last valid form of the policy stays in force; its status is that of the new one.
    odd = policy(asked) | {"status": {"headroom": {"pods": 2, "node": told}}}
    scene.world.catalog.upsert(Kind.ELASTIC_POLICY, odd)
    await scene.look()
    assert (headroom_of(scene).pods, headroom_of(scene).node) == (2, None)
    assert set(scene.controller.report) == {"online", "sales"}


async def test_until_the_first_pass_the_status_keeps_its_value_only_where_headroom_is_asked_for() -> None:
    """A new leader writes the status before that pass if it begins on data that is out of date."""
    asked = {**FIXED, "min": {"pods": 2}}
    old = Scene(policy(asked))
    await old.look()
    told = headroom_of(old)
    present = {"status": {"headroom": told.model_dump(mode="json", by_alias=True)}}
    assert headroom_of(Scene(policy(asked) | present)) == told
    assert Scene(policy(None) | present).status.headroom is None


async def test_a_new_leader_without_forecasts_keeps_no_more_than_the_policy_wants() -> None:
    old = Scene(policy({"min": {"pods": 4}}))
    await old.look()
    new = Scene(policy({"min": {"pods": 4}}), items=old.server)
    await new.look()
    new.change(policy({"min": {"pods": 2}}, version=2))
    await new.look(HOLD + 1)
    assert new.server.replicas() == {"a": 1, "b": 1}


async def test_while_forecasts_are_out_of_date_the_headroom_is_no_less_than_the_last_one() -> None:
    scene = Scene(policy({"max": {"pods": 6}}))
    scene.forecast(8.0)
    await scene.look()
    await scene.look(STALE_SECONDS + HOLD)
    await scene.look(HOLD + 1)
    assert scene.server.replicas() == {"a": 2, "b": 2}
    headroom = scene.status.headroom
    assert headroom is not None
    assert (headroom.pods, headroom.reason) == (4, "ForecastStale")
    # The peak comes, and takes three of the four.
    scene.scale(7)
    await scene.look(HOLD + 1)
    assert sum(scene.server.replicas().values()) == 1
    # Forecasts are back.
    scene.forecast(7.0)
    await scene.look()
    await scene.look(HOLD + 1)
    assert scene.server.items == {}


async def test_a_refresh_without_any_forecast_gives_no_headroom_up() -> None:
    """Prometheus has restarted and has no samples yet, then it does not answer any more."""
    scene = Scene(policy({}))
    scene.forecast(8.0)
    await scene.look()
    scene.world.board.set_forecasts({})
    for _ in range(4):
        await scene.look(HOLD + 1)
        assert scene.server.replicas() == {"a": 2, "b": 2}
        assert headroom_of(scene).reason == "ForecastStale"


async def test_a_workload_without_a_forecast_is_out_of_date_once_the_others_are() -> None:
    """While the forecasts of others are recent, the refresh has found none for it."""
    scene = Scene(policy({}))
    scene.forecast(8.0)
    await scene.look()
    [recent] = scene.world.board.forecasts.values()
    scene.world.board.set_forecasts({"Deployment/shop/other": recent})
    # Every refresh fails from now on.
    await scene.look(STALE_SECONDS)
    assert headroom_of(scene).reason == "NoRise"
    scene.forecast(8.0)
    await scene.look()
    scene.world.board.set_forecasts({"Deployment/shop/other": recent})
    await scene.look(STALE_SECONDS + 1)
    await scene.look(HOLD + 1)
    assert headroom_of(scene).reason == "ForecastStale"
    assert scene.server.replicas() == {"a": 2, "b": 2}


async def test_headroom_for_forecasts_that_are_out_of_date_is_given_up_after_a_day() -> None:
    scene = Scene(policy({"min": {"pods": 2}}))
    scene.forecast(8.0)
    await scene.look()
    await scene.look(DAY_SECONDS - 1)
    assert scene.server.replicas() == {"a": 2, "b": 2}
    await scene.look(1)
    await scene.look(HOLD + 1)
    assert scene.server.replicas() == {"a": 1, "b": 1}


async def test_in_recommend_it_is_reported_and_nothing_is_written() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}, mode="Recommend"))
    await scene.look()
    assert scene.writer.writes == []
    assert scene.status.headroom is not None
    assert (scene.status.headroom.pods, scene.status.headroom.held_by) == (2, "")
    assert scene.condition == (False, "Recommended")
    assert "would be 2 placeholder pods" in scene.recorder.said[0].message


async def test_what_exists_goes_with_the_mode_the_section_or_the_policy() -> None:
    for after in (
        policy({**FIXED, "min": {"pods": 2}}, mode="Recommend", version=2),
        policy(None, version=2),
        None,
    ):
        scene = Scene(policy({**FIXED, "min": {"pods": 2}}))
        await scene.look()
        assert scene.server.items
        scene.change(after)
        await scene.look()
        assert scene.server.items == {}


async def test_a_leader_that_starts_without_policies_sweeps_what_is_left() -> None:
    old = Scene(policy({**FIXED, "min": {"pods": 2}}))
    await old.look()
    new = Scene(policy(None), items=old.server)
    await new.look()
    assert new.server.items == {}
    # Nothing is left, so nothing is read any more.
    assert await new.look() is None


async def test_without_an_elastic_tier_a_unit_or_a_valid_schedule_the_condition_says_so() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}, tiers={}))
    await scene.look()
    assert scene.condition == (False, "NoElasticTier")
    scene = Scene(policy({}), nodes=())
    scene.change(policy({"from": "Fixed", "min": {"pods": 2}}, version=2, workloads=JOBS))
    await scene.look()
    assert scene.condition == (False, "UnitUnknown")
    bad = {"name": "x", "start": "61 * * * *", "duration": "1h", "pods": 9}
    scene = Scene(policy({**FIXED, "min": {"pods": 2}, "schedules": [bad]}))
    await scene.look()
    assert scene.condition == (False, "BadSchedule")
    assert scene.server.replicas() == {"a": 1, "b": 1}


async def test_a_schedule_counts_from_its_start() -> None:
    evening = {"name": "evening", "start": "0 18 * * *", "duration": "1h", "pods": 4}
    scene = Scene(policy({**FIXED, "schedules": [evening]}))
    await scene.look()
    assert scene.server.items == {}
    await scene.look(6 * 3600)
    assert scene.server.replicas() == {"a": 2, "b": 2}
    assert scene.status.headroom is not None
    assert (scene.status.headroom.reason, scene.status.headroom.schedule) == ("Schedule", "evening")


async def test_capacity_buffers_are_used_where_an_autoscaler_acts_on_them() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 4}}), by="auto", buffers=True)
    await scene.look()
    assert scene.server.replicas("capacitybuffers") == {"a": 2, "b": 2}
    assert scene.server.replicas("deployments") == {}
    for (plural, _), item in scene.server.items.items():
        if plural == "capacitybuffers":
            item["status"] = {"conditions": [{"type": "ReadyForProvisioning", "status": "True"}]}
    await scene.look(IGNORED_SECONDS + 1)
    assert scene.server.replicas("capacitybuffers") == {"a": 2, "b": 2}
    assert scene.condition == (True, "Kept")


async def test_units_of_a_buffer_are_ready_while_nodes_that_take_pods_have_room_for_them() -> None:
    """What Karpenter says of a buffer also counts machines that have not joined."""
    joining = elastic("e2", "b", ready=False)
    scene = Scene(policy({**FIXED, "min": {"pods": 4}}), by="capacity-buffer", buffers=True, nodes=(elastic("e1"),))
    scene.world.state.apply(joining)
    await scene.look()
    # Four replicas of a core each fill the node of four cores.
    assert [(one.zone, one.pods, one.ready) for one in headroom_of(scene).zones] == [("a", 2, 0), ("b", 2, 0)]
    for (plural, _), item in scene.server.items.items():
        if plural == "capacitybuffers":
            item["status"] = {"conditions": [{"type": "Provisioning", "status": "True"}]}
    await scene.look()
    assert scene.condition == (False, "WaitingForNodes")

    scene.leave("shop", "cart-0")
    scene.world.state.apply(replace(joining, ready=True))
    await scene.look()
    assert [one.ready for one in headroom_of(scene).zones] == [1, 2]
    # One that is about to be removed, or that its cloud has not initialised, takes no pods.
    scene.world.state.apply(replace(joining, ready=True, taints=(Taint("karpenter.sh/disrupted", "NoSchedule", ""),)))
    await scene.look()
    assert headroom_of(scene).ready == 1


async def test_two_policies_on_the_same_nodes_do_not_both_count_their_room() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 4}}), by="capacity-buffer", buffers=True)
    other = policy({**FIXED, "min": {"pods": 4}}, name="second")
    scene.world.catalog.replace(Kind.ELASTIC_POLICY, [policy({**FIXED, "min": {"pods": 4}}), other], 60)
    await scene.look()
    # Two replicas of a core each are on each of two nodes of four cores.
    ready = [sum(one.ready.values()) for one in scene.controller.report.values()]
    assert sorted(ready) == [0, 4]


async def test_a_node_that_becomes_ready_requires_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 4}}), by="capacity-buffer", buffers=True)
    await scene.look()
    asked: list[float] = []
    monkeypatch.setattr(scene.controller.queue, "add_after", lambda _, seconds: asked.append(seconds))
    list(scene.controller.subscribe())
    scene.world.state.apply(elastic("e2", "b", ready=False))
    assert asked == [CHANGED_SECONDS]
    scene.world.state.apply(elastic("e2", "b", ready=False, unschedulable=True))
    assert asked == [CHANGED_SECONDS]


async def test_buffers_that_nobody_acts_on_are_replaced_by_balloons() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}), by="auto", buffers=True)
    await scene.look()
    await scene.look(IGNORED_SECONDS + 1)
    assert scene.server.replicas("capacitybuffers") == {}
    assert scene.server.replicas() == {"a": 1, "b": 1}
    for zone, node in (("a", "e1"), ("b", "e2")):
        scene.balloon(f"balloon-{zone}", node, zone=zone)
    await scene.look()
    assert scene.condition == (True, "BuffersIgnored")


async def test_a_zone_without_an_elastic_node_to_offer_is_left_out() -> None:
    scene = Scene(
        policy({**FIXED, "min": {"pods": 2}}),
        nodes=(elastic("e1"), make_node("f1", labels={ZONE_LABEL: "b"})),
    )
    await scene.look()
    assert scene.server.replicas() == {"a": 1, "b": 1}
    scene.balloon("p0", "e1")
    waiting = Pending(unschedulable_since=scene.clock.now())
    scene.balloon("p1", "", zone="b", phase=Phase.PENDING, pending=waiting)
    await scene.look(BARREN_SECONDS - 1)
    assert scene.server.replicas() == {"a": 1, "b": 1}
    await scene.look(2)
    assert scene.server.replicas() == {"a": 2}


async def test_an_elastic_node_of_another_policy_does_not_make_a_zone_offer_one() -> None:
    mine = policy({**FIXED, "min": {"pods": 2}})
    theirs = policy(None, name="sales", tiers={"elastic": {"nodeSelector": {"matchLabels": {"pool": "sales"}}}})
    other = make_node("s1", labels={"pool": "sales", ZONE_LABEL: "b"})
    scene = Scene(mine, nodes=(elastic("e1"), other))
    scene.world.catalog.replace(Kind.ELASTIC_POLICY, [mine, theirs], 60)
    await scene.look()
    assert scene.server.replicas() == {"a": 1, "b": 1}
    scene.balloon("p1", "", zone="b", phase=Phase.PENDING, pending=Pending(unschedulable_since=scene.clock.now()))
    await scene.look(BARREN_SECONDS + 1)
    assert scene.server.replicas() == {"a": 2}


async def test_the_report_changes_only_with_what_it_says() -> None:
    fixed = make_node("f1", labels={ZONE_LABEL: "a"}, cpu_millis=900, memory_bytes=8 << 30)
    scene = Scene(policy({"unit": UNIT}), nodes=(elastic("e1"), fixed))
    scene.leave("shop", "cart-1")
    scene.leave("shop", "cart-3")
    scene.forecast(6.0)
    await scene.look()
    changes: list[int] = []
    scene.controller.report_changed.subscribe(lambda: changes.append(1))
    # Free room of which no unit becomes more or less.
    scene.world.state.apply(make_pod("small", node=fixed.name, cpu_millis=100, memory_bytes=1 << 20))
    await scene.look(1)
    assert not changes
    scene.forecast(9.0)
    await scene.look(1)
    assert changes


async def test_the_objects_of_a_policy_that_cannot_be_read_stay() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}))
    await scene.look()
    broken = policy({**FIXED, "min": {"pods": 2}}, version=2)
    broken["spec"]["mode"] = "FromANewerVersion"
    scene.change(broken)
    await scene.look()
    assert scene.server.replicas() == {"a": 1, "b": 1}
