"""The steps of a bring-back over a small cluster: what is written, in which order, and what is left alone."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from spillway.controllers.spill.bring_back import ALL, BringBackController
from spillway.controllers.surge.runner import STEP_SECONDS
from spillway.controllers.surge.scaler import LATE_SECONDS, SurgeScaler
from spillway.domain.model.names import SURGE, NodeName, OwnerUid
from spillway.domain.model.proofs import proof_in, with_proof
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord, ReplicaSetRecord, Taint
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.patience import LONGEST_AVAILABLE_SECONDS, LONGEST_READY_SECONDS
from spillway.domain.surge.steps import Surge
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from spillway.state.mark_proof import MarkProof
from spillway.telemetry.spill import BRING_BACKS
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter
from tests.support.world import exact, make_world, resource

HOLD = 600.0
UID = OwnerUid("rs-web")
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/web"
VIRTUAL = {"pool": "virtual"}
Records = list[NodeRecord | PodRecord | ReplicaSetRecord]


class Cluster(FakeWriter):
    """The API server's side: one Deployment of `web`, written by the controller and read back; the state follows."""

    def __init__(
        self,
        clock: FakeClock,
        *resources: Mapping[str, Any],
        pods: list[PodRecord],
        proof: MarkProof | None = None,
        **replicaset: Any,
    ) -> None:
        super().__init__()
        self.clock = clock
        records: Records = [
            make_node("n1", cpu_millis=1000),
            make_node("v1", labels=VIRTUAL, cpu_millis=100_000),
            make_replicaset(**{"replicas": len(pods)} | replicaset),
            *pods,
        ]
        self.world = make_world(records, resources, clock, proof=proof)
        self.replicas = self.seen.replicas
        self.spec: dict[str, Any] = {}
        self.ready: int | None = None
        self.available: int | None = None
        """Replicas that have been ready for `minReadySeconds`; None for all."""
        self.autoscalers: list[dict[str, Any]] = []
        self.written: list[str] = []
        self.refuse = ""
        self.reader, self.events = FakeReader(self._object), FakeRecorder()
        self.controller = BringBackController(
            self.world,
            SurgeScaler(self.world, self, self.reader),
            self.events,
            hold_seconds=HOLD,
            at_once=5,
            ready_seconds=300.0,
        )

    @property
    def seen(self) -> ReplicaSetRecord:
        return self.world.state.replicasets[UID]

    def changed(self, record: Any, **changes: Any) -> None:
        self.world.state.apply(msgspec.structs.replace(record, **changes))

    def _object(self, path: str) -> dict[str, Any]:
        if path.endswith("horizontalpodautoscalers"):
            return {"items": self.autoscalers}
        assert path == DEPLOYMENT
        status = {"observedGeneration": 1, **dict.fromkeys(("replicas", "updatedReplicas"), self.replicas)}
        return {
            "metadata": {"name": "web", "uid": "deploy-web", "generation": 1},
            "spec": {"replicas": self.replicas, "template": {"spec": {}}, **self.spec},
            "status": {
                **status,
                "readyReplicas": self.replicas if self.ready is None else self.ready,
                "availableReplicas": self.replicas if self.available is None else self.available,
            },
        }

    async def annotate(self, resource: str, path: str, uid: str, annotations: Any) -> bool:
        assert (resource, uid) == ("replicasets", "rs-web")
        assert path == "/apis/apps/v1/namespaces/shop/replicasets/web"
        if UID not in self.world.state.replicasets:
            return False
        self.written.append("mark" if annotations[SURGE] else "unmark")
        self.changed(self.seen, surge=annotations[SURGE] or "")
        return True

    async def scale(self, resource: str, path: str, uid: str, *, seen: int, wanted: int) -> bool:
        assert (resource, path, uid) == ("deployments", DEPLOYMENT, "deploy-web")
        if self.refuse == "raise":
            raise ApiError(500, "InternalError", "oops")
        if self.refuse == "deny":
            raise ApiError(403, "Forbidden", "admission webhook denied the request")
        if self.refuse or seen != self.replicas:
            return False
        self.written.append(f"{seen}->{wanted}")
        self.replicas = wanted
        if UID in self.world.state.replicasets:
            self.changed(self.seen, replicas=wanted)
        return True

    async def look(self, seconds: float = 0.0) -> None:
        await self.clock.advance(seconds)
        await self.controller.reconcile(ALL)

    async def step(self, seconds: float = 0.0) -> float | None:
        await self.clock.advance(seconds)
        return await self.controller.reconcile(UID)

    async def settled(self) -> None:
        """Looked at until the hold is over."""
        await self.begin()
        await self.look(HOLD)

    async def begin(self) -> None:
        """Seen with its template, so that it is known where there is room."""
        await self.look()
        await self.step()
        await self.look()

    def outcome(self) -> tuple[int, float]:
        """Failures in a row, and from when it may be tried again."""
        memory = self.controller._memories[UID]
        return memory.failures, memory.not_before


def policy(mode: str = "Enforce", threshold: int = 10, **placement: Any) -> list[dict[str, Any]]:
    workload = {"name": "default", "threshold": {"mode": "Manual", "replicas": threshold}, "placement": placement}
    tiers = {"virtual": {"budgets": ["eci"]}}
    return [
        resource(Kind.ELASTIC_POLICY, "online", mode=mode, tiers=tiers, workloads=[workload]),
        resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": VIRTUAL}),
    ]


def pods(physical: int, virtual: int, **changes: Any) -> list[PodRecord]:
    return [
        *(make_pod(f"p{n}", node=NodeName("n1"), cpu_millis=250, **changes) for n in range(physical)),
        *(make_pod(f"v{n}", node=NodeName("v1"), cpu_millis=250, pool="eci", **changes) for n in range(virtual)),
    ]


def cluster(physical: int = 2, virtual: int = 1, resources: Any = None, **replicaset: Any) -> Cluster:
    return Cluster(FakeClock(1000.0), *(resources or policy()), pods=pods(physical, virtual), **replicaset)


async def test_one_replica_more_then_ready_then_one_less() -> None:
    found = cluster()
    await found.begin()
    await found.look(HOLD - 1)
    assert found.controller._begins == set()
    await found.look(1)
    assert await found.step() == STEP_SECONDS
    assert found.written == ["mark", "3->4"]
    assert Surge.parse(found.seen.surge) == Surge(3, 2, 1600.0)
    redirect = found.world.board.take_redirect(UID)
    assert redirect is not None
    assert redirect.physical

    assert await found.step(1) == STEP_SECONDS, "no one has come yet"
    new = make_pod("p2", ready=False, cpu_millis=250)
    found.world.state.apply(new)
    assert await found.step(1) == STEP_SECONDS, "not ready yet"
    found.changed(new, ready=True)
    assert await found.step(1) is None
    assert found.written == ["mark", "3->4", "4->3", "unmark"]

    found.world.state.remove(found.world.state.pods["uid-v0"])  # type: ignore[index]
    await found.look()
    assert await found.step(1) is None
    assert len(found.written) == 4, "at rest nothing is written"


async def test_the_next_replica_follows_at_once() -> None:
    found = cluster(physical=1, virtual=2)
    await found.settled()
    await found.step()
    found.world.state.apply(make_pod("p1", cpu_millis=250))
    await found.step(1)
    assert found.written == ["mark", "3->4", "4->3", "unmark"]
    # Our watch is behind: the ReplicaSet still asks for one more, and none has gone.
    behind = found.seen
    found.changed(behind, replicas=4)
    await found.look(0.1)
    found.changed(behind)
    found.world.state.remove(found.world.state.pods["uid-v0"])  # type: ignore[index]
    await found.look(1)
    await found.step()
    assert found.written[4:] == ["mark", "3->4"]


async def test_a_watch_that_shows_an_ended_surge_begins_no_step() -> None:
    found = cluster(physical=1, virtual=2)
    await found.settled()
    await found.step()
    first = found.seen.surge
    found.world.state.apply(make_pod("p1", cpu_millis=250))
    await found.step(1)
    found.world.state.remove(found.world.state.pods["uid-v0"])  # type: ignore[index]
    await found.look(1)
    await found.step()
    second = found.seen.surge
    found.world.state.apply(make_pod("p2", cpu_millis=250))
    found.changed(found.seen, surge=first)
    assert await found.step(1) is None
    written, outcome = list(found.written), found.outcome()
    assert written[4:] == ["mark", "3->4", "4->3", "unmark"]

    for shown in (first, second, ""):
        found.changed(found.seen, surge=shown)
        assert await found.step() is None
    assert found.written == written
    assert found.outcome() == outcome == (0, outcome[1])


def _ended() -> float:
    return sum(
        sample.value for metric in BRING_BACKS.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


async def test_nor_after_the_last_replica_came_back() -> None:
    found = cluster()
    await found.settled()
    await found.step()
    mark = found.seen.surge
    found.world.state.apply(make_pod("p2", cpu_millis=250))
    assert await found.step(1) is None
    found.world.state.remove(found.world.state.pods["uid-v0"])  # type: ignore[index]
    await found.look(1)
    assert UID not in found.controller._memories, "nothing more to do for it"
    written, ended = list(found.written), _ended()
    found.changed(found.seen, surge=mark)
    assert await found.step() is None
    assert found.written == written
    assert _ended() == ended


async def test_a_wrong_victim_ends_it() -> None:
    found = cluster(physical=1, virtual=2)
    await found.settled()
    await found.step()
    found.world.state.apply(make_pod("p1", cpu_millis=250))
    await found.step(1)
    # Another client's order: a physical one went, and as many are virtual as before.
    found.world.state.remove(found.world.state.pods["uid-p1"])  # type: ignore[index]
    await found.look(1)
    failures, not_before = found.outcome()
    assert failures == 1
    assert not_before >= found.clock.now() + HOLD


@pytest.mark.parametrize(
    ("resources", "replicaset"),
    [
        pytest.param(policy("Recommend"), {}, id="Recommend"),
        pytest.param(policy(bringBack=False), {}, id="told not to"),
        pytest.param(policy(virtual="Never"), {}, id="by the user's own toleration"),
        pytest.param(policy(virtual="Always"), {}, id="virtual first"),
        pytest.param(policy(threshold=2), {}, id="beyond the threshold"),
        pytest.param(policy(), {"threshold": "2"}, id="by its annotation"),
        pytest.param(policy(), {"owner_kind": "Rollout"}, id="a kind that we do not scale"),
        pytest.param(policy(), {"replicas": 2}, id="a scale-down is under way"),
    ],
)
async def test_who_is_left_alone(resources: Any, replicaset: dict[str, Any]) -> None:
    found = cluster(resources=resources, **replicaset)
    await found.settled()
    await found.look(HOLD)
    assert await found.step() is None
    assert found.written == []


async def test_a_workload_that_only_its_schedules_scale_is_left_and_told_so_once() -> None:
    online, eci = policy()
    found = cluster(resources=[exact(online), eci])
    await found.settled()
    assert await found.step() is None
    await found.look(HOLD)
    assert found.written == []
    assert found.controller._left[UID] is Left.EXACT_REPLICAS
    (event,) = found.events.said
    assert event.what == "Normal BringBackLeft"
    assert "scheduleOnly" in event.message


async def test_without_room_it_waits_and_begins_to_wait_when_it_comes() -> None:
    found = cluster(physical=4)
    await found.settled()
    assert await found.step() is None
    found.world.state.apply(make_node("n2"))
    await found.look()
    await found.look(HOLD - 1)
    assert await found.step() is None
    await found.look(1)
    await found.step()
    assert found.written == ["mark", "5->6"]


GPU = "nvidia.com/gpu"
NEEDS_GPU = {"containers": [{"resources": {"limits": {GPU: "1"}}}]}


@pytest.mark.parametrize(
    ("spec", "ready", "autoscalers", "reason"),
    [
        pytest.param({"paused": True}, None, [], Left.PAUSED, id="paused"),
        pytest.param({}, 2, [], Left.NOT_READY, id="not ready by its own count"),
        pytest.param({}, None, [3], Left.AUTOSCALER_AT_MAXIMUM, id="autoscaler"),
    ],
)
async def test_what_its_own_object_forbids(
    spec: dict[str, Any], ready: int | None, autoscalers: list[int], reason: Left
) -> None:
    found = cluster()
    found.spec, found.ready = spec, ready
    target = {"kind": "Deployment", "name": "web"}
    found.autoscalers = [{"spec": {"scaleTargetRef": target, "maxReplicas": most}} for most in autoscalers]
    await found.settled()
    assert await found.step() is None
    assert found.written == []
    assert found.controller._left[UID] is reason
    found.spec, found.ready, found.autoscalers = {}, None, []
    await found.look(1)
    assert await found.step() is None, "not asked again at once"
    await found.look(30)
    await found.step()
    assert found.written == ["mark", "3->4"]


@pytest.mark.parametrize(
    ("spec", "before", "after"),
    [
        pytest.param({"nodeSelector": {"disk": "ssd"}}, {}, {"labels": {"disk": "ssd"}}, id="selector"),
        pytest.param(NEEDS_GPU, {"extended": {GPU: 1}}, {"extended": {GPU: 2}}, id="device"),
        pytest.param({}, {"taints": (Taint("dedicated", "NoSchedule", "gpu"),)}, {"taints": ()}, id="taint"),
        pytest.param({}, {"taints": (Taint("maintenance", "NoExecute"),)}, {"taints": ()}, id="maintenance"),
    ],
)
async def test_a_node_that_its_pods_may_not_use_is_no_room(
    spec: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    found = cluster()
    found.spec = {"template": {"spec": spec}}
    node = found.world.state.nodes[NodeName("n1")]
    found.changed(node, **before)
    found.world.state.apply(make_pod("gpu-1", owner_uid="", owner_kind="", cpu_millis=0, extended={GPU: 1}))
    await found.settled()
    assert await found.step() is None
    assert found.controller._left[UID] is Left.NO_ROOM
    assert UID not in found.controller._begins
    # The hold begins when there is room that it may use.
    found.changed(node, **before | after)
    await found.look()
    await found.look(HOLD - 1)
    assert await found.step() is None
    assert found.written == []
    await found.look(1)
    await found.step()
    assert found.written == ["mark", "3->4"]


async def test_a_template_is_read_once() -> None:
    found = cluster(physical=4)
    await found.settled()
    for _ in range(5):
        await found.look(HOLD)
        await found.step()
    assert found.reader.read.count(DEPLOYMENT) == 1


async def test_somebody_who_scales_meanwhile_is_right() -> None:
    found = cluster()
    await found.settled()
    await found.step()
    found.replicas = 7
    assert await found.step(1) is None
    assert found.written == ["mark", "3->4", "unmark"]
    assert found.outcome() == (1, found.clock.now() + HOLD)


@pytest.mark.parametrize("refuse", ["no", "deny"], ids=["another client was faster", "admission denies it"])
async def test_a_replica_that_could_not_be_added_leaves_nothing_of_ours(refuse: str) -> None:
    found = cluster()
    await found.settled()
    found.refuse = refuse
    assert await found.step() is None
    assert found.written == ["mark", "unmark"]
    assert found.world.board.take_redirect(UID) is None


async def test_a_write_without_an_answer_is_ended_by_its_mark() -> None:
    found = cluster()
    await found.settled()
    found.refuse = "raise"
    with pytest.raises(ApiError):
        await found.step()
    found.refuse = ""
    assert await found.step(LATE_SECONDS - 1) == STEP_SECONDS
    assert found.written == ["mark"], "the request may still be carried out"
    assert await found.step(1) is None
    assert found.written == ["mark", "unmark"]


async def test_another_leader_ends_what_one_began() -> None:
    mark = Surge(3, 2, 900.0).mark
    found = cluster(physical=3, surge=mark, replicas=4)
    assert UID in found.controller.all_keys()
    assert await found.step() is None
    assert found.written == ["4->3", "unmark"]


async def test_a_replicaset_that_is_deleted_during_its_surge_leaves_no_replica() -> None:
    found = cluster()
    subscriptions = list(found.controller.subscribe())
    await found.settled()
    await found.step()
    assert found.written == ["mark", "3->4"]
    found.world.state.remove(found.seen)
    assert await found.step(1) is None
    assert found.written == ["mark", "3->4", "4->3"]
    assert not found.controller.runner.running
    for end in subscriptions:
        end()


async def test_only_a_mark_that_spillway_wrote_begins_a_step() -> None:
    """Any user may write such a mark on their own ReplicaSets, for any number of them and of any time."""
    proof = MarkProof()
    found = cluster(physical=3, surge=Surge(3, 2, 900.0).mark, replicas=4, proof=proof)
    subscriptions = list(found.controller.subscribe())
    for mark in (found.seen.surge, "what?", with_proof(found.seen.surge, "00ff")):
        found.changed(found.seen, surge=mark)
        assert await found.step() is None
    assert found.written == []
    assert not found.controller.runner.running

    mark = Surge(3, 2, 900.0).mark
    other = MarkProof()
    other.use(b"secret")
    found.changed(found.seen, surge=with_proof(mark, other.of_surge("shop", UID, mark)))
    assert await found.step() is None, "the key is not known yet"
    before = len(found.controller.queue)
    proof.use(b"secret")
    assert len(found.controller.queue) > before or not found.controller.queue.idle
    assert await found.step() is None
    assert found.written == ["4->3", "unmark"]
    for end in subscriptions:
        end()


async def test_the_mark_of_a_surge_has_a_proof() -> None:
    proof = MarkProof()
    found = cluster(proof=proof)
    await found.settled()
    await found.step()
    mark, shown = proof_in(found.seen.surge)
    assert proof.proves_surge(shown, "shop", UID, mark)
    found.world.state.apply(make_pod("p2", cpu_millis=250))
    await found.step(1)
    assert found.written == ["mark", "3->4", "4->3", "unmark"]


async def test_a_workload_holds_its_surge_no_longer_than_its_pods_may_take() -> None:
    found = cluster()
    await found.settled()
    await found.step()
    found.spec = {"progressDeadlineSeconds": 2**31 - 1, "minReadySeconds": 2**31 - 1}
    found.world.state.apply(make_pod("p2", ready=False, cpu_millis=250))
    longest = LONGEST_READY_SECONDS + LONGEST_AVAILABLE_SECONDS
    assert await found.step(longest) == STEP_SECONDS
    assert found.written == ["mark", "3->4"]
    assert await found.step(1.0) is None
    assert found.written == ["mark", "3->4", "4->3", "unmark"]


async def test_a_virtual_replica_goes_once_the_new_one_is_available_not_only_ready() -> None:
    found = cluster()
    found.spec, found.available = {"minReadySeconds": 30}, 3
    await found.settled()
    await found.step()
    found.world.state.apply(make_pod("p2", cpu_millis=250))
    assert await found.step(29.0) == STEP_SECONDS
    assert found.written == ["mark", "3->4"]
    found.available = None
    await found.step(1.0)
    assert found.written == ["mark", "3->4", "4->3", "unmark"]


async def test_a_surge_is_taken_back_once_the_policy_only_recommends() -> None:
    found = cluster(resources=policy("Recommend"), surge=Surge(3, 2, 900.0).mark, replicas=4)
    assert await found.step() is None
    assert found.written == ["4->3", "unmark"]


async def test_a_mark_that_nobody_understands_is_taken_off() -> None:
    found = cluster(surge="what?")
    assert await found.step() is None
    assert found.written == ["unmark"]


async def test_no_more_at_once_than_allowed() -> None:
    found = cluster()
    found.controller.runner._running = {OwnerUid(f"rs-{n}"): Surge(3, 2, 900.0) for n in range(5)}
    await found.settled()
    assert await found.step() is None
    assert found.written == []


async def test_what_was_to_begin_while_a_surge_was_ended_does_not() -> None:
    found = cluster()
    await found.settled()
    await found.step()
    found.controller._begins.add(UID)
    found.replicas = 7
    await found.step(1)
    assert found.written == ["mark", "3->4", "unmark"]
    assert await found.step(1) is None
    assert len(found.written) == 3


async def test_a_surge_that_finds_no_room_is_undone_and_tried_later() -> None:
    found = cluster()
    await found.settled()
    await found.step()
    waiting = Pending(placement="physical", unschedulable_since=found.clock.now())
    found.world.state.apply(make_pod("p2", node=NodeName(""), phase=Phase.PENDING, ready=False, pending=waiting))
    assert await found.step(1) == STEP_SECONDS
    assert await found.step(10) is None
    assert found.written == ["mark", "3->4", "4->3", "unmark"]
    assert found.outcome()[0] == 1


async def test_while_nothing_changes_and_no_time_has_come_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []
    clock = FakeClock()
    physical = make_pod("a", node=NodeName("n1"))
    cluster = Cluster(clock, *policy(), pods=[physical])
    plain = cluster.controller._look

    async def look() -> float:
        looked.append(clock.now())
        return await plain()

    monkeypatch.setattr(cluster.controller, "_look", look)
    for _ in range(5):
        await cluster.look(10.0)
    assert len(looked) == 1
    cluster.changed(physical, ready=False)
    for _ in range(3):
        await cluster.look(10.0)
    assert len(looked) == 2
    cluster.changed(cluster.seen, replicas=2)
    cluster.replicas = 2
    for pod in (physical, make_pod("b", node=NodeName("v1"))):
        cluster.world.state.apply(pod)
    await cluster.begin()
    waits = len(looked)
    for _ in range(5):
        await cluster.look(10.0)
    assert len(looked) == waits, "a replica is to come back, and its time has not come"
    await cluster.look(HOLD)
    await cluster.step()
    assert cluster.written == ["mark", "2->3"]


async def test_what_another_worker_does_during_a_look_asks_for_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []
    found = Cluster(FakeClock(), *policy(), pods=[make_pod("a", node=NodeName("n1"))])
    plain = found.controller._look

    async def look() -> float:
        looked.append(found.clock.now())
        due = await plain()
        if len(looked) == 1:
            await found.step()
        return due

    monkeypatch.setattr(found.controller, "_look", look)
    for _ in range(5):
        await found.look(10.0)
    assert len(looked) == 2


async def test_a_look_that_fails_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Cluster(FakeClock(), *policy(), pods=[make_pod("a", node=NodeName("v1")), make_pod("b")])
    plain = found.controller._room.refresh

    async def refused(*_: object) -> None:
        raise ApiError(500, "InternalError", "oops")

    monkeypatch.setattr(found.controller._room, "refresh", refused)
    with pytest.raises(ApiError):
        await found.look()
    monkeypatch.setattr(found.controller._room, "refresh", plain)
    await found.look()
    assert UID in found.controller._memories
