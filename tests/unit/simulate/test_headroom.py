"""Headroom in a replay: where balloons go, who takes their room, and which nodes they leave."""

from collections.abc import Mapping

import numpy as np
import pytest

from spillway.api.headroom import Headroom
from spillway.domain.model.names import PodUid
from spillway.simulate.autoscaler import CLUSTER_AUTOSCALER_DRAINS, NodeAutoscaler
from spillway.simulate.cluster import SimCluster, SimPod
from spillway.simulate.headroom import HeadroomRules, SimHeadroom
from spillway.simulate.hpa import Ints
from spillway.simulate.scenario import Scenario, SimulatedWorkload
from spillway.simulate.scheduler import Scheduler

FIXED, ELASTIC = 3, 6
MINUTE = 4
"""Steps."""


class World:
    """A cluster in which one workload of 4-core pods is expected to start `rise` more; nodes have 16 cores."""

    def __init__(self, rise: int = 0) -> None:
        workload = SimulatedWorkload("w", 4.0, 8.0, 1, 50, hard_zone_spread=False, startup_steps=2, rollouts=())
        scenario = Scenario((workload,), np.ones((1, 400)), 16.0, 64.0, FIXED, ELASTIC, (10_000,), 1)
        self.rise = rise
        self.cluster = SimCluster(scenario)
        self.scheduler = Scheduler(self.cluster, np.random.default_rng(1), soft_taint=True)
        self.autoscaler = NodeAutoscaler(self.cluster, self.scheduler, CLUSTER_AUTOSCALER_DRAINS)
        self.headroom = SimHeadroom(scenario, self.cluster, HeadroomRules(Headroom(), self._rises))
        self.replicas = 0

    def _rises(self, step: int, replicas: Ints) -> Mapping[int, int]:
        del step, replicas
        return {0: self.rise} if self.rise else {}

    def run(self, count: int, node: int | None = None) -> list[int | None]:
        """Let so many pods start; the nodes that they found."""
        found = []
        for _ in range(count):
            self.replicas += 1
            pod = SimPod(PodUid(f"u{self.replicas:02}"), workload=0, revision=1, created=0)
            where = self.scheduler.physical_node(pod) if node is None else node
            where = self.scheduler.node_after_eviction(pod) if where is None else where
            if where is not None:
                self.cluster.bind(pod, where, 0)
            found.append(where)
        return found

    def keep(self, step: int = 0) -> None:
        self.headroom.keep(step, np.array([self.replicas]), (), {})

    def balloons(self) -> dict[int, int]:
        return {int(slot): int(self.cluster.balloons[slot]) for slot in np.flatnonzero(self.cluster.balloons)}


@pytest.fixture
def full() -> World:
    """All fixed nodes are full, and one elastic node in each of two zones runs two pods."""
    world = World()
    world.run(4 * FIXED)
    for slot in (FIXED, FIXED + 1):
        world.cluster.add_elastic(slot, 0)
        world.run(2, slot)
    return world


def test_room_on_fixed_nodes_needs_no_headroom() -> None:
    world = World(rise=3)
    world.run(9)
    world.keep()
    assert not world.balloons()
    assert not any(world.cluster.balloons_waiting)


def test_units_are_spread_over_zones_and_those_without_a_node_make_the_autoscaler_order_one(full: World) -> None:
    full.rise = 3
    full.keep()
    assert full.balloons() == {FIXED: 1, FIXED + 1: 1}
    assert full.cluster.balloons_waiting == [0, 0, 1]
    full.autoscaler.scale_up((), 0)
    assert full.autoscaler.nodes == 3
    full.autoscaler.join(6)
    assert full.cluster.alive[FIXED + 2]
    full.keep(6)
    assert full.balloons() == {FIXED: 1, FIXED + 1: 1, FIXED + 2: 1}


def test_a_pod_takes_the_room_of_a_balloon_only_where_it_finds_no_other(full: World) -> None:
    full.rise = 6
    full.keep()
    assert full.balloons() == {FIXED: 2, FIXED + 1: 2}
    full.cluster.add_elastic(FIXED + 3, 0)
    assert full.run(5) == [FIXED + 3] * 4 + [FIXED]
    assert full.balloons() == {FIXED: 1, FIXED + 1: 2}
    assert full.cluster.balloons_waiting == [1, 0, 2]


def test_a_rise_that_has_taken_its_headroom_is_not_kept_again(full: World) -> None:
    full.rise = 3
    full.keep()
    full.run(2)
    full.rise = 1
    full.keep(MINUTE)
    assert sum(full.balloons().values()) + sum(full.cluster.balloons_waiting) == 1


def test_headroom_is_given_up_ten_minutes_after_the_last_rise(full: World) -> None:
    full.rise = 2
    full.keep()
    full.rise = 0
    full.keep(9 * MINUTE)
    assert full.balloons() == {FIXED: 1, FIXED + 1: 1}
    full.keep(10 * MINUTE)
    assert not full.balloons()
    assert full.cluster.cpu_free[FIXED] == pytest.approx(8.0)


def test_balloons_leave_a_node_that_could_go_without_them() -> None:
    world = World()
    world.run(4 * FIXED)
    world.cluster.add_elastic(FIXED, 0)
    world.run(2, FIXED)
    world.cluster.add_elastic(FIXED + 3, 0)
    world.rise = 1
    world.keep()
    assert world.balloons() == {FIXED: 1}
    # In the same zone another node holds nothing but a balloon.
    world.cluster.hold_balloons(FIXED, -1)
    world.cluster.hold_balloons(FIXED + 3, 1)
    world.keep(MINUTE)
    assert world.balloons() == {FIXED: 1}
    gone = next(step for step in range(100) if not world.autoscaler.scale_down(step) and not world.cluster.alive[6])
    assert gone == 10 * MINUTE


def test_a_node_is_drained_of_balloons_only_where_these_fit_elsewhere_in_its_zone(full: World) -> None:
    full.rise = 6
    full.keep()
    full.cluster.add_elastic(FIXED + 3, 0)
    full.cluster.evict_balloons(FIXED)
    full.cluster.hold_balloons(FIXED + 3, 2)
    full.run(2, FIXED)
    assert not any(full.autoscaler.scale_down(step) for step in range(100))
    assert full.cluster.alive[FIXED + 3]
