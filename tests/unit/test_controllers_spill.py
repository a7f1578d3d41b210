"""What becomes of waiting pods: when they are looked at, what is written, and what is promised before it is."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from spillway.controllers.pool_nodes import PoolNodes
from spillway.controllers.pools import PoolsController
from spillway.controllers.spill import SpillController
from spillway.controllers.stuck import StuckController
from spillway.controllers.unstarted import Unstarted
from spillway.domain.names import POOLS, RESERVATION, NodeName, OwnerUid, PodUid
from spillway.domain.overlay.draft import OverlayPlan
from spillway.domain.records import NodeRecord, Pending, Phase, PodRecord, ReplicaSetRecord, Taint
from spillway.domain.retries import Retries
from spillway.domain.spill import Kept
from spillway.kube.catalog import Kind
from spillway.kube.client import ApiError, KubeClient
from spillway.kube.events import EventRecorder
from spillway.kube.writer import REFUSED_SECONDS, Writer
from spillway.placement.board import PoolVerdict
from spillway.placement.openings import Openings
from spillway.placement.reservations import Reservations
from spillway.placement.usage import LiveUsage
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource

OWNER = OwnerUid("rs-web")
NOW = 2000.0
KEY = "virtual-kubelet.io/provider"


def waiting(name: str = "web-1", *, since: float = NOW - 60, **changes: Any) -> PodRecord:
    marks = {"placement": changes.pop("placement", "physical"), "pools": changes.pop("pools", "")}
    pending = Pending(unschedulable_since=since, **marks)
    return make_pod(name, node=NodeName(""), phase=Phase.PENDING, ready=False, pending=pending, **changes)


class Told(EventRecorder):
    """Keeps what was said, about whom."""

    def __init__(self) -> None:
        super().__init__(KubeClient.__new__(KubeClient))
        self.said: list[tuple[str, str, str]] = []

    def record(self, involved: Mapping[str, Any], event_type: str, reason: str, message: str) -> None:
        self.said.append((f"{involved['kind']}/{involved['name']}", f"{event_type} {reason}", message))


class Cluster(Writer):
    """The API server's side: pods as it would give them, and what the controller does to them."""

    def __init__(self, *pods: PodRecord, resources: list[dict[str, Any]] | None = None, **replicaset: Any) -> None:
        self.clock = FakeClock(NOW)
        records: list[NodeRecord | PodRecord | ReplicaSetRecord] = [
            make_node("n1", cpu_millis=1000),
            *(
                make_node(f"v-{pool}", labels={"pool": pool}, taints=(Taint(KEY, "NoSchedule", pool),))
                for pool in ("a", "b")
            ),
            make_replicaset(**replicaset),
            *pods,
        ]
        self.world = make_world(records, resources or policy(), self.clock)
        self.usage = LiveUsage(self.world.state, lambda: self.world.governance, Reservations(self.clock.now))
        self.raw: dict[str, Any] = {}
        self.objects: dict[str, Any] = {}
        self.read: list[str] = []
        self.patched: dict[str, Mapping[str, Any]] = {}
        self.deleted: list[str] = []
        self.answer = True
        self.retries = Retries()
        self.events = Told()
        self.controller = SpillController(
            self.world,
            self,
            self,
            self.events,
            Openings(self.usage, self.world.board, lambda: self.world.governance),
            retries=self.retries,
        )

    def json(self, name: str) -> dict[str, Any]:
        if name in self.patched:
            return dict(self.patched[name])
        pod = self.world.state.pods.get(PodUid(f"uid-{name}"))
        metadata: dict[str, Any] = {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "labels": {"app": "web"},
        }
        if pod is not None and pod.pending is not None and pod.pending.pools:
            metadata["annotations"] = {POOLS: pod.pending.pools}
        return {"metadata": metadata, "spec": {}, "status": {}} | self.raw

    def show(self, name: str = "web-1") -> None:
        """The informer shows what was patched."""
        marks = self.patched[name]["metadata"]["annotations"]
        pod = self.world.state.pods[PodUid(f"uid-{name}")]
        pending = Pending(
            placement="physical",
            pools=marks[POOLS],
            reservation=marks[RESERVATION],
            unschedulable_since=pod.pending.unschedulable_since if pod.pending is not None else 0.0,
        )
        self.world.state.apply(msgspec.structs.replace(pod, pending=pending))

    def pools_of(self, name: str = "web-1") -> str:
        """The pools that the pod may go to by now."""
        found: str = self.patched[name]["metadata"]["annotations"][POOLS]
        return found

    async def get_json(self, path: str) -> Any:
        self.read.append(path)
        if path in self.objects:
            return self.objects[path]
        if "/pods/" in path:
            return self.json(path.rsplit("/", 1)[-1])
        raise ApiError(404, "NotFound", path)

    async def add_to_pod(self, pod: PodRecord, resource_version: str, additions: Any) -> bool:
        assert resource_version == "7"
        if self.answer:
            self.patched[pod.name] = OverlayPlan(tuple(additions)).onto(self.json(pod.name))
        return self.answer

    async def replace_unstarted(self, pod: PodRecord) -> bool:
        await asyncio.sleep(0)  # others get their turn meanwhile
        if self.answer:
            self.deleted.append(pod.name)
        return self.answer

    async def look(self, name: str = "web-1", seconds: float = 0.0) -> float | None:
        await self.clock.advance(seconds)
        return await self.controller.reconcile(f"uid-{name}")

    def kept(self, name: str = "web-1") -> Kept | None:
        found = self.controller._kept.get(PodUid(f"uid-{name}"))
        return None if found is None else found[0]


def policy(mode: str = "Enforce", a: Any = None, b: Any = None, **placement: Any) -> list[dict[str, Any]]:
    workloads = [
        {"name": "home", "match": {"labels": {"matchLabels": {"app": "home"}}}, "placement": {"virtual": "Never"}},
        {"name": "default", "placement": {"spillAfter": "60s", **placement}},
    ]
    tiers = {"virtual": {"budgets": ["a", "b"]}}
    return [
        resource(Kind.ELASTIC_POLICY, "online", mode=mode, tiers=tiers, workloads=workloads),
        *(
            resource(Kind.VIRTUAL_NODE_BUDGET, name, nodeSelector={"matchLabels": {"pool": name}}, **(spec or {}))
            for name, spec in (("a", a), ("b", b))
        ),
    ]


def toleration(pool: str) -> dict[str, str]:
    return {"key": KEY, "operator": "Equal", "value": pool, "effect": "NoSchedule"}


async def test_a_pod_spills_when_it_is_due_and_not_before() -> None:
    found = Cluster(waiting(since=NOW - 59))
    wait = await found.look()
    assert wait is not None
    assert 1.0 <= wait < 1.1
    assert found.read == []

    assert await found.look(seconds=1) is None
    pod = found.patched["web-1"]
    assert pod["spec"]["tolerations"] == [toleration("a")]
    assert pod["metadata"]["annotations"]["spillway.dev/pools"] == "a"
    token = pod["metadata"]["annotations"]["spillway.dev/reservation"]
    assert found.usage.on("a").used.pods == 1, "promised"
    assert found.usage.reservations.get(token) is not None
    found.show()
    assert found.usage.reservations.get(token) is None
    assert found.usage.on("a").used.pods == 1, "and handed over"


async def test_one_that_has_spilled_and_found_no_node_there_may_go_to_the_next_pool() -> None:
    found = Cluster(waiting())
    await found.look()
    assert found.pools_of() == "a"
    assert await found.look() == REFUSED_SECONDS, "the informer does not show it yet"
    found.show()
    wait = await found.look(seconds=1)
    assert wait == pytest.approx(60.0, abs=0.1), "the pool has its time too"
    assert found.pools_of() == "a"
    assert await found.look(seconds=60) is None
    assert found.pools_of() == "b,a"
    assert found.patched["web-1"]["spec"]["tolerations"] == [toleration("a"), toleration("b")]
    assert (found.usage.on("a").used.pods, found.usage.on("b").used.pods) == (1, 1), "no place is promised twice"
    found.show()
    assert (found.usage.on("a").used.pods, found.usage.on("b").used.pods) == (1, 1)
    assert await found.look(seconds=600) is None
    assert found.pools_of() == "b,a"


@pytest.mark.parametrize("reason", ["Held", "Unhealthy", "OutOfStock", "NoNodes"])
async def test_one_whose_pool_closes_before_it_is_bound_goes_to_the_next_at_once(reason: str) -> None:
    found = Cluster(waiting())
    await found.look()
    found.show()
    found.world.board.verdicts = {"a": PoolVerdict(takes=False, reason=reason)}
    assert await found.look(seconds=1) is None
    assert found.pools_of() == "b,a"


async def test_one_that_needs_another_pod_for_the_next_pool_is_replaced() -> None:
    sidecar = {"podOverlay": {"sidecars": [{"name": "logs", "image": "shipper:1"}]}}
    found = Cluster(waiting(pools="a"), resources=policy(b=sidecar))
    await found.look()
    await found.look(seconds=60)
    assert found.deleted == ["web-1"]
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.virtual
    assert redirect.avoid == {"a"}


async def test_a_pool_that_did_not_take_the_owners_pods_comes_last() -> None:
    found = Cluster(waiting(), resources=policy(b={"limits": {"pods": 0}}))
    other = Cluster(waiting())
    for one in (found, other):
        one.world.board.avoid(OWNER, {"a"}, 600.0)
        await one.look()
    assert (found.pools_of(), other.pools_of()) == ("a", "b")


async def test_a_burst_of_spills_never_breaks_a_limit() -> None:
    pods = [waiting(f"web-{n}") for n in range(10)]
    found = Cluster(*pods, resources=policy(a={"limits": {"pods": 4}}, b={"limits": {"cpu": "1500m"}}))
    for pod in pods:
        await found.look(pod.name)
    to = [one["metadata"]["annotations"]["spillway.dev/pools"] for one in found.patched.values()]
    assert to == ["a"] * 4 + ["b"] * 3
    assert [found.kept(f"web-{n}") for n in (7, 8, 9)] == [Kept.NO_POOL] * 3


async def test_what_was_not_written_is_not_promised() -> None:
    found = Cluster(waiting())
    found.answer = False
    assert await found.look() is not None
    assert found.usage.on("a").used.pods == 0


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param({"spec": {"priority": -10}}, Kept.EXPENDABLE, id="balloon"),
        pytest.param({"spec": {"hostNetwork": True}}, Kept.UNSUITABLE, id="unsuitable"),
        pytest.param({"status": {"nominatedNodeName": "n1"}}, Kept.NOMINATED, id="a balloon makes room"),
        pytest.param({"spec": {"nodeSelector": {"pool": "owned"}}}, Kept.NO_POOL, id="it must not leave"),
    ],
)
async def test_who_is_kept_and_how_often_it_is_looked_at(raw: dict[str, Any], reason: Kept) -> None:
    found = Cluster(waiting())
    found.raw = raw
    pauses = [await found.look()]
    assert found.kept() is reason
    for_good = reason in {Kept.EXPENDABLE, Kept.UNSUITABLE}
    for _ in range(6):
        pauses.append(await found.look(seconds=pauses[-1] or 60.0))
    assert len(found.read) == (1 if for_good else 7)
    assert pauses == [None] * 7 if for_good else pauses == sorted(pauses, key=lambda one: one or 0.0)
    assert found.patched == {}
    assert found.deleted == []


KEPT = "kept on physical nodes, which have no room for it, because "


async def test_the_workload_is_told_why_its_pod_stays_where_it_finds_no_room() -> None:
    found = Cluster(waiting(), resources=policy(a={"limits": {"pods": 0}}, b={"cordon": "Hold"}), owner_name="web")
    await found.look()
    clause = "no pool takes it (a: is at its limit (pods); b: is held)"
    assert found.events.said == [("Deployment/web", "Warning KeptPhysical", KEPT + clause)]
    for _ in range(5):
        await found.look(seconds=60)
    assert len(found.events.said) == 1, "once for each pod and reason"

    found = Cluster(waiting())
    found.raw = {"spec": {"hostNetwork": True}}
    await found.look()
    assert [one[1] for one in found.events.said] == ["Normal KeptPhysical"]
    assert "hostNetwork" in found.events.said[0][2]


@pytest.mark.parametrize(
    ("pod", "raw"),
    [
        pytest.param(waiting(), {"status": {"nominatedNodeName": "n1"}}, id="help is under way"),
        pytest.param(waiting(), {"spec": {"priority": -10}}, id="a balloon"),
        pytest.param(waiting(pools="a", since=0.5), {}, id="it may go to some already"),
    ],
)
async def test_of_these_nothing_is_told(pod: PodRecord, raw: dict[str, Any]) -> None:
    found = Cluster(pod, resources=policy(b={"cordon": "Hold"}))
    found.raw = raw
    await found.look()
    await found.look(seconds=60)
    assert found.kept() is not None
    assert found.events.said == []


async def test_a_young_node_is_given_its_turn_for_as_many_as_it_holds() -> None:
    pods = [waiting(f"web-{n}", cpu_millis=500) for n in range(3)]
    found = Cluster(*pods)
    found.world.state.apply(make_node("n2", ready=False, created=NOW - 30, cpu_millis=1000))
    for pod in pods:
        await found.look(pod.name)
    assert [found.kept(pod.name) for pod in pods] == [Kept.NODE_STARTING, Kept.NODE_STARTING, None]
    assert list(found.patched) == ["web-2"]
    await found.look("web-0", seconds=200)
    assert list(found.patched) == ["web-2", "web-0"], "it was waited for long enough"


async def test_a_pod_of_a_surge_is_not_sent_where_it_should_bring_one_back_from() -> None:
    found = Cluster(waiting(), surge="replicas=3 physical=2 since=2026-01-01T00:00:00Z")
    assert await found.look() is not None
    assert found.kept() is Kept.SURGING


async def test_an_overlay_that_a_patch_cannot_give_needs_another_pod() -> None:
    sidecar = {"podOverlay": {"sidecars": [{"name": "logs", "image": "shipper:1"}]}}
    found = Cluster(waiting(), resources=policy(a=sidecar))
    assert await found.look() is None
    assert found.deleted == ["web-1"]
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.virtual


async def test_a_virtual_pod_that_no_pool_took_is_replaced_by_a_physical_one() -> None:
    found = Cluster(waiting(placement="virtual", pools="a,b"))
    assert await found.look() is None
    assert found.deleted == ["web-1"]
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.physical
    assert found.read == []


@pytest.mark.parametrize("spill_after", [60, 900])
async def test_one_pool_after_the_other_is_tried_and_physical_nodes_at_the_end(spill_after: int) -> None:
    """Each has a node, and none of them takes the pod."""
    found = Cluster(resources=policy(spillAfter=f"{spill_after}s"))
    went: list[str] = []
    pools: tuple[str, ...] = ("a",)
    for number in range(3):
        pod = waiting(f"web-{number}", placement="virtual", pools=",".join(pools), since=found.clock.now())
        found.world.state.apply(pod)
        await found.look(pod.name, seconds=spill_after)
        found.world.state.remove(pod)
        redirect = found.world.board.take_redirect(OWNER)
        assert redirect is not None
        if redirect.physical:
            went.append("physical")
            break
        assert redirect.virtual
        pools = tuple(pool for pool in ("a", "b") if pool not in redirect.avoid)
        went += pools
        assert found.world.board.avoided(OWNER) == redirect.avoid, "so do those that are no successors"
    assert went == ["b", "physical"]


@pytest.mark.parametrize(
    ("b", "verdict"),
    [
        pytest.param({"limits": {"pods": 0}}, PoolVerdict(), id="at its limit"),
        pytest.param({}, PoolVerdict(takes=False, reason="Unhealthy"), id="closed"),
    ],
)
async def test_a_pool_that_takes_nothing_is_none_that_is_left(b: dict[str, Any], verdict: PoolVerdict) -> None:
    found = Cluster(waiting(placement="virtual", pools="a"), resources=policy(b=b))
    found.world.board.verdicts = {"b": verdict}
    await found.look()
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.physical


async def test_one_that_started_meanwhile_leaves_no_redirect() -> None:
    found = Cluster(waiting(placement="virtual", pools="a"))
    found.answer = False
    assert await found.look() is not None
    assert found.world.board.take_redirect(OWNER) is None
    assert found.world.board.avoided(OWNER) == frozenset()


async def test_pods_are_not_replaced_to_and_fro() -> None:
    sidecar = {"podOverlay": {"sidecars": [{"name": "logs", "image": "shipper:1"}]}}
    found = Cluster(waiting(), waiting("web-2", placement="virtual", pools="a,b"), resources=policy(a=sidecar))
    await found.look()
    await found.look("web-2", seconds=1)
    assert found.deleted == ["web-1"]
    assert found.kept("web-2") is Kept.TURNED
    await found.look("web-2", seconds=60)
    assert found.deleted == ["web-1", "web-2"]


async def test_a_held_pool_is_passed_over() -> None:
    found = Cluster(waiting())
    found.world.board.verdicts = {"a": PoolVerdict(takes=False, reason="Held")}
    await found.look()
    assert found.patched["web-1"]["metadata"]["annotations"]["spillway.dev/pools"] == "b"


@pytest.mark.parametrize(
    ("resources", "pod"),
    [
        pytest.param(policy("Recommend"), waiting(), id="Recommend"),
        pytest.param(policy("Recommend"), waiting(placement="virtual", pools="a"), id="Recommend a recall"),
        pytest.param(policy(virtual="Never"), waiting(), id="Never"),
        pytest.param(policy(), waiting(pools="a,b"), id="spilled to every pool already"),
        pytest.param(policy(), waiting(since=0.0), id="not tried yet"),
        pytest.param(policy(), waiting(terminating=True), id="leaving"),
        pytest.param([], waiting(), id="nobody governs it"),
    ],
)
async def test_who_is_not_touched(resources: Any, pod: PodRecord) -> None:
    nothing = [resource(Kind.VIRTUAL_NODE_BUDGET, "a", nodeSelector={"matchLabels": {"pool": "a"}})]
    found = Cluster(pod, resources=resources or nothing)
    assert await found.look(seconds=3600) is None
    assert (found.read, found.patched, found.deleted) == ([], {}, [])


async def test_every_waiting_pod_is_looked_at_again_when_the_policies_change() -> None:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "a", nodeSelector={"matchLabels": {"pool": "a"}})
    found = Cluster(waiting(), make_pod("web-2"), resources=[budget])
    unsubscribe = list(found.controller.subscribe())
    assert found.controller.all_keys() == ["uid-web-1"]
    assert await found.look() is None
    assert found.controller.all_keys() == ["uid-web-1"], "nobody governs it yet"
    found.world.state.apply(make_pod("web-1"))
    assert found.controller.all_keys() == []
    found.world.state.apply(waiting("web-2"))
    assert found.controller.all_keys() == ["uid-web-2"]
    for one in unsubscribe:
        one()


# A Job's pods


def of_job(name: str = "etl-1", **changes: Any) -> PodRecord:
    job = {"owner_uid": OwnerUid("job-1"), "owner_kind": "Job", "owner_name": "etl", "policy": "online"}
    return waiting(name, **job | changes)


JOB = "/apis/batch/v1/namespaces/shop/jobs/etl"


@pytest.mark.parametrize(("app", "spills"), [("etl", True), ("home", False)])
async def test_a_jobs_pod_spills_as_its_class_says(*, app: str, spills: bool) -> None:
    found = Cluster(of_job())
    found.raw = {"metadata": found.json("etl-1")["metadata"] | {"labels": {"app": app}}}
    found.objects[JOB] = {"metadata": {}, "spec": {}}
    await found.look("etl-1")
    assert bool(found.patched) is spills


@pytest.mark.parametrize(("failed", "replaced"), [(0, ["etl-1"]), (5, [])])
async def test_a_jobs_last_retry_is_its_own(failed: int, replaced: list[str]) -> None:
    found = Cluster(of_job(placement="virtual", pools="a"))
    found.objects[JOB] = {"metadata": {}, "spec": {"backoffLimit": 6}, "status": {"failed": failed}}
    await found.look("etl-1")
    assert found.deleted == replaced
    assert found.kept("etl-1") is (None if replaced else Kept.CANNOT_REPLACE)


async def test_a_jobs_successor_goes_there_also_after_the_longest_back_off() -> None:
    found = Cluster(of_job(placement="virtual", pools="a,b"))
    found.objects[JOB] = {"metadata": {}, "spec": {}}
    await found.look("etl-1")
    await found.clock.advance(601)
    redirect = found.world.board.take_redirect(OwnerUid("job-1"))
    assert redirect is not None
    assert redirect.physical


async def test_no_more_of_a_jobs_pods_than_it_forgives_at_once() -> None:
    """Several workers ask before the first of them has deleted."""
    pods = [of_job(f"etl-{n}", placement="virtual", pools="a") for n in range(6)]
    found = Cluster(*pods)
    found.objects[JOB] = {"metadata": {}, "spec": {"backoffLimit": 4}, "status": {}}
    await asyncio.gather(*(found.look(pod.name) for pod in pods))
    assert len(found.deleted) == 3, "the last of four retries is its own"


async def test_whoever_deletes_a_jobs_pods_asks_the_same_account() -> None:
    """Some find no node and others are bound and do not start."""
    unscheduled = [of_job(f"etl-{n}", placement="virtual", pools="a") for n in range(3)]
    bound = [
        msgspec.structs.replace(pod, node=NodeName("v-a"), uid=PodUid(f"uid-bound-{n}"), name=f"bound-{n}")
        for n, pod in enumerate(unscheduled)
    ]
    found = Cluster(*unscheduled, *bound)
    found.objects[JOB] = {"metadata": {}, "spec": {"backoffLimit": 4}, "status": {}}
    unstarted = Unstarted(found.world)
    pools = PoolsController(found.world, PoolNodes(found.world), unstarted)
    stuck = StuckController(
        found.world, found, found.events, found, pools=pools, unstarted=unstarted, retries=found.retries
    )
    list(pools.subscribe())
    await found.clock.advance(60)
    await asyncio.gather(
        *(stuck.reconcile(pod.uid) for pod in bound), *(found.controller.reconcile(pod.uid) for pod in unscheduled)
    )
    assert len(found.deleted) == 3


async def test_a_refused_deletion_is_none_that_a_job_has_to_forgive() -> None:
    found = Cluster(of_job(placement="virtual", pools="a"))
    found.objects[JOB] = {"metadata": {}, "spec": {"backoffLimit": 2}, "status": {}}
    found.answer = False
    for _ in range(3):
        assert await found.look("etl-1") == REFUSED_SECONDS


async def test_a_volume_of_one_node_keeps_its_pod() -> None:
    found = Cluster(waiting())
    found.raw = {"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}
    found.objects["/api/v1/namespaces/shop/persistentvolumeclaims/data"] = {"spec": {"volumeName": "pv-1"}}
    found.objects["/api/v1/persistentvolumes/pv-1"] = {"spec": {"local": {"path": "/disk"}}}
    await found.look()
    assert found.kept() is Kept.UNSUITABLE
