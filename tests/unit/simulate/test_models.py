"""The models around the planners, each by itself."""

import numpy as np
import pytest

from spillway.domain.model.names import PodUid, Tier
from spillway.simulate.autoscaler import CLUSTER_AUTOSCALER, CLUSTER_AUTOSCALER_DRAINS, NodeAutoscaler
from spillway.simulate.cluster import SimCluster, SimPod
from spillway.simulate.hpa import Hpa
from spillway.simulate.scenario import ZONES, Scenario, SimulatedWorkload
from spillway.simulate.scheduler import Scheduler

FIXED, ELASTIC = 3, 6


def make(*, hard: bool = True, demand: list[float] | None = None) -> Scenario:
    """One workload of 4-core pods; three fixed nodes and up to six elastic ones of 16 cores."""
    workload = SimulatedWorkload("w", 4.0, 8.0, 1, 50, hard_zone_spread=hard, startup_steps=2, rollouts=())
    return Scenario((workload,), np.array([demand or [1.0] * 400]), 16.0, 64.0, FIXED, ELASTIC, (2, 10_000), 1)


def pods(count: int) -> list[SimPod]:
    return [SimPod(PodUid(f"u{n:02}"), workload=0, revision=1, created=0) for n in range(count)]


@pytest.fixture
def cluster() -> SimCluster:
    return SimCluster(make())


def scheduler(cluster: SimCluster, *, soft_taint: bool = True) -> Scheduler:
    return Scheduler(cluster, np.random.default_rng(1), soft_taint=soft_taint)


def bind_all(cluster: SimCluster, count: int) -> list[SimPod]:
    """Bind pods until nothing fits; return those that wait."""
    waiting = []
    for pod in pods(count):
        node = scheduler(cluster).physical_node(pod)
        if node is None:
            waiting.append(pod)
        else:
            cluster.bind(pod, node, 0)
    return waiting


def test_the_scheduler_fills_nodes_evenly_and_no_further(cluster: SimCluster) -> None:
    assert len(bind_all(cluster, 13)) == 1
    assert list(cluster.pods_on[:FIXED]) == [4, 4, 4]
    assert list(cluster.in_zone[0]) == [4, 4, 4]


def test_a_soft_taint_sends_pods_to_fixed_nodes_while_they_have_room(cluster: SimCluster) -> None:
    for slot in cluster.elastic_slots:
        cluster.add_elastic(slot, 0)
    bind_all(cluster, 6)
    assert cluster.pods_on[:FIXED].sum() == 6


def test_a_hard_zone_spread_keeps_a_pod_pending_rather_than_uneven(cluster: SimCluster) -> None:
    cluster.alive[0] = False
    assert len(bind_all(cluster, 12)) == 12 - 2


def test_nodes_are_ordered_for_pods_that_wait_and_join_after_they_booted(cluster: SimCluster) -> None:
    waiting = bind_all(cluster, 18)
    autoscaler = NodeAutoscaler(cluster, scheduler(cluster), CLUSTER_AUTOSCALER)
    autoscaler.scale_up(waiting, step=0)
    autoscaler.scale_up(waiting, step=1)
    assert autoscaler.nodes == 2
    assert not autoscaler.join(5)
    assert autoscaler.join(6)
    booted = [slot for slot in cluster.elastic_slots if cluster.alive[slot]]
    assert len({int(cluster.zone[slot]) for slot in booted}) == 2


def test_an_empty_node_goes_after_ten_minutes_and_not_within_ten_of_a_scale_up(cluster: SimCluster) -> None:
    autoscaler = NodeAutoscaler(cluster, scheduler(cluster), CLUSTER_AUTOSCALER)
    cluster.add_elastic(FIXED, 0)
    gone = next(step for step in range(100) if not autoscaler.scale_down(step) and not cluster.alive[FIXED])
    assert gone == 40


def test_a_little_used_node_is_drained_if_its_pods_fit_elsewhere(cluster: SimCluster) -> None:
    cluster.add_elastic(FIXED, 0)
    (pod,) = pods(1)
    cluster.bind(pod, FIXED, 0)
    keeps = NodeAutoscaler(cluster, scheduler(cluster), CLUSTER_AUTOSCALER)
    drains = NodeAutoscaler(cluster, scheduler(cluster), CLUSTER_AUTOSCALER_DRAINS)
    assert not any(keeps.scale_down(step) for step in range(100))
    assert next(evicted for step in range(100) if (evicted := drains.scale_down(step))) == [pod]


def test_virtual_pools_fill_the_cheapest_first(cluster: SimCluster) -> None:
    chosen = []
    for pod in pods(4):
        node = scheduler(cluster).virtual_node(pod)
        cluster.bind(pod, node, 0)
        chosen.append(cluster.price_rank[node])
    assert chosen == [0, 0, 1, 1]
    assert {cluster.tier[pod_node] for pod_node in range(cluster.physical, len(cluster.tier))} == {Tier.VIRTUAL}
    assert max(cluster.in_zone[0]) - min(cluster.in_zone[0]) <= 1
    assert len(ZONES) == 3


def test_hpa_holds_back_scaling_down_for_five_minutes_and_not_up() -> None:
    hpa = Hpa(make(demand=[2.0] * 10 + [6.0] * 10 + [2.0] * 380))
    replicas = hpa.initial()
    seen = []
    for step in range(60):
        replicas = hpa.desired(step, replicas, replicas)
        seen.append(int(replicas[0]))
    assert seen[11] == 2
    assert seen[12] == 6
    assert seen[21:41] == [6] * 20
    assert seen[41:] == [2] * 19


def test_hpa_tolerates_a_tenth() -> None:
    hpa = Hpa(make(demand=[10.0] * 5 + [10.9] * 40))
    replicas = hpa.initial()
    for step in range(45):
        replicas = hpa.desired(step, replicas, replicas)
    assert int(replicas[0]) == 10


def test_hpa_follows_a_recommended_number_beyond_a_tenth() -> None:
    hpa = Hpa(make(demand=[20.0] * 40))
    replicas = hpa.initial()
    wanted = [int(hpa.desired(0, replicas, replicas, np.array([number]))[0]) for number in (19, 21, 23)]
    assert wanted == [20, 20, 23]
