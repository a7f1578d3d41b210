"""The order in which the controllers of a new leader begin."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

import pytest

from spillway.app import leader
from spillway.app.leader import run_in_order
from spillway.controllers.base import Controller, Unsubscribe
from tests.support.fake_clock import FakeClock, settle
from tests.support.world import make_world


class Plain(Controller):
    """A controller that says when it has begun."""

    name: ClassVar = "plain"
    begun = False

    async def run(self) -> None:
        self.begun = True

    def subscribe(self) -> Iterable[Unsubscribe]:
        return ()

    def all_keys(self) -> Iterable[str]:
        return ()

    async def reconcile(self, key: str) -> float | None:
        raise NotImplementedError


class First(Plain):
    """One for which admission waits."""

    admission_waits: ClassVar = True


async def test_controllers_for_which_admission_does_not_wait_begin_when_costs_are_known() -> None:
    world = make_world([], [], FakeClock())
    first, plain = First(world), Plain(world)
    async with asyncio.TaskGroup() as group:
        for controller in (plain, first):
            group.create_task(run_in_order(controller, world.board, asyncio.Event()))
        await settle()
        assert (first.begun, plain.begun) == (True, False)
        world.board.set_spent({"eci": Decimal(1)})
    assert plain.begun


async def test_they_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "LONGEST_TAKE_OVER_SECONDS", 0.01)
    world = make_world([], [], FakeClock())
    plain = Plain(world)
    await run_in_order(plain, world.board, asyncio.Event())
    assert plain.begun


async def test_a_leader_that_stops_meanwhile_does_not_wait_and_begins_no_further_one() -> None:
    world, stopping = make_world([], [], FakeClock()), asyncio.Event()
    plain = Plain(world)
    waiting = asyncio.ensure_future(run_in_order(plain, world.board, stopping))
    await settle()
    stopping.set()
    async with asyncio.timeout(1):
        await waiting
    assert not plain.begun
