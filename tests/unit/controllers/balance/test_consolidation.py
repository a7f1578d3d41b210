"""Consolidation, with the real state, catalog and surges, and an API server that has the workloads."""

import asyncio
import math
import threading
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.api.elasticpolicy import ElasticPolicyStatus
from spillway.controllers.balance import consolidation
from spillway.controllers.balance.consolidation import ORPHANS, ConsolidationController
from spillway.controllers.balance.consolidation_status import ConsolidationContributor
from spillway.controllers.balance.descheduling import Deschedulers
from spillway.controllers.balance.emptiable import observe
from spillway.controllers.balance.look_turns import LOOKS
from spillway.controllers.balance.node_pools import NodePools
from spillway.controllers.balance.workload_looks import LOOK_SECONDS
from spillway.controllers.surge.moves import MoveEnd, SurgeMovesController, asks_for_moves
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.domain.balance.bounds import PERIOD_SECONDS, WORKLOAD_SECONDS
from spillway.domain.balance.consolidation import MOST_FAILED, MOST_NODES, ConsolidationPlan, plan_consolidation
from spillway.domain.balance.emptying import (
    EMPTY_SECONDS,
    GIVEN_UP_SECONDS,
    MISSING_SECONDS,
    WAITING_SECONDS,
    emptying_taint,
)
from spillway.domain.balance.reserve import LEAST_TREND_SHARE
from spillway.domain.fit.room import LONGEST_WAIT_SECONDS
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import (
    CANDIDATE_TAINT,
    EMPTYING_TAINT,
    NODE_POOL_LABEL,
    REMOVAL_TAINTS,
    ZONE_LABEL,
    NodeName,
    OwnerUid,
    PodUid,
)
from spillway.domain.model.proofs import with_proof
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord, Taint
from spillway.domain.scaling.demand import DemandForecast
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, Surge, SurgeOutcome
from spillway.kube.errors import ApiError, TooLargeError, UnreachableError
from spillway.state.catalog import Kind
from spillway.state.mark_proof import MarkProof
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import Lists
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_rights import FakeRights
from tests.support.fake_writer import FakeWriter
from tests.support.world import ELASTIC, Record, exact, make_world, policy_resource, resource

START = 100_000.0
TREND_SECONDS = 1800.0 * LEAST_TREND_SHARE
DEADLOCK_SECONDS = 5.0
"""How long a plan waits for the event loop, which never answers if the plan blocks it."""
LABELS = {"pool": "elastic", ZONE_LABEL: "a"}
THEIRS = Taint("theirs", "PreferNoSchedule")


def policy(mode: str = "Active", *, enforced: bool = True, version: int = 1, **consolidation: Any) -> dict[str, Any]:
    found = policy_resource(mode="Enforce" if enforced else "Recommend", version=version, elastic=ELASTIC)
    found["spec"]["consolidation"] = {"mode": mode, **consolidation}
    return found


class Scene(Lists):
    """Elastic nodes `e1`, with a pod of `web` and of `api`, and `e2`, with two of `cart`; and a fixed node."""

    def __init__(self, *resources: dict[str, Any], more: tuple[Record, ...] = (), change: Any = None) -> None:
        self.clock = FakeClock(START - 3600.0)
        records: list[Record] = [
            make_node("e1", labels=LABELS, taints=(THEIRS,)),
            make_node("e2", labels=LABELS),
            make_node("f1", labels={ZONE_LABEL: "a"}, cpu_millis=1500),
        ]
        for app, node, replicas in (("web", "e1", 1), ("api", "e1", 1), ("cart", "e2", 3)):
            records.append(make_replicaset(app, replicas=replicas))
            records += [
                make_pod(f"{app}-{n}", node=NodeName(node), owner_uid=make_replicaset(app).uid) for n in range(replicas)
            ]
        self.world = make_world([], resources or [policy()], self.clock)
        for record in (*records, *more):
            self.world.state.apply(record if change is None else change(record))
        self.clock.forward(3600.0)
        self.template: dict[str, Any] = {"spec": {}}
        self.spec: dict[str, Any] = {}
        self.pauses = ""
        """The Deployments with this prefix are paused; empty if none is."""
        self.down = False
        self.unreadable = ""
        """The namespace whose HorizontalPodAutoscalers cannot be read."""
        self.pools: list[Any] | None = None
        """Karpenter's NodePools; None where its kinds are not in the cluster."""
        self.read: list[str] = []
        self.writer, self.events = FakeWriter(), FakeRecorder()
        self.trend_known = False
        self.lead()

    def lead(self) -> None:
        """Replace the controllers, as the next leader does."""
        self.surges = SurgeMovesController(self.world, SurgeScaler(self.world, self.writer, self), ready_seconds=300.0)
        deschedulers = Deschedulers(self.world, self, FakeRights("system:serviceaccount:shop:descheduler"))
        self.controller = ConsolidationController(
            self.world, self.writer, self.events, self.surges, deschedulers=deschedulers, node_pools=NodePools(self)
        )
        self.unsubscribe = list(self.controller.subscribe())

    async def get_json(self, path: str) -> Any:
        if self.down:
            raise UnreachableError("connection refused")
        name = path.rpartition("/")[2]
        if "/pods/" in path:
            return {"spec": {"serviceAccountName": name}}
        if self.unreadable and f"/namespaces/{self.unreadable}/" in path and name == "horizontalpodautoscalers":
            raise TooLargeError(1)
        if name in ("horizontalpodautoscalers", "resourcequotas"):
            return {"items": []}
        if name == "nodepools":
            if self.pools is None:
                raise ApiError(404, "NotFound", path)
            return {"items": self.pools}
        self.read.append(name)
        paused = {"paused": True} if self.pauses and name.startswith(self.pauses) else {}
        kind = "rs" if "/replicasets/" in path else "deploy"
        replicas = self.world.state.replicasets[make_replicaset(name).uid].replicas
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        return {
            "metadata": {"name": name, "uid": f"{kind}-{name}", "generation": 1},
            "spec": {"replicas": replicas, "template": self.template, **self.spec, **paused},
            "status": {"observedGeneration": 1, **status},
        }

    async def learn_trends(self) -> None:
        """Let the present leader have known all policies for long enough."""
        self.trend_known = True
        self.clock.forward(-TREND_SECONDS)
        for key in self.world.governance.policies:
            await self.controller.reconcile(key)
        self.clock.forward(TREND_SECONDS)

    async def reconcile(self, *keys: str, seconds: float = 0.0) -> None:
        """Reconcile, and show the state what was written. The first leader has known all policies for long enough."""
        if not self.trend_known:
            await self.learn_trends()
        await self.clock.advance(seconds)
        for key in keys or ("online",):
            self.writer.writes.clear()
            await self.controller.reconcile(key)
            for write in self.writer.writes:
                seen, wanted = write.body["taints"]
                node = self.world.state.nodes[NodeName(write.name)]
                assert node.taints == tuple(seen)
                self.world.state.apply(msgspec.structs.replace(node, taints=tuple(wanted)))

    async def shown(self) -> tuple[str, ...]:
        """The next moves of a policy that only shows them."""
        self.replace(policy(mode="DryRun"))
        await self.reconcile()
        found: tuple[str, ...] = self.status.next
        return found

    @property
    def tainted(self) -> dict[str, str]:
        nodes = self.world.state.nodes.values()
        return {node.name: one.value for node in nodes for one in node.taints if one.key == EMPTYING_TAINT}

    @property
    def asked(self) -> list[str]:
        return [self.world.state.pods[one.pod].name for one in self.surges._asked.values()]

    @property
    def status(self) -> Any:
        return self.controller.status("online")

    def end(self, result: Left | SurgeOutcome, *, to: str = "f1") -> None:
        """Let the first move that was asked for end; if it succeeded, with another pod elsewhere."""
        request = self.surges._asked.pop(next(iter(self.surges._asked)))
        owner, pod = self.world.state.replicasets[request.owner], self.world.state.pods[request.pod]
        if result is SurgeOutcome.SUCCEEDED:
            self.world.state.remove(pod)
            now = self.clock.now()
            self.world.state.apply(
                msgspec.structs.replace(
                    pod, uid=PodUid(f"{pod.uid}-x"), name=f"{pod.name}-x", node=NodeName(to), ready_since=now
                )
            )
        self.surges.ended.emit(MoveEnd(owner, pod.uid, request.purpose, request.asker, result, pod.node))

    def change(self, record: Any, **changes: Any) -> None:
        self.world.state.apply(msgspec.structs.replace(record, **changes))

    def replace(self, *resources: dict[str, Any]) -> None:
        self.world.catalog.replace(Kind.ELASTIC_POLICY, resources, 60)


async def test_the_event_loop_runs_while_a_plan_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop_ran, waited = threading.Event(), []

    def slowly(*arguments: Any, **more: Any) -> ConsolidationPlan:
        waited.append(loop_ran.wait(DEADLOCK_SECONDS))
        return plan_consolidation(*arguments, **more)

    monkeypatch.setattr(consolidation, "plan_consolidation", slowly)
    scene = Scene()
    asyncio.get_running_loop().call_later(0.01, loop_ran.set)
    await scene.reconcile()
    assert waited
    assert all(waited), "a request for admission is not answered meanwhile"


async def test_a_node_gets_the_taint_its_pods_move_and_it_keeps_the_taint_while_it_is_empty() -> None:
    scene = Scene()
    await scene.reconcile()
    assert (scene.tainted, scene.asked) == ({"e1": "online"}, []), "the taint comes first"
    assert THEIRS in scene.world.state.nodes[NodeName("e1")].taints
    await scene.reconcile()
    assert scene.asked == ["api-0", "web-0"]
    assert scene.surges.in_progress(Purpose.CONSOLIDATE, "online") == 2
    await scene.reconcile(seconds=PERIOD_SECONDS)
    scene.end(SurgeOutcome.SUCCEEDED)
    scene.end(SurgeOutcome.SUCCEEDED)
    assert [(one.about, one.what) for one in scene.events.said][1:] == [
        ("Deployment/api", "Normal PodMoved"),
        ("Deployment/web", "Normal PodMoved"),
    ]
    await scene.reconcile()
    assert (scene.tainted, scene.status.moved, scene.status.emptied) == ({"e1": "online"}, 2, 1)
    assert scene.events.said[-1].what == "Normal NodeEmptied"
    assert "e1" in scene.events.said[-1].message
    await scene.reconcile(seconds=EMPTY_SECONDS)
    assert "e1" not in scene.tainted
    assert scene.status.emptied == 1


@pytest.mark.parametrize(("lost", "emptied"), [(False, 1), (True, 0)], ids=["emptied", "lost with its pods"])
async def test_a_node_that_is_removed_before_it_is_seen_empty(*, lost: bool, emptied: int) -> None:
    scene = Scene()
    await scene.reconcile()
    await scene.reconcile()
    if not lost:
        scene.end(SurgeOutcome.SUCCEEDED)
        scene.end(SurgeOutcome.SUCCEEDED)
    scene.world.state.remove(scene.world.state.nodes[NodeName("e1")])
    assert scene.status.emptied == emptied
    assert ("Normal NodeEmptied" in [one.what for one in scene.events.said]) is not lost
    await scene.reconcile()
    assert scene.status.emptied == emptied


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param(policy(enforced=False), id="a policy that recommends"),
        pytest.param(policy(mode="DryRun"), id="a dry run"),
    ],
)
async def test_a_plan_that_is_only_shown(resources: dict[str, Any]) -> None:
    scene = Scene(resources)
    await scene.reconcile()
    await scene.reconcile()
    assert (scene.tainted, scene.asked) == ({}, [])
    assert scene.status.emptying == ("e1",)
    assert scene.status.next == ("shop/api-0: e1 to f1", "shop/web-0: e1 to f1")
    [event] = scene.events.said
    assert (event.about, event.what) == ("ElasticPolicy/online", "Normal MovesPlanned")
    assert "e1" in event.message


@pytest.mark.parametrize(
    "after",
    [
        pytest.param((), id="the policy is gone"),
        pytest.param((policy_resource(version=2, elastic=ELASTIC),), id="it has no consolidation"),
        pytest.param((policy(enforced=False, version=2),), id="it recommends"),
        pytest.param((policy(version=2, mode="DryRun"),), id="a dry run"),
        pytest.param((policy(version=2, mode="Disabled"),), id="disabled"),
    ],
)
async def test_the_taint_goes_with_the_wish(after: tuple[dict[str, Any], ...]) -> None:
    scene = Scene()
    await scene.reconcile()
    assert scene.tainted
    scene.replace(*after)
    await scene.reconcile("online", ORPHANS)
    assert scene.tainted == {}
    assert scene.world.state.nodes[NodeName("e1")].taints == (THEIRS,)
    assert not asks_for_moves(scene.world.governance, Purpose.CONSOLIDATE, "online")


async def test_the_taint_of_a_policy_that_cannot_be_read_stays() -> None:
    scene = Scene()
    await scene.reconcile()
    broken = policy(version=2)
    broken["spec"]["mode"] = "Later"
    scene.replace(broken)
    await scene.reconcile("online", ORPHANS)
    assert scene.tainted == {"e1": "online"}


def _owner(app: str, **changes: Any) -> Any:
    def change(record: Record) -> Record:
        return msgspec.structs.replace(record, **changes) if record == make_replicaset(app, replicas=1) else record

    return change


def _young(record: Record) -> Record:
    young = isinstance(record, NodeRecord) and record.name == "e1"
    return msgspec.structs.replace(record, created=START - 60.0) if young else record


def _full(record: Record) -> Record:
    full = getattr(record, "name", "") == "web-0"
    return msgspec.structs.replace(record, cpu_millis=5500) if full else record


def _well_used(record: Record) -> Record:
    used = getattr(record, "name", "").startswith("cart-")
    return msgspec.structs.replace(record, cpu_millis=2000) if used else record


def _just_come(record: Record) -> Record:
    come = getattr(record, "name", "") == "web-0"
    return msgspec.structs.replace(record, ready_since=START - 60.0) if come else record


@pytest.mark.parametrize(
    ("change", "more", "left"),
    [
        pytest.param(_owner("web", owner_kind="Rollout"), (), "Rollout/shop/web: CannotSurge", id="no Deployment"),
        pytest.param(_owner("web", replicas=2), (), "Deployment/shop/web: NotReady", id="a replica is missing"),
        pytest.param(
            None,
            (make_statefulset(), make_pod("db-0", node=NodeName("e1"), owner_uid="sts-db", owner_kind="StatefulSet")),
            "StatefulSet/shop/db: CannotSurge",
            id="a StatefulSet",
        ),
        pytest.param(
            None,
            (make_pod("bare", node=NodeName("e1"), owner_uid="", owner_kind="", owner_name=""),),
            "Pod/shop/bare: CannotSurge",
            id="a bare pod",
        ),
        pytest.param(
            None,
            (
                make_replicaset("sys", namespace="kube-system", replicas=1),
                make_pod("sys-0", namespace="kube-system", node=NodeName("e1"), owner_uid="rs-sys"),
            ),
            "Deployment/kube-system/sys: NotGoverned",
            id="a workload that no policy governs",
        ),
        pytest.param(_young, (), None, id="a node that has just come"),
        pytest.param(_just_come, (), None, id="a node to which a pod has just come"),
        pytest.param(_full, (), None, id="a node that is well used"),
    ],
)
async def test_a_node_that_is_left(change: Any, more: tuple[Record, ...], left: str | None) -> None:
    scene = Scene(policy(below=50), more=more, change=change)
    for uid in ("uid-cart-0", "uid-cart-1", "uid-cart-2"):
        scene.change(scene.world.state.pods[PodUid(uid)], cpu_millis=3000)
    await scene.reconcile()
    assert (scene.tainted, scene.status.emptying) == ({}, ())
    assert scene.status.left == (() if left is None else (left,))


async def test_a_node_to_which_a_pod_was_moved_is_left_for_as_long_as_an_emptied_node_stays_empty() -> None:
    scene = Scene(policy(below=50, emptyFor="1h", nodeSettle="1m"))
    for name in ("cart-0", "cart-1", "cart-2"):
        scene.change(scene.world.state.pods[PodUid(f"uid-{name}")], cpu_millis=3000)
    web, moved = scene.world.state.pods[PodUid("uid-web-0")], scene.clock.now()
    scene.surges.arrivals.note("Deployment/shop/web", moved - 10.0, moved)
    scene.change(web, created=moved - 5.0, ready_since=moved - 2.0)

    await scene.reconcile(seconds=1800.0)
    assert (scene.tainted, scene.status.emptying) == ({}, ())
    assert scene.status.left == ("Deployment/shop/web: MovedRecently",)

    await scene.reconcile(seconds=1799.0)
    assert scene.tainted == {}
    await scene.reconcile(seconds=2.0)
    assert (scene.tainted, scene.status.left) == ({"e1": "online"}, ())


_CLAIM: dict[str, Any] = {"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}}


@pytest.mark.parametrize(
    ("template", "spec", "left"),
    [
        pytest.param({}, {"paused": True}, "Paused", id="paused"),
        pytest.param(
            {"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}}, {}, "DoNotDisrupt", id="annotated"
        ),
        pytest.param(_CLAIM, {}, "Volumes", id="a volume"),
    ],
)
async def test_what_only_the_workload_itself_says(template: dict[str, Any], spec: dict[str, Any], left: str) -> None:
    scene = Scene()
    scene.template, scene.spec = template, spec
    await scene.reconcile()
    assert scene.tainted == {}
    assert f"Deployment/shop/web: {left}" in scene.status.left
    read = list(scene.read)
    await scene.reconcile()
    assert scene.read == read, "it is read once for some minutes"


async def test_a_reason_that_may_pass_is_read_again_and_a_lasting_one_is_not() -> None:
    for spec, template, read_again in (({"paused": True}, {"spec": {}}, True), ({}, _CLAIM, False)):
        scene = Scene()
        scene.spec, scene.template = spec, template
        await scene.reconcile()
        assert (scene.tainted, len(scene.status.left)) == ({}, 3)
        scene.spec, scene.template = {}, {"spec": {}}
        await scene.reconcile(seconds=LOOK_SECONDS)
        assert scene.tainted == {}, "what was read counts for a while"
        await scene.reconcile(seconds=PERIOD_SECONDS)
        assert bool(scene.tainted) is read_again


async def test_workloads_that_only_their_schedules_scale_keep_their_nodes() -> None:
    scene = Scene(exact(policy()))
    await scene.reconcile()
    assert (scene.tainted, scene.status.emptying, scene.read) == ({}, (), [])
    assert "Deployment/shop/web: ExactReplicas" in scene.status.left


async def test_a_pod_that_may_run_on_no_other_node_keeps_its_node() -> None:
    scene = Scene()
    scene.template = {"spec": {"nodeSelector": {"pool": "elsewhere"}}}
    await scene.reconcile()
    assert (scene.tainted, scene.status.left) == ({}, ("Node/e1: NoRoom", "Node/e2: NoRoom"))


@pytest.mark.parametrize(
    ("takes", "taken"),
    [
        pytest.param({"extended": {"nvidia.com/gpu": 1}}, {"extended": {"nvidia.com/gpu": 4}}, id="extended resource"),
        pytest.param(
            {"extended": {"ephemeral-storage": 60}}, {"extended": {"ephemeral-storage": 50}}, id="ephemeral storage"
        ),
        pytest.param({"host_ports": (HostPort(80),)}, {"host_ports": (HostPort(80),)}, id="host port"),
    ],
)
async def test_a_pod_for_which_no_other_node_has_free_what_it_takes_keeps_its_node(
    takes: dict[str, Any], taken: dict[str, Any]
) -> None:
    def change(record: Record) -> Record:
        if isinstance(record, NodeRecord):
            return msgspec.structs.replace(record, extended={"nvidia.com/gpu": 4, "ephemeral-storage": 100})
        return msgspec.structs.replace(record, **takes) if getattr(record, "name", "") == "web-0" else record

    other = make_pod("other-0", node=NodeName("f1"), owner_uid="", cpu_millis=10, **taken)
    for more, moves in (((), ("shop/api-0: e1 to f1", "shop/web-0: e1 to f1")), ((other,), ())):
        scene = Scene(more=more, change=change)
        scene.world.state.remove(scene.world.state.nodes[NodeName("e2")])
        assert await scene.shown() == moves


def _apart(app: str) -> dict[str, Any]:
    term = {"topologyKey": "host", "labelSelector": {"matchLabels": {"app": app}}}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def _spread(most: int) -> dict[str, Any]:
    constraint = {"maxSkew": most, "topologyKey": "host", "labelSelector": {}, "whenUnsatisfiable": "DoNotSchedule"}
    return {"topologySpreadConstraints": [constraint]}


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        pytest.param(_apart("db"), "e2", id="not beside db"),
        pytest.param(_apart("cart"), "f1", id="not beside cart"),
        pytest.param(_apart("cart") | {"nodeSelector": {"pool": "elastic"}}, None, id="not beside cart, on elastic"),
        # With one pod on f1, two on e1 and three on e2.
        pytest.param(_spread(1), "f1", id="spread"),
        pytest.param(_spread(1) | {"nodeSelector": {"pool": "elastic"}}, None, id="spread, on elastic nodes"),
        pytest.param(_spread(2) | {"nodeSelector": {"pool": "elastic"}}, "e2", id="spread less evenly"),
    ],
)
async def test_a_pod_goes_only_where_other_pods_leave_it_a_place(spec: dict[str, Any], target: str | None) -> None:
    def change(record: Record) -> Record:
        if isinstance(record, NodeRecord):
            return msgspec.structs.replace(record, labels={**record.labels, "host": record.name})
        return msgspec.structs.replace(record, labels={"app": record.name.partition("-")[0]})

    db = make_replicaset("db", replicas=1)
    scene = Scene(more=(db, make_pod("db-0", node=NodeName("f1"), owner_uid=db.uid)), change=change)
    scene.template = {"spec": spec}
    moves = [move for move in await scene.shown() if ": e1 to " in move]
    assert moves == ([] if target is None else [f"shop/api-0: e1 to {target}", f"shop/web-0: e1 to {target}"])


SPREAD = resource(Kind.ZONAL_BALANCE, "even", zoneSpread={})


@pytest.mark.parametrize(
    ("free_in_b", "moves"),
    [
        pytest.param(0, (), id="only its own zone has room"),
        pytest.param(4000, ("shop/api-0: e1 to b1", "shop/web-0: e1 to b1"), id="another zone has room"),
    ],
)
async def test_a_single_replica_that_zone_spread_keeps_out_of_its_own_zone(
    free_in_b: int, moves: tuple[str, ...]
) -> None:
    scene = Scene(policy(), SPREAD, more=(make_node("b1", labels={ZONE_LABEL: "b"}, cpu_millis=free_in_b),))
    scene.world.state.remove(scene.world.state.nodes[NodeName("e2")])
    assert await scene.shown() == moves


async def test_the_node_of_two_replicas_is_not_given_up_while_the_first_one_is_moved() -> None:
    """Zones are even, so each replica stays in zone a: the only one with room beside the others."""
    cart = make_replicaset("cart", replicas=6)
    others: list[Record] = [
        *(make_node(f"{zone}1", labels={ZONE_LABEL: zone}, cpu_millis=1000) for zone in "bc"),
        *(make_pod(f"cart-{n}", node=NodeName(f"{zone}1"), owner_uid=cart.uid) for n, zone in enumerate("bbcc", 2)),
    ]
    scene = Scene(policy(), SPREAD, more=(cart, *others))
    scene.world.state.remove(scene.world.state.nodes[NodeName("e1")])
    await scene.reconcile()
    await scene.reconcile()
    assert (scene.tainted, scene.asked) == ({"e2": "online"}, ["cart-0"])
    surge = Surge(6, 5, START, make_pod("cart-0").uid, Purpose.CONSOLIDATE, "online")
    scene.change(scene.world.state.replicasets[cart.uid], replicas=7, surge=surge.mark)
    scene.world.state.apply(make_pod("cart-7", node=NodeName("f1"), owner_uid=cart.uid, created=START, ready=False))
    await scene.reconcile(seconds=PERIOD_SECONDS)
    assert scene.status.emptying == ("e2",)


@pytest.mark.parametrize(
    "others", [None, {"type": "virtual", ZONE_LABEL: "v"}, {}], ids=["none", "virtual nodes", "without a zone"]
)
async def test_nodes_that_are_virtual_or_without_a_zone_are_no_zone(others: dict[str, str] | None) -> None:
    """A replica of zone a would make b larger by two than c, which has no room."""
    big = make_replicaset("big", replicas=5 if others is None else 8)
    nodes = ["e1", "a1", "b1", "b1", "c1", *([] if others is None else ["other"] * 3)]
    more: list[Record] = [
        big,
        make_node("other", labels=others or {}, cpu_millis=0),
        *(make_node(f"{zone}1", labels={ZONE_LABEL: zone}, cpu_millis=0) for zone in "ac"),
        make_node("b1", labels={ZONE_LABEL: "b"}),
        *(make_pod(f"big-{n}", node=NodeName(node), owner_uid=big.uid) for n, node in enumerate(nodes)),
    ]
    virtual = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": {"type": "virtual"}})
    scene = Scene(policy(), virtual, more=tuple(more))
    for name in ("e2", "f1"):
        scene.world.state.remove(scene.world.state.nodes[NodeName(name)])
    assert await scene.shown() == ()


async def test_an_empty_elastic_node_is_no_target() -> None:
    scene = Scene(more=(make_node("e3", labels=LABELS),))
    scene.world.state.remove(scene.world.state.nodes[NodeName("f1")])
    scene.world.state.remove(scene.world.state.nodes[NodeName("e2")])
    await scene.reconcile()
    assert scene.tainted == {}


@pytest.mark.parametrize("why", [Left.AUTOSCALER_AT_MAXIMUM, SurgeOutcome.NO_ROOM])
async def test_a_move_that_was_given_back_gives_up_its_node_for_a_while(why: Left | SurgeOutcome) -> None:
    scene = Scene(change=_well_used)
    await scene.reconcile()
    await scene.reconcile()
    scene.end(why)
    assert scene.events.said[-1].what == "Normal MoveLeft"
    await scene.reconcile()
    await scene.reconcile(seconds=MISSING_SECONDS)
    assert "e1" not in scene.tainted
    assert scene.status.left == (f"Deployment/shop/api: {why.value}",)
    scene.surges._asked.clear()
    await scene.reconcile(seconds=GIVEN_UP_SECONDS - 1)
    assert "e1" not in scene.tainted
    await scene.reconcile(seconds=WORKLOAD_SECONDS)
    assert "e1" in scene.tainted, "it is tried again"


@pytest.mark.parametrize("why", [Left.ROLLOUT, SurgeOutcome.OVERTAKEN])
async def test_a_node_waits_for_a_workload_that_was_scaled_during_its_move(why: Left | SurgeOutcome) -> None:
    scene = Scene(change=_well_used)
    await scene.reconcile()
    await scene.reconcile()
    scene.end(why)
    scene.surges._asked.clear()
    assert scene.events.said[-1].what == "Normal MoveLeft"
    await scene.reconcile(seconds=MISSING_SECONDS)
    assert "e1" in scene.tainted
    assert "api-0" not in scene.asked
    await scene.reconcile(seconds=60)
    assert "e1" in scene.tainted
    assert "api-0" in scene.asked, "it is tried again once it has settled"


async def test_a_node_to_which_moved_pods_come_back_is_given_up_and_rests_for_longer_each_time() -> None:
    scene = Scene(change=_well_used)
    kept, moves, was = [0.0], 0, True
    for _ in range(4 * 3600 // int(PERIOD_SECONDS)):
        while scene.asked:
            scene.end(SurgeOutcome.SUCCEEDED)
            moves += 1
        # Their owner deletes them on their new node, and the next ones prefer the old one.
        for pod in [one for one in scene.world.state.pods.values() if one.node == "f1"]:
            scene.world.state.remove(pod)
            back = {"uid": PodUid(f"{pod.name[:3]}-{moves}"), "name": f"{pod.name[:3]}-{moves}", "node": NodeName("e1")}
            now = scene.clock.now()
            scene.world.state.apply(msgspec.structs.replace(pod, created=now, ready_since=now, **back))
        await scene.reconcile(seconds=PERIOD_SECONDS)
        if was and "e1" not in scene.tainted:
            kept.append(scene.clock.now())
        was = "e1" in scene.tainted
    first, second, third, *_ = kept[1:]
    assert WAITING_SECONDS <= first - START <= WAITING_SECONDS + 5 * PERIOD_SECONDS
    assert second - first >= WAITING_SECONDS + GIVEN_UP_SECONDS
    assert third - second >= WAITING_SECONDS + 2 * GIVEN_UP_SECONDS
    assert scene.status.emptied == 0


async def test_a_client_that_overtakes_every_move_does_not_keep_the_places_of_all_nodes() -> None:
    evil, other = make_replicaset("evil", replicas=MOST_NODES), make_replicaset("other", replicas=1)
    more: list[Record] = [evil, other, make_node("a00", labels=LABELS)]
    more.append(make_node("big", labels={ZONE_LABEL: "a"}, cpu_millis=100_000))
    more.append(make_pod("other-0", node=NodeName("a00"), owner_uid=other.uid))
    for index in range(MOST_NODES):
        more.append(make_node(f"x{index:02}", labels=LABELS))
        more.append(make_pod(f"evil-{index}", node=NodeName(f"x{index:02}"), owner_uid=evil.uid))
    scene = Scene(more=tuple(more))
    for name in ("e1", "e2"):
        scene.world.state.remove(scene.world.state.nodes[NodeName(name)])
    for _ in range(3):
        await scene.reconcile()
    assert set(scene.tainted) == {f"x{index:02}" for index in range(MOST_NODES)}
    overtaken = -math.inf
    while "other-0" not in scene.asked and scene.clock.now() < START + 2 * 3600:
        while scene.asked and scene.asked[0].startswith("evil"):
            scene.end(SurgeOutcome.OVERTAKEN)
            overtaken = scene.clock.now()
        # It lets the workload settle only when the operator should have forgotten.
        if scene.clock.now() - overtaken < WORKLOAD_SECONDS + 60:
            for replicas in (MOST_NODES + 1, MOST_NODES):
                scene.change(scene.world.state.replicasets[evil.uid], replicas=replicas)
        await scene.reconcile(seconds=PERIOD_SECONDS)
    assert "other-0" in scene.asked


async def test_a_node_that_is_being_emptied_waits_for_a_rollout() -> None:
    scene = Scene()
    await scene.reconcile()
    scene.change(scene.world.state.pods[PodUid("uid-web-0")], ready=False)
    await scene.reconcile()
    assert (scene.tainted, scene.asked) == ({"e1": "online"}, ["api-0"])


async def test_a_node_whose_pods_never_can_be_moved_makes_room_for_others() -> None:
    scene = Scene()
    await scene.reconcile()
    for name in ("web-0", "api-0"):
        scene.change(scene.world.state.pods[PodUid(f"uid-{name}")], ready=False)
    await scene.reconcile()
    assert scene.tainted == {"e1": "online"}
    await scene.reconcile(seconds=WAITING_SECONDS)
    assert scene.tainted == {}
    await scene.reconcile()
    assert "e1" not in scene.status.emptying


async def test_a_node_waits_for_a_slow_surge_of_its_workload_for_another_of_its_pods() -> None:
    scene = Scene()
    await scene.reconcile()
    web, pod = scene.world.state.replicasets[OwnerUid("rs-web")], scene.world.state.pods[PodUid("uid-web-0")]
    scene.change(scene.world.state.pods[PodUid("uid-api-0")], ready=False)
    surge = Surge(1, 0, scene.clock.now(), PodUid("elsewhere"), Purpose.CONSOLIDATE, "online")
    scene.change(web, replicas=2, surge=surge.mark)
    for _ in range(3):
        await scene.reconcile(seconds=WAITING_SECONDS / 2)
        assert (scene.tainted, scene.asked) == ({"e1": "online"}, [])
    scene.change(web, surge="")
    scene.change(pod, ready=False)
    await scene.reconcile()
    await scene.reconcile(seconds=WAITING_SECONDS)
    assert scene.tainted == {}, "its workload can be moved no more"


@pytest.mark.parametrize("proven", [True, False], ids=["a surge", "a mark that a user wrote"])
async def test_a_surge_is_no_rise_and_its_pod_needs_no_second_place(*, proven: bool) -> None:
    scene = Scene()
    keys = scene.world.membership.proof = MarkProof()
    await scene.reconcile()
    web, node = scene.world.state.replicasets[OwnerUid("rs-web")], scene.world.state.nodes[NodeName("f1")]
    pod = scene.world.state.pods[PodUid("uid-web-0")]
    surge = Surge(1, 0, scene.clock.now(), pod.uid, Purpose.CONSOLIDATE, "online")
    proof = keys.of_surge(web.namespace, web.uid, surge.mark) if proven else "00ff"
    scene.change(web, replicas=2, surge=with_proof(surge.mark, proof))
    waits = msgspec.structs.replace(pod, uid=PodUid("new"), name="new", node=NodeName(""), phase=Phase.PENDING)
    scene.world.state.apply(msgspec.structs.replace(waits, created=scene.clock.now(), cpu_millis=7500))
    await scene.reconcile(seconds=PERIOD_SECONDS)
    await scene.reconcile(seconds=MISSING_SECONDS)
    assert scene.tainted == ({"e1": "online"} if proven else {}), "it waits for no more room than there is"
    # Only one more pod fits on the other nodes.
    for name in ("e2", "f1"):
        scene.change(scene.world.state.nodes[NodeName(name)], unschedulable=name == "e2")
    scene.change(scene.world.state.nodes[node.name], cpu_millis=1000)
    scene.world.state.apply(msgspec.structs.replace(pod, uid=PodUid("new"), name="new", node=node.name, created=START))
    await scene.reconcile(seconds=PERIOD_SECONDS)
    assert (scene.tainted, scene.status.emptying) == (({"e1": "online"}, ("e1",)) if proven else ({}, ()))


@pytest.mark.parametrize("terminating", [True, False], ids=["it is being deleted", "it is about to be deleted"])
async def test_the_pod_that_a_move_has_replaced_is_no_rise(*, terminating: bool) -> None:
    scene = Scene()
    before = (await observe(scene.world, "online")).requested
    pod = scene.world.state.pods[PodUid("uid-web-0")]
    replaced = msgspec.structs.replace(pod, uid=PodUid("old"), name="old", terminating=terminating)
    scene.world.state.apply(replaced)
    assert (await observe(scene.world, "online")).requested == before


async def test_a_pod_that_is_being_deleted_elsewhere_lowers_nothing() -> None:
    scene = Scene()
    before = (await observe(scene.world, "online")).requested
    pod = scene.world.state.pods[PodUid("uid-web-0")]
    scene.world.state.apply(
        msgspec.structs.replace(pod, uid=PodUid("old"), name="old", node=NodeName("virtual"), terminating=True)
    )
    assert (await observe(scene.world, "online")).requested == before


async def test_moves_in_a_minute_are_bounded() -> None:
    scene = Scene(policy(maxMovesPerMinute=1))
    await scene.reconcile()
    await scene.reconcile()
    await scene.reconcile(seconds=PERIOD_SECONDS)
    assert len(scene.asked) == 1
    await scene.reconcile(seconds=PERIOD_SECONDS)
    assert len(scene.asked) == 2


async def test_moves_that_take_long_count_in_those_of_a_minute_and_one_more_is_always_allowed() -> None:
    more: list[Record] = []
    for app in ("x", "y"):
        more += [
            make_replicaset(app, replicas=1),
            make_pod(f"{app}-0", node=NodeName("e1"), owner_uid=make_replicaset(app).uid),
        ]
    scene = Scene(policy(maxMovesPerMinute=2), more=tuple(more))
    scene.change(scene.world.state.nodes[NodeName("e2")], labels={ZONE_LABEL: "a"})
    await scene.reconcile()
    await scene.reconcile()
    assert len(scene.asked) == 2
    await scene.reconcile(seconds=61.0)
    assert len(scene.asked) == 3
    await scene.reconcile(seconds=61.0)
    assert len(scene.asked) == 4


@pytest.mark.parametrize(("replicas", "asked"), [(2, "cart-0"), (4, None)], ids=["down", "up"])
async def test_a_pod_waits_after_its_workload_was_scaled_up_and_not_after_it_was_scaled_down(
    replicas: int, asked: str | None
) -> None:
    scene = Scene(policy(maxMovesPerMinute=60))
    scene.world.state.remove(scene.world.state.nodes[NodeName("e1")])
    await scene.reconcile()
    assert scene.tainted == {"e2": "online"}
    cart = scene.world.state.replicasets[OwnerUid("rs-cart")]
    scene.change(cart, replicas=replicas)
    if replicas < 3:
        scene.world.state.remove(scene.world.state.pods[PodUid("uid-cart-2")])
    else:
        scene.world.state.apply(make_pod("cart-3", node=NodeName("f1"), owner_uid=cart.uid, created=START))
    await scene.reconcile(seconds=1.0)
    assert scene.asked == ([] if asked is None else [asked])


async def test_nothing_is_emptied_while_another_descheduler_runs() -> None:
    labels = {"k8s-app": "descheduler"}
    scene = Scene(more=(make_pod("descheduler", labels=labels, owner_uid="", owner_kind="Job", node=NodeName("f1")),))
    await scene.reconcile()
    await scene.reconcile()
    assert (scene.tainted, scene.asked, scene.status.emptying) == ({}, [], ("e1",))
    part = ConsolidationContributor(scene.controller).part(
        scene.world.governance.policies["online"], ElasticPolicyStatus(), datetime.now(UTC)
    )
    assert [(one.type, one.holds) for one in part.conditions] == [("ForeignDescheduler", True)]
    assert part.fields["consolidation"] == scene.status


async def test_a_dry_run_of_another_policy_does_not_end_the_condition_about_another_descheduler() -> None:
    found = make_pod("descheduler", labels={"app": "descheduler"}, owner_uid="", owner_kind="Job", node=NodeName("f1"))
    shown = policy("DryRun", version=2)
    shown["metadata"]["name"] = "shown"
    scene = Scene(policy(), shown, more=(found,))
    await scene.reconcile("online", "shown")
    contributor, policies = ConsolidationContributor(scene.controller), scene.world.governance.policies
    conditions = {
        name: [one.holds for one in contributor.part(model, ElasticPolicyStatus(), datetime.now(UTC)).conditions]
        for name, model in policies.items()
    }
    assert conditions == {"online": [True], "shown": []}


async def test_a_pod_that_only_has_the_labels_of_a_descheduler_stops_nothing() -> None:
    mine = make_pod("mine", labels={"app": "descheduler"}, owner_uid="", owner_kind="", node=NodeName("f1"))
    scene = Scene(more=(mine,))
    await scene.reconcile()
    assert scene.tainted == {"e1": "online"}


async def test_room_that_is_expected_to_be_needed_is_kept() -> None:
    scene = Scene()
    forecast = DemandForecast(START, present=3.0, highest=40.0, predictable=True)
    scene.world.board.forecasts = {"Deployment/shop/cart": forecast}
    await scene.reconcile()
    assert scene.tainted == {}
    scene.world.board.forecasts = {}
    await scene.reconcile()
    assert scene.tainted


GPU = Taint("nvidia.com/gpu", "NoSchedule")


def _with_gpu(taint: Taint = GPU, **changes: Any) -> NodeRecord:
    return make_node("gpu", labels={ZONE_LABEL: "a"}, cpu_millis=64_000, taints=(taint,), **changes)


@pytest.mark.parametrize(
    ("taint", "of_elastic", "counts"),
    [
        pytest.param(GPU, (), False, id="a taint that elastic nodes do not have"),
        pytest.param(GPU, (GPU,), True, id="a taint that elastic nodes have"),
        pytest.param(THEIRS, (), True, id="a soft taint"),
        pytest.param(Taint("node.kubernetes.io/disk-pressure", "NoSchedule"), (), True, id="a taint that passes"),
    ],
)
async def test_room_on_nodes_that_pods_of_elastic_nodes_cannot_use_does_not_count(
    taint: Taint, of_elastic: tuple[Taint, ...], *, counts: bool
) -> None:
    scene = Scene(more=(_with_gpu(taint),))
    elastic = scene.world.state.nodes[NodeName("e1")]
    scene.change(elastic, taints=(*elastic.taints, *of_elastic))
    forecast = DemandForecast(START, present=3.0, highest=40.0, predictable=True)
    scene.world.board.forecasts = {"Deployment/shop/cart": forecast}
    await scene.reconcile()
    assert bool(scene.tainted) is counts


async def test_what_is_requested_of_nodes_that_pods_of_elastic_nodes_cannot_use_needs_no_room_of_others() -> None:
    train = make_replicaset("train", replicas=1)
    pod = make_pod("train-0", node=NodeName("gpu"), owner_uid=train.uid, cpu_millis=7500)
    forecast = DemandForecast(START, present=3.0, highest=40.0, predictable=True)
    for ready in (True, False):
        scene = Scene(more=(_with_gpu(ready=ready), train, pod))
        before = (await observe(scene.world, "online")).requested
        scene.world.board.forecasts = {"Deployment/shop/train": forecast}
        scene.world.state.apply(msgspec.structs.replace(pod, uid=PodUid("other"), name="train-1", owner_uid="rs"))
        assert (await observe(scene.world, "online")).requested == before
        await scene.reconcile()
        assert scene.tainted == {"e1": "online"}


async def test_a_pod_that_only_such_a_node_could_hold_keeps_no_room_of_others() -> None:
    scene = Scene(more=(_with_gpu(), _waiting(cpu_millis=20_000)))
    await scene.reconcile()
    assert scene.tainted == {"e1": "online"}


def _waiting(**changes: Any) -> PodRecord:
    waits = make_pod("waits", node=NodeName(""), owner_uid="rs-other", phase=Phase.PENDING, ready=False, created=START)
    return msgspec.structs.replace(waits, **({"cpu_millis": 7500} | changes))


@pytest.mark.parametrize(
    ("pod", "tainted"),
    [
        pytest.param(_waiting(), False, id="it needs room"),
        pytest.param(_waiting(pending=Pending(unschedulable_since=START - 60.0)), False, id="no node for a minute"),
        pytest.param(_waiting(cpu_millis=10_000_000), True, id="no node could hold it"),
        pytest.param(_waiting(memory_bytes=1 << 60), True, id="no node has so much memory"),
        pytest.param(_waiting(pending=Pending(gated=True)), True, id="a scheduling gate"),
        pytest.param(
            _waiting(pending=Pending(unschedulable_since=START - LONGEST_WAIT_SECONDS)), True, id="it waits for ever"
        ),
        pytest.param(_waiting(created=START - LONGEST_WAIT_SECONDS), True, id="no scheduler looks at it"),
    ],
)
async def test_the_room_of_a_pod_that_waits_is_kept_unless_it_waits_for_something_else(
    pod: PodRecord, *, tainted: bool
) -> None:
    scene = Scene(more=(pod,))
    await scene.reconcile()
    assert bool(scene.tainted) is tainted


@pytest.mark.parametrize(
    ("ready", "pod", "emptying"),
    [
        pytest.param(False, {"cpu_millis": 7500}, (), id="there would be no room for its pod"),
        pytest.param(False, {"cpu_millis": 2000}, ("e1",), id="there is room for its pod"),
        pytest.param(False, {"cpu_millis": 7500, "terminating": True}, (), id="its pod was evicted and is not gone"),
        pytest.param(
            False,
            {"cpu_millis": 7500, "terminating": True, "owner_uid": OwnerUid("rs"), "owner_kind": "ReplicaSet"},
            ("e1",),
            id="the next pod of a ReplicaSet is there already",
        ),
        pytest.param(False, {"cpu_millis": 7500, "phase": Phase.SUCCEEDED}, ("e1",), id="its pod is finished"),
        pytest.param(False, {"cpu_millis": 7500, "owner_kind": "DaemonSet"}, ("e1",), id="a pod of a DaemonSet"),
        pytest.param(False, {"cpu_millis": 10_000_000}, ("e1",), id="no node could hold its pod"),
        pytest.param(True, {"cpu_millis": 7500}, ("e1",), id="the node is ready"),
    ],
)
async def test_the_room_of_the_pods_on_a_node_that_is_down_is_kept(
    pod: dict[str, Any], emptying: tuple[str, ...], *, ready: bool
) -> None:
    db = make_statefulset(replicas=1)
    there = {"node": NodeName("down"), "owner_uid": db.uid, "owner_kind": "StatefulSet"}
    node = make_node("down", labels={ZONE_LABEL: "a"}, ready=ready)
    scene = Scene(more=(node, db, make_pod("db-0", **{**there, **pod})))
    await scene.reconcile()
    assert scene.status.emptying == emptying


async def test_without_an_answer_of_the_api_server_nothing_changes() -> None:
    scene = Scene()
    scene.down = True
    await scene.reconcile()
    assert scene.tainted == {}
    scene.down = False
    await scene.reconcile()
    assert scene.tainted == {"e1": "online"}


async def test_a_namespace_that_cannot_be_read_keeps_its_own_nodes_alone() -> None:
    evil = make_replicaset("evil", namespace="evil", replicas=1)
    there = make_pod("evil-0", namespace="evil", node=NodeName("e3"), owner_uid=evil.uid, cpu_millis=10)
    scene = Scene(more=(make_namespace("evil"), make_node("e3", labels=LABELS), evil, there))
    scene.unreadable = "evil"
    await scene.reconcile()
    assert scene.status.emptying == ("e1", "e2")
    assert scene.status.left == ("Deployment/evil/evil: Unread",)


async def test_the_next_leader_goes_on() -> None:
    scene = Scene()
    await scene.reconcile()
    scene.lead()
    await scene.reconcile()
    assert (scene.tainted, scene.asked) == ({"e1": "online"}, ["api-0", "web-0"])


async def test_the_next_leader_keeps_the_taint_of_nodes_whose_workloads_it_has_not_read_and_moves_none() -> None:
    many = [f"w{index:02}" for index in range(3 * LOOKS)]
    more: list[Record] = [make_node("big", labels={ZONE_LABEL: "a"}, cpu_millis=64_000)]
    for index, name in enumerate(many):
        node = f"n{index // 6}"
        more += [make_node(node, labels=LABELS), make_replicaset(name, replicas=1)]
        more.append(make_pod(name, node=NodeName(node), owner_uid=f"rs-{name}", memory_bytes=1 << 20))
    scene = Scene(policy(maxMovesPerMinute=600), more=tuple(more))
    for node in ("e1", "e2"):
        scene.world.state.remove(scene.world.state.nodes[NodeName(node)])
    for _ in range(4):
        await scene.reconcile()
    begun = set(scene.tainted)
    assert begun == {f"n{index}" for index in range(10)}
    scene.read.clear()
    scene.lead()
    for passes in (1, 2, 3):
        await scene.reconcile()
        assert set(scene.tainted) == begun
        assert len(set(scene.read)) == passes * LOOKS
        assert set(scene.asked) <= set(scene.read)
    assert set(scene.asked) == set(many)


async def test_the_next_leader_begins_no_node_until_it_knows_how_requests_rise() -> None:
    big = make_node("big", labels={ZONE_LABEL: "a"}, cpu_millis=16_000)
    scene = Scene(more=(big, make_replicaset("grows", replicas=1)))

    async def grow(passes: int) -> None:
        for _ in range(passes):
            await scene.reconcile(seconds=PERIOD_SECONDS)
            grows, index = scene.world.state.replicasets[OwnerUid("rs-grows")], int(scene.clock.now())
            pod = make_pod(f"grows-{index}", node=big.name, owner_uid=grows.uid, cpu_millis=500, memory_bytes=1 << 20)
            scene.world.state.apply(pod)
            scene.change(grows, replicas=grows.replicas + 1)

    await grow(15)
    await scene.reconcile(seconds=MISSING_SECONDS)
    assert scene.tainted == {}, "the rise needs their room"
    scene.lead()
    for _ in range(13):
        await grow(1)
        assert scene.tainted == {}, "first it does not know the rise, then it does"
    await scene.reconcile(seconds=GIVEN_UP_SECONDS)
    await scene.reconcile(seconds=GIVEN_UP_SECONDS)
    assert scene.tainted, "the rise is over"


async def test_a_new_leader_begins_nodes_after_a_sixth_of_the_time_for_which_they_have_to_stay_empty() -> None:
    scene = Scene()
    scene.trend_known = True
    await scene.reconcile()
    await scene.reconcile(seconds=TREND_SECONDS - 1.0)
    assert (scene.tainted, scene.status.emptying) == ({}, ())
    await scene.reconcile(seconds=1.0)
    assert scene.tainted == {"e1": "online"}


async def test_the_moves_in_progress_count_for_the_next_leader() -> None:
    scene = Scene(policy(maxMovesPerMinute=2))
    await scene.reconcile()
    cart, pod = scene.world.state.replicasets[OwnerUid("rs-cart")], scene.world.state.pods[PodUid("uid-cart-0")]
    surge = Surge(3, 0, scene.clock.now(), pod.uid, Purpose.CONSOLIDATE, "online")
    scene.change(cart, replicas=4, surge=surge.mark)
    scene.lead()
    await scene.reconcile()
    assert scene.asked == ["api-0"]
    await scene.reconcile(seconds=60.0)
    assert scene.asked == ["api-0", "web-0"]


async def test_few_workloads_are_read_in_one_pass() -> None:
    many = [f"w{index:02}" for index in range(LOOKS + 6)]
    more: list[Record] = [make_node("big", labels={ZONE_LABEL: "a"}, cpu_millis=64_000)]
    for index, name in enumerate(many):
        node = f"n{index // 2:02}"
        more.append(make_node(node, labels=LABELS))
        more.append(make_replicaset(name, replicas=1))
        more.append(make_pod(name, node=NodeName(node), owner_uid=f"rs-{name}"))
    scene = Scene(more=tuple(more))
    await scene.reconcile()
    assert len(set(scene.read)) == LOOKS
    before = len(scene.tainted)
    assert before > 0
    await scene.reconcile()
    assert len(scene.tainted) > before


async def test_paused_workloads_do_not_keep_the_node_of_another_one_from_being_emptied() -> None:
    more: list[Record] = [make_node("big", labels={ZONE_LABEL: "a"}, cpu_millis=64_000)]
    for index in range(14 * LOOKS):
        node, name = f"d{index // 10:02}", f"app{index:03}"
        more += [make_node(node, labels=LABELS), make_replicaset(name, replicas=1)]
        more.append(make_pod(name, node=NodeName(node), owner_uid=f"rs-{name}", cpu_millis=10))
    scene = Scene(more=tuple(more))
    scene.pauses = "app"
    for _ in range(2 * 14):
        await scene.reconcile(seconds=PERIOD_SECONDS)
    assert scene.tainted == {"e1": "online", "e2": "online"}


async def test_nodes_whose_pods_fit_nowhere_keep_no_other_from_being_emptied_and_are_named() -> None:
    more: list[Record] = []
    for index in range(MOST_FAILED + 10):
        name = f"d{index:02}"
        more += [make_node(name, labels=LABELS, cpu_millis=20_000), make_replicaset(name, replicas=1)]
        more.append(make_pod(name, node=NodeName(name), owner_uid=f"rs-{name}", cpu_millis=12_000))
    scene = Scene(more=tuple(more))
    for _ in range(2 + MOST_FAILED // LOOKS):
        await scene.reconcile(seconds=PERIOD_SECONDS)
    assert set(scene.tainted) == {"e1", "e2"}
    assert scene.status.left[0] == "Node/d00: NoRoom"
    assert len(scene.status.left) == 10
    for name in [one.name for one in scene.world.state.nodes.values() if one.name.startswith("d")]:
        scene.world.state.remove(scene.world.state.nodes[name])
    await scene.reconcile()
    assert scene.status.left == ()


async def test_the_taint_of_another_policy_is_removed() -> None:
    scene = Scene(policy(), resource(Kind.ZONAL_BALANCE, "even"))
    node = scene.world.state.nodes[NodeName("f1")]
    scene.change(node, taints=(emptying_taint("online"),))
    assert len(scene.controller.queue) == 1
    await scene.reconcile(ORPHANS)
    assert scene.tainted == {}


# Beside a node autoscaler


@pytest.mark.parametrize("key", sorted(REMOVAL_TAINTS))
async def test_a_node_that_a_node_autoscaler_removes_is_neither_emptied_nor_a_target(key: str) -> None:
    scene = Scene()
    assert (await scene.shown())[0] == "shop/api-0: e1 to f1"
    leaves, source, target = Taint(key, "NoSchedule"), *(scene.world.state.nodes[NodeName(n)] for n in ("e1", "f1"))
    scene.change(source, taints=(*source.taints, leaves))
    assert await scene.shown() == ("shop/cart-0: e2 to f1",)
    scene = Scene()
    scene.change(target, taints=(leaves,))
    assert await scene.shown() == ("shop/api-0: e1 to e2", "shop/web-0: e1 to e2")


async def test_a_candidate_of_cluster_autoscaler_is_emptied_before_it_is_drained_and_is_no_target() -> None:
    candidate = (Taint(CANDIDATE_TAINT, "PreferNoSchedule", "1790000000"),)
    scene = Scene()
    scene.change(scene.world.state.nodes[NodeName("f1")], taints=candidate)
    assert await scene.shown() == ("shop/api-0: e1 to e2", "shop/web-0: e1 to e2")
    scene = Scene()
    scene.change(scene.world.state.nodes[NodeName("e2")], taints=candidate)
    scene.world.state.remove(scene.world.state.nodes[NodeName("f1")])
    assert await scene.shown() == ("shop/cart-0: e2 to e1",)


async def test_a_node_that_is_drained_while_it_is_being_emptied_does_not_count_as_emptied() -> None:
    scene = Scene()
    await scene.reconcile()
    assert scene.tainted == {"e1": "online"}
    node = scene.world.state.nodes[NodeName("e1")]
    scene.change(node, taints=(*node.taints, Taint("karpenter.sh/disrupted", "NoSchedule")))
    for name in ("api-0", "web-0"):
        scene.world.state.remove(scene.world.state.pods[PodUid(f"uid-{name}")])
    await scene.reconcile()
    scene.world.state.remove(scene.world.state.nodes[NodeName("e1")])
    await scene.reconcile()
    assert scene.status.emptied == 0
    assert "e1" not in scene.status.emptying
    assert "Normal NodeEmptied" not in [one.what for one in scene.events.said]


def _in_pool(record: Record) -> Record:
    elastic = isinstance(record, NodeRecord) and record.name in {"e1", "e2"}
    labels = {**LABELS, NODE_POOL_LABEL: "spot", "karpenter.sh/initialized": "true"}
    return msgspec.structs.replace(record, labels=labels) if elastic else record


@pytest.mark.parametrize(
    ("pools", "emptying"),
    [
        pytest.param([{"metadata": {"name": "spot"}, "spec": {}}], ("e1",), id="10 % of two nodes is one"),
        pytest.param(
            [{"metadata": {"name": "spot"}, "spec": {"disruption": {"budgets": [{"nodes": "0"}]}}}], (), id="none"
        ),
        pytest.param([], (), id="the NodePool is gone"),
        pytest.param(None, ("e1",), id="no Karpenter any more"),
    ],
)
async def test_the_disruption_budgets_of_a_node_pool_bound_its_nodes(pools: Any, emptying: tuple[str, ...]) -> None:
    scene = Scene(change=_in_pool)
    scene.pools = pools
    await scene.reconcile()
    assert scene.status.emptying == emptying
    assert scene.status.left == (() if pools is None else ("NodePool/spot: DisruptionBudget",))


def _two_policies() -> tuple[dict[str, Any], ...]:
    """The policies `online`, of the namespace `shop`, and `batch`, of its own namespace and elastic nodes."""
    found = policy(), policy(version=2)
    for raw, name, pool in zip(found, ("online", "batch"), ("elastic", "batch"), strict=True):
        raw["metadata"] |= {"name": name, "uid": f"uid-{name}"}
        raw["spec"]["tiers"]["elastic"] = {"nodeSelector": {"matchLabels": {"pool": pool}}}
        raw["spec"]["workloads"][0]["match"] = {"namespaces": {"matchLabels": {"for": name}}}
    return found


def _of_batch() -> tuple[Record, ...]:
    """An elastic node `b1` of the policy `batch` with a pod of `beta`, and the namespaces of both policies."""
    beta = make_replicaset("beta", namespace="batch", replicas=1)
    return (
        make_namespace("shop", **{"for": "online"}),
        make_namespace("batch", **{"for": "batch"}),
        beta,
        make_node("b1", labels={**LABELS, "pool": "batch"}),
        make_pod("beta-0", namespace="batch", node=NodeName("b1"), owner_uid=beta.uid),
    )


async def test_no_pod_is_moved_to_an_elastic_node_of_another_policy() -> None:
    scene = Scene(*_two_policies(), more=_of_batch())
    scene.world.state.remove(scene.world.state.nodes[NodeName("e2")])
    scene.change(scene.world.state.nodes[NodeName("f1")], cpu_millis=400)
    await scene.reconcile()
    assert scene.status.emptying == (), "only b1 has room for web and api"
    scene.world.state.apply(make_node("f2", labels={ZONE_LABEL: "a"}))
    await scene.reconcile()
    assert scene.status.next == ("shop/api-0: e1 to f2", "shop/web-0: e1 to f2")


@pytest.mark.parametrize("seen", [True, False], ids=["its taint is seen", "its taint is not seen yet"])
async def test_policies_with_nodes_of_one_node_pool_keep_its_budget_together(*, seen: bool) -> None:
    def in_pool(record: Record) -> Record:
        karpenter = {NODE_POOL_LABEL: "spot", "karpenter.sh/initialized": "true"}
        if not isinstance(record, NodeRecord) or "pool" not in record.labels:
            return record
        return msgspec.structs.replace(record, labels={**record.labels, **karpenter})

    scene = Scene(*_two_policies(), more=_of_batch(), change=in_pool)
    scene.pools = [{"metadata": {"name": "spot"}, "spec": {"disruption": {"budgets": [{"nodes": "1"}]}}}]
    if seen:
        await scene.reconcile("online")
        scene.lead()
        await scene.learn_trends()
    else:
        await scene.learn_trends()
        await scene.controller.reconcile("online")
    await scene.reconcile("batch")
    assert "b1" not in scene.tainted
    status = scene.controller.status("batch")
    assert status is not None
    assert status.left == ("NodePool/spot: DisruptionBudget",)
    scene.replace(policy(mode="DryRun", version=3), _two_policies()[1])
    await scene.reconcile("online", ORPHANS)
    await scene.reconcile("batch")
    assert scene.tainted == {"b1": "batch"}


async def test_without_an_answer_about_node_pools_no_node_is_begun() -> None:
    scene = Scene(change=_in_pool)
    scene.down = True
    await scene.reconcile()
    assert (scene.tainted, scene.status.emptying) == ({}, ())
