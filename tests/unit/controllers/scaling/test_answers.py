"""Where each replica's answers come from."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest

from spillway.controllers.base import World
from spillway.controllers.scaling import answers
from spillway.controllers.scaling.answers import ALONE_SECONDS, KEPT_SECONDS, Answers
from spillway.controllers.threshold.observe import Observed, observe_all
from spillway.domain.model.recurring import Timetable
from spillway.domain.scaling.recommend import Recommendation, ScalingReason
from spillway.state.catalog import Kind
from tests.builders import make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource
from tests.unit.controllers.scaling.scene import TARGET

CART = "Deployment/shop/cart"
CART_1 = make_replicaset("cart-1", owner_kind="Deployment", owner_name="cart", owner_uid="d", desired=4)
NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00").timestamp()


class _Page:
    """The leader's page; `answer` is what the leader says, None while it is not reached."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answer: dict[str, tuple[int, bool]] | None = None
        self.content: bytes | None = None
        self.read_at = float("-inf")

    async def refresh(self) -> bool:
        if self.answer is None:
            return False
        self.content, self.read_at = msgspec.json.encode(self.answer), self._clock.now()
        return True


class _Scene:
    def __init__(self, *, leads: bool = False, **scaling: Any) -> None:
        self.clock = FakeClock(NOON)
        workloads = [{"name": "default", "scaling": scaling}]
        policy = resource(Kind.ELASTIC_POLICY, "online", tiers={}, workloads=workloads)
        self.world = make_world([CART_1, make_statefulset("db", replicas=3)], [policy], self.clock)
        self.world.board.leading = lambda: leads
        self.page = _Page(self.clock)
        self.answers = Answers(self.world, self.page, clock=self.clock.now)

    async def cart(self) -> int | None:
        found = (await self.answers.values("shop", lambda workload: workload == CART)).get(CART)
        return None if found is None else found.replicas


async def test_the_leader_answers_from_its_board() -> None:
    scene = _Scene(leads=True)
    scene.world.board.recommendations = {CART: Recommendation(12, ScalingReason.FORECAST)}
    assert await scene.cart() == 12
    scene.world.board.recommendations = {CART: Recommendation(7, ScalingReason.FORECAST)}
    assert await scene.cart() == 7
    page = scene.answers.own_page()
    assert msgspec.json.decode(page) == {CART: [7, True]}
    # It is asked for by every other replica every few seconds.
    assert scene.answers.own_page() is page
    scene.world.board.recommendations = {CART: Recommendation(8, ScalingReason.FORECAST)}
    assert msgspec.json.decode(scene.answers.own_page()) == {CART: [8, True]}


async def test_another_replica_answers_what_the_leader_says_and_keeps_it_for_a_while() -> None:
    scene = _Scene(target=TARGET, forecast={})
    scene.page.answer = {CART: (12, True), "Deployment/other/cart": (99, True)}
    assert await scene.cart() == 12
    scene.page.answer = None
    await scene.clock.advance(KEPT_SECONDS)
    assert await scene.cart() == 12
    # Then the present number, which scales nothing down.
    await scene.clock.advance(1)
    assert await scene.cart() == 4


async def test_without_a_leader_the_schedules_hold_and_nothing_is_scaled_down() -> None:
    now = {"name": "now", "start": "0 12 * * *", "duration": "1h", "replicas": 9}
    assert await _Scene(schedules=[now]).cart() == 9
    assert await _Scene(schedules=[now], target=TARGET, forecast={}).cart() == 9
    assert await _Scene(target=TARGET, forecast={}).cart() == 4


async def test_the_schedules_of_a_class_are_read_once_for_all_its_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(entries: Sequence[Any]) -> Timetable[Any]:
        read.append(len(entries))
        return Timetable(entries)

    monkeypatch.setattr(answers, "Timetable", counted)
    scene = _Scene(schedules=[{"name": "now", "start": "0 12 * * *", "duration": "1h", "replicas": 9}])
    found = await scene.answers.values("shop", lambda _: True)
    assert {key: one.replicas for key, one in found.items()} == {CART: 9, "StatefulSet/shop/db": 9}
    assert read == [1]


async def test_a_workload_that_the_leader_does_not_know_yet_is_answered() -> None:
    scene = _Scene(leads=True, minReplicas=2)
    assert await scene.cart() == 2
    assert set(await scene.answers.values("shop", lambda _: True)) == {CART, "StatefulSet/shop/db"}


@pytest.mark.parametrize("leads", [True, False])
async def test_a_flood_of_questions_about_unknown_workloads_is_one_look_at_the_namespace(
    monkeypatch: pytest.MonkeyPatch, *, leads: bool
) -> None:
    looks: list[str] = []

    async def counted(world: World, namespace: str = "") -> Mapping[str, Observed]:
        looks.append(namespace)
        await asyncio.sleep(0)
        return await observe_all(world, namespace)

    monkeypatch.setattr(answers, "observe_all", counted)
    scene = _Scene(leads=leads, target=TARGET, forecast={})
    flood = [scene.answers.find("shop", f"Deployment/shop/none-{index}") for index in range(100)]
    flood += [scene.answers.find(f"none-{index}", f"Deployment/none-{index}/none") for index in range(100)]
    assert set(await asyncio.gather(*flood)) == {None}
    assert await scene.answers.find("shop", CART) is not None
    assert looks == ["shop"], "a namespace that does not exist is not looked at"
    await scene.clock.advance(ALONE_SECONDS)
    scene.world.state.apply(msgspec.structs.replace(CART_1, desired=7, replicas=7))
    assert await scene.cart() == 7
    assert looks == ["shop", "shop"]


async def test_one_workload_is_answered_as_all_are() -> None:
    scene = _Scene(leads=True)
    scene.world.board.recommendations = {CART: Recommendation(12, ScalingReason.FORECAST)}
    found = await scene.answers.find("shop", CART)
    assert found is not None
    assert found.replicas == 12
    assert await scene.answers.find("other", CART) is None


async def test_what_has_no_scaling_has_no_number() -> None:
    scene = _Scene(leads=True, minReplicas=2)
    assert await scene.answers.values("shop", lambda workload: workload == "Deployment/shop/unknown") == {}
    assert await scene.answers.values("elsewhere", lambda _: True) == {}
