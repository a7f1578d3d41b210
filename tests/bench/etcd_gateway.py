"""Objects straight into etcd through its HTTP gateway, many a transaction: the only way to 150,000 pods in a minute.

The API server reads JSON from etcd as well as protobuf. It must not run while whole kinds are laid (nor any controller
afterwards, or owners must exist): nothing here passes validation or admission.
"""

import asyncio
import base64
import re
import time
from collections.abc import Iterable, Sequence
from typing import Self

import aiohttp
import msgspec

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
PUTS_PER_TRANSACTION = 100  # etcd takes no more than 128 by default


class EtcdGateway:
    """Writes keys. Use it as an async context manager."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v3/kv/txn"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def wait(self, seconds: float) -> None:
        """Until etcd answers; raises what it met last if it does not in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                await self.put([("/bench", b"1")])
            except (OSError, RuntimeError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def put(self, pairs: Iterable[tuple[str, bytes]]) -> int:
        """One transaction; the number of bytes of its values."""
        assert self._session is not None
        size, puts = 0, []
        for key, value in pairs:
            size += len(value)
            puts.append({"request_put": {"key": _base64(key.encode()), "value": _base64(value)}})
        async with self._session.post(self._url, data=msgspec.json.encode({"success": puts})) as response:
            body = await response.text()
            if response.status != 200:
                raise RuntimeError(f"etcd answered {response.status}: {body[:300]}")
        return size

    async def put_all(self, pairs: Iterable[tuple[str, bytes]], *, at_once: int = 4) -> tuple[int, int]:
        """All of them, some transactions at a time; (objects, bytes)."""
        running: set[asyncio.Task[int]] = set()
        count = size = 0
        batch: list[tuple[str, bytes]] = []

        async def collect(leave: int) -> None:
            nonlocal size, running
            while len(running) > leave:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                size += sum(task.result() for task in done)

        for pair in pairs:
            batch.append(pair)
            count += 1
            if len(batch) == PUTS_PER_TRANSACTION:
                running.add(asyncio.create_task(self.put(batch)))
                batch = []
                await collect(at_once - 1)
        if batch:
            running.add(asyncio.create_task(self.put(batch)))
        await collect(0)
        return count, size


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


class Pipeline:
    """Puts with a revision each, as the API server writes them, thousands a second from one core.

    Keys of one transaction share their revision, and a watch resumed in the middle of it would miss the rest; a client
    that is made for anything takes longer for such a put than etcd does. So: requests one behind the other on a few
    connections, then their answers.
    """

    def __init__(self, host: str, port: int, *, connections: int = 4) -> None:
        self._host = host
        self._port = port
        self._count = connections
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._head = f"POST /v3/kv/put HTTP/1.1\r\nHost: {host}\r\nContent-Length: %d\r\n\r\n".encode()

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            self._connections.append(await asyncio.open_connection(self._host, self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection[1].close()
            await connection[1].wait_closed()

    async def put(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """All of them, in no order; returns when every one is stored."""
        async with asyncio.TaskGroup() as group:
            for index, connection in enumerate(self._connections):
                group.create_task(self._share(*connection, pairs[index :: self._count]))

    async def _share(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pairs: Sequence[tuple[str, bytes]]
    ) -> None:
        for key, value in pairs:
            body = b'{"key":"%b","value":"%b"}' % (base64.b64encode(key.encode()), base64.b64encode(value))
            writer.write(self._head % len(body) + body)
        await writer.drain()
        for _ in pairs:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(_LENGTH.findall(head)[0]))
            if b" 200 " not in head:
                raise RuntimeError(f"etcd answered {head[:40]!r}: {body[:300]!r}")
