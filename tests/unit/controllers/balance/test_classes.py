"""The controller of load classes, with answers of metrics.k8s.io as a server gives them."""

from typing import Any

import msgspec

from spillway.api.zonalbalance import ClassCounts
from spillway.controllers.balance.classes import SAVE_SECONDS, ClassController
from spillway.controllers.balance.readings import Readings
from spillway.domain.balance.classes import ClassHistories, LoadClass
from spillway.domain.balance.load import LoadProblem
from spillway.domain.balance.reading_state import Measure
from spillway.domain.model.names import NodeName
from spillway.kube.errors import UnreachableError
from spillway.kube.packed_store import DoesNotFitError
from spillway.kube.resource_metrics import NODE_METRICS
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.world import make_world, resource

WEB, API = "Deployment/shop/web", "Deployment/shop/api"


class Store:
    def __init__(self, kept: ClassHistories | None = None) -> None:
        self.kept = kept
        self.saved: list[bytes] = []
        self.down = False
        self.room = 100
        """How many workloads fit."""

    async def load(self) -> ClassHistories | None:
        if self.down:
            raise UnreachableError("connection refused")
        return self.kept

    async def save(self, value: ClassHistories, made: float) -> None:
        assert made
        if len(value.workloads) > self.room:
            raise DoesNotFitError
        self.saved.append(msgspec.json.encode(value))


class Scene:
    """Two workloads: `web` uses a core for each GiB, `api` a tenth of one."""

    def __init__(self, store: Store | None = None, **classes: Any) -> None:
        self.clock = FakeClock(10_000.0)
        balance = resource(Kind.ZONAL_BALANCE, "even", classes={"history": "2m", **classes})
        records = [make_replicaset(app, replicas=1) for app in ("web", "api")]
        pods = [make_pod(f"{app}-1", owner_uid=make_replicaset(app).uid) for app in ("web", "api")]
        self.world = make_world([*records, *pods], [balance], self.clock)
        self.used = {"web-1": "1", "api-1": "100m"}
        self.down = False
        self.unreadable = ""
        """The namespace whose pods cannot be read."""
        self.store = store or Store()
        self.events = FakeRecorder()
        self.controller = ClassController(self.world, Readings(self.world, self, None), self.store, self.events)

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        assert method == "GET"
        if self.down or (self.unreadable and f"/namespaces/{self.unreadable}/" in path):
            raise UnreachableError("connection refused")
        if path == NODE_METRICS.everywhere:
            return msgspec.json.encode({"items": []})
        items = [
            {"metadata": {"name": name}, "containers": [{"usage": {"cpu": cpu, "memory": "1Gi"}}]}
            for name, cpu in self.used.items()
        ]
        return msgspec.json.encode({"items": items})

    async def pass_for(self, seconds: float) -> None:
        for _ in range(int(seconds / 30)):
            await self.clock.advance(30.0)
            await self.controller.reconcile("even")

    @property
    def unknown(self) -> LoadProblem | None:
        return self.world.board.readings["even", Measure.CLASS_USE].unknown(self.clock.now(), 180.0)

    @property
    def classes(self) -> dict[str, LoadClass]:
        return dict(self.world.board.load_classes.get("even", {}))


async def test_workloads_have_a_class_once_they_were_measured_for_long_enough() -> None:
    scene = Scene()
    await scene.controller.reconcile("even")
    await scene.pass_for(90)
    assert (scene.classes, scene.controller.counts("even")) == ({}, ClassCounts(learning=2))
    await scene.pass_for(60)
    assert scene.classes == {WEB: LoadClass.CPU, API: LoadClass.MEMORY}
    assert scene.controller.counts("even") == ClassCounts(cpu_bound=1, memory_bound=1)
    assert [(one.about, one.what) for one in scene.events.said] == [
        ("Deployment/web", "Normal LoadClassFound"),
        ("Deployment/api", "Normal LoadClassFound"),
    ]


async def test_a_reading_that_fails_or_lacks_a_workload_adds_nothing() -> None:
    scene = Scene()
    await scene.controller.reconcile("even")
    scene.down = True
    await scene.pass_for(300)
    assert scene.unknown == LoadProblem("MetricsUnreachable", "metrics.k8s.io: connection refused")
    scene.down = False
    scene.used.pop("api-1")
    await scene.pass_for(150)
    assert scene.classes == {WEB: LoadClass.CPU}
    assert scene.unknown is None


async def test_pods_on_virtual_nodes_need_not_be_measured() -> None:
    scene = Scene()
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": {"type": "virtual"}})
    scene.world.catalog.replace(Kind.VIRTUAL_NODE_BUDGET, [budget], 60)
    scene.world.state.apply(make_node("v1", labels={"type": "virtual"}))
    scene.world.state.apply(make_pod("web-2", node=NodeName("v1"), owner_uid=make_replicaset("web").uid))
    await scene.controller.reconcile("even")
    await scene.pass_for(150)
    assert scene.classes == {WEB: LoadClass.CPU, API: LoadClass.MEMORY}


async def test_a_stateful_set_has_a_class_too() -> None:
    scene = Scene()
    db = make_statefulset("db", replicas=1)
    scene.world.state.apply(db)
    scene.world.state.apply(make_pod("db-0", owner_uid=db.uid, owner_kind="StatefulSet", owner_name="db"))
    scene.used["db-0"] = "2"
    await scene.controller.reconcile("even")
    await scene.pass_for(max(SAVE_SECONDS, 150.0) + 30.0)
    assert scene.classes == {WEB: LoadClass.CPU, API: LoadClass.MEMORY, "StatefulSet/shop/db": LoadClass.CPU}
    assert b"StatefulSet/shop/db" in scene.store.saved[-1]


async def test_a_namespace_that_cannot_be_read_holds_up_no_other() -> None:
    scene = Scene()
    scene.unreadable = "evil"
    evil = make_replicaset("evil", namespace="evil", replicas=1)
    for record in (make_namespace("evil"), evil, make_pod("evil-1", namespace="evil", owner_uid=evil.uid)):
        scene.world.state.apply(record)
    await scene.controller.reconcile("even")
    await scene.pass_for(150)
    assert scene.classes == {WEB: LoadClass.CPU, API: LoadClass.MEMORY}
    assert scene.unknown is None
    scene.unreadable = "shop"
    await scene.pass_for(300)
    assert scene.unknown is None, "the pods of the other one are measured"


async def test_the_next_leader_goes_on_with_what_was_measured() -> None:
    before = Scene()
    await before.controller.reconcile("even")
    await before.pass_for(SAVE_SECONDS + 30)
    kept = msgspec.json.decode(before.store.saved[-1], type=ClassHistories)
    after = Scene(Store(kept))
    await after.controller.reconcile("even")
    assert after.classes == {WEB: LoadClass.CPU, API: LoadClass.MEMORY}
    assert not after.events.said, "a class that was known is not told again"


async def test_replicasets_without_measured_pods_take_no_place() -> None:
    scene = Scene()
    for index in range(200):
        scene.world.state.apply(make_replicaset(f"idle-{index}", replicas=1))
    await scene.controller.reconcile("even")
    await scene.pass_for(SAVE_SECONDS + 30)
    kept = msgspec.json.decode(scene.store.saved[-1], type=ClassHistories)
    assert kept.workloads.keys() == {WEB, API}


async def test_a_namespace_with_too_many_workloads_keeps_only_its_own_from_being_kept() -> None:
    scene = Scene()
    scene.store.room = 50
    scene.world.state.apply(make_namespace("big"))
    for index in range(60):
        owner = make_replicaset(f"big-{index}", namespace="big", replicas=1)
        for record in (owner, make_pod(f"big-{index}-1", namespace="big", owner_uid=owner.uid)):
            scene.world.state.apply(record)
        scene.used[f"big-{index}-1"] = "1"
    await scene.controller.reconcile("even")
    await scene.pass_for(SAVE_SECONDS + 30)
    kept = msgspec.json.decode(scene.store.saved[-1], type=ClassHistories)
    assert {WEB, API} < kept.workloads.keys()
    assert 30 < len(kept.workloads) <= 50
    assert len(scene.classes) == 62, "those that are not kept have their class all the same"


async def test_nothing_is_measured_before_the_last_measurements_were_read() -> None:
    scene = Scene()
    scene.store.down = True
    await scene.controller.reconcile("even")
    await scene.pass_for(300)
    assert (scene.classes, scene.store.saved) == ({}, [])


async def test_without_the_section_the_classes_are_withdrawn() -> None:
    scene = Scene()
    await scene.controller.reconcile("even")
    await scene.pass_for(150)
    scene.world.catalog.replace(Kind.ZONAL_BALANCE, [resource(Kind.ZONAL_BALANCE, "even", version=2)], 60)
    assert await scene.controller.reconcile("even") is None
    assert (scene.classes, scene.controller.counts("even")) == ({}, None)
    assert not scene.world.board.readings
