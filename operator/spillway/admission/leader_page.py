"""A page of the leader's that the other replicas read, over the mutual TLS of the replicas.

Contract: read when it is asked for and at most once in `FRESH_SECONDS`, by one request at a time. Where there is no
leader, or it does not answer in time, there is nothing new.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog

from spillway.admission.deadline import Clock
from spillway.kube.client import read_bounded
from spillway.kube.errors import TooLargeError

log: Final = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 2.0
FETCH_SECONDS: Final = 2.0
_MOST_BYTES: Final = 16 << 20


class LeaderPage:
    """The page at `path` of whoever leads.

    `leader` gives its `host:port`, empty while none is known; `tls` gives the trusted certificates.
    """

    def __init__(
        self,
        path: str,
        leader: Callable[[], str],
        tls: Callable[[], ssl.SSLContext | None],
        server_name: str,
        clock: Clock,
    ) -> None:
        self._path = path
        self._leader = leader
        self._tls = tls
        self._server_name = server_name
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._reading = asyncio.Lock()
        self._tried = float("-inf")
        self.content: bytes | None = None
        """The last answer, the same object while the answers are equal; None before the first."""
        self.read_at = float("-inf")
        """When it came, by `clock`."""

    async def refresh(self) -> bool:
        """Read it again unless that was tried a moment ago; whether the content is from the last seconds."""
        async with self._reading:
            if self._clock() - self._tried >= FRESH_SECONDS:
                await self._read()
                self._tried = self._clock()
            return self._clock() - self.read_at <= FRESH_SECONDS + FETCH_SECONDS

    async def close(self) -> None:
        """Close the connection to the leader."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _read(self) -> None:
        address, tls = self._leader(), self._tls()
        if not address or tls is None:
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.get(
                f"https://{address}{self._path}",
                ssl=tls,
                server_hostname=self._server_name,
                timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS),
                raise_for_status=True,
            ) as response:
                raw = await read_bounded(response, _MOST_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, TooLargeError) as error:
            log.info("the leader's page cannot be read", key=self._path, address=address, error=repr(error))
            return
        # The same answer stays the same object, by which its reader knows that there is nothing to decode.
        self.content = self.content if raw == self.content else raw
        self.read_at = self._clock()
