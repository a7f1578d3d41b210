"""Callers are kept apart: what one asks for, and what is invented, keeps no other from an answer."""

import asyncio
import base64
from typing import Any

import msgspec
import pytest

from spillway.kube.access import (
    CONCURRENT_REVIEWS,
    KEPT_SECONDS,
    REMEMBERED,
    Access,
    DelegatedAccess,
    User,
    Verdict,
    bearer_token,
    password_token,
)
from tests.support.fake_clock import FakeClock

READ = Access("get", "/metrics")
PATIENCE_SECONDS = 20.0


class ApiServer:
    """It knows tokens that begin with `good`; questions about what is in `stuck` get no answer."""

    def __init__(self) -> None:
        self.stuck: set[str] = set()
        self.asked = 0
        self.most = 0

    async def request(self, _method: str, _path: str, *, body: dict[str, Any]) -> bytes:
        spec = body["spec"]
        about = spec.get("token") or spec["user"]
        self.asked += 1
        self.most = max(self.most, self.asked)
        try:
            if about in self.stuck:
                await asyncio.Event().wait()
        finally:
            self.asked -= 1
        known = about.startswith("good")
        user = {"username": about}
        return msgspec.json.encode({"status": {"authenticated": known, "user": user, "allowed": known}})


@pytest.fixture
def api_server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def access(api_server: ApiServer) -> DelegatedAccess:
    return DelegatedAccess(api_server, clock=FakeClock().now)  # type: ignore[arg-type]


async def _flood(api_server: ApiServer, *asked: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(one) for one in asked]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not api_server.asked:  # noqa: ASYNC110 - the tasks run meanwhile
            await asyncio.sleep(0)
    return tasks


async def test_a_flood_of_invented_tokens_holds_up_no_token_that_was_good(api_server: ApiServer) -> None:
    clock = FakeClock()
    access = DelegatedAccess(api_server, clock=clock.now)  # type: ignore[arg-type]
    good = await access.authenticate("good")
    assert good == User("good")
    for number in range(REMEMBERED + 1):
        assert await access.authenticate(f"invented-{number}") is Verdict.UNAUTHENTICATED
    await clock.advance(KEPT_SECONDS)
    names = [f"stuck-{number}" for number in range(50)]
    api_server.stuck = set(names)
    flood = await _flood(api_server, *map(access.authenticate, names))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await access.authenticate("good") == good
        assert await access.authorize(User("good"), READ) is Verdict.ALLOWED
    assert api_server.most <= 2 * CONCURRENT_REVIEWS
    assert await asyncio.gather(*flood) == [Verdict.UNKNOWN] * 50


async def test_one_user_asks_one_question_at_a_time(api_server: ApiServer, access: DelegatedAccess) -> None:
    api_server.stuck = {"noisy"}
    paths = [Access("get", f"/path-{number}") for number in range(50)]
    flood = await _flood(api_server, *(access.authorize(User("noisy"), one) for one in paths))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await access.authorize(User("good"), READ) is Verdict.ALLOWED
    assert api_server.most <= 2
    assert await asyncio.gather(*flood) == [Verdict.UNKNOWN] * 50


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", ""),
        ("Basic abc", ""),
        ("", ""),
    ],
)
def test_the_token_of_a_request(header: str, token: str) -> None:
    assert bearer_token(header) == token


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Basic " + base64.b64encode(b"me:abc").decode(), "abc"),
        ("basic " + base64.b64encode(b":a:b").decode(), "a:b"),
        ("Basic " + base64.b64encode(b"abc").decode(), ""),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), ""),
        ("Basic %", ""),
        ("Bearer abc", ""),
        ("", ""),
    ],
)
def test_the_token_that_a_browser_sends(header: str, token: str) -> None:
    assert password_token(header) == token
