"""The autoscalers that Spillway creates, and what it leaves alone."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.scaling.managed import WRITES_MAX, ManagedAutoscalersController
from spillway.controllers.scaling.status import scaling_part
from spillway.kube.autoscalers import AUTOSCALERS
from spillway.kube.errors import ApiError
from tests.builders import make_namespace, make_replicaset
from tests.support.fake_writer import FakeWriter, Write
from tests.unit.controllers.scaling.scene import CART, EVENING, NOON, Scene, policy

MANAGED: dict[str, Any] = {
    "hpa": "Managed",
    "maxReplicas": 50,
    "target": {"metric": "cpu", "utilization": 60},
    "schedules": [EVENING],
}
NAME = "spillway-deployment-cart"


class _Managed:
    """A scene with the controller of Spillway's autoscalers, and an API server that keeps what is applied."""

    def __init__(self, *, autoscaler: bool = False, **more: Any) -> None:
        self.scene = Scene(policy(**{**MANAGED, **more}), autoscaler=autoscaler, statefulset=False)
        self.writer = FakeWriter(self._respond)
        self.controller = ManagedAutoscalersController(
            self.scene.world, self.writer, self.scene.controller, self.scene.autoscalers
        )

    async def _respond(self, write: Write) -> bool:
        if write.verb == "delete":
            self.scene.autoscalers.remove(str(write.body["uid"]))
        else:
            body = {**write.body, "metadata": {**write.body["metadata"], "uid": f"uid-{write.name}"}}
            self.scene.autoscalers.apply(AUTOSCALERS.one(msgspec.json.encode(body)))
        return True

    async def look(self) -> list[tuple[str, str]]:
        """A pass of both controllers, and what was written in it."""
        before = len(self.writer.writes)
        await self.scene.look()
        await self.controller.reconcile("*")
        return [(one.verb, one.name) for one in self.writer.writes[before:]]

    @property
    def least(self) -> int:
        found = self.scene.autoscalers.of(CART)
        assert found is not None
        return found.minimum


async def test_the_floor_follows_the_schedule() -> None:
    managed = _Managed()
    assert await managed.look() == [("apply", NAME)]
    assert managed.least == 1
    assert await managed.look() == []
    await managed.scene.clock.advance(7 * 3600)
    assert await managed.look() == [("apply", NAME)]
    assert managed.least == 12
    await managed.scene.clock.advance(5 * 3600)
    assert await managed.look() == [("apply", NAME)]
    assert managed.least == 1


async def test_nothing_is_written_in_mode_recommend_and_what_was_is_deleted() -> None:
    assert await _Managed(mode="Recommend").look() == []
    managed = _Managed()
    await managed.look()
    managed.scene.change(policy(version=2, mode="Recommend", **MANAGED))
    assert await managed.look() == [("delete", NAME)]
    assert await managed.look() == []


async def test_it_goes_with_the_field_and_with_all_scaling() -> None:
    scalings: tuple[dict[str, Any], ...] = ({**MANAGED, "hpa": "Feed"}, {})
    for rest in scalings:
        managed = _Managed()
        await managed.look()
        managed.scene.change(policy(version=2, **rest))
        assert await managed.look() == [("delete", NAME)]
        await managed.look()
        assert bool(managed.scene.watch.wanted) is bool(rest)


async def test_one_of_the_users_stays_and_is_told() -> None:
    managed = _Managed(autoscaler=True)
    told: list[bool] = []
    managed.controller.changed.subscribe(lambda: told.append(True))
    assert await managed.look() == []
    foreign = managed.controller.plan.foreign
    assert (foreign, told) == ({CART: "cart"}, [True])
    part = scaling_part("online", managed.scene.controller.report, foreign=foreign)
    [message] = [one.message for one in part.conditions if one.type == "ForeignAutoscaler" and one.holds]
    assert f"{CART} (cart)" in message


async def test_nothing_happens_before_everything_is_known() -> None:
    managed = _Managed()
    await managed.controller.reconcile("*")
    managed.scene.autoscalers.clear()
    await managed.look()
    assert managed.writer.writes == []


async def test_the_autoscalers_of_a_policy_that_a_new_leader_cannot_read_stay() -> None:
    old = _Managed()
    await old.look()
    for mode, written in (("AModeOfALaterVersion", []), ("Recommend", [("delete", NAME)])):
        new = _Managed(mode=mode)
        for record in old.scene.autoscalers.all.values():
            new.scene.autoscalers.apply(record)
        assert await new.look() == written


async def test_one_that_cannot_be_written_does_not_keep_back_the_others() -> None:
    managed = _Managed()
    managed.scene.world.state.apply(
        make_replicaset("shop-1", owner_kind="Deployment", owner_name="shop", owner_uid="s", desired=2)
    )
    refused, respond = {NAME}, managed.writer.respond
    assert respond is not None

    async def refusing(write: Write) -> bool:
        if write.name in refused:
            raise ApiError(403, "Forbidden", "a webhook refuses it")
        return await respond(write)

    managed.writer.respond = refusing
    with pytest.raises(ExceptionGroup) as raised:
        await managed.look()
    assert [str(one) for one in raised.value.exceptions] == ["403 Forbidden: a webhook refuses it"]
    assert [(one.verb, one.name) for one in managed.writer.done] == [("apply", "spillway-deployment-shop")]
    refused.clear()
    assert await managed.look() == [("apply", NAME)]
    # The same holds for those that go.
    managed.scene.change(policy(version=2, mode="Recommend", **MANAGED))
    refused.add(NAME)
    with pytest.raises(ExceptionGroup):
        await managed.look()
    assert [one.name for one in managed.scene.autoscalers.all.values()] == [NAME]


async def test_the_workloads_of_one_namespace_keep_no_other_waiting() -> None:
    managed = _Managed()
    state = managed.scene.world.state
    state.apply(make_namespace("many"))
    for index in range(3 * WRITES_MAX):
        owner = {"owner_kind": "Deployment", "owner_name": f"w{index}", "owner_uid": f"d{index}"}
        state.apply(make_replicaset(f"w{index}-1", namespace="many", desired=1, **owner))
    written = await managed.look()
    assert len(written) == WRITES_MAX
    assert ("apply", NAME) in written
    assert len(await managed.look()) == WRITES_MAX
    respond = managed.writer.respond
    assert respond is not None

    async def refusing(write: Write) -> bool:
        if write.name.startswith("spillway-deployment-w"):
            raise ApiError(403, "Forbidden", "count/horizontalpodautoscalers.autoscaling")
        return await respond(write)

    managed.writer.respond = refusing
    with pytest.raises(ExceptionGroup):
        await managed.look()
    assert len(managed.controller._refused) == WRITES_MAX
    refused = set(managed.controller._refused)
    managed.writer.respond = respond
    managed.scene.change(policy(version=2, **{**MANAGED, "maxReplicas": 40}))
    written = await managed.look()
    assert ("apply", NAME) in written
    assert not {name for _, name in refused} & {name for _, name in written}, "what was refused comes last"


async def test_an_exact_number_leaves_no_room() -> None:
    managed = _Managed(scheduleOnly=True, minReplicas=3, maxReplicas=None)
    await managed.look()
    found = managed.scene.autoscalers.of(CART)
    assert found is not None
    assert (found.minimum, found.maximum) == (3, 3)
    await managed.scene.clock.advance(NOON + 7 * 3600 - managed.scene.clock.now())
    await managed.look()
    found = managed.scene.autoscalers.of(CART)
    assert found is not None
    assert (found.minimum, found.maximum) == (12, 12)
