"""What follows the API server goes on when it is cut off, whatever aiohttp calls that: else the process would end."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec
import pytest
from kubernetes.aio.client import Configuration

from spillway.admission.certificates import Certificates
from spillway.admission.tls import ServingTls
from spillway.handlers import resync
from spillway.handlers.resync import Resync
from spillway.kube.auth import Credentials
from spillway.kube.client import KubeClient
from spillway.state.catalog import Catalog

BROKEN = [
    pytest.param(aiohttp.ServerDisconnectedError(), id="cut while it answered"),
    pytest.param(aiohttp.ClientPayloadError(), id="half an answer"),
    pytest.param(ConnectionResetError(), id="reset"),
    pytest.param(TimeoutError(), id="no answer"),
    pytest.param(msgspec.DecodeError(), id="a page of a load balancer"),
]


class BrokenClient(KubeClient):
    """A client to whose every request the transport fails with this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Credentials(Configuration(host="http://127.0.0.1:1"), None))
        self.error = error
        self.asked = 0

    async def _open(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        raise self.error


async def outlives(work: Awaitable[None], client: BrokenClient) -> None:
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(5):
        while client.asked < 3 and not task.done():  # noqa: ASYNC110  # it has no end of its own
            await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", BROKEN)
async def test_certificates_are_followed_on(error: Exception) -> None:
    async with BrokenClient(error) as client:
        await outlives(Certificates(client, ServingTls(), namespace="spillway-system", poll_seconds=0).run(), client)


@pytest.mark.parametrize("error", BROKEN)
async def test_our_kinds_are_listed_on(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "RETRY_SECONDS", 0)
    async with BrokenClient(error) as client:
        await outlives(Resync(client, Catalog()).load(), client)
        client.asked = 0
        await outlives(Resync(client, Catalog(), interval_seconds=0).run(), client)
