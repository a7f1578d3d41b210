"""The nodes as a pass of headroom sees them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.domain.model.records import NodeRecord
from spillway.state.catalog import Kind
from spillway.state.cluster import ClusterState
from tests.builders import make_node, make_pod
from tests.unit.controllers.headroom.scene import UNIT, Scene, elastic, policy


class _Counted(Mapping[NodeName, NodeRecord]):
    """Nodes that count how often all of them are looked at."""

    walks = 0

    def __init__(self, nodes: Mapping[NodeName, NodeRecord]) -> None:
        self._nodes = nodes

    def __getitem__(self, name: NodeName) -> NodeRecord:
        return self._nodes[name]

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[NodeName]:
        type(self).walks += 1
        return iter(self._nodes)


async def test_all_nodes_are_looked_at_once_a_pass_however_many_policies_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("online", "sales", "search")
    scene = Scene(policy({"unit": UNIT}), nodes=(elastic("e1"), elastic("e2", "b"), make_node("f1")))
    policies = [
        policy({"unit": UNIT, "min": {"pods": 2}}, name=name, version=number) for number, name in enumerate(names)
    ]
    scene.world.catalog.replace(Kind.ELASTIC_POLICY, policies, 60)
    scene.forecast(9.0)
    await scene.look()
    nodes: Any = ClusterState.nodes

    def counted(state: ClusterState) -> Mapping[NodeName, NodeRecord]:
        return _Counted(nodes.fget(state))

    monkeypatch.setattr(ClusterState, "nodes", property(counted))
    await scene.look()
    assert set(scene.controller.report) == set(names)
    assert _Counted.walks == 1


async def test_the_size_of_most_elastic_nodes_counts_without_their_daemonsets() -> None:
    small = make_node("s1", labels={"pool": "elastic", ZONE_LABEL: "a"}, cpu_millis=2000, memory_bytes=8 << 30)
    scene = Scene(policy({"unit": UNIT, "min": {"nodes": 1}}), nodes=(elastic("e1"), elastic("e2"), small))
    for name in ("e1", "e2", "s1"):
        agent = make_pod(f"agent-{name}", owner_kind="DaemonSet", node=name, cpu_millis=500, memory_bytes=1 << 20)
        scene.world.state.apply(agent)
    await scene.look()
    assert scene.controller.report["online"].units_per_node == 3
    # Also while none of them exists.
    for name in ("e1", "e2", "s1"):
        scene.world.state.remove(scene.world.state.nodes[NodeName(name)])
    await scene.look()
    assert scene.controller.report["online"].units_per_node == 3


@pytest.mark.parametrize(
    ("node_rules", "wanted"),
    [
        ("", 4),
        ('{"nodeSelector":{"team":"shop"}}', 5),
        ('{"nodeSelector":{"team":"sales"}}', 7),
        ('{"nodeSelector":{"pool":"elastic"}}', 8),
        (None, 8),
    ],
)
async def test_free_room_of_fixed_nodes_counts_for_workloads_that_may_run_there(
    node_rules: str | None, wanted: int
) -> None:
    fixed = [
        make_node("f1", labels={"team": "shop"}, cpu_millis=4000, memory_bytes=64 << 30),
        make_node("f2", labels={"team": "sales"}, cpu_millis=2000, memory_bytes=64 << 30),
    ]
    scene = Scene(policy({"unit": UNIT}), nodes=(elastic("e1"), *fixed), node_rules=node_rules)
    scene.forecast(12.0)
    await scene.look()
    assert scene.controller.report["online"].size.pods == wanted
