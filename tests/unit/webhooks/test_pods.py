"""What a pod's creation is answered, by what governs it and who leads."""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import Answer
from spillway.admission.server import LetGoError
from spillway.domain.model import names
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import Pending
from spillway.domain.policies.governance import Governance
from spillway.domain.pools.verdict import PoolVerdict
from spillway.state import reservations
from spillway.webhooks.pods import TAKE_OVER_SECONDS
from tests.builders import (
    VAST,
    make_node,
    make_pod,
    make_replicaset,
)
from tests.support.placement import incoming, labels_of, manual, placing, taint_of
from tests.support.policies import governance_of
from tests.unit.webhooks.pod_cases import AUTO, CLAIM, JOB, NEW_REPLICASET, VOLUME, Scene, job_object, patched_paths


async def test_the_leader_decides() -> None:
    scene = Scene(placing(manual(1)))
    first, second = await scene.ask(), await scene.ask()
    assert (first.outcome, patched_paths(first)) == ("physical", {"/metadata/annotations"})
    assert second.outcome == "virtual"
    assert "/spec/affinity" in patched_paths(second)
    assert not scene.forwarded


LIMIT_RANGES = "/api/v1/namespaces/shop/limitranges"
SIDECARS = {"a": {"podOverlay": {"sidecars": [{"name": "agent", "image": "agent"}]}}}


async def test_default_requests_are_read_only_for_a_pod_that_may_get_a_container() -> None:
    for governance, asked in (
        (placing(manual(0)), []),
        (placing(manual(1), SIDECARS), []),
        (placing(manual(0), SIDECARS), [LIMIT_RANGES]),
    ):
        scene = Scene(governance)
        limits = [{"type": "Container", "defaultRequest": {"cpu": "200m"}}]
        scene.server.objects[LIMIT_RANGES] = {"items": [{"spec": {"limits": limits}}]}
        await scene.ask()
        assert scene.server.read == asked
        assert scene.usage.on("a").used.cpu_millis == (700 if asked else scene.usage.on("a").used.pods * 500)


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


LIMITED_MONTH = {
    "limits": {"costPerMonth": "100"},
    "price": {"currency": "CNY", "cpuHour": "3600", "memoryGiBHour": "0"},
}


@pytest.fixture
def beginning() -> Scene:
    """A leader that begins, with a pool that has failed and one that has a limit for the month."""
    scene = Scene(placing(manual(0), {"a": {}, "b": LIMITED_MONTH}))
    scene.state.apply(make_node("v2", labels=labels_of("b"), **VAST))
    scene.board.verdicts_read.clear()
    scene.board.spent_read.clear()
    return scene


@pytest.mark.parametrize("last", ["verdicts", "spent"])
async def test_a_new_leader_places_pods_once_it_knows_which_pools_have_failed_and_what_they_have_cost(
    beginning: Scene, last: str
) -> None:
    board = beginning.board

    def read(what: str) -> None:
        if what == "spent":
            board.set_spent({"b": Decimal(0)})
        else:
            board.set_verdict("a", PoolVerdict(takes=False, reason="Unhealthy"))
            board.verdicts_read.set()

    asking = [asyncio.create_task(beginning.ask()) for _ in range(3)]
    read("spent" if last == "verdicts" else "verdicts")
    await asyncio.sleep(0.02)
    assert not any(one.done() for one in asking)

    read(last)

    assert [(await one).outcome for one in asking] == ["virtual"] * 3
    assert (beginning.usage.on("a").used.pods, beginning.usage.on("b").used.pods) == (0, 3)


async def test_what_is_not_known_in_time_holds_up_nobody_for_longer(beginning: Scene) -> None:
    async with asyncio.timeout(TAKE_OVER_SECONDS / 2):
        answer = await beginning.webhook(beginning.request(), Deadline(lambda: 0.0, 0.05))
    assert answer.outcome == "virtual"


@pytest.mark.parametrize(("mode", "dry_run"), [("Enforce", True), ("Recommend", False)])
async def test_what_changes_nothing_does_not_wait_for_what_a_leader_takes_over(mode: str, *, dry_run: bool) -> None:
    scene = Scene(placing(AUTO, mode=mode))
    scene.board.verdicts_read.clear()
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
        assert not scene.server.read


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
    assert scene.server.read == [NEW_REPLICASET]


async def test_the_watch_may_show_a_new_replicaset_before_the_question_is_answered() -> None:
    scene = Scene(placing(manual(1)))
    scene.server.answers.clear()
    asking = asyncio.create_task(scene.ask(incoming(owner="web-2", uid="rs-2")))
    while not scene.server.read:  # noqa: ASYNC110 - the task runs meanwhile
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
    assert scene.server.read == [CLAIM, VOLUME], "remembered"
    assert [event[:2] for event in scene.recorder.said] == (
        [("Deployment/web", "Normal KeptPhysical")] * 2 if outcome == "physical" else []
    )


async def test_claims_are_asked_for_only_where_the_pod_would_leave() -> None:
    scene = Scene(placing(manual(5)))
    assert (await scene.ask(_with_claim())).outcome == "physical"
    assert not scene.server.read


async def test_a_claim_that_cannot_be_had_lets_the_pod_go() -> None:
    with pytest.raises(LetGoError, match="unknown-claim"):
        await Scene(placing(manual(0))).ask(_with_claim())


@pytest.mark.parametrize(("zone", "outcome"), [("a", "virtual"), ("b", "physical")])
async def test_a_volume_that_no_node_of_the_pool_reaches_keeps_a_pod_physical(zone: str, outcome: str) -> None:
    scene = Scene(placing(manual(0)))
    labels = {**labels_of("a"), "zone": "a"}
    scene.state.apply(make_node("v-a", labels=labels, taints=(taint_of("a"),), **VAST))
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}]
    scene.server.objects[CLAIM] = {"spec": {"volumeName": "pv-1"}}
    affinity = {"required": {"nodeSelectorTerms": terms}}
    scene.server.objects[VOLUME] = {"spec": {"csi": {"driver": "disk"}, "nodeAffinity": affinity}}
    assert (await scene.ask(_with_claim())).outcome == outcome


@pytest.mark.parametrize(
    ("provisioner", "outcome"), [("kubernetes.io/no-provisioner", "physical"), ("csi.example.com", "virtual")]
)
async def test_an_ephemeral_volume_of_a_local_class_keeps_a_pod_physical(provisioner: str, outcome: str) -> None:
    scene = Scene(placing(manual(0)))
    path = "/apis/storage.k8s.io/v1/storageclasses/disk"
    scene.server.objects[path] = {"provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}
    claim = {"spec": {"storageClassName": "disk", "accessModes": ["ReadWriteOnce"]}}
    pod = incoming(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": claim}}])
    assert (await scene.ask(pod)).outcome == outcome
    assert scene.server.read == [path]


async def test_a_class_that_cannot_be_read_holds_nothing_up() -> None:
    scene = Scene(placing(manual(0)))
    scene.server.objects[CLAIM] = {"spec": {"storageClassName": "disk"}}
    assert (await scene.ask(_with_claim())).outcome == "virtual"


async def test_an_unbound_claim_is_no_local_one_yet() -> None:
    scene = Scene(placing(manual(0)))
    scene.server.objects[CLAIM] = {"spec": {}}
    assert (await scene.ask(_with_claim())).outcome == "virtual"


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
    scene.state.apply(make_node("v1", labels=labels_of("a"), **VAST))
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
        scene.server.objects[JOB] = job_object()
    await scene.ask(incoming(hostNetwork=True, **reference))
    assert [event.about for event in scene.recorder.said] == told


async def test_marks_are_where_the_binding_and_the_controllers_look_for_them() -> None:
    (addition,) = (await Scene(placing(manual(1))).ask()).additions
    assert set(addition.value) == {names.PLACEMENT, names.RESERVATION, names.POLICY}


async def test_a_refused_pod_takes_no_place_from_the_one_that_is_created_for_it() -> None:
    scene = Scene(placing(manual(1)))
    scene.usage.reservations.clock = time.monotonic
    assert (await scene.ask()).outcome == "physical"
    assert (await scene.ask()).outcome == "virtual", "no refusal is known yet"
    scene.state.apply(make_replicaset(replicas=100, refused="exceeded quota"))
    assert (await scene.ask()).outcome == "physical"
    assert scene.usage.total(OwnerUid("rs-web")) == 1


async def test_a_pod_that_exists_keeps_its_place_while_others_are_refused() -> None:
    scene = Scene(placing(manual(1)))
    scene.usage.reservations.clock = time.monotonic
    first = await scene.ask()
    scene.state.apply(make_replicaset(replicas=100, refused="exceeded quota"))
    waiting = asyncio.create_task(scene.ask())
    await asyncio.sleep(0)
    token = next(one.value for one in first.additions)[names.RESERVATION]
    scene.state.apply(make_pod("web-1", pending=Pending(placement="physical", reservation=token)))
    assert (await waiting).outcome == "virtual"


async def test_invented_owners_keep_no_more_places_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "UNFOLLOWED_MAX", 3)
    scene = Scene(placing(manual(5)))
    for number in range(10):
        pod = incoming(kind="CloneSet")
        pod["metadata"]["ownerReferences"][0]["uid"] = f"invented-{number}"
        assert (await scene.ask(pod)).outcome == "physical"
    assert sum(scene.usage.total(OwnerUid(f"invented-{number}")) for number in range(10)) == 3
    for _ in range(5):
        await scene.ask()
    assert scene.usage.physical(OwnerUid("rs-web")) == 5, "an owner that is followed has as many as it wants"
