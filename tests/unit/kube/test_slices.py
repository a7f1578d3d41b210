import asyncio

from spillway.kube.slices import SLICE_SECONDS, TimeSlice, in_slices


class Stepping:
    """A clock that moves by a step at each look."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


async def _turns_of_others(step: float, items: int) -> int:
    """How often another task runs while `items` are gone through."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    time_slice = TimeSlice(Stepping(step))
    for _ in range(items):
        await time_slice.pause()
    task.cancel()
    return turns


async def test_others_run_after_each_item_that_takes_a_slice() -> None:
    assert await _turns_of_others(SLICE_SECONDS, 10) == 10


async def test_others_run_once_in_several_items_that_take_part_of_a_slice() -> None:
    assert await _turns_of_others(SLICE_SECONDS / 4.5, 50) == 10


async def test_every_item_comes_once_and_in_order() -> None:
    assert [item async for item in in_slices(range(1000))] == list(range(1000))
