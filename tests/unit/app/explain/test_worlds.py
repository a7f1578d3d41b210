"""A copy of the world: it is what a command would have read, and does not change with the original."""

from typing import Any

from spillway.app.explain.nodes import explain_node
from spillway.app.explain.pools import explain_pool
from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.worlds import copying
from spillway.domain.model.names import NodeName
from spillway.state.catalog import Kind
from spillway.state.world import World
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, policy_resource, resource

ON_POOL = {"matchLabels": {"pool": "eci-a"}}


def _world() -> World:
    web = make_replicaset(replicas=3)
    pods = [make_pod(name, node=NodeName("v1")) for name in ("web-2", "web-0", "web-1")]
    node = make_node("v1", labels={"pool": "eci-a"})
    return make_world(
        [node, web, *pods],
        [
            policy_resource("second", version=2, virtual={"budgets": ["eci-a"]}),
            policy_resource("first", virtual={"budgets": ["eci-a"]}),
            resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector=ON_POOL),
        ],
        FakeClock(5_000.0),
    )


def _with_status(status: dict[str, Any]) -> dict[str, Any]:
    return {**resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector=ON_POOL), "status": status}


def test_the_copy_has_all_records_in_the_order_of_a_list() -> None:
    world = _world()

    copy = copying(world)()

    assert [pod.name for pod in copy.state.pods.values()] == ["web-0", "web-1", "web-2"]
    assert copy.state.nodes == world.state.nodes
    assert copy.state.replicasets == world.state.replicasets
    assert copy.state.namespaces == world.state.namespaces
    assert copy.state.synced
    assert list(copy.catalog.entries(Kind.ELASTIC_POLICY)) == ["first", "second"]
    assert set(copy.governance.policies) == set(world.governance.policies)


def test_the_copy_is_of_the_moment_at_which_it_was_asked_for() -> None:
    world = _world()

    copied = copying(world)
    world.state.apply(make_pod("web-3", node=NodeName("v1")))
    world.catalog.delete(Kind.ELASTIC_POLICY, "first")
    copy = copied()
    copy.state.apply(make_node("v2"))

    assert len(copy.state.pods) == 3
    assert set(copy.governance.policies) == {"first", "second"}
    assert set(world.governance.policies) == {"second"}
    assert NodeName("v2") not in world.state.nodes


def test_the_copy_has_statuses_that_are_newer_than_the_specs() -> None:
    """A change of status alone does not compile the operator's governance again; a command reads both together."""
    world = _world()
    world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, _with_status({"observedGeneration": 1}))
    assert world.governance.budgets["eci-a"].status.observed_generation is None

    copy = copying(world)()
    assert copy.governance.budgets["eci-a"].status.observed_generation == 1
    assert world.governance.budgets["eci-a"].status.observed_generation is None

    world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, _with_status({"observedGeneration": "none"}))
    assert copying(world)().governance.budgets["eci-a"].spec == world.governance.budgets["eci-a"].spec


def test_the_answers_of_the_copy_are_those_of_the_world() -> None:
    world = _world()
    mine, copy = Snapshot.of(world), Snapshot.of(copying(world)())

    assert explain_pool(copy, "eci-a") == explain_pool(mine, "eci-a")
    node = world.state.nodes[NodeName("v1")]
    assert explain_node(copy, node) == explain_node(mine, node)
