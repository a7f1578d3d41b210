"""What a pod's creation is answered, by what governs it and who leads."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.domain.model import names
from spillway.domain.model.additions import pointer
from spillway.domain.model.names import OwnerUid
from spillway.domain.policies.governance import Governance
from spillway.state.board import Board
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from spillway.telemetry.registry import REGISTRY
from spillway.webhooks import pods
from spillway.webhooks.limit_ranges import LimitRanges
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.placer import Placer
from spillway.webhooks.pods import PodWebhook
from spillway.webhooks.workloads import Workloads
from tests.builders import (
    make_namespace,
    make_node,
    make_pod,
    make_replicaset,
    make_replication_controller,
    make_state,
    make_statefulset,
)
from tests.support.fake_recorder import FakeRecorder
from tests.support.get_server import GetServer
from tests.support.placement import incoming, labels_of, manual, placing
from tests.support.policies import governance_of

CLAIM = "/api/v1/namespaces/shop/persistentvolumeclaims/disk"
VOLUME = "/api/v1/persistentvolumes/pv-1"
REPLICASET = "/apis/apps/v1/namespaces/shop/replicasets/web"
NEW_REPLICASET = "/apis/apps/v1/namespaces/shop/replicasets/web-2"
JOB = "/apis/batch/v1/namespaces/shop/jobs/nightly-1"


class Scene:
    def __init__(self, governance: Governance, *, leads: bool = True) -> None:
        self.state = make_state()
        self.server = GetServer()
        self.recorder = FakeRecorder()
        self.forwarded: list[str] = []
        self.state.apply(make_namespace("shop"))
        self.state.apply(make_node("f1"))
        self.state.apply(make_node("v1", labels=labels_of("a")))
        self.state.apply(make_replicaset(replicas=100))
        self.state.mark_synced()
        self.leads = leads
        clock = lambda: 0.0  # noqa: E731 - time does not pass
        self.board = board = Board(clock, lambda: self.leads)
        lookup = Lookup(self.state, self.server)
        self.usage = LiveUsage(self.state, PoolMembership(self.state, lambda: governance), Reservations(clock))
        self.webhook = PodWebhook(
            NodePlaces(self.state, lambda: governance, clock, now=clock),
            Workloads(self.state, lookup, lambda: governance),
            Placer(self.usage, board, lambda: governance),
            board,
            limit_ranges=LimitRanges(lookup, clock),
            events=self.recorder,
            forward=self._forward,
        )

    async def _forward(self, request: AdmissionRequest, _: Deadline) -> Answer:
        self.forwarded.append(request.uid)
        return Answer("forwarded")

    def request(self, pod: Mapping[str, Any] | None = None, *, dry_run: bool = False) -> AdmissionRequest:
        raw = msgspec.Raw(msgspec.json.encode(pod or incoming()))
        return AdmissionRequest(uid="u", operation="CREATE", namespace="shop", dry_run=dry_run, object=raw)

    async def ask(self, pod: Mapping[str, Any] | None = None, *, dry_run: bool = False) -> Answer:
        return await self.webhook(self.request(pod, dry_run=dry_run), Deadline(lambda: 0.0, 1.0))


def _decided(reason: str) -> float:
    labels = {"policy": "online", "decision": "physical", "reason": reason}
    return REGISTRY.get_sample_value("spillway_placement_decisions_total", labels) or 0.0


def _paths(answer: Answer) -> set[str]:
    return {pointer(*addition.path) for addition in answer.additions}


async def test_the_leader_decides() -> None:
    scene = Scene(placing(manual(1)))
    first, second = await scene.ask(), await scene.ask()
    assert (first.outcome, _paths(first)) == ("physical", {"/metadata/annotations"})
    assert second.outcome == "virtual"
    assert "/spec/affinity" in _paths(second)
    assert not scene.forwarded


LIMIT_RANGES = "/api/v1/namespaces/shop/limitranges"
SIDECARS = {"a": {"podOverlay": {"sidecars": [{"name": "agent", "image": "agent"}]}}}


async def test_default_requests_are_read_only_for_a_pod_that_may_get_a_container() -> None:
    for governance, asked in (
        (placing(manual(0)), []),
        (placing(manual(1), SIDECARS), []),
        (placing(manual(0), SIDECARS), [f"GET {LIMIT_RANGES}"]),
    ):
        scene = Scene(governance)
        limits = [{"type": "Container", "defaultRequest": {"cpu": "200m"}}]
        scene.server.objects[LIMIT_RANGES] = {"items": [{"spec": {"limits": limits}}]}
        await scene.ask()
        assert scene.server.asked == asked
        assert scene.usage.on("a").used.cpu_millis == (700 if asked else scene.usage.on("a").used.pods * 500)


AUTO = {"threshold": {"mode": "Auto"}}


async def test_a_new_leader_places_pods_of_mode_auto_once_it_has_read_the_kept_plan() -> None:
    scene = Scene(placing(AUTO))
    asking = [asyncio.create_task(scene.ask()) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(one.done() for one in asking)

    scene.board.thresholds = {"Deployment/shop/web": 1}
    scene.board.thresholds_read.set()

    assert sorted([(await one).outcome for one in asking]) == ["physical", "virtual", "virtual"]


async def test_a_kept_plan_that_cannot_be_read_in_time_holds_up_nobody_for_longer() -> None:
    scene = Scene(placing(AUTO))
    answer = await scene.webhook(scene.request(), Deadline(lambda: 0.0, 0.05))
    assert answer.outcome == "physical"


async def test_a_statefulset_of_mode_auto_is_physical_at_once_because_nothing_is_planned_for_it() -> None:
    scene = Scene(placing(AUTO))
    scene.state.apply(make_statefulset())
    before = _decided("NotPlanned")
    async with asyncio.timeout(0.5):
        answer = await scene.ask(incoming(kind="StatefulSet", owner="db", uid="sts-db"))
    assert answer.outcome == "physical"
    assert _decided("NotPlanned") == before + 1


@pytest.mark.parametrize(("governance", "dry_run"), [(placing(AUTO), True), (placing(AUTO, mode="Recommend"), False)])
async def test_what_changes_nothing_does_not_wait_for_the_kept_plan(governance: Governance, *, dry_run: bool) -> None:
    scene = Scene(governance)
    async with asyncio.timeout(0.5):
        await scene.ask(dry_run=dry_run)


async def test_another_replica_asks_the_leader() -> None:
    scene = Scene(placing(manual(1)), leads=False)
    assert (await scene.ask()).outcome == "forwarded"
    assert scene.forwarded == ["u"]
    assert scene.usage.total(make_pod().owner_uid) == 0


async def test_a_question_that_was_passed_on_is_not_passed_on_again() -> None:
    scene = Scene(placing(manual(1)), leads=False)
    with pytest.raises(LetGoError, match="not-leader"):
        await scene.webhook.forwarded(scene.request(), Deadline(lambda: 0.0, 1.0))
    scene.leads = True
    answer = await scene.webhook.forwarded(scene.request(), Deadline(lambda: 0.0, 1.0))
    assert answer.outcome == "physical"
    assert not scene.forwarded


@pytest.mark.parametrize(
    ("governance", "pod", "outcome"),
    [
        (Governance.compile([], [], []), None, "no-policy"),
        (governance_of(virtual={"a": "b"}), None, "no-policy"),
        (placing([{"match": {"kinds": ["Rollout"]}, "placement": {}}]), None, "ungoverned"),
        (placing([{"match": {"kinds": ["Deployment"]}}, {"placement": {}}]), None, "not-placed"),
        (placing(manual(0)), incoming(kind="DaemonSet"), "ungoverned"),
        (placing(manual(0)), {"metadata": {}, "spec": {}}, "ungoverned"),
    ],
)
async def test_what_no_class_places_is_left_alone_by_every_replica(
    governance: Governance, pod: Mapping[str, Any] | None, outcome: str
) -> None:
    for leads in (True, False):
        scene = Scene(governance, leads=leads)
        assert await scene.ask(pod) == Answer(outcome)
        assert not scene.forwarded
        assert not scene.server.asked


async def test_recommend_changes_nothing() -> None:
    scene = Scene(placing(manual(0), mode="Recommend"))
    assert await scene.ask() == Answer("recommend")
    assert scene.usage.total(make_pod().owner_uid) == 0
    assert not scene.recorder.said


async def test_a_dry_run_is_answered_and_promised_nothing() -> None:
    scene = Scene(placing(manual(1)))
    for _ in range(3):
        assert (await scene.ask(dry_run=True)).outcome == "physical"
    assert scene.usage.total(make_pod().owner_uid) == 0


async def test_an_unknown_owner_is_let_go() -> None:
    with pytest.raises(LetGoError, match="unknown-owner"):
        await Scene(placing(manual(1))).ask(incoming(uid="rs-new"))


async def test_pods_of_a_replicaset_that_nobody_has_seen_yet_share_one_question() -> None:
    scene = Scene(placing(manual(1)))
    scene.server.objects[NEW_REPLICASET] = {
        "metadata": {"name": "web-2", "namespace": "shop", "uid": "rs-2"},
        "spec": {"replicas": 20},
    }
    answers = await asyncio.gather(*(scene.ask(incoming(owner="web-2", uid="rs-2")) for _ in range(20)))
    assert sorted(answer.outcome for answer in answers) == ["physical", *["virtual"] * 19]
    assert scene.server.asked == [f"GET {NEW_REPLICASET}"]


async def test_the_watch_may_show_a_new_replicaset_before_the_question_is_answered() -> None:
    scene = Scene(placing(manual(1)))
    scene.server.silent = True
    asking = asyncio.create_task(scene.ask(incoming(owner="web-2", uid="rs-2")))
    while not scene.server.asked:  # noqa: ASYNC110 - the task runs meanwhile
        await asyncio.sleep(0)
    scene.state.apply(make_replicaset("web-2", uid=OwnerUid("rs-2")))
    async with asyncio.timeout(5):
        assert (await asking).outcome == "physical"


async def test_stale_data_decides_nothing() -> None:
    scene = Scene(placing(manual(1)))
    scene.state._contact.clear()
    with pytest.raises(LetGoError, match="stale"):
        await scene.ask()


def _with_claim() -> dict[str, Any]:
    return incoming(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}])


@pytest.mark.parametrize(
    ("volume", "outcome"), [({"local": {"path": "/disk"}}, "physical"), ({"csi": {"driver": "d"}}, "virtual")]
)
async def test_a_claim_for_a_local_volume_keeps_a_pod_physical(volume: dict[str, Any], outcome: str) -> None:
    scene = Scene(placing(manual(0)))
    scene.server.objects[CLAIM] = {"spec": {"volumeName": "pv-1"}}
    scene.server.objects[VOLUME] = {"spec": volume}
    assert (await scene.ask(_with_claim())).outcome == outcome
    await scene.ask(_with_claim())
    assert scene.server.asked == [f"GET {CLAIM}", f"GET {VOLUME}"], "remembered"
    assert [event[:2] for event in scene.recorder.said] == (
        [("Deployment/web", "Normal KeptPhysical")] * 2 if outcome == "physical" else []
    )


async def test_claims_are_asked_for_only_where_the_pod_would_leave() -> None:
    scene = Scene(placing(manual(5)))
    assert (await scene.ask(_with_claim())).outcome == "physical"
    assert not scene.server.asked


async def test_a_claim_that_cannot_be_had_lets_the_pod_go() -> None:
    with pytest.raises(LetGoError, match="unknown-claim"):
        await Scene(placing(manual(0))).ask(_with_claim())


async def test_an_unbound_claim_is_no_local_one_yet() -> None:
    scene = Scene(placing(manual(0)))
    scene.server.objects[CLAIM] = {"spec": {}}
    assert (await scene.ask(_with_claim())).outcome == "virtual"


def _job(**owner: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "job-1", "ownerReferences": [{"controller": True, **owner}] if owner else []}}


@pytest.mark.parametrize(
    ("job", "outcome"),
    [
        (_job(kind="CronJob", name="nightly", uid="c-1"), "virtual"),
        (_job(), "ungoverned"),
        (_job(kind="Flow"), "ungoverned"),
    ],
)
async def test_a_job_of_a_cronjob_counts_as_the_cronjob(job: dict[str, Any], outcome: str) -> None:
    scene = Scene(placing({"match": {"kinds": ["CronJob"]}, "placement": {"virtual": "Always"}}))
    scene.server.objects[JOB] = job
    pod = incoming(kind="Job", owner="nightly-1", uid="job-1")
    assert (await scene.ask(pod)).outcome == outcome
    assert (await scene.ask(pod)).outcome == outcome
    assert scene.server.asked == [f"GET {JOB}"]


async def test_where_no_class_names_jobs_one_is_asked_for_only_to_hold_its_place() -> None:
    scene = Scene(placing({"placement": {"virtual": "Never"}}))
    pod = incoming(kind="Job", owner="nightly-1", uid="job-1")
    assert (await scene.ask(pod)).outcome == "physical"
    assert scene.usage.on("a").used.pods == 0
    scene = Scene(placing({"placement": {"virtual": "Always"}}))
    scene.server.objects[JOB] = _job() | {"spec": {"parallelism": 3}}
    assert [(await scene.ask(pod)).outcome for _ in range(2)] == ["virtual"] * 2
    assert scene.server.asked == [f"GET {JOB}"]
    assert scene.usage.on("a").used.pods == 2


@pytest.mark.parametrize(
    ("pod", "namespace"),
    [
        pytest.param(incoming(owner="ghost", uid="rs-ghost", cpu="2000"), "shop", id="ReplicaSet"),
        pytest.param(incoming(cpu="2000"), "den", id="a ReplicaSet of another namespace"),
        pytest.param(incoming(kind="Job", owner="ghost", uid="job-x", cpu="2000"), "shop", id="Job"),
        pytest.param(incoming(kind="Job", owner="nightly-1", uid="job-x", cpu="2000"), "shop", id="a Job's name"),
        pytest.param(incoming(kind="Job", owner="nightly-1", uid="job-1", cpu="2000"), "den", id="a Job elsewhere"),
        pytest.param(incoming(kind="StatefulSet", owner="ghost", uid="sts-x", cpu="2000"), "shop", id="StatefulSet"),
        pytest.param(incoming(kind="Ghost", owner="ghost", uid="ghost-x", cpu="2000"), "shop", id="a kind unheard of"),
    ],
)
async def test_an_invented_owner_holds_no_place(pod: dict[str, Any], namespace: str) -> None:
    scene = Scene(placing({"placement": {"virtual": "Always"}}, {"a": {"limits": {"cpu": "4000"}}}))
    scene.state.apply(make_namespace("den"))
    scene.server.objects[JOB] = _job()
    honest = incoming(kind="Job", owner="nightly-1", uid="job-1")
    assert (await scene.ask(honest)).outcome == "virtual"
    request = msgspec.structs.replace(scene.request(pod), namespace=namespace)
    for _ in range(20):
        with suppress(LetGoError):
            await scene.webhook(request, Deadline(lambda: 0.0, 1.0))
    assert scene.usage.on("a").used.pods == 1, "the honest one's"


async def test_an_owner_holds_no_more_places_than_it_wants_pods() -> None:
    """Whoever asks, and however often: its controller would create no more."""
    scene = Scene(placing({"placement": {"virtual": "Always"}}))
    scene.state.apply(make_replicaset(replicas=5))
    for index in range(3):
        scene.state.apply(make_pod(f"web-{index}"))
    scene.server.objects[REPLICASET] = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "rs-web"},
        "spec": {"replicas": 5},
    }
    for _ in range(8):
        await scene.ask()
        assert scene.usage.on("a").used.pods <= 5
    assert scene.usage.on("a").used.pods == 5


async def test_pods_that_went_unseen_release_no_place_of_their_successors(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a scale-down and a scale-up the watch still shows pods that are gone: a limit counts all new ones."""
    monkeypatch.setattr(pods, "PATIENCE_SECONDS", 0.0)
    scene = Scene(placing({"placement": {"virtual": "Always"}}, {"a": {"limits": {"pods": 3}}}))
    scene.state.apply(make_replicaset(replicas=10))
    for index in range(10):
        scene.state.apply(make_pod(f"gone-{index}"))
    scene.server.objects[REPLICASET] = _grown(10)
    answers = [(await scene.ask()).outcome for _ in range(6)]
    assert answers == ["virtual"] * 3 + ["physical"] * 3
    assert scene.usage.on("a").used.pods == 3


async def test_pods_of_an_owner_of_another_kind_vouch_for_as_many_more() -> None:
    scene = Scene(placing({"placement": {"virtual": "Always"}}))
    pod = incoming(kind="CloneSet", owner="db", uid="clones-db")
    assert (await scene.ask(pod)).outcome == "virtual"
    assert scene.usage.on("a").used.pods == 0
    for index in range(2):
        scene.state.apply(make_pod(f"db-{index}", owner_kind="CloneSet", owner_name="db", owner_uid="clones-db"))
    for _ in range(5):
        await scene.ask(pod)
    assert scene.usage.on("a").used.pods == 2


async def test_a_replaced_pods_successor_waits_until_the_old_one_is_seen_to_be_gone() -> None:
    """Without the wait the pod that is gone would count and the new one be taken for one too many."""
    scene = Scene(placing(manual(1)))
    scene.state.apply(make_replicaset(replicas=1))
    scene.state.apply(make_pod("old"))
    assert (await scene.ask()).outcome == "virtual", "it never shows: the pod is really there"
    scene.state.remove(make_pod("old"))
    scene.usage.believe(make_pod().owner_uid, 1)
    assert (await scene.ask()).outcome == "physical"


def _grown(replicas: int) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "uid": "rs-web"}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


async def test_while_the_watch_does_not_show_that_a_replicaset_has_grown_the_threshold_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pods, "PATIENCE_SECONDS", 0.0)
    scene = Scene(placing(manual(12)))
    scene.state.apply(make_replicaset(replicas=10))
    for index in range(10):
        scene.state.apply(make_pod(f"old-{index}"))
    scene.server.objects[REPLICASET] = _grown(30)
    answers = await asyncio.gather(*(scene.ask() for _ in range(20)))
    assert sorted(answer.outcome for answer in answers) == ["physical"] * 2 + ["virtual"] * 18
    assert scene.server.asked == [f"GET {REPLICASET}"], "those that wait share one question"


async def test_promises_beyond_what_the_replicaset_wants_at_present_are_void(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "PATIENCE_SECONDS", 0.0)
    scene = Scene(placing(manual(1)))
    scene.state.apply(make_replicaset(replicas=2))
    scene.server.objects[REPLICASET] = _grown(2)
    assert [(await scene.ask()).outcome for _ in range(2)] == ["physical", "virtual"]
    # Neither came to be, and the controller creates them again.
    assert (await scene.ask()).outcome == "physical"


async def test_where_the_present_number_is_not_to_be_had_promises_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "PATIENCE_SECONDS", 0.0)
    scene = Scene(placing(manual(1)))
    scene.state.apply(make_replicaset(replicas=1))
    assert [(await scene.ask()).outcome for _ in range(2)] == ["physical", "virtual"]
    assert scene.usage.total(make_pod().owner_uid) == 2


async def test_what_speaks_against_virtual_nodes_is_an_event_on_the_workload() -> None:
    scene = Scene(placing(manual(0), {"a": {"cordon": "Hold"}}))
    await scene.ask(incoming(hostNetwork=True))
    await scene.ask()
    assert scene.recorder.said == [
        (
            "Deployment/web",
            "Normal KeptPhysical",
            "kept on physical nodes, because it uses the node's network (hostNetwork)",
        ),
        ("Deployment/web", "Warning KeptPhysical", "kept on physical nodes, because no pool takes it (a: is held)"),
    ]


async def test_never_tells_of_a_toleration_that_stays() -> None:
    scene = Scene(placing({"placement": {"virtual": "Never"}}))
    scene.state.apply(make_node("v1", labels=labels_of("a")))
    await scene.ask(incoming(tolerations=[{"operator": "Exists"}]))
    assert [event[1] for event in scene.recorder.said] == ["Warning ToleratesVirtual"]


@pytest.mark.parametrize(
    ("reference", "exists", "told"),
    [
        pytest.param({"kind": "Job", "owner": "nightly-1", "uid": "job-1"}, True, ["Job/nightly-1"], id="Job"),
        pytest.param({"kind": "Job", "owner": "nightly-1", "uid": "job-1"}, False, [], id="an invented Job"),
        pytest.param({"kind": "Ghost", "owner": "ghost", "uid": "ghost-1"}, True, [], id="a kind that is not read"),
    ],
)
async def test_an_event_names_only_an_owner_that_the_api_server_confirms(
    reference: dict[str, str], told: list[str], *, exists: bool
) -> None:
    scene = Scene(placing({"placement": {"virtual": "Always"}}))
    if exists:
        scene.server.objects[JOB] = _job()
    await scene.ask(incoming(hostNetwork=True, **reference))
    assert [event.about for event in scene.recorder.said] == told


def _of_statefulset(ordinal: int) -> dict[str, Any]:
    pod = incoming(kind="StatefulSet", owner="db", uid="sts-db")
    pod["metadata"]["name"] = f"db-{ordinal}"
    return pod


@pytest.mark.parametrize(
    ("changes", "ordinals", "physical"),
    [
        pytest.param({"threshold": "2"}, range(5), {0, 1}, id="the annotation counts, and not the class's number"),
        pytest.param({}, range(5), {0, 1, 2}, id="the class's number"),
        pytest.param({"threshold": "2"}, (4, 3, 2, 1, 0), {0, 1}, id="the order of creation means nothing"),
        pytest.param({"threshold": "2", "start": 7}, range(7, 12), {7, 8}, id="the first ordinal is not 0"),
        pytest.param({"threshold": "0"}, range(3), set(), id="all of them"),
    ],
)
async def test_the_highest_ordinals_of_a_statefulset_are_beyond_its_threshold(
    changes: dict[str, Any], ordinals: range | tuple[int, ...], physical: set[int]
) -> None:
    scene = Scene(placing(manual(3)))
    scene.state.apply(make_statefulset(replicas=len(ordinals), **changes))
    answers = {ordinal: (await scene.ask(_of_statefulset(ordinal))).outcome for ordinal in ordinals}
    assert {ordinal for ordinal, outcome in answers.items() if outcome == "physical"} == physical
    # A partition rollout, or a pod that failed: a replacement is placed as the pod before it.
    again = {ordinal: (await scene.ask(_of_statefulset(ordinal))).outcome for ordinal in reversed(ordinals)}
    assert again == answers


async def test_an_own_number_on_a_statefulset_counts_in_mode_auto_as_well() -> None:
    scene = Scene(placing(AUTO))
    scene.state.apply(make_statefulset(threshold="1"))
    assert [(await scene.ask(_of_statefulset(ordinal))).outcome for ordinal in (0, 1)] == ["physical", "virtual"]


async def test_a_statefulset_holds_places_for_as_many_pods_as_it_wants() -> None:
    scene = Scene(placing({"placement": {"virtual": "Always"}}))
    scene.state.apply(make_statefulset(replicas=3))
    for ordinal in range(3):
        await scene.ask(_of_statefulset(ordinal))
    assert scene.usage.on("a").used.pods == 3


async def test_an_annotation_on_a_job_is_told_to_have_no_effect() -> None:
    scene = Scene(placing({"match": {"kinds": ["Job"]}, **manual(0)}))
    scene.server.objects[JOB] = _job()
    scene.server.objects[JOB]["metadata"]["annotations"] = {names.THRESHOLD: "3"}
    assert (await scene.ask(incoming(kind="Job", owner="nightly-1", uid="job-1"))).outcome == "physical"
    assert [event[:2] for event in scene.recorder.said] == [("Job/nightly-1", "Warning InvalidThreshold")]
    assert "has no effect on a Job" in scene.recorder.said[0].message


async def test_a_replication_controller_is_placed_as_a_replicaset() -> None:
    scene = Scene(placing(manual(1)))
    scene.state.apply(make_replication_controller(threshold="2"))
    pod = incoming(kind="ReplicationController", owner="legacy", uid="rc-legacy")
    pod["metadata"]["ownerReferences"][0]["apiVersion"] = "v1"
    assert [(await scene.ask(pod)).outcome for _ in range(3)] == ["physical", "physical", "virtual"]


async def test_marks_are_where_the_binding_and_the_controllers_look_for_them() -> None:
    (addition,) = (await Scene(placing(manual(1))).ask()).additions
    assert set(addition.value) == {names.PLACEMENT, names.RESERVATION, names.POLICY}
