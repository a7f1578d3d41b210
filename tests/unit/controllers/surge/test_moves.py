"""Moves by surge over a small cluster: what is written, in which order, and what is given back, with its reason."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from spillway.controllers.spill.bring_back import BringBackController
from spillway.controllers.surge.moves import MoveEnd, MoveRequest, SurgeMovesController
from spillway.controllers.surge.runner import GOING_SECONDS, STEP_SECONDS
from spillway.controllers.surge.scaler import LATE_SECONDS, SEEN_SECONDS, SurgeScaler
from spillway.domain.balance.arrivals import CLOCK_SECONDS
from spillway.domain.balance.hot_nodes import hot_taint
from spillway.domain.model.names import POD_DELETION_COST, SURGE, ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord, Taint
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.patience import LONGEST_READY_SECONDS
from spillway.domain.surge.readings import LONGEST_PAUSE_SECONDS
from spillway.domain.surge.steps import Purpose, Surge, SurgeOutcome
from spillway.kube.errors import ApiError, RequestError, UnreachableError
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import Lists
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter
from tests.support.world import Record, exact, make_world, policy_resource, resource

UID = OwnerUid("rs-web")
READY_SECONDS = 300.0
VIRTUAL = {"pool": "virtual"}
EVEN = resource(Kind.ZONAL_BALANCE, "even", rebalance={"mode": "Active", "by": "Surge"})


class Cluster(FakeWriter, Lists):
    """The API server's side: one Deployment of `web`, written by the controller and read back; the state follows."""

    def __init__(self, *resources: Mapping[str, Any], replicas: int = 1, room: bool = True, **replicaset: Any) -> None:
        super().__init__()
        self.clock = FakeClock(1000.0)
        records: list[Record] = [
            make_node("hot", cpu_millis=1000, taints=(hot_taint("even"),)),
            make_node("idle", cpu_millis=1000 if room else 0),
            make_node("v1", labels=VIRTUAL, cpu_millis=0),
            make_replicaset(**{"replicas": replicas} | replicaset),
            *(self.pod(f"p{n}", "hot") for n in range(replicas)),
        ]
        self.world = make_world(records, [EVEN, *resources], self.clock)
        self.replicas = self.seen.replicas
        self.spec: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.autoscalers: list[dict[str, Any]] = []
        self.quotas: list[dict[str, Any]] = []
        self.written: list[str] = []
        self.reads = 0
        """How often the Deployment was read."""
        self.error: RequestError | None = None
        """What reads end with."""
        self.scale_error: RequestError | None = None
        self.answer_lost: RequestError | None = None
        """What a scale ends with after it was carried out."""
        self.mark_error: RequestError | None = None
        self.gone = False
        """Whether the ReplicaSet is gone when a mark is written."""
        self.scaled_meanwhile: int | None = None
        """The replicas when a scale is sent, with which the API server then refuses it."""
        self.error_after_scale: RequestError | None = None
        self.target = NodeName("idle")
        self.planned: list[bool] = []
        """Whether the additional replica was to prefer the planned node, at each scale."""
        self.results: list[SurgeOutcome | Left] = []
        self.scaler = SurgeScaler(self.world, self, self)
        self.left: list[str] = []
        """Where the pods were of which the moves have ended."""
        self.came: list[tuple[str, str]] = []
        """The names of the additional replicas, and where they were, at their end."""
        self.lead()

    def lead(self) -> None:
        """Replace the controller, as the next leader does."""
        self.scaler = SurgeScaler(self.world, self, self)
        self.controller = SurgeMovesController(self.world, self.scaler, ready_seconds=READY_SECONDS)
        self.unsubscribe = [*self.controller.subscribe(), self.controller.ended.subscribe(self._ended)]

    def _ended(self, end: MoveEnd) -> None:
        assert (end.purpose, end.asker, end.pod) == (Purpose.REBALANCE, "even", self.pod("p0", "hot").uid)
        self.results.append(end.result)
        self.left.append(end.where)
        self.came.append((end.successor, end.to))

    @staticmethod
    def pod(name: str, node: str, **changes: Any) -> PodRecord:
        return make_pod(name, node=NodeName(node), owner_uid=UID, cpu_millis=250, **changes)

    @property
    def seen(self) -> ReplicaSetRecord:
        return self.world.state.replicasets[UID]

    def changed(self, record: Any, **changes: Any) -> None:
        self.world.state.apply(msgspec.structs.replace(record, **changes))

    async def get_json(self, path: str) -> Any:
        if self.error is not None:
            raise self.error
        if path.endswith("horizontalpodautoscalers"):
            return {"items": self.autoscalers}
        if path.endswith("resourcequotas"):
            return {"items": self.quotas}
        self.reads += 1
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), self.replicas)
        return {
            "metadata": {"name": "web", "uid": "deploy-web", "generation": 1},
            "spec": {"replicas": self.replicas, "template": {"spec": {}}, **self.spec},
            "status": {"observedGeneration": 1, **status, **self.status},
        }

    async def annotate(self, resource: str, path: str, uid: str, annotations: Any) -> bool:
        assert (resource, uid) == ("replicasets", UID)
        assert path.endswith("/replicasets/web")
        if self.mark_error is not None:
            raise self.mark_error
        if self.gone or UID not in self.world.state.replicasets:
            return False
        self.written.append("mark" if annotations[SURGE] else "unmark")
        self.changed(self.seen, surge=annotations[SURGE] or "")
        return True

    async def annotate_pod(self, pod: PodRecord, annotations: Any) -> bool:
        cost = int(annotations[POD_DELETION_COST])
        self.written.append(f"{pod.name} costs {'less' if cost < 0 else 'more'}")
        self.changed(pod, deletion_cost=cost, cost_written=cost)
        return True

    async def scale(self, resource: str, path: str, uid: str, *, seen: int, wanted: int) -> bool:
        assert (resource, uid) == ("deployments", "deploy-web")
        assert path.endswith("/deployments/web")
        if self.scale_error is not None:
            raise self.scale_error
        if self.scaled_meanwhile is not None:
            self.replicas, self.error = self.scaled_meanwhile, self.error_after_scale
            return False
        if seen != self.replicas:
            return False
        self.written.append(f"{seen}->{wanted}")
        self.planned.append(self.world.board.plans_node(UID))
        self.replicas = wanted
        if UID in self.world.state.replicasets:
            self.changed(self.seen, replicas=wanted)
        if self.answer_lost is not None:
            raise self.answer_lost
        return True

    def goes(self) -> None:
        """The ReplicaSet controller deletes the chosen pod."""
        self.changed(self.world.state.pods[self.pod("p0", "hot").uid], terminating=True)

    def ask(self) -> bool:
        pod = self.world.state.pods[self.pod("p0", "hot").uid]
        return self.controller.ask(MoveRequest(UID, pod.uid, Purpose.REBALANCE, "even", self.target, self.clock.now()))

    async def step(self, seconds: float = 0.0) -> float | None:
        await self.clock.advance(seconds)
        return await self.controller.reconcile(UID)

    async def begun(self) -> None:
        assert self.ask()
        assert await self.step() == STEP_SECONDS
        assert self.written == ["mark", f"{self.replicas - 1}->{self.replicas}"]
        self.written.clear()


def appears(cluster: Cluster, node: str = "idle", **changes: Any) -> None:
    """The additional replica is there."""
    cluster.world.state.apply(cluster.pod("new", node, **{"created": cluster.clock.now()} | changes))


@pytest.mark.parametrize("resources", [(), (policy_resource(),)], ids=["no policy", "governed"])
async def test_the_only_replica_goes_once_its_successor_is_ready_elsewhere(resources: Any) -> None:
    cluster = Cluster(*resources)
    await cluster.begun()
    mark = Surge.parse(cluster.seen.surge)
    assert mark == Surge(1, 0, 1000.0, cluster.pod("p0", "hot").uid, Purpose.REBALANCE, "even")
    assert cluster.controller.in_progress(Purpose.REBALANCE, "even") == 1
    assert await cluster.step(1) == STEP_SECONDS
    appears(cluster, ready=False)
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.written == []
    appears(cluster)
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.written == ["p0 costs less"], "the ReplicaSet controller has to see it first"
    assert await cluster.step(SEEN_SECONDS / 2) == STEP_SECONDS
    assert await cluster.step(SEEN_SECONDS / 2) == STEP_SECONDS
    assert cluster.written == ["p0 costs less", "2->1"], "the mark stays until the pod is going"
    assert await cluster.step(1) == STEP_SECONDS
    cluster.goes()
    cluster.world.state.remove(cluster.world.state.pods[cluster.pod("p0", "hot").uid])
    assert await cluster.step(1) is None
    assert cluster.written == ["p0 costs less", "2->1", "unmark"]
    assert cluster.results == [SurgeOutcome.SUCCEEDED]
    assert cluster.left == ["node hot"], "also once the pod is gone"
    assert cluster.came == [("new", "idle")]
    assert cluster.controller.in_progress(Purpose.REBALANCE, "even") == 0


async def test_of_several_new_pods_it_is_not_known_which_one_replaced_the_other() -> None:
    cluster = Cluster(replicas=2)
    await cluster.begun()
    cluster.world.state.remove(cluster.world.state.pods[cluster.pod("p1", "hot").uid])
    appears(cluster)
    cluster.world.state.apply(cluster.pod("again", "hot", created=cluster.clock.now()))
    for _ in range(3):
        await cluster.step(SEEN_SECONDS)
    cluster.goes()
    await cluster.step(1)
    assert (cluster.results, cluster.came) == ([SurgeOutcome.SUCCEEDED], [("", "")])


@pytest.mark.parametrize("ahead", [-CLOCK_SECONDS, -2.0, 2.0, CLOCK_SECONDS])
async def test_the_new_replica_is_known_also_if_the_clock_of_the_api_server_differs(ahead: float) -> None:
    cluster = Cluster()
    cluster.changed(cluster.pod("p0", "hot"), created=0.0)
    await cluster.begun()
    created = cluster.clock.now() + ahead
    appears(cluster, created=created)
    for _ in range(3):
        await cluster.step(SEEN_SECONDS)
    cluster.goes()
    await cluster.step(1)
    assert (cluster.results, cluster.came) == ([SurgeOutcome.SUCCEEDED], [("new", "idle")])
    assert cluster.controller.arrivals.moved("Deployment/shop/web", created, cluster.clock.now(), within=60.0)


async def test_a_pod_that_stays_after_the_scale_down_was_not_moved() -> None:
    cluster = Cluster()
    await cluster.begun()
    appears(cluster)
    await cluster.step(1)
    await cluster.step(SEEN_SECONDS)
    assert cluster.replicas == 1
    # Before the ReplicaSet controller has deleted a pod, an autoscaler adds one.
    cluster.replicas = 2
    assert await cluster.step(GOING_SECONDS - 1) == STEP_SECONDS
    assert "unmark" not in cluster.written, "its order holds for a while"
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written[-1]) == ([SurgeOutcome.NOT_DELETED], "unmark")
    now = cluster.clock.now()
    assert not cluster.controller.arrivals.moved("Deployment/shop/web", 1000.0, now, within=60.0)


async def test_it_waits_until_the_new_replica_is_available() -> None:
    cluster = Cluster()
    cluster.spec = {"minReadySeconds": 30}
    await cluster.begun()
    appears(cluster)
    cluster.status = {"availableReplicas": 1}
    assert await cluster.step(READY_SECONDS + 29) == STEP_SECONDS
    cluster.status = {}
    await cluster.step(1)
    await cluster.step(SEEN_SECONDS)
    cluster.goes()
    await cluster.step(1)
    assert cluster.results == [SurgeOutcome.SUCCEEDED]


@pytest.mark.parametrize(
    ("deadline", "waits"),
    [
        pytest.param(None, READY_SECONDS, id="a ReplicaSet without an owner"),
        pytest.param(600, 600.0, id="the default of Kubernetes"),
        pytest.param(1200, 1200.0, id="a workload that starts slowly"),
        pytest.param(2**31 - 1, LONGEST_READY_SECONDS, id="no deadline"),
    ],
)
async def test_a_move_waits_as_long_as_a_replica_of_the_deployment_may_take(deadline: int | None, waits: float) -> None:
    cluster = Cluster()
    cluster.spec = {} if deadline is None else {"progressDeadlineSeconds": deadline}
    await cluster.begun()
    appears(cluster, ready=False)
    assert await cluster.step(waits) == STEP_SECONDS
    assert (cluster.results, cluster.written) == ([], [])
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.NOT_READY], ["2->1", "unmark"])


async def test_a_replica_that_starts_slowly_completes_its_move() -> None:
    cluster = Cluster()
    cluster.spec = {"progressDeadlineSeconds": 600}
    await cluster.begun()
    appears(cluster, ready=False)
    assert await cluster.step(2 * READY_SECONDS - 1) == STEP_SECONDS
    appears(cluster)
    await cluster.step(1)
    await cluster.step(SEEN_SECONDS)
    cluster.goes()
    await cluster.step(1)
    assert cluster.results == [SurgeOutcome.SUCCEEDED]


async def test_while_a_replica_starts_its_deployment_is_read_ever_less_often() -> None:
    cluster = Cluster()
    cluster.spec = {"progressDeadlineSeconds": 600}
    await cluster.begun()
    appears(cluster, ready=False)
    cluster.reads = 0
    for _ in range(500):
        assert await cluster.step(1) == STEP_SECONDS
    assert cluster.reads < 500 / LONGEST_PAUSE_SECONDS + 10
    appears(cluster)
    await cluster.step()
    await cluster.step(SEEN_SECONDS)
    assert cluster.written[-1] == "2->1", "a pod that becomes ready is no reason to wait"


async def test_a_replica_is_known_to_be_available_when_it_has_been_ready_for_long_enough() -> None:
    cluster = Cluster()
    cluster.spec, cluster.status = {"minReadySeconds": 100}, {"availableReplicas": 1}
    await cluster.begun()
    appears(cluster, ready_since=cluster.clock.now())
    cluster.reads = 0
    for _ in range(99):
        await cluster.step(1)
    assert cluster.reads < 20
    cluster.status = {}
    await cluster.step(1)
    await cluster.step(SEEN_SECONDS)
    assert cluster.written[-1] == "2->1"


async def test_another_client_that_scales_is_noticed_while_a_replica_starts() -> None:
    cluster = Cluster()
    await cluster.begun()
    appears(cluster, ready=False)
    for _ in range(100):
        await cluster.step(1)
    cluster.replicas = 3
    cluster.changed(cluster.seen, replicas=3)
    await cluster.step(1)
    assert cluster.results == [SurgeOutcome.OVERTAKEN]


async def test_a_move_that_is_not_wanted_any_more_takes_no_replica_that_is_available() -> None:
    cluster = Cluster()
    cluster.spec = {"minReadySeconds": 30}
    await cluster.begun()
    appears(cluster)
    cluster.status = {"availableReplicas": 1}
    cluster.world.catalog.replace(Kind.ZONAL_BALANCE, [], 60)
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.written == [], "of two ready pods a scale-down may take the available one"
    cluster.status = {}
    await cluster.step(29)
    assert (cluster.results, cluster.written) == ([SurgeOutcome.WITHDRAWN], ["2->1", "unmark"])


async def test_a_replica_that_comes_to_the_same_node_is_no_gain() -> None:
    cluster = Cluster()
    await cluster.begun()
    appears(cluster, node="hot")
    await cluster.step(1)
    assert (cluster.results, cluster.written) == ([SurgeOutcome.NO_GAIN], ["2->1", "unmark"])


async def test_another_client_that_scales_in_between_takes_precedence() -> None:
    cluster = Cluster(replicas=2)
    await cluster.begun()
    cluster.replicas = 5
    await cluster.step(1)
    assert (cluster.results, cluster.written) == ([SurgeOutcome.OVERTAKEN], ["unmark"])


async def test_a_replicaset_that_is_deleted_during_its_surge_leaves_no_replica() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.scale_error = UNREACHABLE
    cluster.world.state.remove(cluster.seen)
    with pytest.raises(UnreachableError):
        await cluster.step(1)
    assert cluster.results == [], "it is tried again"
    cluster.scale_error = None
    assert await cluster.step(LATE_SECONDS) is None
    assert (cluster.results, cluster.written, cluster.replicas) == ([SurgeOutcome.WITHDRAWN], ["2->1"], 1)
    assert cluster.controller.in_progress(Purpose.REBALANCE, "even") == 0
    assert not cluster.scaler.busy
    assert await cluster.step(1) is None
    assert cluster.written == ["2->1"]


async def test_a_lost_request_may_still_add_a_replica_after_the_replicaset_was_deleted() -> None:
    cluster = Cluster()
    # Both controllers of surges follow the ReplicaSets.
    other = BringBackController(
        cluster.world, cluster.scaler, FakeRecorder(), hold_seconds=600.0, at_once=5, ready_seconds=READY_SECONDS
    )
    unsubscribe = [*other.subscribe()]
    await asked_in_vain(cluster, UNREACHABLE)
    cluster.world.state.remove(cluster.seen)
    assert await cluster.step(1) == STEP_SECONDS
    cluster.replicas = 2
    await cluster.step(1)
    assert (cluster.results, cluster.replicas) == ([SurgeOutcome.WITHDRAWN], 1)
    for end in unsubscribe:
        end()


async def test_after_the_replicaset_was_deleted_the_number_that_another_client_has_set_stays() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.world.state.remove(cluster.seen)
    cluster.replicas = 5
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.OVERTAKEN], [])


async def test_the_move_of_a_workload_that_is_deleted_ends() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.world.state.remove(cluster.seen)
    cluster.error = ApiError(404, "NotFound", "deployments.apps not found")
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.WITHDRAWN], [])


async def test_a_surge_that_is_not_wanted_any_more_is_undone() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.world.catalog.replace(Kind.ZONAL_BALANCE, [], 50)
    await cluster.step(1)
    assert (cluster.results, cluster.written) == ([SurgeOutcome.WITHDRAWN], ["2->1", "unmark"])


async def test_a_replica_that_the_api_server_refuses_is_given_up_at_once() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.changed(cluster.seen, refused='pods "web-x" is forbidden: exceeded quota')
    await cluster.step(1)
    assert (cluster.results, cluster.written) == ([SurgeOutcome.REFUSED], ["2->1", "unmark"])


async def test_the_next_leader_continues_a_surge() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.lead()
    assert UID in cluster.controller.all_keys()
    appears(cluster)
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.written == ["p0 costs less"], "the ReplicaSet controller has to see it first"
    assert await cluster.step(SEEN_SECONDS / 2) == STEP_SECONDS
    assert await cluster.step(SEEN_SECONDS / 2) == STEP_SECONDS
    assert cluster.written == ["p0 costs less", "2->1"], "the mark stays until the pod is going"
    assert await cluster.step(1) == STEP_SECONDS
    cluster.goes()
    assert await cluster.step(1) is None
    assert cluster.written == ["p0 costs less", "2->1", "unmark"]
    assert cluster.results == [SurgeOutcome.SUCCEEDED]


async def test_a_move_is_under_way_until_its_surge_has_ended_and_the_next_leader_does_not_know_its_target() -> None:
    cluster = Cluster()
    await cluster.begun()
    (move,) = cluster.controller.under_way()
    assert (move.pod, move.asker, move.target) == (cluster.pod("p0", "hot").uid, "even", "idle")
    cluster.lead()
    await cluster.step()
    (move,) = cluster.controller.under_way()
    assert (move.pod, move.asker, move.target) == (cluster.pod("p0", "hot").uid, "even", "")
    cluster.controller.forget(UID)
    assert cluster.controller.under_way() == []


async def test_the_mark_of_a_bring_back_is_another_controllers() -> None:
    cluster = Cluster(surge=Surge(1, 0, 900.0).mark)
    assert await cluster.step() is None
    assert cluster.written == []


async def test_a_workload_has_one_surge_whoever_asks() -> None:
    cluster = Cluster()
    cluster.scaler.busy.add(UID)
    assert not cluster.ask()
    cluster.scaler.busy.clear()
    assert cluster.ask()
    assert not cluster.ask(), "asked for already"


FULL = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 1}}


def quota(name: str, hard: str, used: str, **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"hard": {name: hard}, "used": {name: used}}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"spec": {"paused": True}}, Left.PAUSED, id="paused"),
        pytest.param({"status": {"updatedReplicas": 0}}, Left.ROLLOUT, id="a rollout"),
        pytest.param({"status": {"readyReplicas": 0}}, Left.NOT_READY, id="not whole"),
        pytest.param({"autoscalers": [FULL]}, Left.AUTOSCALER_AT_MAXIMUM, id="at its maximum"),
        pytest.param({"quotas": [quota("pods", "3", "3")]}, Left.AT_QUOTA, id="at its quota of pods"),
        pytest.param({"quotas": [quota("requests.cpu", "1", "800m")]}, Left.AT_QUOTA, id="at its quota of CPU"),
    ],
)
async def test_a_workload_that_cannot_surge_is_given_back_with_its_reason(
    change: Mapping[str, Any], reason: Left
) -> None:
    cluster = Cluster()
    for name, value in change.items():
        setattr(cluster, name, value)
    assert cluster.ask()
    assert await cluster.step() is None
    assert (cluster.results, cluster.written) == ([reason], [])
    assert cluster.ask(), "it may be asked for again"


async def test_without_room_on_another_node_nothing_begins() -> None:
    cluster = Cluster(room=False)
    cluster.ask()
    await cluster.step()
    assert (cluster.results, cluster.written) == ([Left.NO_ROOM], [])


async def test_where_other_pods_leave_no_node_nothing_begins() -> None:
    cluster = Cluster()
    for node in list(cluster.world.state.nodes.values()):
        cluster.changed(node, labels={**node.labels, "rack": "one"})
    term = {"topologyKey": "rack", "labelSelector": {"matchLabels": {"app": "web"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    cluster.spec = {"template": {"spec": {"affinity": apart}}}
    cluster.changed(cluster.seen, labels={"app": "web"})
    cluster.ask()
    await cluster.step()
    assert (cluster.results, cluster.written) == ([Left.NO_ROOM], []), "the pod that is moved is in the same rack"


SPREAD_OF_ITS_OWN: dict[str, Any] = {
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": ZONE_LABEL,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }
    ]
}


@pytest.mark.parametrize("by", ["the template", "zoneSpread"])
@pytest.mark.parametrize(
    ("replicas", "others", "room_in_b", "result"),
    [
        pytest.param(1, "", False, Left.NO_ROOM, id="the only replica"),
        pytest.param(1, "", True, None, id="to another zone"),
        pytest.param(2, "bc", False, Left.NO_ROOM, id="in the fullest zone"),
        pytest.param(1, "bc", False, None, id="with even zones"),
    ],
)
async def test_the_additional_replica_is_spread_over_zones_beside_the_pod_that_it_replaces(
    replicas: int, others: str, by: str, *, room_in_b: bool, result: Left | None
) -> None:
    """As many replicas in zone a as it says, where another node has room, and one in each of the other zones."""
    cluster = Cluster(replicas=replicas + len(others))
    web = {"app": "web", "pod-template-hash": "abc"}
    cluster.changed(cluster.seen, labels=web)
    for name in ("hot", "idle"):
        cluster.changed(cluster.world.state.nodes[NodeName(name)], labels={ZONE_LABEL: "a"})
    for index, zone in enumerate("bc"):
        room = 1000 if room_in_b and zone == "b" else 250
        cluster.world.state.apply(make_node(zone, labels={ZONE_LABEL: zone}, cpu_millis=room))
        if zone in others:
            cluster.changed(cluster.world.state.pods[cluster.pod(f"p{replicas + index}", "hot").uid], node=zone)
        else:
            cluster.world.state.apply(make_pod(f"other-{zone}", node=NodeName(zone), owner_uid="", cpu_millis=250))
    template: dict[str, Any] = {"metadata": {"labels": {"app": "web"}}, "spec": {}}
    if by == "the template":
        template["spec"] = SPREAD_OF_ITS_OWN
    else:
        spread = resource(Kind.ZONAL_BALANCE, "even", version=2, **EVEN["spec"], zoneSpread={})
        cluster.world.catalog.replace(Kind.ZONAL_BALANCE, [spread], 60)
    cluster.spec = {"template": template}
    cluster.ask()
    await cluster.step()
    assert cluster.results == ([] if result is None else [result])
    assert bool(cluster.written) is (result is None)


async def test_a_workload_with_a_replica_on_a_held_pool_is_left() -> None:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": VIRTUAL}, cordon="Hold")
    cluster = Cluster(budget, replicas=2)
    cluster.changed(cluster.world.state.pods[cluster.pod("p1", "hot").uid], node=NodeName("v1"))
    cluster.ask()
    await cluster.step()
    assert cluster.results == [Left.POOL_HELD]


async def test_a_workload_that_only_its_schedules_scale_is_left() -> None:
    cluster = Cluster(exact(policy_resource()))
    cluster.ask()
    await cluster.step()
    assert (cluster.results, cluster.written) == ([Left.EXACT_REPLICAS], [])


async def test_a_workload_whose_costs_another_client_writes_is_left() -> None:
    cluster = Cluster(replicas=2)
    cluster.changed(cluster.world.state.pods[cluster.pod("p1", "hot").uid], deletion_cost=7)
    cluster.ask()
    await cluster.step()
    assert cluster.results == [Left.FOREIGN_WRITER]


OOPS = ApiError(500, "InternalError", "failed calling webhook")
DENIED = ApiError(403, "Forbidden", "admission webhook denied the request: one replica is enough")
UNREACHABLE = UnreachableError("connection refused")


async def asked_in_vain(cluster: Cluster, error: RequestError) -> None:
    """A move for which the request for the additional replica ends with this error."""
    cluster.scale_error = error
    cluster.ask()
    with pytest.raises(type(error)):
        await cluster.step()
    cluster.scale_error = None


@pytest.mark.parametrize(
    ("error", "result"),
    [(OOPS, Left.UNREAD), (DENIED, Left.UNREAD), (UNREACHABLE, SurgeOutcome.WITHDRAWN)],
    ids=str,
)
async def test_an_error_of_the_api_server_gives_the_move_back(error: RequestError, result: SurgeOutcome | Left) -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.error = error
    with pytest.raises(RequestError):
        await cluster.step()
    assert (cluster.results, cluster.written) == ([result], [])
    assert cluster.ask()


async def test_a_replica_that_admission_denies_leaves_no_mark_and_no_redirect() -> None:
    cluster = Cluster()
    cluster.scale_error = DENIED
    cluster.ask()
    assert await cluster.step() is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.REFUSED], ["mark", "unmark"])
    assert not cluster.world.board.redirected(UID)
    assert not cluster.world.board.plans_node(UID)
    assert cluster.seen.surge == ""
    assert cluster.ask(), "it may be asked for again"


async def test_a_mark_that_admission_denies_ends_the_move() -> None:
    cluster = Cluster()
    cluster.mark_error = DENIED
    cluster.ask()
    assert await cluster.step() is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.REFUSED], [])
    assert cluster.ask()


@pytest.mark.parametrize(
    ("error", "result"), [(OOPS, SurgeOutcome.REFUSED), (UNREACHABLE, SurgeOutcome.OVERTAKEN)], ids=str
)
async def test_an_error_after_which_the_mark_may_be_there_is_ended_by_the_next_step(
    error: RequestError, result: SurgeOutcome
) -> None:
    cluster = Cluster()
    cluster.mark_error = error
    cluster.ask()
    with pytest.raises(RequestError):
        await cluster.step()
    assert (cluster.results, cluster.written) == ([], [])
    cluster.mark_error = None
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([result], ["unmark"])
    assert not cluster.world.board.redirected(UID)


@pytest.mark.parametrize(
    ("error", "result"), [(OOPS, SurgeOutcome.REFUSED), (UNREACHABLE, SurgeOutcome.WITHDRAWN)], ids=str
)
async def test_while_a_lost_request_may_still_be_carried_out_the_mark_stays(
    error: RequestError, result: SurgeOutcome
) -> None:
    cluster = Cluster()
    await asked_in_vain(cluster, error)
    assert await cluster.step(LATE_SECONDS - 1) == STEP_SECONDS
    assert (cluster.results, cluster.written) == ([], ["mark"])
    assert cluster.world.board.redirected(UID), "the replica may still come"
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([result], ["mark", "unmark"])
    assert not cluster.world.board.redirected(UID)


async def test_a_request_that_the_server_certainly_did_not_carry_out_is_over_at_once() -> None:
    cluster = Cluster()
    await asked_in_vain(cluster, ApiError(429, "TooManyRequests", "later", retry_after=1.0))
    assert not cluster.world.board.redirected(UID)
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.REFUSED], ["mark", "unmark"])


@pytest.mark.parametrize("error", [OOPS, UNREACHABLE], ids=str)
@pytest.mark.parametrize("seconds", [1.0, LATE_SECONDS - 1], ids=["at once", "late"])
async def test_a_replica_that_was_added_although_the_answer_was_lost_continues_the_surge(
    seconds: float, error: RequestError
) -> None:
    cluster = Cluster()
    await asked_in_vain(cluster, error)
    await cluster.step(seconds - 1)
    cluster.replicas = 2
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.world.board.redirected(UID), "to physical nodes, as the replica of any surge"
    appears(cluster, node="hot")
    await cluster.step(1)
    assert (cluster.results, cluster.written) == ([SurgeOutcome.NO_GAIN], ["mark", "2->1", "unmark"])


async def test_another_client_that_scales_after_a_lost_answer_takes_precedence() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.answer_lost = UNREACHABLE
    with pytest.raises(RequestError):
        await cluster.step()
    assert await cluster.step(1) == STEP_SECONDS
    cluster.replicas = 1
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written[-1]) == ([SurgeOutcome.OVERTAKEN], "unmark")


async def about_to_be_scaled_back(cluster: Cluster, error: RequestError, field: str) -> None:
    """A surge whose additional replica is ready, and whose scale-down ends with this error."""
    await cluster.begun()
    appears(cluster)
    await cluster.step(1)
    setattr(cluster, field, error)
    with pytest.raises(RequestError):
        await cluster.step(SEEN_SECONDS)
    setattr(cluster, field, None)


@pytest.mark.parametrize("error", [OOPS, UNREACHABLE], ids=str)
async def test_a_scale_down_that_was_carried_out_although_the_answer_was_lost_ends_as_any_other(
    error: RequestError,
) -> None:
    cluster = Cluster()
    await about_to_be_scaled_back(cluster, error, "answer_lost")
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.written == ["p0 costs less", "2->1"], "the mark stays until the pod is going"
    cluster.goes()
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written[2:]) == ([SurgeOutcome.SUCCEEDED], ["unmark"])


@pytest.mark.parametrize("error", [OOPS, UNREACHABLE], ids=str)
async def test_a_scale_down_that_was_lost_is_sent_again_once_it_can_no_longer_be_carried_out(
    error: RequestError,
) -> None:
    cluster = Cluster()
    await about_to_be_scaled_back(cluster, error, "scale_error")
    assert await cluster.step(LATE_SECONDS - 1) == STEP_SECONDS
    assert cluster.written == ["p0 costs less"]
    assert await cluster.step(1) == STEP_SECONDS
    assert cluster.written == ["p0 costs less", "2->1"]
    cluster.goes()
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.replicas) == ([SurgeOutcome.SUCCEEDED], 1)


async def test_another_client_that_scales_after_a_lost_scale_down_takes_precedence() -> None:
    cluster = Cluster()
    await about_to_be_scaled_back(cluster, UNREACHABLE, "scale_error")
    cluster.replicas = 5
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.replicas) == ([SurgeOutcome.OVERTAKEN], 5)


async def test_a_mark_that_could_not_be_removed_changes_no_result() -> None:
    cluster = Cluster()
    await cluster.begun()
    appears(cluster, node="hot")
    cluster.mark_error = UNREACHABLE
    with pytest.raises(RequestError):
        await cluster.step(1)
    cluster.mark_error = None
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.NO_GAIN], ["2->1", "unmark"])


async def test_the_next_leader_ends_a_surge_whose_answers_were_lost() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.answer_lost = UNREACHABLE
    with pytest.raises(RequestError):
        await cluster.step()
    cluster.answer_lost = None
    cluster.lead()
    appears(cluster, node="hot")
    assert await cluster.step(1) is None
    assert (cluster.results, cluster.written) == ([SurgeOutcome.NO_GAIN], ["mark", "1->2", "2->1", "unmark"])


async def test_a_refusal_of_before_says_nothing_about_the_next_surge() -> None:
    cluster = Cluster(replicas=2)
    cluster.mark_error = DENIED
    cluster.ask()
    await cluster.step()
    cluster.mark_error = None
    await cluster.begun()
    cluster.replicas = 2
    await cluster.step(1)
    assert cluster.results == [SurgeOutcome.REFUSED, SurgeOutcome.OVERTAKEN]


async def test_the_additional_replica_prefers_the_planned_node_until_the_move_is_over() -> None:
    cluster = Cluster()
    await cluster.begun()
    assert cluster.planned == [True], "before the workload is scaled"
    cluster.replicas = 5
    await cluster.step(1)
    assert cluster.results == [SurgeOutcome.OVERTAKEN]
    assert cluster.world.board.take_planned_node(UID) is None


@pytest.mark.parametrize(
    ("change", "planned"),
    [
        pytest.param({}, False, id="pods may come there"),
        pytest.param({"unschedulable": True}, True, id="cordoned"),
        pytest.param({"taints": (hot_taint("even"),)}, True, id="to be avoided"),
        pytest.param({"labels": VIRTUAL | {ZONE_LABEL: "c"}}, True, id="virtual"),
        pytest.param({"taints": (Taint("gpu", "NoSchedule"),)}, True, id="not tolerated"),
    ],
)
async def test_a_zone_to_which_no_replica_has_come_yet_counts(change: Mapping[str, Any], *, planned: bool) -> None:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": VIRTUAL})
    cluster = Cluster(budget, replicas=4)
    spread = resource(Kind.ZONAL_BALANCE, "even", version=2, maxSkew=2, rebalance={"mode": "Active", "by": "Surge"})
    cluster.world.catalog.replace(Kind.ZONAL_BALANCE, [spread], 60)
    for name, zone in (("hot", "a"), ("idle", "b")):
        cluster.changed(cluster.world.state.nodes[NodeName(name)], labels={ZONE_LABEL: zone})
    for name in ("p2", "p3"):
        cluster.changed(cluster.world.state.pods[cluster.pod(name, "hot").uid], node=NodeName("idle"))
    new = {"labels": {ZONE_LABEL: "c"}, "cpu_millis": 0} | dict(change)
    cluster.world.state.apply(make_node("new", **new))
    await cluster.begun()
    assert cluster.planned == [planned]


@pytest.mark.parametrize("labels", [VIRTUAL | {ZONE_LABEL: "v"}, {}], ids=["virtual", "without a zone"])
async def test_replicas_on_virtual_nodes_and_on_those_without_a_zone_make_no_zone_fuller(
    labels: dict[str, str],
) -> None:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": VIRTUAL})
    cluster = Cluster(budget, replicas=5)
    for name, node_labels in (("hot", {ZONE_LABEL: "a"}), ("idle", {ZONE_LABEL: "b"}), ("v1", labels)):
        cluster.changed(cluster.world.state.nodes[NodeName(name)], labels=node_labels)
    # Two in zone a, which one leaves, and three elsewhere.
    for index in (2, 3, 4):
        cluster.changed(cluster.world.state.pods[cluster.pod(f"p{index}", "hot").uid], node=NodeName("v1"))
    await cluster.begun()
    assert cluster.planned == [True]


async def test_one_replica_alone_prefers_the_planned_node() -> None:
    cluster = Cluster()
    await cluster.begun()
    assert cluster.world.board.take_planned_node(UID) == "idle"
    assert cluster.world.board.take_planned_node(UID) is None


@pytest.mark.parametrize(
    ("scaled", "result"),
    [
        pytest.param(2, SurgeOutcome.OVERTAKEN, id="another client was faster"),
        pytest.param(1, SurgeOutcome.REFUSED, id="a policy denies with the status of a patch whose tests fail"),
    ],
)
async def test_a_move_that_could_not_begin_leaves_no_preference(scaled: int, result: SurgeOutcome) -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.scaled_meanwhile = scaled
    await cluster.step()
    assert (cluster.results, cluster.planned, cluster.written) == ([result], [], ["mark", "unmark"])
    assert not cluster.world.board.plans_node(UID)
    assert not cluster.world.board.redirected(UID)


async def test_a_replicaset_that_is_gone_before_its_surge_begins_counts_as_overtaken() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.gone = True
    await cluster.step()
    assert (cluster.results, cluster.written) == ([SurgeOutcome.OVERTAKEN], [])


async def test_a_workload_that_cannot_be_read_after_a_scale_failed_counts_as_overtaken() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.scaled_meanwhile, cluster.error_after_scale = 1, UNREACHABLE
    await cluster.step()
    assert cluster.results == [SurgeOutcome.OVERTAKEN]


async def test_a_workload_that_is_gone_leaves_no_preference() -> None:
    cluster = Cluster()
    await cluster.begun()
    cluster.controller.forget(UID)
    assert not cluster.world.board.plans_node(UID)


@pytest.mark.parametrize(
    ("change", "planned"),
    [
        pytest.param({}, True, id="that takes it"),
        pytest.param({"cpu_millis": 100}, False, id="without room"),
        pytest.param({"labels": {ZONE_LABEL: "a"}}, False, id="that the template excludes"),
        pytest.param({"taints": (hot_taint("even"),)}, False, id="that is to be avoided"),
        pytest.param({"labels": {ZONE_LABEL: "b", "pool": "own"}}, False, id="in a zone that would be too full"),
    ],
)
async def test_a_node_is_preferred_only_while_it_takes_the_replica(change: Mapping[str, Any], *, planned: bool) -> None:
    cluster = Cluster(replicas=2)
    own = {"pool": "own"}
    for node in list(cluster.world.state.nodes.values()):
        cluster.changed(node, labels={**node.labels, **own, ZONE_LABEL: "a"})
    cluster.world.state.apply(make_node("b", labels={**own, ZONE_LABEL: "b"}, cpu_millis=1000))
    cluster.changed(cluster.world.state.pods[cluster.pod("p1", "hot").uid], node=NodeName("b"))
    cluster.spec = {"template": {"spec": {"nodeSelector": own}}}
    cluster.target = NodeName("target")
    target = {"labels": {**own, ZONE_LABEL: "a"}, "cpu_millis": 1000} | dict(change)
    cluster.world.state.apply(make_node("target", **target))
    await cluster.begun()
    assert cluster.planned == [planned]
