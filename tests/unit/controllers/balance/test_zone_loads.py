"""The controller of zone loads, with answers of metrics.k8s.io as a server gives them."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.controllers.balance.readings import UNREAD_SECONDS, Readings
from spillway.controllers.balance.zone_loads import ZoneLoadController
from spillway.domain.balance.load import LoadProblem
from spillway.domain.balance.reading_state import Measure
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.kube.errors import UnreachableError
from spillway.kube.resource_metrics import NODE_METRICS
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_prometheus import FakePrometheus
from tests.support.world import Record, make_world, resource

PODS = {"web-1": "a1", "web-2": "a1", "web-3": "b1", "web-4": "b1"}


class Metrics:
    """An API server that has the pods of metrics.k8s.io alone."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.used: dict[str, str] = {"web-1": "900m", "web-2": "700m", "web-3": "100m", "web-4": "300m"}
        self.down = False
        self.unreadable = ""
        """The namespace whose pods cannot be read."""
        self.measured: dict[str, str] = {}

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        assert method == "GET"
        self.asked.append(path)
        if self.down or (self.unreadable and f"/namespaces/{self.unreadable}/" in path):
            raise UnreachableError("connection refused")
        if path == NODE_METRICS.everywhere:
            return msgspec.json.encode({"items": []})
        items = [
            {
                "metadata": {"name": name},
                "containers": [{"usage": {"cpu": cpu, "memory": "1Gi"}}],
                "timestamp": self.measured.get(name, ""),
            }
            for name, cpu in self.used.items()
        ]
        return msgspec.json.encode({"kind": "PodMetricsList", "items": items})


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def balance(**spec: Any) -> dict[str, Any]:
    return resource(Kind.ZONAL_BALANCE, "even", **{"zonePreference": {}, **spec})


def scene(*balances: dict[str, Any]) -> tuple[ZoneLoadController, Metrics, FakeClock]:
    clock = FakeClock()
    nodes = [make_node(name, labels={ZONE_LABEL: name[0]}) for name in ("a1", "b1")]
    pods = [make_pod(name, node=NodeName(node)) for name, node in PODS.items()]
    other = make_pod("other-1", namespace="shop", node=NodeName("a1"), owner_uid=make_replicaset("other").uid)
    world = make_world([*nodes, make_replicaset("web"), make_replicaset("other"), *pods, other], balances, clock)
    metrics = Metrics()
    return ZoneLoadController(world, Readings(world, metrics, None)), metrics, clock


def unknown(controller: ZoneLoadController) -> LoadProblem | None:
    """Why the load by zone is not known, 200 s after now."""
    state = controller.world.board.readings["even", Measure.ZONE_LOAD]
    return state.unknown(controller.world.now() + 200.0, 180.0)


def weights(controller: ZoneLoadController) -> dict[str, Any]:
    reading = controller.world.board.zone_readings.get("even")
    return {} if reading is None else dict(reading.weights)


async def test_the_zone_in_which_the_replicas_use_most_cpu_is_preferred() -> None:
    controller, metrics, _ = scene(balance())
    assert await controller.reconcile("even") == 30.0
    assert metrics.asked == ["/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"]
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}


async def test_a_zone_that_was_not_measured_makes_all_zones_equal() -> None:
    controller, metrics, _ = scene(balance())
    metrics.used.pop("web-3")
    await controller.reconcile("even")
    assert weights(controller) == {}
    assert "even" in controller.world.board.zone_readings
    problem = unknown(controller)
    assert problem is not None
    assert problem.message.startswith("1 of 1 workloads with replicas in several zones")


def with_virtual_replicas(zone: str) -> tuple[ZoneLoadController, Metrics, FakeClock]:
    """Two more replicas on a virtual node that has the label of this zone."""
    controller, metrics, clock = scene(
        balance(), resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": {"type": "virtual"}})
    )
    controller.world.state.apply(make_node("v1", labels={"type": "virtual", ZONE_LABEL: zone}))
    for name in ("web-5", "web-6"):
        controller.world.state.apply(make_pod(name, node=NodeName("v1")))
    return controller, metrics, clock


@pytest.mark.parametrize("zone", ["a", "b", "v"])
@pytest.mark.parametrize("used", ["", "10m", "2"], ids=["not measured", "idle", "busy"])
async def test_replicas_on_virtual_nodes_do_not_count(zone: str, used: str) -> None:
    controller, metrics, _ = with_virtual_replicas(zone)
    metrics.used |= dict.fromkeys(("web-5", "web-6"), used) if used else {}
    await controller.reconcile("even")
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}
    assert unknown(controller) is None


async def test_the_nodes_of_the_zones_are_known_beside_it_without_virtual_ones() -> None:
    controller, metrics, clock = with_virtual_replicas("v")
    await controller.reconcile("even")
    board, state = controller.world.board, controller.world.state
    assert board.zone_readings["even"].nodes == {"a": ["a1"], "b": ["b1"]}
    state.apply(make_node("c1", labels={ZONE_LABEL: "c"}))
    state.apply(make_node("nowhere"))
    metrics.down = True
    await clock.advance(30.0)
    await controller.reconcile("even")
    assert board.zone_readings["even"].nodes == {"a": ["a1"], "b": ["b1"], "c": ["c1"]}, "also if no load can be read"


async def test_a_stateful_set_prefers_the_zone_in_which_it_is_busiest() -> None:
    controller, metrics, clock = scene(balance())
    db = make_statefulset("db", replicas=2)
    records: list[Record] = [
        db,
        *(
            make_pod(f"db-{n}", node=NodeName(n), owner_uid=db.uid, owner_kind="StatefulSet", owner_name="db")
            for n in ("a1", "b1")
        ),
    ]
    for record in records:
        controller.world.state.apply(record)
    metrics.used |= {"db-a1": "100m", "db-b1": "900m"}
    await controller.reconcile("even")
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}, "shop/db": {"a": 0, "b": 100}}
    metrics.used.pop("db-a1")
    await clock.advance(30.0)
    await controller.reconcile("even")
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}
    problem = unknown(controller)
    assert problem is not None
    assert problem.message.endswith("shop/db has none in a")


async def test_the_workloads_that_are_measured_keep_their_preference_while_others_are_not() -> None:
    controller, metrics, _ = scene(balance())
    for node in ("a1", "b1"):
        uid = make_replicaset("other").uid
        controller.world.state.apply(make_pod(f"other-{node}", node=NodeName(node), owner_uid=uid))
    await controller.reconcile("even")
    assert "other-a1" not in metrics.used
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}
    problem = unknown(controller)
    assert problem is not None
    assert problem.reason == "PartialZoneLoad"
    assert problem.message.startswith("1 of 2 workloads")
    assert problem.message.endswith("shop/other has none in a")


@pytest.mark.parametrize(("age", "found"), [(179, {"shop/web": {"a": 100, "b": 0}}), (181, {})])
async def test_a_pod_that_was_measured_too_long_ago_counts_as_not_measured(age: int, found: dict[str, Any]) -> None:
    controller, metrics, clock = scene(balance())
    metrics.measured = dict.fromkeys(PODS, rfc3339(clock.now())) | {"web-3": rfc3339(clock.now() - age)}
    await controller.reconcile("even")
    assert weights(controller) == found


async def test_only_selected_workloads_are_read() -> None:
    controller, metrics, _ = scene(balance(match={"labels": {"matchLabels": {"app": "nothing"}}}))
    await controller.reconcile("even")
    assert (metrics.asked, weights(controller)) == ([], {})


async def test_a_failed_reading_leaves_the_one_before() -> None:
    controller, metrics, clock = scene(balance())
    await controller.reconcile("even")
    changes = list[None]()
    controller.world.board.readings_changed.subscribe(lambda: changes.append(None))
    assert unknown(controller) is None
    metrics.down = True
    await clock.advance(30.0)
    assert await controller.reconcile("even") == 30.0
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}
    assert unknown(controller) == LoadProblem("MetricsUnreachable", "metrics.k8s.io: connection refused")
    metrics.down = False
    for _ in range(2):
        await clock.advance(30.0)
        await controller.reconcile("even")
    assert unknown(controller) is None
    assert len(changes) == 2, "the failure, and its end"


async def test_a_namespace_that_cannot_be_read_holds_up_no_other() -> None:
    controller, metrics, clock = scene(balance())
    evil = make_replicaset("evil", namespace="evil")
    pods = [make_pod(f"evil-{n}", namespace="evil", node=NodeName(n), owner_uid=evil.uid) for n in ("a1", "b1")]
    records: list[Record] = [make_namespace("evil"), evil, *pods]
    for record in records:
        controller.world.state.apply(record)
    metrics.unreadable = "evil"
    await controller.reconcile("even")
    await clock.advance(30.0)
    await controller.reconcile("even")
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}
    metrics.unreadable = "shop"
    await clock.advance(UNREAD_SECONDS)
    await controller.reconcile("even")
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}, "what was read before still counts"
    await clock.advance(30.0)
    await controller.reconcile("even")
    assert weights(controller) == {}, "its zones count as equal, and those of the other namespace are read"


async def test_a_single_failure_ends_the_readings_of_no_zonal_balance() -> None:
    controller, metrics, clock = scene(
        balance(match={"labels": {"matchLabels": {"app": "other"}}}),
        resource(Kind.ZONAL_BALANCE, "second", version=2, zonePreference={}),
    )
    preferred = {"a": 100, "b": 0}
    controller.world.state.apply(make_pod("other-2", node=NodeName("b1"), owner_uid=make_replicaset("other").uid))
    metrics.used |= {"other-1": "900m", "other-2": "100m"}

    async def read() -> list[Any]:
        for name in ("even", "second"):
            await controller.reconcile(name)
        board = controller.world.board
        return [board.zone_weights(name, "shop", workload) for name, workload in (("even", "other"), ("second", "web"))]

    assert await read() == [preferred, preferred]
    metrics.unreadable = "shop"
    await clock.advance(30.0)
    assert await read() == [preferred, preferred]
    metrics.unreadable = ""
    await clock.advance(30.0)
    assert await read() == [preferred, preferred]


async def test_a_kept_reading_ends_as_the_present_spec_says() -> None:
    controller, metrics, clock = scene(balance(load={"staleAfter": "10m"}))
    world = controller.world
    await controller.reconcile("even")
    world.catalog.replace(Kind.ZONAL_BALANCE, [resource(Kind.ZONAL_BALANCE, "even", version=2, zonePreference={})], 60)
    metrics.down = True
    await clock.advance(60.0)
    await controller.reconcile("even")
    assert world.board.zone_weights("even", "shop", "web") == {"a": 100, "b": 0}
    await clock.advance(121.0)
    assert world.board.zone_weights("even", "shop", "web") == {}


async def test_it_is_read_once_in_a_refresh() -> None:
    controller, metrics, clock = scene(balance())
    await controller.reconcile("even")
    await clock.advance(10.0)
    assert await controller.reconcile("even") == 20.0
    assert len(metrics.asked) == 1


async def test_a_zone_of_a_query_that_no_node_can_have_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, _, _ = scene(balance(zonePreference={"from": {"query": "load"}}))
    shares = {"a": 0.3, "b": 0.2, "<none>": 0.9}
    labels = {"namespace": "shop", "workload": "web"}
    answer: list[tuple[Mapping[str, str], float]] = [({**labels, "zone": one}, share) for one, share in shares.items()]
    monkeypatch.setattr(Readings, "prometheus", lambda _: nullcontext(FakePrometheus(load=answer)))
    await controller.reconcile("even")
    assert weights(controller) == {"shop/web": {"a": 100, "b": 0}}
    problem = unknown(controller)
    assert problem is not None
    assert problem.reason == "InvalidZone"
    assert "'<none>'" in problem.message


async def test_a_preference_that_is_gone_is_withdrawn() -> None:
    controller, _, _ = scene(balance())
    await controller.reconcile("even")
    controller.world.catalog.replace(Kind.ZONAL_BALANCE, [resource(Kind.ZONAL_BALANCE, "even", version=2)], 60)
    assert await controller.reconcile("even") is None
    assert "even" not in controller.world.board.zone_readings
    assert not controller.world.board.readings
