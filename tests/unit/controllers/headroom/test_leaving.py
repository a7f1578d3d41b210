"""The balloons that leave."""

import msgspec
import pytest

from spillway.domain.headroom.leaving import LEAVING_COST
from spillway.domain.model.names import POD_DELETION_COST
from spillway.domain.model.records import Pending, Phase
from spillway.state.node_places import NodePlaces
from tests.unit.controllers.headroom.scene import FIXED, HOLD, SYSTEM, Scene, elastic, policy


async def test_a_headroom_that_shrinks_gives_up_the_node_that_empties_first() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 4}}), nodes=(elastic("e1"), elastic("e3", created=20.0)))
    await scene.look()
    # Of the two nodes e3 is the newer one and empties first.
    pods = [scene.balloon(f"p{index}", "e1" if index < 2 else "e3") for index in range(4)]
    scene.change(policy({**FIXED, "min": {"pods": 3}}, version=2))
    await scene.look(HOLD + 1)
    marked = [write for write in scene.writer.writes if write.verb == "annotate_pod"]
    assert [(one.name, one.body) for one in marked] == [("p2", {POD_DELETION_COST: str(LEAVING_COST)})]
    assert scene.server.replicas() == {"a": 4}
    scene.world.state.apply(msgspec.structs.replace(pods[2], deletion_cost=LEAVING_COST))
    await scene.look()
    assert scene.server.replicas() == {"a": 3}


async def test_a_node_with_nothing_but_balloons_is_emptied_where_another_has_room() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}), nodes=(elastic("e1"),))
    await scene.look()
    scene.world.state.apply(elastic("e9", created=20.0))
    scene.leave("shop", "cart-3")
    scene.balloon("p0", "e9")
    scene.balloon("p1", "", phase=Phase.PENDING, pending=Pending())
    await scene.look()
    # One waits for a node: nothing is moved now.
    assert not [write for write in scene.writer.writes if write.verb == "delete"]
    scene.change(policy({**FIXED, "min": {"pods": 1}}, version=2))
    scene.leave(SYSTEM, "p1")
    await scene.look(HOLD + 1)
    assert scene.server.replicas() == {"a": 1}
    await scene.look()
    deleted = [write.name for write in scene.writer.writes if write.verb == "delete"]
    assert deleted == ["p0"]


async def test_the_nodes_of_a_policy_are_looked_at_once_for_all_its_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 4}}))
    await scene.look()
    for index in range(4):
        zone = "ab"[index % 2]
        scene.balloon(f"p{index}", "e1" if zone == "a" else "e2", zone=zone)
    scene.change(policy({**FIXED, "min": {"pods": 2}}, version=2))
    asked: list[str] = []
    order = NodePlaces.order

    def counted(places: NodePlaces, policy: str) -> object:
        asked.append(policy)
        return order(places, policy)

    monkeypatch.setattr(NodePlaces, "order", counted)
    await scene.look(HOLD + 1)
    marked = [write.name for write in scene.writer.writes if write.verb == "annotate_pod"]
    assert sorted(marked) == ["p0", "p1"]
    assert asked == ["online"]
