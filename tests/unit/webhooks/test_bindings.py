"""What a Binding gets, by what is known of its pod."""

import asyncio
from typing import Any

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.api import ElasticPolicy, VirtualNodeBudget
from spillway.domain.model.names import COST_WRITTEN, LANDING, POD_DELETION_COST, POLICY, POOL, TIER, ZONE_LABEL, PodUid
from spillway.domain.policies.governance import Governance
from spillway.state.node_places import NodePlaces
from spillway.webhooks.bindings import BindingWebhook
from spillway.webhooks.initial_costs import InitialCosts
from spillway.webhooks.lookup import Lookup
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
from tests.support.fake_reader import FakeReader
from tests.support.policies import governance_of

VIRTUAL = {"type": "virtual-kubelet"}
ELASTIC = {"pool": "elastic"}


class Scene:
    def __init__(self, *, mode: str = "Enforce", governance: Governance | None = None) -> None:
        self.state = make_state()
        self.server = FakeReader()
        for name, labels in (("f1", {"pool": "fixed"}), ("e1", ELASTIC), ("v1", VIRTUAL)):
            self.state.apply(make_node(name, labels={**labels, ZONE_LABEL: "a"}))
        self.state.apply(make_namespace("shop"))
        self.state.apply(make_replicaset())
        self.state.mark_synced()
        governance = governance or governance_of(mode=mode, elastic=ELASTIC, virtual=VIRTUAL)
        clock = lambda: 0.0  # noqa: E731 - time does not pass
        places = NodePlaces(self.state, lambda: governance, clock, now=clock)
        lookup = Lookup(self.state, self.server)
        workloads = Workloads(self.state, lookup, lambda: governance)
        self.webhook = BindingWebhook(places, lookup, workloads, InitialCosts(clock))

    async def ask(self, pod: str = "web-1", node: str = "f1", **metadata: Any) -> Answer:
        binding = {"metadata": {"name": pod, **metadata}, "target": {"kind": "Node", "name": node}}
        request = AdmissionRequest(
            uid="u", namespace="shop", name=pod, object=msgspec.Raw(msgspec.json.encode(binding))
        )
        return await self.webhook(request, Deadline(lambda: 0.0, 1.0))


def _marks(answer: Answer) -> dict[str, str]:
    (addition,) = answer.additions
    assert addition.path == ("metadata", "annotations")
    marks: dict[str, str] = addition.value
    return marks


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.state.apply(make_pod("web-1", node=""))
    return scene


@pytest.mark.parametrize(("node", "tier"), [("f1", "fixed"), ("e1", "elastic"), ("v1", "virtual")])
async def test_a_pod_is_stamped_with_where_it_lands(scene: Scene, node: str, tier: str) -> None:
    answer = await scene.ask(node=node)
    marks = _marks(answer)
    assert answer.outcome == "stamped"
    assert (marks[TIER], marks[POLICY], marks.get(POOL)) == (tier, "online", "pool-v" if tier == "virtual" else None)
    assert marks[POD_DELETION_COST] == marks[COST_WRITTEN] == str(int(marks[POD_DELETION_COST]))


async def test_recommend_stamps_nothing() -> None:
    scene = Scene(mode="Recommend")
    scene.state.apply(make_pod("web-1", node=""))
    assert await scene.ask() == Answer("no-policy")


async def test_a_users_own_cost_stays(scene: Scene) -> None:
    scene.state.apply(make_pod("web-1", node="", deletion_cost=7))
    answer = await scene.ask()
    assert answer.outcome == "own-cost"
    assert POD_DELETION_COST not in _marks(answer)


@pytest.mark.parametrize("kind", ["DaemonSet", "Node", ""])
async def test_pods_that_are_never_scaled_are_let_be(scene: Scene, kind: str) -> None:
    scene.state.apply(make_pod("web-1", node="", owner_kind=kind))
    assert await scene.ask() == Answer("ungoverned")


async def test_a_job_gets_its_marks_and_no_cost(scene: Scene) -> None:
    scene.state.apply(make_pod("web-1", node="", owner_kind="Job", owner_name="job"))
    scene.server.objects["/api/v1/namespaces/shop/pods/web-1"] = {"metadata": {"name": "web-1", "labels": {"a": "b"}}}
    answer = await scene.ask()
    assert answer.outcome == "marked"
    assert set(_marks(answer)) == {TIER, POLICY}


async def test_a_pod_of_a_replication_controller_gets_its_cost(scene: Scene) -> None:
    scene.state.apply(make_replication_controller())
    owner = {"owner_kind": "ReplicationController", "owner_name": "legacy", "owner_uid": "rc-legacy"}
    scene.state.apply(make_pod("legacy-1", node="", **owner))
    assert (await scene.ask("legacy-1", node="e1")).outcome == "stamped"


async def test_a_statefulsets_pod_is_governed_by_its_template_and_gets_no_cost(scene: Scene) -> None:
    scene.state.apply(make_statefulset())
    scene.state.apply(make_pod("db-0", node="", owner_kind="StatefulSet", owner_name="db", owner_uid="sts-db"))
    answer = await scene.ask("db-0")
    assert answer.outcome == "marked"
    assert set(_marks(answer)) == {TIER, POLICY}
    assert not scene.server.read, "the informer knows it"


async def test_a_statefulset_of_another_group_is_known_by_its_pods_labels(scene: Scene) -> None:
    scene.state.apply(make_pod("game-0", node="", owner_kind="StatefulSet", owner_name="game", owner_uid="kruise"))
    scene.server.objects["/api/v1/namespaces/shop/pods/game-0"] = {"metadata": {"name": "game-0", "labels": {}}}
    assert (await scene.ask("game-0")).outcome == "marked"


async def test_a_pod_that_the_informer_has_not_seen_is_asked_for(scene: Scene) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs-web", "controller": True}
    scene.server.objects["/api/v1/namespaces/shop/pods/web-9"] = {
        "metadata": {"name": "web-9", "namespace": "shop", "uid": "uid-9", "ownerReferences": [owner]}
    }
    assert (await scene.ask("web-9", uid="uid-9")).outcome == "stamped"


async def test_the_watch_may_show_a_pod_before_the_question_is_answered(scene: Scene) -> None:
    scene.server.answers.clear()
    asking = asyncio.create_task(scene.ask("web-9", uid="uid-9"))
    while not scene.server.read:  # noqa: ASYNC110 - the task runs meanwhile
        await asyncio.sleep(0.001)
    scene.state.apply(make_pod("web-9", uid=PodUid("uid-9"), node=""))
    async with asyncio.timeout(5):
        assert (await asking).outcome == "stamped"


async def test_a_namesake_is_not_taken_for_the_pod(scene: Scene) -> None:
    with pytest.raises(LetGoError, match="unknown-pod"):
        await scene.ask("web-1", uid="another-uid")


@pytest.mark.parametrize(("pod", "node", "reason"), [("absent", "f1", "unknown-pod"), ("web-1", "n9", "unknown-node")])
async def test_what_cannot_be_known_is_let_go(scene: Scene, pod: str, node: str, reason: str) -> None:
    with pytest.raises(LetGoError, match=reason):
        await scene.ask(pod, node)


async def test_before_the_first_list_is_whole_nothing_is_stamped() -> None:
    scene = Scene()
    scene.state._unsynced.add(type(make_pod()))
    with pytest.raises(LetGoError, match="not-synced"):
        await scene.ask()


async def test_annotations_of_the_scheduler_are_kept(scene: Scene) -> None:
    answer = await scene.ask(annotations={"mine": "1"})
    assert {addition.path for addition in answer.additions} >= {("metadata", "annotations", TIER)}


def landing_scene(**workload_class: Any) -> Scene:
    """A class with these fields, and a pool that gives its pods a variable."""
    env = [
        {"name": "COLLECTOR", "value": "http://c", "landed": True},
        {"name": "PLAIN", "value": "x"},
        {"name": "NODE", "fromLanding": "node"},
    ]
    budget = {"nodeSelector": {"matchLabels": VIRTUAL}, "podOverlay": {"env": env}}
    policy = {
        "mode": "Enforce",
        "tiers": {"virtual": {"budgets": ["pool-v"]}},
        "workloads": [{"name": "all"} | workload_class],
    }
    governance = Governance.compile(
        [ElasticPolicy.model_validate({"metadata": {"name": "online"}, "spec": policy})],
        [VirtualNodeBudget.model_validate({"metadata": {"name": "pool-v"}, "spec": budget})],
        [],
    )
    scene = Scene(governance=governance)
    scene.state.apply(make_pod("web-1", node=""))
    return scene


def landing(answer: Answer) -> dict[str, str]:
    return {key: value for key, value in _marks(answer).items() if key.startswith(LANDING)}


@pytest.mark.parametrize("field", [{"threshold": {}}, {"placement": {}}, {"placement": {"virtual": "Never"}}])
async def test_a_pod_is_told_where_it_landed_where_its_class_places(field: dict[str, Any]) -> None:
    scene = landing_scene(**field)
    there = {f"{LANDING}node": "v1", f"{LANDING}env.COLLECTOR": "http://c"}
    assert landing(await scene.ask(node="v1")) == there, "no zone: no variable asks for it"
    assert landing(await scene.ask(node="f1")) == {f"{LANDING}node": "f1"}
    assert landing(await scene.ask(node="v1")) == there


async def test_a_class_that_places_nothing_gets_no_landing_marks() -> None:
    assert landing(await landing_scene().ask(node="v1")) == {}


async def test_a_job_of_a_cronjob_is_claimed_as_the_cronjob_as_at_its_creation() -> None:
    policy = {"mode": "Enforce", "workloads": [{"name": "cron", "match": {"kinds": ["CronJob"]}}]}
    governance = Governance.compile(
        [ElasticPolicy.model_validate({"metadata": {"name": "online"}, "spec": policy})], [], []
    )
    scene = Scene(governance=governance)
    scene.state.apply(make_pod("web-1", node="", owner_kind="Job", owner_name="nightly-1", owner_uid="job-1"))
    scene.server.objects["/api/v1/namespaces/shop/pods/web-1"] = {"metadata": {"name": "web-1"}}
    with pytest.raises(LetGoError, match="unknown-owner"):
        await scene.ask()
    cron = {"kind": "CronJob", "name": "nightly", "uid": "cron-1", "controller": True}
    job = {"metadata": {"uid": "job-1", "ownerReferences": [cron]}}
    scene.server.objects["/apis/batch/v1/namespaces/shop/jobs/nightly-1"] = job
    assert _marks(await scene.ask())[POLICY] == "online"
