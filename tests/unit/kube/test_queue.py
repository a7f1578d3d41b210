"""Keys go in, each is handled when and as often as it should be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from spillway.kube.queue import WorkQueue
from spillway.telemetry.registry import REGISTRY
from tests.support.fake_clock import FakeClock, settle


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue[str]:
    return WorkQueue("test", backoff_seconds=1.0, longest_backoff_seconds=5.0, clock=clock, jitter=lambda: 1.0)


@asynccontextmanager
async def working(
    queue: WorkQueue[str], handler: Callable[[str], Awaitable[float | None]], workers: int = 1
) -> AsyncIterator[None]:
    running = asyncio.create_task(queue.run(handler, workers))
    await settle()
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_key_added_many_times_is_handled_once(queue: WorkQueue[str]) -> None:
    handled: list[str] = []

    async def handler(key: str) -> None:
        handled.append(key)

    for key in ("a", "b", "a", "a"):
        queue.add(key)
    async with working(queue, handler):
        assert handled == ["a", "b"]
        queue.add("a")
        await settle()
        assert handled == ["a", "b", "a"]
        assert queue.idle


def test_the_results_of_a_queue_are_exported_before_the_first_one() -> None:
    WorkQueue[str]("never-used")
    for result in ("ok", "retry"):
        assert REGISTRY.get_sample_value("spillway_queue_handled_total", {"queue": "never-used", "result": result}) == 0


async def test_added_while_at_work_it_is_handled_again_but_never_twice_at_once(queue: WorkQueue[str]) -> None:
    gate, at_work, most, handled = asyncio.Event(), 0, 0, 0

    async def handler(key: str) -> None:
        nonlocal at_work, most, handled
        at_work += 1
        most = max(most, at_work)
        await gate.wait()
        at_work -= 1
        handled += 1

    async with working(queue, handler, workers=4):
        queue.add("a")
        await settle()
        queue.add("a")
        queue.add("a")
        await settle()
        assert handled == 0
        gate.set()
        await settle()
        assert (handled, most) == (2, 1)


async def test_workers_are_bounded(queue: WorkQueue[str]) -> None:
    gate, at_work = asyncio.Event(), set()

    async def handler(key: str) -> None:
        at_work.add(key)
        await gate.wait()

    for key in "abcdef":
        queue.add(key)
    async with working(queue, handler, workers=3):
        assert at_work == set("abc")
        assert len(queue) == 3
        gate.set()
        await settle()
        assert at_work == set("abcdef")


async def test_a_failing_key_comes_back_later_and_later_and_a_success_forgets(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    tries: list[float] = []
    start, failing = clock.now(), True

    async def handler(key: str) -> None:
        tries.append(clock.now() - start)
        if failing:
            raise RuntimeError("not yet")

    async with working(queue, handler):
        queue.add("a")
        await clock.advance(17)
        assert tries == [0, 1, 3, 7, 12, 17]  # 1, 2, 4, then never more than 5
        failing = False
        await clock.advance(5)
        assert tries[-1] == 22
        failing = True
        queue.add("a")
        await clock.advance(1)
        assert tries[-2:] == [22, 23]


async def test_one_failing_key_does_not_hold_up_another(queue: WorkQueue[str], clock: FakeClock) -> None:
    handled: list[str] = []

    async def handler(key: str) -> None:
        handled.append(key)
        if key == "bad":
            raise RuntimeError("no")

    async with working(queue, handler):
        queue.add("bad")
        await settle()
        queue.add("good")
        await settle()
        assert handled == ["bad", "good"]


async def test_the_handler_may_ask_for_another_look(queue: WorkQueue[str], clock: FakeClock) -> None:
    looks: list[float] = []
    start = clock.now()

    async def handler(key: str) -> float:
        looks.append(clock.now() - start)
        return 10.0

    async with working(queue, handler):
        queue.add("a")
        await clock.advance(21)
        assert looks == [0, 10, 20]
        queue.forget("a")
        await clock.advance(30)
        assert looks == [0, 10, 20]


async def test_of_several_delays_the_earliest_counts_and_an_add_beats_them(
    queue: WorkQueue[str], clock: FakeClock
) -> None:
    looks: list[float] = []
    start = clock.now()

    async def handler(key: str) -> None:
        looks.append(clock.now() - start)

    async with working(queue, handler):
        queue.add_after("a", 9)
        queue.add_after("a", 3)
        queue.add_after("a", 6)
        await clock.advance(20)
        assert looks == [3]
        queue.add_after("a", 5)
        queue.add("a")
        await clock.advance(20)
        assert looks == [3, 20]


async def test_closing_finishes_what_is_at_work_and_drops_the_rest(queue: WorkQueue[str]) -> None:
    gate, done = asyncio.Event(), []

    async def handler(key: str) -> None:
        await gate.wait()
        done.append(key)

    running = asyncio.create_task(queue.run(handler))
    for key in "abc":
        queue.add(key)
    await settle()
    queue.close()
    await settle()
    assert not running.done()
    gate.set()
    await running
    queue.add("late")
    queue.add_after("later", 0)
    assert done == ["a"]
    assert len(queue) == 0
