"""A proxy that loses answers: the API server scales a workload, and the client that asked for it never hears of it.

Contract: clients reach it by HTTP without TLS, it reaches the API server by TLS, and everything but the chosen answers
passes unchanged. Requests to scale are counted from 1, in the order in which they arrive. An answer is lost only after
the API server has sent it, so that what was asked for has been done, or refused, by then.
"""

import asyncio
import re
import ssl
from base64 import b64decode
from collections.abc import Collection
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import yaml

from harness import Proxy

_CHUNK: Final = 64 * 1024
_SCALE: Final = re.compile(rb"(?:PATCH|PUT) (?P<path>\S+/scale)[ ?]")


class LostAnswers(Proxy):
    """In front of the API server of a kubeconfig; `silent` keeps the connection of a lost answer open."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, *, lost: Collection[int], silent: bool) -> None:
        self._tls = tls
        self._lost = frozenset(lost)
        self._silent = silent
        self.scaled: list[str] = []
        """The path of each request to scale, in the order of arrival."""
        self.lost: list[int] = []
        """The HTTP status of each answer that was lost."""
        super().__init__(host, port)

    @classmethod
    def of(cls, kubeconfig: Path, *lost: int, silent: bool = False) -> Self:
        """Lose the answers to the requests to scale with these numbers."""
        cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
        address = urlsplit(cluster["server"])
        tls = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        return cls(address.hostname or "localhost", address.port or 443, tls, lost=lost, silent=silent)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        host, port = self._backend()
        target_reader, target_writer = await asyncio.open_connection(host, port, ssl=self._tls)
        pumps = {
            asyncio.create_task(self._requests(reader, target_writer, alive)),
            asyncio.create_task(self._answers(target_reader, writer, alive)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First of all: the proxy may be closed, and this task cancelled, while it waits for the pumps.
            target_writer.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        """Clients send a request only after the answer to the one before, so each begins a chunk."""
        while chunk := await reader.read(_CHUNK):
            found = _SCALE.match(chunk)
            if found is not None:
                self.scaled.append(found["path"].decode())
                if len(self.scaled) in self._lost:
                    alive.clear()
            writer.write(chunk)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        while chunk := await reader.read(_CHUNK):
            if alive.is_set():
                writer.write(chunk)
                await writer.drain()
                continue
            self.lost.append(int(chunk.split(maxsplit=2)[1]))
            if not self._silent:
                return
            await asyncio.Event().wait()
