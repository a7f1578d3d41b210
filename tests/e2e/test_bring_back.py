"""Virtual replicas come back when room does, on the real control plane: never fewer ready ones than asked for."""

import signal
import time
from typing import Any

from harness import Installation
from localcluster import ClusterApi
from tests.support.e2e import QUICK_LEASE
from tests.support.monitoring import expect_samples
from tests.support.tight import FLAGS, HOLD_SECONDS, PODS_PER_NODE, MakeStage, TightStage, is_ready

READY_SECONDS = 4
"""The least that an additional replica may take to become ready; the deadline of a Deployment may be longer."""
OPERATOR_FLAGS = (*FLAGS, QUICK_LEASE, f"--surge-ready-seconds={READY_SECONDS}")
BRING_BACK = {"threshold": {"mode": "Manual", "replicas": 100}, "placement": {"spillAfter": "1s"}}


def start(installation: Installation, *indexes: int) -> None:
    for index in indexes:
        installation.start_one(index, flags=OPERATOR_FLAGS)
    installation.wait_ready(*indexes)


def overflowing(stage: TightStage, name: str, virtual: int) -> int:
    """A Deployment that fills the owned nodes, with so many replicas more, which spill; returns how many it has."""
    replicas = PODS_PER_NODE * len(stage.tight) + virtual
    stage.half(name, replicas)
    stage.wait_bound(name, replicas)
    stage.cluster.wait_pods_ready(stage.namespace, replicas, f"app={name}")
    assert stage.bound_tiers(name)["virtual"] == virtual
    return replicas


def wait_home(stage: TightStage, name: str, replicas: int, *, budget: str = "") -> None:
    """Until all are physical and nothing of a surge is left; at no look fewer are ready than asked for, or two more."""

    def home() -> bool:
        ready = sum(map(is_ready, stage.pods(name)))
        asked = stage.deployment(name)["spec"]["replicas"]
        assert replicas <= ready <= replicas + 1
        assert replicas <= asked <= replicas + 1
        if budget:
            status = stage.cluster.rest.get(budget).get("status") or {}
            assert status.get("currentHealthy", replicas) >= status.get("desiredHealthy", 0)
        at_rest = asked == replicas and not stage.marks()
        return at_rest and stage.bound_tiers(name) == {"physical": replicas, "virtual": 0, "waiting": 0}

    stage.cluster.wait_until(home, f"all of {name} on owned nodes")


def test_virtual_replicas_come_back_when_room_returns_and_nothing_is_written_afterwards(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(BRING_BACK)
    replicas = overflowing(stage, "web", virtual=3)
    before = {pod["metadata"]["uid"] for pod in stage.pods("web")}
    budget = {"minAvailable": replicas, "selector": {"matchLabels": {"app": "web"}}}
    budgets = f"/apis/policy/v1/namespaces/{stage.namespace}/poddisruptionbudgets"
    cluster.rest.create(budgets, {"metadata": {"name": "web"}, "spec": budget})

    stage.add_owned(2)
    wait_home(stage, "web", replicas, budget=f"{budgets}/web")

    assert len(before & {pod["metadata"]["uid"] for pod in stage.pods("web")}) == PODS_PER_NODE, "others were moved too"
    # It is counted after the mark of the last surge was removed.
    cluster.wait_until(
        lambda: operators.total("spillway_bring_backs_total", policy=stage.id) == 3, "three surges to be counted"
    )
    assert operators.total("spillway_bring_backs_total", policy=stage.id, outcome="BroughtBack") == 3
    expect_samples(operators, "spillway_bring_backs_total")
    cluster.wait_until(lambda: stage.events("BroughtBack"), "the Event")
    assert {said for said, _ in stage.events("BroughtBack")} == {"Deployment/web"}
    written = surge_writes(operators)
    # A look at rest is due every half second.
    looks = operators.total("spillway_queue_handled_total", queue="bring-back")
    cluster.wait_until(
        lambda: operators.total("spillway_queue_handled_total", queue="bring-back") >= looks + 5, "more looks"
    )
    assert surge_writes(operators) == written
    assert operators.total("spillway_bring_backs_total", policy=stage.id) == 3


def surge_writes(operators: Installation) -> float:
    resources = ("replicasets", "deployments/scale")
    return sum(operators.total("spillway_writes_total", resource=resource) for resource in resources)


def test_only_what_the_threshold_asks_for_comes_back(make_stage: MakeStage, cluster: ClusterApi) -> None:
    stage = make_stage(1)
    stage.govern({"threshold": {"mode": "Manual", "replicas": 3}, "placement": {"spillAfter": "1s"}})
    replicas = overflowing(stage, "web", virtual=3)

    stage.add_owned(3)

    wanted = {"physical": 3, "virtual": 2, "waiting": 0}
    cluster.wait_until(lambda: stage.bound_tiers("web") == wanted and not stage.marks(), "one to come back")
    assert stage.deployment("web")["spec"]["replicas"] == replicas


def test_a_surge_whose_leader_dies_is_ended_by_the_next(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(BRING_BACK)
    replicas = PODS_PER_NODE + 1
    stage.half("web", replicas, schedulingGates=[{"name": "example.com/wait"}])
    cluster.wait_until(lambda: len(stage.pods("web")) == replicas, "the pods")
    stage.open_gates("web")
    stage.wait_bound("web", replicas)
    cluster.wait_pods_ready(stage.namespace, replicas, "app=web")
    leader = operators.wait_leader()
    stage.add_owned(1)

    cluster.wait_until(stage.marks, "the surge")
    operators.kill(leader, signal.SIGKILL)
    operators.wait_leader(other_than=leader)
    cluster.wait_until(lambda: len(stage.pods("web")) == replicas + 1, "the replica more, which waits at its gate")
    assert stage.marks()
    stage.open_gates("web")

    wait_home(stage, "web", replicas)
    start(operators, leader)


def test_a_surge_waits_for_a_replica_as_long_as_a_rollout_of_its_deployment_does(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(BRING_BACK)
    replicas = PODS_PER_NODE + 1
    stage.half("web", replicas, starts=False)
    stage.wait_bound("web", replicas)
    stage.start(stage.pods("web"))
    cluster.wait_pods_ready(stage.namespace, replicas, "app=web")
    known = {pod["metadata"]["uid"] for pod in stage.pods("web")}
    assert stage.deployment("web")["spec"]["progressDeadlineSeconds"] == 600, "the default, which the server stores"
    deadline(stage, "web", READY_SECONDS + 2)
    stage.add_owned(1)

    ended = {"policy": stage.id, "outcome": "NotReady"}
    cluster.wait_until(lambda: operators.total("spillway_bring_backs_total", **ended) == 1, "the surge to be undone")
    deadline(stage, "web", 600)
    cluster.wait_until(lambda: stage.marks() and len(stage.pods("web")) == replicas + 1, "the next surge")
    [slow] = [pod for pod in stage.pods("web") if pod["metadata"]["uid"] not in known]
    until = time.monotonic() + 2 * READY_SECONDS + 4
    while time.monotonic() < until:
        assert stage.marks(), "it waits for longer than the least, and than the deadline before"
        time.sleep(0.5)
    stage.start([slow])

    wait_home(stage, "web", replicas)
    assert operators.total("spillway_bring_backs_total", **ended) == 1


def deadline(stage: TightStage, name: str, seconds: int) -> None:
    """Set how long a replica of the Deployment may take to become ready in a rollout."""
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/deployments/{name}"
    stage.cluster.rest.merge(path, {"spec": {"progressDeadlineSeconds": seconds}})


def test_what_cannot_surge_is_left_and_says_why(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(BRING_BACK)
    replicas = overflowing(stage, "web", virtual=1)
    cluster.rest.create(
        f"/apis/autoscaling/v2/namespaces/{stage.namespace}/horizontalpodautoscalers", autoscaler("web", replicas)
    )
    stage.add_owned(1)

    cluster.wait_until(lambda: stage.events("BringBackLeft"), "the Event")
    left = {"policy": stage.id, "reason": "AutoscalerAtMaximum"}
    cluster.wait_until(lambda: operators.total("spillway_bring_back_left", **left) == 1, "the metric")
    assert stage.bound_tiers("web")["virtual"] == 1
    assert stage.deployment("web")["spec"]["replicas"] == replicas


def test_many_that_cannot_move_keep_none_from_its_turn(make_stage: MakeStage, cluster: ClusterApi) -> None:
    """More than have their turn in one hold, and all of them were due first."""
    stage = make_stage(1)
    stage.govern(BRING_BACK)
    overflowing(stage, "web", virtual=0)
    stuck = [f"stuck-{number}" for number in range(24)]
    for name in (*stuck, "healthy"):
        stage.half(name, 1)
    cluster.wait_pods_ready(stage.namespace, PODS_PER_NODE + len(stuck) + 1)
    assert stage.bound_tiers("healthy")["virtual"] == 1
    for name in (*stuck, "healthy"):
        pause(stage, name, paused=True)
    stage.add_owned(2)
    cluster.wait_until(
        lambda: {name for name, _ in stage.events("BringBackLeft")} >= {f"Deployment/{name}" for name in stuck},
        "each to have had its turn",
    )
    pause(stage, "healthy", paused=False)
    wait_home(stage, "healthy", 1)
    assert {name: stage.bound_tiers(name)["virtual"] for name in stuck} == dict.fromkeys(stuck, 1)


def pause(stage: TightStage, name: str, *, paused: bool) -> None:
    """Pause a Deployment, so that it cannot surge, or go on."""
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/deployments/{name}"
    stage.cluster.rest.merge(path, {"spec": {"paused": paused}})


def test_a_node_that_its_pods_do_not_tolerate_is_no_room(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(BRING_BACK)
    replicas = overflowing(stage, "web", virtual=1)
    taint = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
    (tainted,) = cluster.add_nodes(stage.owned, 1, cpu="1", labels={"stage": stage.owned}, taints=[taint])
    stage.tight.append(tainted)
    looks = operators.total("spillway_queue_handled_total", queue="bring-back")
    cluster.wait_until(
        lambda: operators.total("spillway_queue_handled_total", queue="bring-back") >= looks + 4 * HOLD_SECONDS + 2,
        "looks for more than the hold",
    )
    assert operators.total("spillway_bring_back_left", policy=stage.id, reason="NoRoom") == 1
    assert operators.total("spillway_bring_backs_total", policy=stage.id) == 0
    cluster.rest.merge(f"/api/v1/nodes/{tainted}", {"spec": {"taints": None}})
    wait_home(stage, "web", replicas)


def autoscaler(name: str, most: int) -> dict[str, Any]:
    """Without metrics it scales nothing; its bounds are what counts."""
    return {
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                }
            ],
        },
    }
