"""Twin of demo/thresholds.py."""

from demo import manifests
from demo.contenders import Contender
from demo.scenario import HOURS, desired_replicas, plan_day
from demo.thresholds import thresholds
from spillway.domain.model.names import THRESHOLD


def test_the_last_replica_that_is_kept_is_needed_for_long_enough_and_the_next_is_not() -> None:
    day = plan_day(seed=3, workloads=8)
    for workload, kept in zip(day.workloads, thresholds(day, kept_from_share=0.25).values(), strict=True):
        needed = [desired_replicas(workload, workload.load(step * HOURS / 288)) for step in range(288)]
        assert sum(replicas >= kept for replicas in needed) > 0.25 * 288
        assert sum(replicas > kept for replicas in needed) <= 0.25 * 288


def test_dearer_nodes_keep_fewer() -> None:
    day = plan_day(seed=1, workloads=5)
    cheap, dear = thresholds(day, kept_from_share=0.1), thresholds(day, kept_from_share=0.6)
    assert all(cheap[name] >= dear[name] for name in cheap)
    assert sum(cheap.values()) > sum(dear.values())


def test_a_threshold_is_written_on_the_workload_and_replaces_its_own_toleration() -> None:
    made = manifests.deployment(Contender.SPILLWAY, "shop", "cart", replicas=2, overflow=True, threshold=7)
    assert made["metadata"]["annotations"] == {THRESHOLD: "7"}
    assert made["spec"]["template"]["spec"]["tolerations"] == []
    plain = manifests.deployment(Contender.PLAIN, "shop", "cart", replicas=2, overflow=True)
    assert "annotations" not in plain["metadata"]
    assert plain["spec"]["template"]["spec"]["tolerations"]


def test_placement_is_asked_for_in_the_policy() -> None:
    (plain,) = manifests.spillway_resources()[1]["spec"]["workloads"]
    (placed,) = manifests.spillway_resources(placement=True)[1]["spec"]["workloads"]
    assert "placement" not in plain
    assert placed["placement"]["virtual"] == "Overflow"
