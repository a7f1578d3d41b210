"""What bounds the replicas of a workload is read in full, whatever else its namespace contains."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from spillway.controllers.surge import scaler
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.kube.errors import TooSlowError
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_writer import FakeWriter
from tests.support.world import make_world

LARGE = {"note": "x" * 1000}
TARGET = {"kind": "Deployment", "name": "web"}


class Slow(FakeReader):
    """A list that does not end."""

    async def list_all(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        while True:
            for item in (await self.get_json(path))["items"]:
                yield item
            await asyncio.sleep(0)


def scaler_of(reader: FakeReader) -> SurgeScaler:
    return SurgeScaler(make_world([], [], FakeClock(1000.0)), FakeWriter(), reader)


async def test_only_the_fields_that_count_are_kept() -> None:
    autoscaler = {"metadata": {"annotations": LARGE}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 2, **LARGE}}
    found = scaler_of(FakeReader(lambda _: {"items": [autoscaler, {"metadata": {}}]}))
    assert await found.autoscalers("shop") == [{"spec": {"scaleTargetRef": TARGET, "maxReplicas": 2}}, {"spec": {}}]

    quota = {"metadata": {"annotations": LARGE}, "spec": {"hard": {"pods": "1"}}, "status": {"used": {"pods": "1"}}}
    found = scaler_of(FakeReader(lambda _: {"items": [quota]}))
    assert await found.quotas("shop") == [{"spec": quota["spec"], "status": quota["status"]}]


async def test_a_list_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler, "LIST_SECONDS", 0.01)
    with pytest.raises(TooSlowError):
        await scaler_of(Slow(lambda _: {"items": []})).quotas("shop")
