"""The lookup of a namespace's LimitRanges: how often it asks, and that it holds no one up."""

import asyncio
from typing import Any

from spillway.admission.deadline import Deadline
from spillway.webhooks.limit_ranges import KEPT_SECONDS, LimitRanges
from spillway.webhooks.lookup import Lookup
from tests.builders import make_state
from tests.support.fake_reader import FakeReader

PATH = "/api/v1/namespaces/shop/limitranges"


class Scene:
    def __init__(self, **requests: str) -> None:
        self.now = 0.0
        self.server = FakeReader()
        self.set(**requests)
        self.ranges = LimitRanges(Lookup(make_state(), self.server), lambda: self.now)

    def set(self, **requests: str) -> None:
        limits = [{"type": "Container", "defaultRequest": requests}]
        self.server.objects[PATH] = {"items": [{"spec": {"limits": limits}}]}

    async def ask(self, namespace: str = "shop", seconds: float = 1.0) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return dict(await self.ranges.defaults(namespace, Deadline(loop.time, seconds)))


async def test_a_burst_asks_once_and_the_answer_counts_for_a_while() -> None:
    scene = Scene(cpu="200m")
    assert await asyncio.gather(*(scene.ask() for _ in range(20))) == [{"cpu": "200m"}] * 20
    scene.set(cpu="1")
    assert await scene.ask() == {"cpu": "200m"}
    assert scene.server.read == [PATH]
    scene.now += KEPT_SECONDS
    assert await scene.ask() == {"cpu": "1"}


async def test_without_an_answer_in_time_the_last_known_defaults_count_or_none() -> None:
    scene = Scene(cpu="200m")
    await scene.ask()
    scene.now += KEPT_SECONDS
    scene.server.answers.clear()
    async with asyncio.timeout(5.0):
        assert await scene.ask(seconds=0.05) == {"cpu": "200m"}
        assert await scene.ask("other", seconds=0.05) == {}


async def test_without_the_right_to_read_them_nobody_is_held_up_again_and_again() -> None:
    scene = Scene()
    scene.server.objects.clear()
    for _ in range(3):
        assert await scene.ask() == {}
    assert scene.server.read == [PATH]


async def test_each_namespace_has_its_own() -> None:
    scene = Scene(cpu="200m")
    scene.server.objects["/api/v1/namespaces/other/limitranges"] = {"items": None}
    assert await scene.ask("other") == {}
    assert await scene.ask() == {"cpu": "200m"}
