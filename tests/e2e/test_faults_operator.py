"""The operator's own end, in the middle of things: what it left half done is finished by whoever leads next."""

import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness import Installation
from harness.scene import Scene, by_tier, tier_violations, zone_skew
from localcluster import ClusterApi
from tests.support.e2e import LEASE_SECONDS, QUICK_LEASE, Start
from tests.support.installed import deployment, eventually, status

OPERATOR_FLAGS = (QUICK_LEASE,)
SLOW_NODE_WRITES = "--node-writes-per-second=10"
"""So that a kill meets the work half done."""


def _kill_leader(operator: Installation, number: signal.Signals = signal.SIGKILL) -> int:
    leader = operator.wait_leader()
    operator.kill(leader, number)
    return leader


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_of_scale_downs(
    operator: Installation, scene: Scene, cluster: ClusterApi, number: signal.Signals
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")

    for replicas in (17, 16, 15, 14):
        scene.scale("web", replicas)
        if replicas == 16:
            _kill_leader(operator, number)
    after = scene.wait_ready("web", 14)

    assert not tier_violations(before, after)
    # The other replica answers the webhooks from the first moment, so also the zones were kept.
    assert zone_skew(after) <= 1
    before = after
    scene.scale("web", 9)
    after = scene.wait_ready("web", 9)
    assert not tier_violations(before, after)
    assert zone_skew(after) <= 1


def test_all_replicas_killed_the_costs_from_birth_decide(start: Start, scene: Scene) -> None:
    operator = start()
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    for index in operator.running:
        operator.kill(index)

    scene.scale("web", 14)
    after = scene.wait_ready("web", 14)
    assert not tier_violations(before, after), "a miss is never across tiers"
    assert by_tier(after) == {"fixed": 6, "elastic": 6, "virtual": 2}

    operator = start()
    before = after
    scene.scale("web", 9)
    after = scene.wait_ready("web", 9)
    assert not tier_violations(before, after)
    assert zone_skew(after) <= 1


def test_pods_bound_while_nobody_was_there_are_stamped_afterwards(start: Start, scene: Scene) -> None:
    operator = start()
    scene.add_policy()
    scene.wait_enforced()
    for index in operator.running:
        operator.kill(index)
    before = scene.fill("web")
    assert not any(pod.marks for pod in before), "no one was there"

    start(2, "--upkeep-seconds=1")

    pods = scene.wait_stamped("web")
    highest = {tier: max(pod.cost for pod in pods if pod.tier == tier) for tier in ("virtual", "elastic")}
    cheapest = {tier: min(pod.cost for pod in pods if pod.tier == tier) for tier in ("elastic", "fixed")}
    assert highest["virtual"] < cheapest["elastic"]
    assert highest["elastic"] < cheapest["fixed"]


def test_killed_in_the_middle_of_a_cordon(start: Start, make_scene: Callable[..., Scene], cluster: ClusterApi) -> None:
    operator = start(2, SLOW_NODE_WRITES)
    scene = make_scene(virtual_nodes=45)
    scene.add_budget()
    scene.add_policy()
    scene.wait_enforced()
    nodes = set(scene.nodes["virtual"])
    others = scene.nodes["virtual"][0]
    scene.close_nodes([others])

    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "Hold"})
    cluster.wait_until(lambda: len(scene.closed()) > 5, "some nodes closed")
    _kill_leader(operator)
    half_done = len(scene.closed())
    cluster.wait_until(lambda: scene.closed() == nodes, "all nodes closed")
    assert half_done < len(nodes)

    # A node that joins a held pool is closed, under the new leader as well.
    [joined] = cluster.add_virtual_nodes(scene.pool("virtual"), 1, provider=scene.provider, labels={"scene": scene.id})
    scene.nodes["virtual"].append(joined)
    cluster.wait_until(lambda: joined in scene.closed(), "the new node closed")

    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "None"})
    cluster.wait_until(lambda: scene.closed() == {others}, "all open but the one closed by another client")
    assert not scene.closed_by_us()


def test_killed_in_the_middle_of_a_drain(operator: Installation, scene: Scene, cluster: ClusterApi) -> None:
    """A disruption budget holds the drain where it is, for as long as the kill takes."""
    budgets = f"/apis/policy/v1/namespaces/{scene.namespace}/poddisruptionbudgets"
    cluster.apply(deployment(scene.namespace, "web", 6, nodeSelector={"pool": scene.pool("virtual")}))
    cluster.wait_pods_ready(scene.namespace, 6)
    guard = {"metadata": {"name": "web"}, "spec": {"minAvailable": 4, "selector": {"matchLabels": {"app": "web"}}}}
    cluster.rest.create(budgets, guard)
    eventually(lambda: cluster.rest.get(f"{budgets}/web")["status"]["disruptionsAllowed"] == 2, "two to be allowed")

    def drain() -> Mapping[str, Any]:
        found: Mapping[str, Any] = status(cluster, "virtualnodebudgets", scene.budget).get("drain") or {}
        return found

    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "HoldAndDrain"})
    eventually(lambda: (drain().get("evicted"), drain().get("blocked")) == (2, 4), "the drain to be held up")
    begun = drain()["started"]
    _kill_leader(operator)
    operator.wait_leader()
    assert drain()["remaining"] == 4
    cluster.rest.delete(f"{budgets}/web")

    eventually(lambda: drain().get("remaining") == 0, "the rest to go")
    assert (drain()["started"], drain()["evicted"]) == (begun, 6), "the new leader went on with the same drain"
    assert scene.closed() == set(scene.nodes["virtual"])
    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "None"})
    cluster.wait_until(lambda: not scene.closed(), "all open")


def test_killed_before_the_end_of_a_hold(operator: Installation, scene: Scene, cluster: ClusterApi) -> None:
    nodes = set(scene.nodes["virtual"])
    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "Hold"})
    cluster.wait_until(lambda: scene.closed() == nodes, "all nodes closed")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LEASE_SECONDS)
    scene.patch("virtualnodebudgets", scene.budget, {"cordonUntil": until.strftime("%Y-%m-%dT%H:%M:%SZ")})
    leader = _kill_leader(operator)

    cluster.wait_until(lambda: scene.closed() != nodes, "the first to open")
    assert datetime.now(UTC) >= until
    assert operator.leader() != leader
    cluster.wait_until(lambda: not scene.closed(), "all open")
    assert not scene.closed_by_us()


def test_killed_in_the_middle_of_a_taint_sweep(
    start: Start, make_scene: Callable[..., Scene], cluster: ClusterApi
) -> None:
    operator = start(2, SLOW_NODE_WRITES)
    scene = make_scene(nodes_per_zone=15)
    scene.add_budget()
    foreign = {"key": "example.com/other", "effect": "NoSchedule", "value": "theirs"}
    kept = scene.nodes["elastic"][0]
    cluster.rest.merge(f"/api/v1/nodes/{kept}", {"spec": {"taints": [foreign]}})

    scene.add_policy()
    cluster.wait_until(lambda: len(scene.tainted()) > 5, "some nodes tainted")
    _kill_leader(operator)
    assert len(scene.tainted()) < len(scene.nodes["elastic"])
    cluster.wait_until(lambda: scene.tainted() == set(scene.nodes["elastic"]), "all tainted")

    operator.start_one(next(index for index in (0, 1) if index not in operator.running), flags=[SLOW_NODE_WRITES])
    operator.wait_ready()
    scene.delete("elasticpolicies", scene.policy)
    cluster.wait_until(lambda: len(scene.tainted()) < len(scene.nodes["elastic"]) - 5, "some taints gone")
    _kill_leader(operator)
    assert scene.tainted()
    cluster.wait_until(lambda: not scene.tainted(), "all taints gone")
    assert foreign in cluster.rest.get(f"/api/v1/nodes/{kept}")["spec"]["taints"]


def test_policy_deleted_while_everybody_was_away(start: Start, scene: Scene, cluster: ClusterApi) -> None:
    operator = start()
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")
    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "Hold"})
    cluster.wait_until(lambda: scene.closed_by_us() == set(scene.nodes["virtual"]), "the pool closed")
    for index in operator.running:
        operator.kill(index)
    scene.delete("elasticpolicies", scene.policy)
    scene.delete("virtualnodebudgets", scene.budget)
    assert scene.marked_objects()

    start()

    cluster.wait_until(lambda: not scene.marked_objects(), "everything of ours gone")
    assert not scene.closed()


def test_a_graceful_end_hands_over_at_once(operator: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy()
    scene.wait_enforced()
    first = _kill_leader(operator, signal.SIGTERM)
    assert operator.return_code(first) == 0

    second = operator.wait_leader(other_than=first)

    scene.patch("elasticpolicies", scene.policy, {"mode": "Recommend"})
    cluster.wait_until(lambda: not scene.tainted(), "the taints gone")
    assert operator.leader() == second
    assert operator.metrics(second).total("spillway_leader") == 1


def test_a_frozen_leader_loses_the_lease_and_exits_when_it_thaws(
    operator: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    frozen = operator.wait_leader()
    operator.kill(frozen, signal.SIGSTOP)

    other = operator.wait_leader(other_than=frozen)
    scene.patch("elasticpolicies", scene.policy, {"mode": "Recommend"})
    cluster.wait_until(lambda: not scene.tainted(), "the new leader to act")
    operator.kill(frozen, signal.SIGCONT)

    cluster.wait_until(lambda: operator.pid(frozen) is None, "the old leader's end")
    assert operator.return_code(frozen) == 1
    assert operator.leader() == other
    assert not scene.tainted(), "it wrote nothing after it lost the lease"
