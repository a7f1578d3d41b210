"""Who goes where, on the real control plane with two replicas of the operator: counted by the nodes the pods are on."""

from collections.abc import Callable
from typing import Any

import pytest

from harness import Installation, Samples
from localcluster import Cluster, ClusterApi
from spillway.domain.model.names import POOLS
from tests.support.command_line import explained
from tests.support.stage import PLACEMENT, OwnedNodes, Stage, writes_to_pods

pytestmark = pytest.mark.alone

OWNED = OwnedNodes("owned-by-placement", 6, cpu="100", pods=300)

BURST, THRESHOLD = 300, 120
LIMITED_BURST, LIMITED_CORES = 250, 100


def _manual(replicas: int, **placement: Any) -> dict[str, Any]:
    return {"threshold": {"mode": "Manual", "replicas": replicas}, "placement": placement}


def _undecided(operators: Installation, cluster: ClusterApi) -> dict[str, float]:
    """Pods that no replica decided, by webhook and reason, and what the API server admitted without an answer."""
    samples = [
        one
        for index in operators.running
        for one in operators.metrics(index).select("spillway_admission_let_go_total")
        if one.labels["webhook"].endswith("pods")
    ]
    found: dict[str, float] = {}
    for sample in samples:
        key = f"{sample.labels['webhook']}: {sample.labels['reason']}"
        found[key] = found.get(key, 0.0) + sample.value
    metrics = cluster.rest.raw("GET", "/metrics")
    # The parser gives every counter the ending that OpenMetrics asks for.
    unanswered = Samples.parse(metrics.decode()).select("apiserver_admission_webhook_fail_open_count_total")
    return found | {f"unanswered: {one.labels['name']}": one.value for one in unanswered}


def _decided(operators: Installation, stage: Stage, decision: str) -> float:
    return operators.total("spillway_placement_decisions_total", policy=stage.id, decision=decision)


def test_a_burst_lands_as_the_threshold_says_and_so_does_all_that_follows(
    operators: Installation, stage: Stage, cluster: ClusterApi
) -> None:
    stage.govern(_manual(THRESHOLD))
    before = operators.total("spillway_placement_forwards_total", result="answered")
    counted = _undecided(operators, cluster)

    stage.deploy("web", BURST)
    bound = stage.wait_bound("web", BURST)
    stage.assert_split(bound, physical=THRESHOLD)
    decided = BURST - stage.undecided(bound)
    assert _decided(operators, stage, "physical") + _decided(operators, stage, "virtual") >= decided
    told = sum(_undecided(operators, cluster).values()) - sum(counted.values())
    assert told >= BURST - decided, "whoever was not decided is counted somewhere"
    assert operators.total("spillway_placement_forwards_total", result="answered") > before, "both replicas were asked"

    # Kubernetes deletes pods that are not ready before all others, wherever they are.
    cluster.wait_pods_ready(stage.namespace, BURST, "app=web")
    stage.scale("web", THRESHOLD - 20)
    assert stage.tiers(stage.wait_bound("web", THRESHOLD - 20)) == {"physical": THRESHOLD - 20}
    stage.scale("web", THRESHOLD + 50)
    stage.assert_split(stage.wait_bound("web", THRESHOLD + 50), physical=THRESHOLD)


def test_explain_names_the_nodes_and_pools_of_the_next_pod(
    operators: Installation, stage: Stage, cluster: ClusterApi
) -> None:
    stage.govern(_manual(3), a={"limits": {"pods": 1}})
    stage.deploy("web", 2)
    pods = stage.wait_bound("web", 2)
    for replicas, nodes in ((3, "physical"), (4, "virtual"), (5, "virtual")):
        named = explained(cluster, stage.namespace, "workload", "deployment/web")["nextPod"]
        assert named["nodes"] == nodes, named

        stage.scale("web", replicas)
        before = {pod["metadata"]["uid"] for pod in pods}
        pods = stage.wait_bound("web", replicas)
        [marks] = [pod["metadata"]["annotations"] for pod in pods if pod["metadata"]["uid"] not in before]
        assert marks[PLACEMENT] == nodes
        assert marks.get(POOLS, "") == ",".join(named["pools"])


def test_a_rollout_ends_with_as_many_physical_pods_as_it_began_with(stage: Stage, cluster: ClusterApi) -> None:
    stage.govern(_manual(8))
    stage.deploy("web", 20)
    stage.wait_bound("web", 20)

    stage.roll_out("web", "2")

    def rolled_out() -> bool:
        pods = stage.pods("web")
        new = [pod for pod in pods if (pod["metadata"].get("annotations") or {}).get("version") == "2"]
        return len(new) == len(pods) == 20 and all(pod["spec"].get("nodeName") for pod in new)

    cluster.wait_until(rolled_out, "the rollout to end")
    assert stage.tiers(stage.pods("web")) == {"physical": 8, "virtual": 12}


def test_classes_annotations_and_what_cannot_run_there(stage: Stage, cluster: ClusterApi) -> None:
    labelled: Callable[[str], dict[str, Any]] = lambda app: {"match": {"labels": {"matchLabels": {"app": app}}}}  # noqa: E731
    stage.govern(
        {**labelled("never"), "placement": {"virtual": "Never"}},
        {**labelled("always"), "placement": {"virtual": "Always"}},
        {"match": {"kinds": ["CronJob"]}, "placement": {"virtual": "Always"}},
        _manual(2),
    )
    exists = [{"operator": "Exists"}]

    stage.deploy("never", 3, tolerations=exists)
    stage.deploy("always", 3)
    stage.deploy("asked", 5, annotations={"spillway.dev/threshold": "4"})
    stage.deploy("host", 4, hostNetwork=True)
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": _cronjob(stage), "controller": True}
    stage.run_job("nightly-1", 2, owner=cron)
    stage.run_job("once", 2)

    for pod in stage.wait_bound("never", 3):
        assert pod["metadata"]["annotations"][PLACEMENT] == "physical"
        assert "affinity" not in pod["spec"]
        assert exists[0] in pod["spec"]["tolerations"], "the user's own stays"
    assert stage.tiers(stage.wait_bound("always", 3)) == {"virtual": 3}
    assert stage.tiers(stage.wait_bound("asked", 5)) == {"physical": 4, "virtual": 1}
    assert stage.tiers(stage.wait_bound("host", 4)) == {"physical": 4}
    nightly = stage.wait_bound("nightly-1", 2)
    assert stage.tiers(nightly) == {"virtual": 2}
    assert {pod["metadata"]["annotations"]["spillway.dev/tier"] for pod in nightly} == {"virtual"}
    assert stage.tiers(stage.wait_bound("once", 2)) == {"physical": 2}, "a Job has no threshold"

    def told() -> bool:
        kept = dict(stage.events("KeptPhysical"))
        tolerated = dict(stage.events("ToleratesVirtual"))
        return "hostNetwork" in kept.get("Deployment/host", "") and "Deployment/never" in tolerated

    cluster.wait_until(told, "the Events that say why")
    assert len(stage.events("KeptPhysical")) == 1, "one for the workload, not one for each pod"


def _cronjob(stage: Stage) -> str:
    made = stage.cluster.rest.create(
        f"/apis/batch/v1/namespaces/{stage.namespace}/cronjobs",
        {
            "metadata": {"name": "nightly"},
            "spec": {
                "schedule": "0 3 1 1 *",
                "suspend": True,
                "jobTemplate": {"spec": {"template": stage.template("nightly", restartPolicy="Never")}},
            },
        },
    )
    return str(made["metadata"]["uid"])


def test_pods_that_keep_apart_run_at_once_although_a_pool_is_one_node(stage: Stage, cluster: ClusterApi) -> None:
    stage.govern(_manual(2))
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "gateway"}}}
    alone = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}

    stage.deploy("gateway", OWNED.count, affinity=alone)

    pods = stage.wait_bound("gateway", OWNED.count)
    tiers = stage.tiers(pods)
    assert tiers["virtual"] >= 1, "a pool takes as many as it has nodes"
    assert tiers["physical"] >= OWNED.count - len(stage.nodes)
    for pod in pods:
        decided = "physical" if stage.place(pod["spec"]["nodeName"]) == "physical" else "virtual"
        assert pod["metadata"].get("annotations", {}).get(PLACEMENT, decided) == decided, "no pod was replaced"
    assert not stage.events("Recalled")

    def told() -> bool:
        note = dict(stage.events("KeptPhysical")).get("Deployment/gateway", "")
        return "has no node that its anti-affinity to other pods leaves free" in note

    cluster.wait_until(told, "the Event that says why")


def test_a_held_pool_is_passed_over_and_used_again_when_it_opens(
    operators: Installation, stage: Stage, cluster: ClusterApi
) -> None:
    stage.govern(_manual(0), a={"cordon": "Hold"})
    stage.deploy("web", 3)
    pods = stage.wait_bound("web", 3)
    assert {stage.place(pod["spec"]["nodeName"]) for pod in pods} == {"b"}
    assert {pod["metadata"]["annotations"]["spillway.dev/pools"] for pod in pods} == {stage.pools["b"]}

    path = f"/apis/spillway.dev/v1alpha1/virtualnodebudgets/{stage.pools['a']}"
    cluster.rest.merge(path, {"spec": {"cordon": "None"}})

    # Its node is schedulable a moment before the leader sees it.
    pool = stage.pools["a"]
    cluster.wait_until(lambda: operators.total("spillway_pool_takes", pool=pool) == 1, "the pool to take pods")
    stage.deploy("later", 3)
    admitted = {pod["metadata"]["annotations"]["spillway.dev/pools"] for pod in stage.wait_bound("later", 3)}
    assert admitted == {f"{stage.pools['a']},{stage.pools['b']}"}


def test_a_limit_holds_at_every_moment_of_a_burst(stage: Stage, cluster: ClusterApi) -> None:
    if not isinstance(cluster, Cluster):
        pytest.skip("reads the audit log of a cluster of its own")
    stage.govern(_manual(0), a={"limits": {"cpu": str(LIMITED_CORES)}}, b={"cordon": "Hold"})

    stage.deploy("web", LIMITED_BURST, cpu="1")
    bound = stage.wait_bound("web", LIMITED_BURST)
    stage.assert_split(bound, physical=LIMITED_BURST - LIMITED_CORES)
    stage.scale("web", LIMITED_BURST - 150)
    stage.wait_bound("web", LIMITED_BURST - 150)
    stage.scale("web", LIMITED_BURST)
    stage.wait_bound("web", LIMITED_BURST)

    on_pool: set[str] = set()
    highest = 0
    for what, pod, node in writes_to_pods(cluster.audit_log, stage.namespace):
        if what == "bound" and stage.place(node) == "a":
            on_pool.add(pod)
            highest = max(highest, len(on_pool))
        elif what == "gone":
            on_pool.discard(pod)
    assert LIMITED_CORES - stage.undecided(bound) <= highest <= LIMITED_CORES, "each pod asks for one core"


def test_the_next_leader_decides_as_exactly(operators: Installation, stage: Stage) -> None:
    stage.govern(_manual(30))
    stage.deploy("web", 60)
    stage.wait_bound("web", 60)
    leader = operators.wait_leader()

    operators.kill(leader)
    operators.wait_leader(other_than=leader)
    operators.start_one(leader)
    operators.wait_ready(0, 1)
    stage.wait_governed()

    stage.scale("web", 100)
    stage.assert_split(stage.wait_bound("web", 100), physical=30)
    stage.deploy("new", 60)
    stage.assert_split(stage.wait_bound("new", 60), physical=30)


def test_without_an_operator_pods_are_created_as_their_users_wrote_them(operators: Installation, stage: Stage) -> None:
    stage.govern(_manual(2))
    for index in operators.running:
        operators.kill(index)

    stage.deploy("web", 5)

    pods = stage.wait_bound("web", 5)
    assert stage.tiers(pods) == {"physical": 5}
    for pod in pods:
        assert not [key for key in pod["metadata"].get("annotations") or {} if key.startswith("spillway.dev/")]
        assert "affinity" not in pod["spec"]
