"""The objects of headroom where the API server refuses some of the writes."""

import pytest

from spillway.controllers.headroom.controller import IGNORED_SECONDS
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from tests.support.fake_writer import Write
from tests.unit.controllers.headroom.scene import FIXED, HOLD, Scene, elastic, policy


class Refusing:
    """A server that refuses the writes of some objects, by the beginning of their names."""

    def __init__(self, scene: Scene) -> None:
        self._respond = scene.server.write
        self.refused = ""
        scene.writer.respond = self

    async def __call__(self, write: Write) -> bool:
        if self.refused and write.name.startswith(self.refused):
            raise ApiError(403, "Forbidden", "a webhook refuses it")
        return await self._respond(write)


async def test_a_policy_whose_objects_cannot_be_written_does_not_keep_back_the_others() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}), nodes=(elastic("e1"),))
    other = policy(
        {**FIXED, "min": {"pods": 1}},
        name="sales",
        tiers={"elastic": {"nodeSelector": {"matchLabels": {"pool": "sales"}}}},
    )
    scene.world.catalog.replace(Kind.ELASTIC_POLICY, [policy({**FIXED, "min": {"pods": 2}}), other], 60)
    server = Refusing(scene)
    server.refused = "spillway-headroom-online"
    with pytest.raises(ExceptionGroup):
        await scene.look()
    assert [name.split("-")[2] for name in scene.server.names] == ["sales"]
    # What is known of all of them is reported.
    assert set(scene.controller.report) == {"online", "sales"}
    server.refused = ""
    await scene.look()
    assert len(scene.server.names) == 2


async def test_nothing_goes_before_what_takes_its_place_is_written() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}), by="auto", buffers=True)
    await scene.look()
    server = Refusing(scene)
    server.refused = "spillway-headroom"
    await scene.clock.advance(IGNORED_SECONDS + 1)
    with pytest.raises(ExceptionGroup):
        await scene.look()
    assert {write.verb for write in scene.writer.writes if write not in scene.writer.done} == {"apply"}
    assert scene.server.replicas("capacitybuffers") == {"a": 1, "b": 1}
    server.refused = ""
    await scene.look()
    assert scene.server.replicas("capacitybuffers") == {}
    assert scene.server.replicas() == {"a": 1, "b": 1}


async def test_a_headroom_shrinks_only_once_every_balloon_has_its_cost() -> None:
    scene = Scene(policy({**FIXED, "min": {"pods": 2}}), nodes=(elastic("e1"),))
    await scene.look()
    for index in range(2):
        scene.balloon(f"p{index}", "e1")
    scene.change(policy({**FIXED, "min": {"pods": 1}}, version=2))
    server = Refusing(scene)
    server.refused = "p"
    with pytest.raises(ExceptionGroup):
        await scene.look(HOLD + 1)
    assert scene.server.replicas() == {"a": 2}
