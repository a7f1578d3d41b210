"""What the owner of a pod changes: jobs, StatefulSets, invented owners, and how many places an owner holds."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.server import LetGoError
from spillway.domain.model import names
from spillway.webhooks import pods
from tests.builders import (
    make_namespace,
    make_pod,
    make_replicaset,
    make_replication_controller,
    make_statefulset,
)
from tests.support.placement import incoming, manual, placing
from tests.unit.webhooks.pod_cases import AUTO, JOB, REPLICASET, Scene, decided, job_object


async def test_a_statefulset_of_mode_auto_is_physical_at_once_because_nothing_is_planned_for_it() -> None:
    scene = Scene(placing(AUTO))
    scene.state.apply(make_statefulset())
    before = decided("NotPlanned")
    async with asyncio.timeout(0.5):
        answer = await scene.ask(incoming(kind="StatefulSet", owner="db", uid="sts-db"))
    assert answer.outcome == "physical"
    assert decided("NotPlanned") == before + 1


@pytest.mark.parametrize(
    ("job", "outcome"),
    [
        (job_object(kind="CronJob", name="nightly", uid="c-1"), "virtual"),
        (job_object(), "ungoverned"),
        (job_object(kind="Flow"), "ungoverned"),
    ],
)
async def test_a_job_of_a_cronjob_counts_as_the_cronjob(job: dict[str, Any], outcome: str) -> None:
    scene = Scene(placing({"match": {"kinds": ["CronJob"]}, "placement": {"virtual": "Always"}}))
    scene.server.objects[JOB] = job
    pod = incoming(kind="Job", owner="nightly-1", uid="job-1")
    assert (await scene.ask(pod)).outcome == outcome
    assert (await scene.ask(pod)).outcome == outcome
    assert scene.server.read == [JOB]


async def test_where_no_class_names_jobs_one_is_asked_for_only_to_hold_its_place() -> None:
    scene = Scene(placing({"placement": {"virtual": "Never"}}))
    pod = incoming(kind="Job", owner="nightly-1", uid="job-1")
    assert (await scene.ask(pod)).outcome == "physical"
    assert scene.usage.on("a").used.pods == 0
    scene = Scene(placing({"placement": {"virtual": "Always"}}))
    scene.server.objects[JOB] = job_object() | {"spec": {"parallelism": 3}}
    assert [(await scene.ask(pod)).outcome for _ in range(2)] == ["virtual"] * 2
    assert scene.server.read == [JOB]
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
    scene.server.objects[JOB] = job_object()
    honest = incoming(kind="Job", owner="nightly-1", uid="job-1")
    assert (await scene.ask(honest)).outcome == "virtual"
    request = msgspec.structs.replace(scene.request(pod), namespace=namespace)
    for _ in range(20):
        with suppress(LetGoError):
            await scene.webhook(request, Deadline(lambda: 0.0, 1.0))
    assert scene.usage.on("a").used.pods == 1, "the honest one's"


@pytest.mark.parametrize(("kind", "version"), [("Ghost", "foo/v1"), ("ReplicaSet", "foo/v1"), ("Job", "batch/v1")])
async def test_the_uid_of_another_owner_changes_nothing_for_its_pods(kind: str, version: str) -> None:
    scene = Scene(placing(manual(2)))
    scene.state.apply(make_namespace("den"))
    scene.state.apply(make_replicaset(replicas=5))
    pod = incoming(kind=kind, owner="web", uid="rs-web")
    pod["metadata"]["ownerReferences"][0]["apiVersion"] = version
    request = msgspec.structs.replace(scene.request(pod), namespace="den")
    for _ in range(3):
        with pytest.raises(LetGoError, match="unknown-owner"):
            await scene.webhook(request, Deadline(lambda: 0.0, 1.0))
    assert [(await scene.ask()).outcome for _ in range(3)] == ["physical", "physical", "virtual"]


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
    scene.usage.drop_reservations_beyond(make_pod().owner_uid, 1)
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
    assert scene.server.read == [REPLICASET], "those that wait share one question"


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
    scene.server.objects[JOB] = job_object()
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
