"""The headroom of a policy over time: its size, the objects that hold it, and the nodes that may go."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from spillway.api.elasticpolicy import ElasticPolicyStatus
from spillway.controllers.headroom.controller import (
    BARREN_SECONDS,
    IGNORED_SECONDS,
    HeadroomController,
    Mechanism,
)
from spillway.controllers.headroom.objects import HeadroomObjects
from spillway.controllers.headroom.status import HeadroomContributor
from spillway.domain.headroom.leaving import BALLOON_COST, LEAVING_COST
from spillway.domain.headroom.manifests import Look
from spillway.domain.model.names import POD_DELETION_COST, ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord
from spillway.domain.scaling.demand import DemandForecast
from spillway.kube.errors import ApiError
from spillway.state.autoscalers import Autoscalers
from spillway.state.catalog import Kind
from spillway.telemetry.registry import exposition
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter, Write
from tests.support.world import ELASTIC, make_world, resource

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00").timestamp()
CART = "Deployment/shop/cart"
SYSTEM = "spillway-system"
UNIT = {"cpu": "1", "memory": "1Gi"}
FIXED = {"from": "Fixed", "unit": UNIT}
HOLD = 600.0
JOBS = [{"name": "jobs", "match": {"kinds": ["Job"]}}]


def _policy(headroom: Mapping[str, Any] | None, *, mode: str = "Enforce", version: int = 1, **more: Any) -> Any:
    spec: dict[str, Any] = {"mode": mode, "tiers": {"elastic": ELASTIC}, **more}
    spec.setdefault("workloads", [{"name": "default", "scaling": {"forecast": {"mode": "Active"}}}])
    if headroom is not None:
        spec["headroom"] = headroom
    return resource(Kind.ELASTIC_POLICY, "online", version=version, **spec)


def _elastic(name: str, zone: str = "a", **given: Any) -> NodeRecord:
    labels = {"pool": "elastic", ZONE_LABEL: zone}
    return make_node(name, labels=labels, cpu_millis=4000, memory_bytes=16 << 30, **given)


class _Server:
    """The objects of the operator's namespace, by the writes that reach them."""

    def __init__(self, clock: FakeClock, *, buffers: bool) -> None:
        self._clock = clock
        self._buffers = buffers
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    async def get_json(self, path: str, *, labelSelector: str) -> Any:  # noqa: N803 - as the API calls it
        assert labelSelector == "spillway.dev/headroom"
        plural = path.rsplit("/", 1)[-1]
        if plural == "capacitybuffers" and not self._buffers:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return {"items": [item for (kind, _), item in sorted(self.items.items()) if kind == plural]}

    async def respond(self, write: Write) -> bool:
        if write.verb == "apply":
            plural = f"{write.body['kind'].lower()}s"
            created = datetime.fromtimestamp(self._clock.now(), UTC).isoformat()
            before = self.items.get((plural, write.name), {}).get("metadata", {}).get("creationTimestamp", created)
            metadata = {**write.body["metadata"], "uid": write.name, "creationTimestamp": before}
            self.items[plural, write.name] = {**write.body, "metadata": metadata}
        if write.verb == "delete":
            self.items.pop((str(write.body["resource"]), write.name), None)
        return True

    def replicas(self, kind: str = "deployments") -> dict[str, int]:
        """By zone, as the objects' names tell it."""
        return {
            name.split("-")[-2]: item["spec"]["replicas"]
            for (plural, name), item in self.items.items()
            if plural == kind
        }

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.items)


class _Scene:
    """Two elastic nodes in two zones, with four governed replicas of a core each."""

    def __init__(
        self,
        policy: Any,
        *,
        by: Mechanism = "balloons",
        buffers: bool = False,
        nodes: tuple[NodeRecord, ...] = (_elastic("e1"), _elastic("e2", "b")),
        items: _Server | None = None,
    ) -> None:
        self.clock = FakeClock(NOON)
        cart = make_replicaset(
            "cart-1", owner_kind="Deployment", owner_name="cart", owner_uid="d", desired=4, replicas=4
        )
        pods = [
            make_pod(
                f"cart-{index}",
                owner_uid=OwnerUid("rs-cart-1"),
                owner_name="cart-1",
                node=nodes[index % len(nodes)].name if nodes else "",
                cpu_millis=1000,
                memory_bytes=1 << 30,
            )
            for index in range(4)
        ]
        self.world = make_world([make_namespace(SYSTEM), *nodes, cart, *pods], [policy], self.clock)
        self.server = items or _Server(self.clock, buffers=buffers)
        self.writer, self.recorder = FakeWriter(self.server.respond), FakeRecorder()
        objects = HeadroomObjects(self.server, self.writer, Look("pause", "spillway-headroom"), SYSTEM)
        self.controller = HeadroomController(
            self.world,
            self.writer,
            self.recorder,
            objects,
            Autoscalers(),
            namespace=SYSTEM,
            mechanism=by,
            hold_seconds=HOLD,
        )

    async def look(self, seconds: float = 0.0) -> float | None:
        await self.clock.advance(seconds)
        return await self.controller.reconcile("*")

    def change(self, policy: Any) -> None:
        self.world.catalog.replace(Kind.ELASTIC_POLICY, [policy] if policy is not None else [], 60)

    def forecast(self, highest: float) -> None:
        made = DemandForecast(self.clock.now(), 4.0, highest, predictable=True)
        self.world.board.forecasts = {CART: made}

    def balloon(self, name: str, node: str, *, zone: str = "a", **given: Any) -> PodRecord:
        """A balloon of the object of this zone, on a node or waiting for one."""
        held = next(one for one in self.server.names if one.split("-")[-2] == zone)
        pod = make_pod(
            name,
            namespace=SYSTEM,
            owner_uid=OwnerUid(f"rs-{held}"),
            owner_name=f"{held}-5d8f",
            node=NodeName(node),
            cpu_millis=1000,
            memory_bytes=1 << 30,
            deletion_cost=BALLOON_COST,
            **given,
        )
        self.world.state.apply(pod)
        return pod

    def leave(self, namespace: str, name: str) -> None:
        """A pod is gone."""
        pod = self.world.state.pod(namespace, name)
        assert pod is not None
        self.world.state.remove(pod)

    @property
    def status(self) -> ElasticPolicyStatus:
        model = self.world.governance.policies["online"]
        part = HeadroomContributor(self.controller).part(model, model.status, datetime.fromtimestamp(NOON, UTC))
        return model.status.model_copy(update=dict(part.fields))

    @property
    def condition(self) -> tuple[bool, str]:
        model = self.world.governance.policies["online"]
        part = HeadroomContributor(self.controller).part(model, model.status, datetime.fromtimestamp(NOON, UTC))
        [found] = part.conditions
        return found.holds, found.reason


async def test_the_expected_rise_is_kept_evenly_over_the_zones() -> None:
    scene = _Scene(_policy({}))
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
    assert "is 5 units of 1 of cpu and 1024Mi of memory (Forecast), after 0" in event.message
    assert b'spillway_headroom_pods{policy="online",zone="a"} 3.0' in exposition()


async def test_nothing_is_written_again_and_what_others_changed_is_put_back() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}))
    await scene.look()
    writes = len(scene.writer.writes)
    await scene.look()
    assert len(scene.writer.writes) == writes
    next(iter(scene.server.items.values()))["spec"]["replicas"] = 9
    await scene.look()
    assert scene.server.replicas() == {"a": 1, "b": 1}


async def test_it_shrinks_after_a_spike_once_less_was_enough_for_long_enough() -> None:
    scene = _Scene(_policy({}))
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


async def test_a_new_leader_without_forecasts_keeps_what_there_is() -> None:
    old = _Scene(_policy({}))
    old.forecast(8.0)
    await old.look()
    new = _Scene(_policy({}), items=old.server)
    await new.look()
    assert new.server.replicas() == {"a": 2, "b": 2}
    await new.look(HOLD + 1)
    assert new.server.items == {}


async def test_in_recommend_it_is_reported_and_nothing_is_written() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}, mode="Recommend"))
    await scene.look()
    assert scene.writer.writes == []
    assert scene.status.headroom is not None
    assert (scene.status.headroom.pods, scene.status.headroom.held_by) == (2, "")
    assert scene.condition == (False, "Recommended")
    assert "would be 2 units" in scene.recorder.said[0].message


async def test_what_exists_goes_with_the_mode_the_section_or_the_policy() -> None:
    for after in (
        _policy({**FIXED, "min": {"pods": 2}}, mode="Recommend", version=2),
        _policy(None, version=2),
        None,
    ):
        scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}))
        await scene.look()
        assert scene.server.items
        scene.change(after)
        await scene.look()
        assert scene.server.items == {}


async def test_a_leader_that_starts_without_policies_sweeps_what_is_left() -> None:
    old = _Scene(_policy({**FIXED, "min": {"pods": 2}}))
    await old.look()
    new = _Scene(_policy(None), items=old.server)
    await new.look()
    assert new.server.items == {}
    # Nothing is left, so nothing is read any more.
    assert await new.look() is None


async def test_without_an_elastic_tier_a_unit_or_a_valid_schedule_the_condition_says_so() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}, tiers={}))
    await scene.look()
    assert scene.condition == (False, "NoElasticTier")
    scene = _Scene(_policy({}), nodes=())
    scene.change(_policy({"from": "Fixed", "min": {"pods": 2}}, version=2, workloads=JOBS))
    await scene.look()
    assert scene.condition == (False, "UnitUnknown")
    bad = {"name": "x", "start": "61 * * * *", "duration": "1h", "pods": 9}
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}, "schedules": [bad]}))
    await scene.look()
    assert scene.condition == (False, "BadSchedule")
    assert scene.server.replicas() == {"a": 1, "b": 1}


async def test_a_schedule_counts_from_its_start() -> None:
    evening = {"name": "evening", "start": "0 18 * * *", "duration": "1h", "pods": 4}
    scene = _Scene(_policy({**FIXED, "schedules": [evening]}))
    await scene.look()
    assert scene.server.items == {}
    await scene.look(6 * 3600)
    assert scene.server.replicas() == {"a": 2, "b": 2}
    assert scene.status.headroom is not None
    assert (scene.status.headroom.reason, scene.status.headroom.schedule) == ("Schedule", "evening")


async def test_capacity_buffers_are_used_where_an_autoscaler_acts_on_them() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 4}}), by="auto", buffers=True)
    await scene.look()
    assert scene.server.replicas("capacitybuffers") == {"a": 2, "b": 2}
    assert scene.server.replicas("deployments") == {}
    for (plural, _), item in scene.server.items.items():
        if plural == "capacitybuffers":
            conditions = [
                {"type": "ReadyForProvisioning", "status": "True"},
                {"type": "Provisioning", "status": "True"},
            ]
            item["status"] = {"conditions": conditions}
    await scene.look(IGNORED_SECONDS + 1)
    assert scene.server.replicas("capacitybuffers") == {"a": 2, "b": 2}
    assert scene.condition == (True, "Kept")


async def test_buffers_that_nobody_acts_on_are_replaced_by_balloons() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}), by="auto", buffers=True)
    await scene.look()
    await scene.look(IGNORED_SECONDS + 1)
    assert scene.server.replicas("capacitybuffers") == {}
    assert scene.server.replicas() == {"a": 1, "b": 1}
    for zone, node in (("a", "e1"), ("b", "e2")):
        scene.balloon(f"balloon-{zone}", node, zone=zone)
    await scene.look()
    assert scene.condition == (True, "BuffersIgnored")


async def test_a_headroom_that_shrinks_gives_up_the_node_that_empties_first() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 4}}), nodes=(_elastic("e1"), _elastic("e3", created=20.0)))
    await scene.look()
    # Of the two nodes e3 is the newer one and empties first.
    pods = [scene.balloon(f"p{index}", "e1" if index < 2 else "e3") for index in range(4)]
    scene.change(_policy({**FIXED, "min": {"pods": 3}}, version=2))
    await scene.look(HOLD + 1)
    marked = [write for write in scene.writer.writes if write.verb == "annotate_pod"]
    assert [(one.name, one.body) for one in marked] == [("p2", {POD_DELETION_COST: str(LEAVING_COST)})]
    assert scene.server.replicas() == {"a": 4}
    scene.world.state.apply(msgspec.structs.replace(pods[2], deletion_cost=LEAVING_COST))
    await scene.look()
    assert scene.server.replicas() == {"a": 3}


async def test_a_node_with_nothing_but_balloons_is_emptied_where_another_has_room() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}), nodes=(_elastic("e1"),))
    await scene.look()
    scene.world.state.apply(_elastic("e9", created=20.0))
    scene.leave("shop", "cart-3")
    scene.balloon("p0", "e9")
    scene.balloon("p1", "", phase=Phase.PENDING, pending=Pending())
    await scene.look()
    # One waits for a node: nothing is moved now.
    assert not [write for write in scene.writer.writes if write.verb == "delete"]
    scene.change(_policy({**FIXED, "min": {"pods": 1}}, version=2))
    scene.leave(SYSTEM, "p1")
    await scene.look(HOLD + 1)
    assert scene.server.replicas() == {"a": 1}
    await scene.look()
    deleted = [write.name for write in scene.writer.writes if write.verb == "delete"]
    assert deleted == ["p0"]


async def test_a_zone_without_an_elastic_node_to_offer_is_left_out() -> None:
    scene = _Scene(
        _policy({**FIXED, "min": {"pods": 2}}),
        nodes=(_elastic("e1"), make_node("f1", labels={ZONE_LABEL: "b"})),
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


async def test_the_objects_of_a_policy_that_cannot_be_read_stay() -> None:
    scene = _Scene(_policy({**FIXED, "min": {"pods": 2}}))
    await scene.look()
    broken = _policy({**FIXED, "min": {"pods": 2}}, version=2)
    broken["spec"]["mode"] = "FromANewerVersion"
    scene.change(broken)
    await scene.look()
    assert scene.server.replicas() == {"a": 1, "b": 1}
