"""Moves beside cluster-autoscaler: one that removes only empty nodes, and one that drains nodes, as it does by default.

None of them makes the autoscaler add a node, and when the nodes that are not needed are gone, both are at rest.
"""

import json
from datetime import datetime, timedelta

import pytest

from localcluster import Cluster
from spillway.domain.model.names import CANDIDATE_TAINT, EMPTYING_TAINT
from tests.support.half_empty import HalfEmpty
from tests.support.installed import applied, audit_entries, audit_position, eventually
from tests.support.node_autoscaler import NodeAutoscaler

NODE_SETTLE = timedelta(seconds=20)
NOT_YET = "--scale-down-unneeded-time=1h"
"""It marks the nodes that it is going to drain, and does not begin."""


class Scene(HalfEmpty):
    """Half-empty nodes of cluster-autoscaler."""

    @property
    def names(self) -> set[str]:
        """Of the elastic nodes."""
        return {node["metadata"]["name"] for node in self.nodes}

    @property
    def candidates(self) -> set[str]:
        """The nodes that cluster-autoscaler is going to remove."""
        return self.with_taint(CANDIDATE_TAINT)

    @property
    def moved(self) -> list[str]:
        """The workloads of the moves that were done, by their Events."""
        events = self.cluster.rest.items(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return sorted(one["regarding"]["name"] for one in events if one["reason"] == "PodMoved")

    def wait_nodes(self, count: int) -> None:
        eventually(lambda: self.look() and len(self.names) <= count, f"at most {count} nodes", seconds=400)

    def assert_at_rest(self, autoscaler: NodeAutoscaler) -> None:
        """No pod and no node changes any more, and no node was added."""
        self.wait_at_rest()
        pods, nodes = {pod["metadata"]["uid"] for pod in self.pods}, self.names
        autoscaler.wait_loops(5)
        self.look()
        assert {pod["metadata"]["uid"] for pod in self.pods} == pods
        assert self.names == nodes
        assert autoscaler.added == []


@pytest.fixture
def scene(cluster: Cluster, namespace: str) -> Scene:
    return Scene(cluster, namespace)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def began(cluster: Cluster, since: int) -> dict[str, datetime]:
    """When the taint of a node that is emptied was first written, by the node's name."""
    found: dict[str, datetime] = {}
    for entry in audit_entries(cluster, since):
        if entry["objectRef"].get("resource") == "nodes" and EMPTYING_TAINT in json.dumps(entry.get("requestObject")):
            found.setdefault(entry["objectRef"]["name"], moment(entry["requestReceivedTimestamp"]))
    return found


def test_moves_empty_nodes_that_are_not_new_for_one_that_removes_only_empty_nodes(
    scene: Scene, autoscaler: NodeAutoscaler
) -> None:
    kept = scene.fill()
    made = {node["metadata"]["name"]: moment(node["metadata"]["creationTimestamp"]) for node in scene.nodes}
    policy = scene.policy("Active")
    policy["spec"]["consolidation"]["nodeSettle"] = f"{NODE_SETTLE.seconds}s"
    autoscaler.forget()
    since = audit_position(scene.cluster)
    with applied(scene.cluster, policy):
        scene.wait_nodes(-(-len(kept) // 3))
        scene.assert_at_rest(autoscaler)

    gone = set(made) - scene.names
    assert autoscaler.removed == gone
    assert autoscaler.evicted == []
    assert scene.least == dict.fromkeys(scene.least, 1)
    eventually(lambda: len(scene.moved) == len(gone), "an Event of each move")
    assert len(set(scene.moved)) == len(gone), "one move for each pod"
    started = began(scene.cluster, since)
    assert set(started) == gone
    assert all(started[name] - made[name] >= NODE_SETTLE for name in gone)


def test_the_nodes_that_it_is_going_to_drain_are_emptied_and_nothing_is_evicted(
    scene: Scene, autoscaler: NodeAutoscaler
) -> None:
    kept = scene.fill()
    wanted = -(-len(kept) // 3)
    autoscaler.use(NOT_YET)
    eventually(lambda: len(scene.candidates) == len(kept) - wanted, "the nodes that it is going to drain")
    candidates = scene.candidates

    with applied(scene.cluster, scene.policy("Active")):
        eventually(
            lambda: scene.look() and candidates.isdisjoint(pod["spec"].get("nodeName", "") for pod in scene.pods),
            "these nodes to be empty",
        )
        scene.wait_at_rest()
        assert scene.tainted == candidates
        autoscaler.use()
        scene.wait_nodes(wanted)
        scene.assert_at_rest(autoscaler)

    assert autoscaler.removed == candidates
    assert autoscaler.evicted == []
    assert scene.least == dict.fromkeys(scene.least, 1)
    assert len(scene.moved) == len(candidates)


def test_pods_that_it_may_not_evict_are_moved_and_it_finds_their_nodes_empty(
    scene: Scene, autoscaler: NodeAutoscaler
) -> None:
    kept = scene.fill()
    for app in kept.values():
        scene.cluster.apply(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": app, "namespace": scene.namespace},
                "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": app}}},
            }
        )
    autoscaler.use()
    eventually(lambda: "not enough pod disruption budget" in autoscaler.log, "its reason to keep the nodes")
    before = scene.names

    with applied(scene.cluster, scene.policy("Active")):
        scene.wait_nodes(-(-len(kept) // 3))
        scene.assert_at_rest(autoscaler)

    assert autoscaler.removed == before - scene.names
    assert autoscaler.evicted == []
    assert scene.least == dict.fromkeys(scene.least, 1)


def test_both_at_once_move_and_evict_each_pod_at_most_once(scene: Scene, autoscaler: NodeAutoscaler) -> None:
    kept = scene.fill()
    before = scene.names
    wanted = -(-len(kept) // 3)
    autoscaler.use()

    with applied(scene.cluster, scene.policy("Active")):
        scene.wait_nodes(wanted)
        scene.assert_at_rest(autoscaler)

    assert autoscaler.removed == before - scene.names
    evicted = [name.rpartition("/")[2].rsplit("-", 2)[0] for name in autoscaler.evicted]
    eventually(lambda: len(scene.moved) + len(evicted) >= len(kept) - wanted, "the moves and the evictions")
    assert len(scene.moved) + len(evicted) <= 2 * (len(kept) - wanted)
    assert {app for app, least in scene.least.items() if least == 0} <= set(evicted), "a move has left none out"
