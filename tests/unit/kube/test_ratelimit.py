"""Turns are given at the rate, in order, and given back."""

import asyncio
from contextlib import suppress

import pytest

from spillway.kube.ratelimit import TokenBucket
from tests.support.fake_clock import FakeClock, settle


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_burst_then_the_rate(clock: FakeClock) -> None:
    bucket = TokenBucket(10, 3, clock=clock, sleep=clock.sleep)
    got: list[tuple[int, float]] = []
    start = clock.now()

    async def one(index: int) -> None:
        await bucket.take()
        got.append((index, round(clock.now() - start, 3)))

    async with asyncio.TaskGroup() as group:
        for index in range(6):
            group.create_task(one(index))
        await clock.advance(1)
    assert got == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.1), (4, 0.2), (5, 0.3)]


async def test_saved_turns_are_no_more_than_the_burst(clock: FakeClock) -> None:
    bucket = TokenBucket(10, 3, clock=clock, sleep=clock.sleep)
    await clock.advance(100)
    assert bucket.available == 3
    assert bucket.take_now(2)
    assert not bucket.take_now(2)
    assert bucket.available == 1


async def test_a_cancelled_waiter_gives_its_turn_back(clock: FakeClock) -> None:
    bucket = TokenBucket(1, 1, clock=clock, sleep=clock.sleep)
    assert await bucket.take() == 0.0
    waiting = asyncio.create_task(bucket.take())
    await settle()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    await clock.advance(1)
    assert await bucket.take() == 0.0


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_that_never_gives_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate, burst)
