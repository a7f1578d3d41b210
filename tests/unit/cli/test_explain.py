"""The output of `spillway explain`, and how it finds what a user names."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from typer.testing import CliRunner

from spillway.app.errors import NotFoundError
from spillway.app.explain.answering import workload_named
from spillway.app.explain.nodes import explain_node
from spillway.app.explain.pods import explain_pod
from spillway.app.explain.pools import explain_pool
from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.workloads import explain_workload
from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.explain_view import FIRST, answer_view
from spillway.cli.explaining import explained
from spillway.domain.balance.zones import affinity_additions
from spillway.domain.explain.answers import Answer, PodAnswer, WorkloadAnswer
from spillway.domain.explain.gone import EventObject, EventRecord, explain_gone
from spillway.domain.explain.served import ExplainQuestion
from spillway.domain.model.event_source import REPORTING_CONTROLLER
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.surge.steps import Purpose
from spillway.domain.surge.told import told_move
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError, RequestError, UnreachableError
from spillway.state.catalog import Kind
from spillway.state.cluster import Record
from spillway.state.world import World
from tests.builders import make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, policy_resource, resource


@pytest.fixture
def found() -> Snapshot:
    pods = [make_pod(f"web-{number:02}") for number in range(FIRST + 2)]
    owners: list[Record] = [
        make_replicaset(replicas=len(pods)),
        make_replicaset("both"),
        make_statefulset("both"),
        make_statefulset("db"),
    ]
    selects = resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector={"matchLabels": {"pool": "eci-a"}})
    policy = policy_resource(virtual={"budgets": ["eci-a"]})
    return Snapshot.of(make_world([make_node(), *owners, *pods], [policy, selects], FakeClock(5_000.0)))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("web", "Deployment/shop/web"),
        ("deployment/web", "Deployment/shop/web"),
        ("deploy/web", "Deployment/shop/web"),
        ("Deployment/web", "Deployment/shop/web"),
        ("sts/both", "StatefulSet/shop/both"),
        ("db", "StatefulSet/shop/db"),
    ],
)
def test_names_of_workloads(found: Snapshot, text: str, key: str) -> None:
    assert workload_named(found.world, "shop", text) == key


@pytest.mark.parametrize(
    ("text", "namespace", "words"),
    [
        ("both", "shop", "write deployment/both or statefulset/both"),
        ("sts/web", "shop", "there are: deployment/both, deployment/web, statefulset/both, statefulset/db"),
        ("web", "other", "there are none"),
    ],
)
def test_names_that_are_not_found(found: Snapshot, text: str, namespace: str, words: str) -> None:
    with pytest.raises(NotFoundError, match=words):
        workload_named(found.world, namespace, text)


def test_the_answers_as_tables_and_as_json(found: Snapshot) -> None:
    state = found.world.state
    answers: dict[str, Answer] = {
        "Pod": explain_pod(found, state.pods[next(iter(state.pods))], {}),
        "Workload": explain_workload(found, [state.replicasets[OwnerUid("rs-web")]], None),
        "Node": explain_node(found, state.nodes[NodeName("n1")]),
        "Pool": explain_pool(found, "eci-a"),
    }
    for kind, answer in answers.items():
        assert json.loads(live.text_of(answer, live.Format.JSON, answer_view))["kind"] == kind
        text = live.text_of(answer, live.Format.TABLE, answer_view)
        assert f"{kind.lower()}:" in text
        assert "Why" in text

    gone = explain_gone("shop", "web-x", [EventRecord(EventObject("ReplicaSet", "web"), note="Deleted pod: web-x")])
    assert "ReplicaSet/web" in live.text_of(gone, live.Format.TABLE, answer_view)
    assert json.loads(live.text_of(gone, live.Format.JSON, answer_view))["kind"] == "GonePod"

    table = live.text_of(answers["Workload"], live.Format.TABLE, answer_view)
    assert "2 more pods: -o wide lists all" in table
    assert "-o wide" not in live.text_of(answers["Workload"], live.Format.WIDE, answer_view)
    as_json = json.loads(live.text_of(answers["Workload"], live.Format.JSON, answer_view))
    assert len(as_json["scaleDown"]) == FIRST + 2
    assert as_json["scaleDown"][0]["rank"]["decidedBy"] == "Spillway"


class Events:
    """An API server that answers a list of Events, and with pods of this affinity."""

    def __init__(self, refusal: ApiError | None, affinity: dict[str, Any] | None = None) -> None:
        self._refusal = refusal
        self._affinity = affinity
        self.listed = 0

    async def get_json(self, path: str) -> Any:
        assert path.endswith("/namespaces/shop/pods/web-00")
        return {"metadata": {"name": "web-00"}, "spec": {"affinity": self._affinity}}

    async def list_all(self, path: str) -> AsyncIterator[Any]:
        assert path.endswith("/namespaces/shop/events")
        self.listed += 1
        if self._refusal is not None:
            raise self._refusal
        yield {"regarding": {"kind": "Pod", "name": "web-00"}, "reason": "Started", "note": "Started container web"}
        moved = {"regarding": {"kind": "Deployment", "name": "web"}, "reason": "PodMoved"}
        note = told_move("node hot to make zones even", "web-00", Purpose.REBALANCE, "even")
        yield {**moved, "note": note, "reportingController": REPORTING_CONTROLLER}


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (None, "there is no pod web in namespace shop, and no Event about it; there are: web-00"),
        (ApiError(403, "Forbidden", "events is forbidden"), "in namespace shop, and you may not list Events"),
    ],
)
async def test_a_pod_that_is_not_there(found: Snapshot, refusal: ApiError | None, words: str) -> None:
    with pytest.raises(NotFoundError, match=words):
        await explained(cast("KubeClient", Events(refusal)), found.world, ExplainQuestion("pod", "web", "shop"))


@pytest.mark.parametrize(
    ("refusal", "resource"), [(None, "ZonalBalance/even"), (ApiError(403, "Forbidden", "events is forbidden"), None)]
)
async def test_a_pod_of_which_a_move_planned_the_node(
    found: Snapshot, refusal: ApiError | None, resource: str | None
) -> None:
    [added] = affinity_additions({}, ZONE_LABEL, {}, node=NodeName("n1"))
    server = Events(refusal, added.value)
    answer = await explained(cast("KubeClient", server), found.world, ExplainQuestion("pod", "web-00", "shop"))
    assert json.loads(live.text_of(answer, live.Format.JSON, answer_view))["move"] == {
        "node": "n1",
        "resource": resource,
    }
    text = live.text_of(answer, live.Format.TABLE, answer_view)
    assert f"{resource or 'unknown'} (planned node: n1)" in text


async def test_events_are_read_only_for_pods_of_which_a_move_planned_the_node(found: Snapshot) -> None:
    server = Events(None)
    answer = await explained(cast("KubeClient", server), found.world, ExplainQuestion("pod", "web-00", "shop"))
    assert json.loads(live.text_of(answer, live.Format.JSON, answer_view))["move"] is None
    assert "moved for" not in live.text_of(answer, live.Format.TABLE, answer_view)
    assert server.listed == 0


@pytest.mark.parametrize("what", ["pod", "workload", "node", "pool"])
def test_a_cluster_that_cannot_be_read(what: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(application(), ["explain", what, "web", f"--kubeconfig={tmp_path / 'absent'}"])

    assert result.exit_code == live.UNREADABLE
    assert "not found" in result.stderr


class Used:
    """An API server that says what the pods of the namespace use, or fails so."""

    def __init__(self, cpu: dict[str, str] | RequestError) -> None:
        self._cpu = cpu
        self.paths: list[str] = []

    async def get_json(self, path: str) -> Any:
        return {"metadata": {"name": path.rpartition("/")[2]}, "spec": {}}

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        self.paths.append(f"{method} {path}")
        if isinstance(self._cpu, RequestError):
            raise self._cpu
        items = [
            {"metadata": {"name": name}, "containers": [{"usage": {"cpu": cpu, "memory": "1Gi"}}]}
            for name, cpu in self._cpu.items()
        ]
        return msgspec.json.encode({"items": items})


REFUSED = ApiError(403, "Forbidden", "pods.metrics.k8s.io is forbidden")
BUSY_A = {"web-a1": "900m", "web-a2": "800m", "web-b1": "100m", "web-b2": "200m"}


def zoned(preference: dict[str, Any] | None) -> World:
    """A workload with two replicas in each of two zones, of which those in zone b are the older ones."""
    nodes = [make_node(name, labels={ZONE_LABEL: name[0]}) for name in ("a1", "a2", "b1", "b2")]
    pods = [make_pod(f"web-{node.name}", node=node.name, created=float(node.name[0] == "a")) for node in nodes]
    spec: dict[str, Any] = {"maxSkew": 2, **({} if preference is None else {"zonePreference": preference})}
    resources = [policy_resource(), resource(Kind.ZONAL_BALANCE, "even", **spec)]
    return make_world([*nodes, make_replicaset("web", replicas=4), *pods], resources, FakeClock(5_000.0))


@pytest.mark.parametrize(
    ("preference", "used", "first", "told"),
    [
        pytest.param({}, BUSY_A, "b", False, id="the least loaded zone gives first"),
        pytest.param({"whenDiffersByPercent": 90}, BUSY_A, "a", False, id="zones that count as equal"),
        pytest.param({}, REFUSED, "a", True, id="no right to read it"),
        pytest.param({}, UnreachableError("no answer in time", timed_out=True), "a", True, id="no answer"),
        pytest.param({"from": {"query": "requests"}}, BUSY_A, "a", True, id="a query"),
        pytest.param(None, BUSY_A, "a", False, id="no preference"),
    ],
)
async def test_the_ranks_go_by_the_load_of_the_workload_by_zone(
    preference: dict[str, Any] | None, used: dict[str, str] | RequestError, first: str, *, told: bool
) -> None:
    world, client = zoned(preference), Used(used)

    answer = await explained(cast("KubeClient", client), world, ExplainQuestion("workload", "web", "shop"))

    assert isinstance(answer, WorkloadAnswer)
    ranked = [one.pod.removeprefix("shop/web-") for one in answer.scale_down]
    assert ranked[0][0] == first
    assert any("is not known here" in one for one in answer.why) is told
    asks = preference is not None and "from" not in preference
    assert client.paths == (["GET /apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"] if asks else [])

    pod = await explained(cast("KubeClient", client), world, ExplainQuestion("pod", f"web-{ranked[0]}", "shop"))
    assert isinstance(pod, PodAnswer)
    assert pod.scale_down is not None
    assert pod.scale_down.rank == 1
    assert any("is not known here" in one for one in pod.why) is told


async def test_the_load_of_a_workload_counts_the_replicasets_that_the_balance_selects() -> None:
    """As in the operator: what a ReplicaSet uses whose labels it does not select says nothing about the workload."""
    world = zoned({})
    match = {"labels": {"matchLabels": {"app": "web"}}}
    changed = resource(Kind.ZONAL_BALANCE, "even", version=2, zonePreference={}, match=match)
    world.catalog.replace(Kind.ZONAL_BALANCE, [changed], 60)
    old = make_replicaset("web-old", owner_uid=OwnerUid("deploy-web"), owner_name="web", revision=0)
    world.state.apply(old)
    for node in ("a1", "b1"):
        world.state.apply(make_pod(f"old-{node}", node=NodeName(node), owner_uid=old.uid))
    used = {**BUSY_A, "old-a1": "1m", "old-b1": "4000m"}

    answer = await explained(cast("KubeClient", Used(used)), world, ExplainQuestion("workload", "web", "shop"))

    assert isinstance(answer, WorkloadAnswer)
    ranked = [one.pod.removeprefix("shop/web-") for one in answer.scale_down if one.pod.startswith("shop/web-")]
    assert ranked[0][0] == "b", "zone a is the busy one"
