"""Pods that find no room, on the real control plane: who gets onto virtual nodes, when, and who never does."""

from datetime import datetime
from typing import Any

from harness import Installation
from localcluster import ClusterApi
from tests.support.monitoring import expect_samples
from tests.support.tight import FLAGS, PODS_PER_NODE, MakeStage, TightStage, condition

SPILL_AFTER = 3
OPERATOR_FLAGS = FLAGS


DEVICE = "example.com/gpu"


def overflow(**placement: Any) -> dict[str, Any]:
    return {"placement": {"virtual": "Overflow", "spillAfter": f"{SPILL_AFTER}s", **placement}}


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def test_a_pod_without_physical_room_spills_after_spill_after_and_not_before(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(2)
    stage.govern(overflow(), {"match": {"labels": {"matchLabels": {"app": "home"}}}, "placement": {"virtual": "Never"}})
    stage.half("web", 2 * PODS_PER_NODE)
    assert stage.tiers(stage.wait_bound("web", 4)) == {"physical": 4}

    stage.scale("web", 6)
    pods = stage.wait_bound("web", 6)

    assert stage.tiers(pods) == {"physical": 4, "virtual": 2}
    spilled = [pod for pod in pods if stage.place(pod["spec"]["nodeName"]) != "physical"]
    for pod in spilled:
        waited = seconds_between(
            pod["metadata"]["creationTimestamp"], condition(pod, "PodScheduled")["lastTransitionTime"]
        )
        # Both are whole seconds.
        assert waited >= SPILL_AFTER - 1
        assert {"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": stage.pools["a"],
                "effect": "NoSchedule"} in pod["spec"]["tolerations"]  # fmt: skip
        annotations = pod["metadata"]["annotations"]
        assert annotations["spillway.dev/placement"] == "physical"
        assert annotations["spillway.dev/pools"] == stage.pools["a"]
        cluster.wait_until(lambda: _tier(stage, "web") == {"physical": 4, "virtual": 2}, "the landing marks")
    cluster.wait_until(
        lambda: {f"Pod/{pod['metadata']['name']}" for pod in spilled} <= {said for said, _ in stage.events("Spilled")},
        "the Events",
    )
    assert operators.total("spillway_spills_total", policy=stage.id, pool=stage.pools["a"], how="patched") == 2
    expect_samples(operators, "spillway_spills_total")


def _tier(stage: TightStage, name: str) -> dict[str, int]:
    """By our marks."""
    found: dict[str, int] = {"physical": 0, "virtual": 0}
    for pod in stage.pods(name):
        tier = pod["metadata"]["annotations"].get("spillway.dev/tier", "")
        found["virtual" if tier == "virtual" else "physical"] += bool(tier)
    return found


def test_never_stays_waiting_and_a_limit_holds_for_those_that_spill(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(
        {"match": {"labels": {"matchLabels": {"app": "home"}}}, "placement": {"virtual": "Never", "spillAfter": "1s"}},
        overflow(spillAfter="1s"),
        a={"limits": {"cpu": "1"}},
        b={"limits": {"pods": 1}},
    )
    stage.half("home", 3)
    cluster.wait_until(lambda: stage.bound_tiers("home")["physical"] == 2, "the node to be full")
    stage.half("web", 6)

    cluster.wait_until(lambda: stage.bound_tiers("web")["virtual"] == 3, "what the limits leave")
    kept = {"policy": stage.id, "reason": "NoPool"}
    # One that lost its place, because its pod changed at that moment, was kept by then as well.
    cluster.wait_until(lambda: operators.total("spillway_spill_kept_total", **kept) >= 3, "the others to be kept")
    assert stage.bound_tiers("web") == {"physical": 0, "virtual": 3, "waiting": 3}
    assert stage.bound_tiers("home") == {"physical": 2, "virtual": 0, "waiting": 1}
    places = [stage.place(pod["spec"]["nodeName"]) for pod in stage.pods("web") if pod["spec"].get("nodeName")]
    assert sorted(places) == ["a", "a", "b"]


def test_balloons_are_preempted_before_any_pod_goes_to_a_virtual_node(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(3)
    stage.govern(overflow(spillAfter="1s"))
    stage.balloons("balloon", 6)
    assert stage.tiers(stage.wait_bound("balloon", 6)) == {"physical": 6}

    stage.half("web", 6)

    pods = stage.wait_bound("web", 6)
    assert stage.tiers(pods) == {"physical": 6}
    # The balloons come again, wait for room longer than `spillAfter`, and no one pays for virtual nodes for them.
    kept = {"policy": stage.id, "reason": "Expendable"}
    cluster.wait_until(lambda: operators.total("spillway_spill_kept_total", **kept) == 6, "the balloons to be due")
    assert stage.bound_tiers("balloon") == {"physical": 0, "virtual": 0, "waiting": 6}
    assert operators.total("spillway_spills_total", policy=stage.id) == 0

    stage.scale("web", 8)
    assert stage.tiers(stage.wait_bound("web", 8)) == {"physical": 6, "virtual": 2}, "after headroom, the last resort"


def test_a_virtual_pod_that_no_node_takes_becomes_physical(make_stage: MakeStage, cluster: ClusterApi) -> None:
    stage = make_stage(2)
    # Each pool has four devices when its pods are placed, and one when the scheduler may bind them.
    stage.offer(DEVICE, 4, stage.nodes)
    stage.offer(DEVICE, 2, stage.tight)
    stage.govern(
        {"match": {"kinds": ["Deployment"]}, "placement": {"virtual": "Always", "spillAfter": f"{SPILL_AFTER}s"}}
    )
    resources = {"requests": {"cpu": "500m"}, "limits": {DEVICE: "1"}}
    containers = [{"name": "main", "image": "registry.invalid/main:1", "resources": resources}]
    stage.half("batch", 4, containers=containers, schedulingGates=[{"name": "example.com/not-yet"}])
    cluster.wait_until(lambda: len(stage.pods("batch")) == 4, "the pods")
    first = {pod["metadata"]["uid"] for pod in stage.pods("batch")}
    placed = [pod["metadata"]["annotations"]["spillway.dev/placement"] for pod in stage.pods("batch")]
    assert placed == ["virtual"] * 4
    stage.offer(DEVICE, 1, stage.nodes)

    def let_all_go() -> bool:
        # Those that replace others have closed gates too, and may not be there yet.
        stage.open_gates("batch")
        return len(stage.pods("batch")) == 4 and stage.bound_tiers("batch")["waiting"] == 0

    cluster.wait_until(let_all_go, "four pods on nodes")
    pods = stage.wait_bound("batch", 4)

    assert stage.tiers(pods) == {"physical": 2, "virtual": 2}
    assert len(first & {pod["metadata"]["uid"] for pod in pods}) == 2, "those that waited were replaced"
    recalled = [pod for pod in pods if pod["metadata"]["annotations"]["spillway.dev/placement"] == "physical"]
    assert len(recalled) == 2
    cluster.wait_until(lambda: stage.events("Recalled"), "the Event")


def test_a_pod_that_needs_more_there_than_a_patch_gives_is_replaced(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    shipper = {"name": "shipper", "image": "registry.invalid/shipper:1"}
    stage.govern(overflow(spillAfter="1s"), a={"podOverlay": {"sidecars": [shipper]}})
    stage.half("web", 3)
    cluster.wait_until(lambda: stage.bound_tiers("web")["physical"] == 2, "the node to be full")

    pods = stage.wait_bound("web", 3)

    assert stage.tiers(pods) == {"physical": 2, "virtual": 1}
    [spilled] = [pod for pod in pods if stage.place(pod["spec"]["nodeName"]) == "a"]
    assert [one["name"] for one in spilled["spec"]["initContainers"]] == ["shipper"]
    assert spilled["metadata"]["annotations"]["spillway.dev/placement"] == "virtual"
    # It is counted after the pod that is replaced was deleted.
    cluster.wait_until(
        lambda: operators.total("spillway_spills_total", policy=stage.id, how="replaced") == 1,
        "the spill to be counted",
    )


def test_recommend_counts_and_changes_nothing(
    make_stage: MakeStage, operators: Installation, cluster: ClusterApi
) -> None:
    stage = make_stage(1)
    stage.govern(overflow(spillAfter="1s"))
    cluster.rest.merge(f"/apis/spillway.dev/v1alpha1/elasticpolicies/{stage.id}", {"spec": {"mode": "Recommend"}})
    stage.wait_ungoverned()
    stage.half("web", 3)

    cluster.wait_until(
        lambda: operators.total("spillway_spill_recommended_total", policy=stage.id, move="spill") == 1,
        "the pod that would have spilled",
    )
    assert stage.bound_tiers("web") == {"physical": 2, "virtual": 0, "waiting": 1}
    assert not [pod for pod in stage.pods("web") if "spillway.dev/pools" in (pod["metadata"].get("annotations") or {})]
