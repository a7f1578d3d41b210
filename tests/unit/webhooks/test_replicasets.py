"""The scale-down webhook against a state that a test holds in its hands; the writer answers as the API server would."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer, GroupVersionResource
from spillway.admission.server import LetGoError
from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.balance.zones import ZoneReading
from spillway.domain.model.names import (
    COST_WRITTEN,
    DESIRED,
    POD_DELETION_COST,
    POLICY,
    TIER,
    ZONE_LABEL,
    NodeName,
    OwnerUid,
)
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.kube.errors import ApiError
from spillway.state.board import Board
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.webhooks.cache_wait import CacheWait
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.plan_log import PlanLog
from spillway.webhooks.replicasets import (
    CONCURRENT_WRITES,
    CONCURRENT_WRITES_OF_NAMESPACE,
    PLAN_RESERVE_SECONDS,
    ReplicaSetWebhook,
)
from spillway.webhooks.scale_down_outcomes import FollowedPlan
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_replication_controller, make_state
from tests.support.fake_clock import FakeClock, settle
from tests.support.fake_reader import FakeReader
from tests.support.fake_writer import FakeWriter
from tests.support.policies import CREATED, governance_of

ELASTIC = {"pool": "elastic"}

Annotations = Mapping[str, str | None]


class Server(FakeWriter):
    """Takes the writer's patches; the watch shows them at once, unless it is `silent`."""

    def __init__(self, state: ClusterState) -> None:
        super().__init__()
        self.state = state
        self.written: dict[str, Annotations] = {}
        self.silent = False
        self.before_answer: Callable[[PodRecord], Awaitable[None]] | None = None

    async def annotate_pod(self, pod: PodRecord, annotations: Annotations) -> bool:
        if self.before_answer is not None:
            await self.before_answer(pod)
        self.written[pod.name] = annotations
        if not self.silent:
            cost = int(annotations[POD_DELETION_COST] or 0)
            policy = annotations.get(POLICY) or pod.policy
            self.state.apply(msgspec.structs.replace(pod, deletion_cost=cost, cost_written=cost, policy=policy))
        return True


class Scene:
    def __init__(self, *, mode: str = "Enforce", leads: bool = True, balance: dict[str, Any] | None = None) -> None:
        self.state = make_state(now=lambda: 1000.0)
        self.clock = FakeClock(100.0)
        self.server = Server(self.state)
        self.plans = PlanLog()
        self.followed: list[FollowedPlan] = []
        self.plan_seconds = self.cpu_seconds = 0.0
        for name, pool in (("f1", "fixed"), ("e1", "elastic")):
            self.state.apply(make_node(name, labels={"pool": pool, ZONE_LABEL: "a"}))
        self.state.apply(make_namespace("shop"))
        self.state.apply(make_replicaset(replicas=4))
        self.state.mark_synced()
        governance = governance_of(mode=mode, elastic=ELASTIC)
        if balance is not None:
            governance = Governance.compile(governance.policies.values(), (), [zonal_balance(balance)])
        self.board = Board(lambda: 1000.0, leading=lambda: leads)
        self.forwarded: list[str] = []
        self.leader_answers = True
        places = NodePlaces(self.state, lambda: governance, self.clock, now=self.clock)
        self.webhook = ReplicaSetWebhook(
            places,
            Lookup(self.state, FakeReader()),
            self.server,
            CacheWait(self.state, self.clock, sleep=self.clock.skip),
            board=self.board,
            plans=self.plans,
            forward=self._forward,
            follow=self.followed.append,
            clock=self.clock,
            now=lambda: 1000.0,
            sleep=self.clock.skip,
            cpu=self._cpu,
        )

    async def _forward(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        if not self.leader_answers:
            await self.clock.skip(deadline.remaining)
            raise LetGoError("forward-timeout")
        self.forwarded.append(request.name)
        return Answer("forwarded")

    def _cpu(self) -> float:
        """Each plan takes `plan_seconds` of the CPU."""
        self.cpu_seconds += self.plan_seconds
        return self.cpu_seconds

    def pod(self, name: str, node: str, cost: int | None, **changes: Any) -> None:
        marks = {"deletion_cost": cost, "cost_written": cost, "policy": "online", "tier": "fixed", "created": 1.0}
        self.state.apply(make_pod(name, **{"node": NodeName(node), **marks, **changes}))

    async def ask(
        self,
        old: int,
        new: int,
        *,
        seconds: float = 1.0,
        desired: tuple[int, int] | None = None,
        uid: str = "rs-web",
        name: str = "web",
        **request: Any,
    ) -> str:
        """`desired` is what the Deployment notes on the ReplicaSet, before and after."""

        def body(replicas: int, noted: int | None) -> msgspec.Raw:
            metadata: dict[str, Any] = {"uid": uid, "name": name, "namespace": request.get("namespace", "shop")}
            if noted is not None:
                metadata["annotations"] = {DESIRED: str(noted)}
            return msgspec.Raw(msgspec.json.encode({"metadata": metadata, "spec": {"replicas": replicas}}))

        before, after = desired or (None, None)
        bodies = {"object": body(new, after), "old_object": body(old, before)}
        arguments = {"namespace": "shop", "name": name} | bodies | request
        answer = await self.webhook(AdmissionRequest(uid="u", **arguments), Deadline(self.clock, seconds))
        assert not answer.additions
        assert not answer.denials
        return answer.outcome

    @property
    def victims(self) -> list[list[str]]:
        return [[victim.name for victim in plan.victims] for plan in self.plans.entries]


def zonal_balance(spec: dict[str, Any]) -> ZonalBalance:
    metadata = {"name": "even", "uid": "uid-even", "generation": 1, "creationTimestamp": CREATED}
    return ZonalBalance.model_validate({"metadata": metadata, "spec": spec})


@pytest.fixture
def scene() -> Scene:
    """Two pods on a fixed node, two on an elastic one, with the costs that they got when they were bound."""
    scene = Scene()
    for index, node in enumerate(("f1", "f1", "e1", "e1")):
        scene.pod(f"{node}-{index}", node, -1_000_000 - index if node == "e1" else -index)
    return scene


async def test_where_the_stored_order_is_right_nothing_is_written(scene: Scene) -> None:
    assert await scene.ask(4, 2) == "as-stored"
    assert scene.victims == [["e1-3", "e1-2"]]
    assert scene.server.written == {}


async def test_a_replication_controller_is_scaled_down_as_a_replicaset(scene: Scene) -> None:
    scene.state.apply(make_replication_controller(replicas=3))
    owner = {"owner_kind": "ReplicationController", "owner_name": "legacy", "owner_uid": OwnerUid("rc-legacy")}
    for index, node in enumerate(("f1", "f1", "e1")):
        scene.pod(f"legacy-{index}", node, 0, **owner)
    resource = GroupVersionResource("", "v1", "replicationcontrollers")
    assert await scene.ask(3, 2, uid="rc-legacy", name="legacy", resource=resource, sub_resource="scale") == "written"
    assert scene.victims == [["legacy-2"]]
    assert scene.plans.entries[0].about["kind"] == "ReplicationController"


async def test_what_differs_is_written_and_nothing_else(scene: Scene) -> None:
    scene.pod("e1-3", "e1", 50)
    assert await scene.ask(4, 2) == "written"
    assert scene.victims[0] == ["e1-2", "e1-3"]
    assert set(scene.server.written) == {"e1-3"}
    marks = scene.server.written["e1-3"]
    assert marks[POD_DELETION_COST] == marks[COST_WRITTEN]
    assert int(marks[POD_DELETION_COST] or 0) < -1
    assert scene.plans.entries[0].settle_seconds > 0


async def test_a_pod_bound_while_we_were_away_gets_its_marks_with_the_cost(scene: Scene) -> None:
    scene.pod("e1-3", "e1", None, policy="", tier="")
    await scene.ask(4, 2)
    assert scene.server.written["e1-3"][POLICY] == "online"
    assert scene.server.written["e1-3"][TIER] == "elastic"


async def test_steps_in_quick_succession_go_on_where_the_last_ended(scene: Scene) -> None:
    assert await scene.ask(4, 3) == "as-stored"
    assert await scene.ask(3, 2) == "as-stored"
    assert scene.victims == [["e1-3"], ["e1-2"]]


async def test_the_next_step_counts_pods_that_are_on_their_way_out(scene: Scene) -> None:
    await scene.ask(4, 3)
    scene.pod("e1-3", "e1", -1_000_003, terminating=True)
    await scene.ask(3, 2)
    assert scene.victims == [["e1-3"], ["e1-2"]]


async def test_raised_again_and_lowered_plans_again(scene: Scene) -> None:
    await scene.ask(4, 2)
    assert await scene.ask(4, 3) == "as-stored"
    assert scene.victims == [["e1-3", "e1-2"], ["e1-3"]]


async def test_nothing_to_do() -> None:
    scene = Scene()
    scene.pod("f1-0", "f1", 0)
    assert await scene.ask(2, 3) == "not-down"
    assert await scene.ask(2, 0) == "all-go"
    assert await scene.ask(4, 2) == "nothing-to-choose"
    assert await scene.ask(4, 1, dry_run=True) == "dry-run"
    assert scene.plans.entries == ()


async def test_recommend_plans_and_writes_nothing() -> None:
    scene = Scene(mode="Recommend")
    for index in range(3):
        scene.pod(f"f1-{index}", "f1", None, policy="")
    assert await scene.ask(3, 2) == "recommend"
    assert scene.server.written == {}
    assert scene.plans.entries[0].planned == 1


@pytest.mark.parametrize("noted", [None, -2], ids=["a user's own", "changed after us"])
async def test_a_foreign_cost_makes_us_step_back(scene: Scene, noted: int | None) -> None:
    scene.pod("f1-0", "f1", 7, cost_written=noted)
    assert await scene.ask(4, 1) == "foreign-cost"
    assert scene.server.written == {}


@pytest.mark.parametrize(
    ("successor", "request_", "mirror"),
    [
        ({"grew": 990.0}, {"desired": (4, 4)}, True),
        ({"grew": 990.0}, {"desired": (4, 3)}, False),
        ({"grew": 990.0}, {"desired": (4, 5)}, True),
        ({"grew": 990.0}, {"sub_resource": "scale"}, False),
        ({"grew": 0.0, "replicas": 0}, {"desired": (4, 4)}, False),
        ({"grew": 100.0}, {"desired": (4, 4)}, False),
    ],
    ids=[
        "step of a rollout",
        "scale-in in a rollout",
        "step of a rollout while scaled out",
        "someone scales the ReplicaSet itself",
        "aborted: the newer one is not wanted",
        "the rollout has stood still for long",
    ],
)
async def test_only_the_step_of_a_rollout_goes_in_the_mirrored_order(
    scene: Scene, successor: dict[str, Any], request_: dict[str, Any], *, mirror: bool
) -> None:
    scene.state._unsynced.add(ReplicaSetRecord)
    scene.state.apply(make_replicaset("next", owner_uid=OwnerUid("deploy-web"), revision=2, **successor))
    scene.state._unsynced.clear()
    await scene.ask(4, 3, **request_)
    [plan] = scene.plans.entries
    assert plan.mirror is mirror
    assert scene.victims == ([["f1-1"]] if mirror else [["e1-3"]])


async def test_unknown_workloads_are_let_be(scene: Scene) -> None:
    scene.state.apply(make_namespace("kube-system"))
    scene.state.apply(make_replicaset("dns", namespace="kube-system"))
    raw = msgspec.Raw(msgspec.json.encode({"metadata": {"uid": "rs-dns"}, "spec": {"replicas": 1}}))
    assert await scene.ask(4, 1, namespace="kube-system", name="dns", object=raw) == "ungoverned"


async def test_old_data_is_no_ground_for_a_plan() -> None:
    scene = Scene()
    scene.webhook._places.state._unsynced.add(PodRecord)
    with pytest.raises(LetGoError, match="stale"):
        await scene.ask(4, 2)


async def test_a_write_that_is_not_seen_is_let_go_in_time(scene: Scene) -> None:
    scene.pod("e1-3", "e1", 50)
    scene.server.silent = True
    with pytest.raises(LetGoError, match="not-seen"):
        await scene.ask(4, 2, seconds=0.3)
    assert scene.plans.entries[0].let_go == "not-seen"


async def test_writes_that_take_too_long_are_let_go(scene: Scene) -> None:
    async def hang(pod: PodRecord) -> None:
        await asyncio.Event().wait()

    scene.pod("e1-3", "e1", 50)
    scene.server.before_answer = hang
    with pytest.raises(LetGoError, match="writes-unfinished"):
        await scene.ask(4, 2, seconds=0.2)


async def test_a_refused_write_is_let_go_and_counted(scene: Scene) -> None:
    async def refuse(pod: PodRecord) -> None:
        raise ApiError(500, "InternalError", "no")

    scene.pod("e1-3", "e1", 50)
    scene.server.before_answer = refuse
    with pytest.raises(LetGoError, match="write-failed"):
        await scene.ask(4, 2)


async def test_a_cost_that_is_changed_again_at_once_still_counts_as_seen(scene: Scene) -> None:
    """Someone may write between our write and its answer: our watch saw ours, and that is what was waited for."""
    scene.pod("e1-3", "e1", 50)
    real = scene.server.annotate_pod

    async def written_over(pod: PodRecord, annotations: Annotations) -> bool:
        await real(pod, annotations)
        scene.pod(pod.name, pod.node, 99)
        return True

    scene.server.annotate_pod = written_over  # type: ignore[method-assign]
    assert await scene.ask(4, 2) == "written"


async def test_one_replicasets_requests_go_one_after_another(scene: Scene) -> None:
    inside = 0
    most = 0

    async def slowly(pod: PodRecord) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    scene.pod("e1-3", "e1", 50)
    scene.pod("e1-2", "e1", 60)
    scene.server.before_answer = slowly
    await asyncio.gather(scene.ask(4, 3), scene.ask(4, 3), scene.ask(4, 3))
    assert most == 1
    assert len(scene.plans.entries) == 3


@pytest.mark.parametrize(
    ("owner", "about"),
    [
        ({}, ("apps/v1", "Deployment", "web")),
        (
            {"owner_kind": "Rollout", "owner_api_version": "argoproj.io/v1alpha1"},
            ("argoproj.io/v1alpha1", "Rollout", "web"),
        ),
        ({"owner_kind": "", "owner_name": "", "owner_uid": ""}, ("apps/v1", "ReplicaSet", "web")),
    ],
)
async def test_a_plan_is_about_the_workload_that_users_know(
    scene: Scene, owner: dict[str, Any], about: tuple[str, str, str]
) -> None:
    scene.state.apply(make_replicaset(replicas=4, **owner))
    await scene.ask(4, 3)
    (plan,) = scene.plans.entries
    assert (plan.about["apiVersion"], plan.about["kind"], plan.about["name"]) == about


async def test_large_plans_of_one_namespace_leave_others_most_of_the_time(scene: Scene) -> None:
    scene.plan_seconds = 0.2
    begun = scene.clock.now()
    assert await scene.ask(4, 3) == "as-stored"
    assert scene.clock.now() == pytest.approx(begun, abs=0.1)
    scene.state.apply(make_namespace("den"))
    scene.state.apply(make_replicaset("other", namespace="den", uid="rs-other", replicas=2))
    for index in range(2):
        scene.pod(f"o{index}", "f1", -index, namespace="den", owner_uid="rs-other", owner_name="other")
    assert await scene.ask(2, 1, uid="rs-other", name="other", namespace="den") == "as-stored"
    assert scene.clock.now() == pytest.approx(begun, abs=0.1), "another namespace does not wait"

    assert await scene.ask(3, 2) == "as-stored"
    assert scene.clock.now() >= begun + 0.8, "a fifth of the time"
    with pytest.raises(LetGoError, match="namespace-busy"):
        await scene.ask(2, 1, seconds=0.3)


async def test_one_namespace_does_not_use_all_concurrent_writes(scene: Scene) -> None:
    waiting = 0
    gate = asyncio.Event()

    async def held(pod: PodRecord) -> None:
        nonlocal waiting
        if pod.namespace == "shop":
            waiting += 1
            await gate.wait()

    scene.server.before_answer = held
    for number in range(4):
        scene.state.apply(make_replicaset(f"big-{number}", uid=f"rs-{number}", replicas=20))
        for index in range(20):
            scene.pod(
                f"b{number}-{index}", "e1", 50, owner_uid=f"rs-{number}", owner_name=f"big-{number}", tier="elastic"
            )
    storm = [asyncio.create_task(scene.ask(20, 10, uid=f"rs-{number}", name=f"big-{number}")) for number in range(4)]
    await settle()
    assert waiting == CONCURRENT_WRITES_OF_NAMESPACE < CONCURRENT_WRITES

    scene.state.apply(make_namespace("den"))
    scene.state.apply(make_replicaset("other", namespace="den", uid="rs-other", replicas=2))
    for index in range(2):
        scene.pod(f"o{index}", "e1", 50, namespace="den", owner_uid="rs-other", owner_name="other", tier="elastic")
    assert await scene.ask(2, 1, uid="rs-other", name="other", namespace="den") == "written"
    gate.set()
    assert await asyncio.gather(*storm) == ["written"] * 4


PREFERS: dict[str, Any] = {"maxSkew": 2, "zonePreference": {}}


def in_two_zones(**options: Any) -> Scene:
    """Two pods in each of two zones, on fixed nodes; without loads the one on `f1` goes first."""
    scene = Scene(**options)
    scene.state.apply(make_node("f2", labels={"pool": "fixed", ZONE_LABEL: "b"}))
    for index, node in enumerate(("f1", "f1", "f2", "f2")):
        scene.pod(f"{node}-{index}", node, index - 100)
    if options.get("leads", True):
        scene.board.set_zone_reading("even", ZoneReading(1000.0, {"shop/web": {"a": 100}}, 180.0))
    return scene


async def test_the_zone_in_which_the_workload_has_the_lowest_load_gives_first() -> None:
    scene = in_two_zones(balance=PREFERS)
    await scene.ask(4, 2)
    assert [sorted(victims) for victims in scene.victims] == [["f2-2", "f2-3"]]


async def test_loads_that_are_too_old_leave_the_zones_equal() -> None:
    scene = in_two_zones(balance=PREFERS)
    scene.board.set_zone_reading("even", ZoneReading(800.0, {"shop/web": {"a": 100}}, 180.0))
    await scene.ask(4, 3)
    assert scene.victims == [["f1-0"]]


async def test_a_replica_that_does_not_lead_asks_the_leader_only_where_zones_are_preferred() -> None:
    scene = in_two_zones(balance=PREFERS, leads=False)
    assert await scene.ask(4, 3) == "forwarded"
    assert scene.forwarded == ["web"]
    assert scene.victims == []

    other = in_two_zones(balance={"maxSkew": 2}, leads=False)
    await other.ask(4, 3)
    assert (other.forwarded, other.victims) == ([], [["f1-0"]])


async def test_without_an_answer_of_the_leader_a_replica_plans_itself() -> None:
    scene = in_two_zones(balance=PREFERS, leads=False)
    scene.leader_answers = False
    assert await scene.ask(4, 3, seconds=1.4) == "as-stored"
    assert len(scene.victims) == 1
    assert scene.clock() == pytest.approx(100.0 + 1.4 - PLAN_RESERVE_SECONDS)


async def test_a_policy_in_recommend_does_not_ask_the_leader() -> None:
    scene = in_two_zones(balance=PREFERS, leads=False, mode="Recommend")
    await scene.ask(4, 3)
    assert not scene.forwarded


async def test_only_the_leader_answers_what_was_forwarded() -> None:
    scene = in_two_zones(balance=PREFERS, leads=False)
    with pytest.raises(LetGoError, match="not-leader"):
        await scene.webhook.forwarded(AdmissionRequest(uid="u"), Deadline(scene.clock, 1.0))
