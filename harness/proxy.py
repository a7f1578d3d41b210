"""A TCP proxy that can fail as networks do: cut connections, refuse new ones, or go silent while all stay open.

Contract: bytes pass unchanged, TLS too (the API server's certificate is valid for the loopback address whatever the
port). It runs in a thread of its own; its methods may be called from any other thread and have taken effect when they
return.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import yaml

from harness.closing import Closing

T = TypeVar("T")

_CHUNK: Final = 64 * 1024
_START_SECONDS: Final = 10.0
_OBSERVE_SECONDS: Final = 0.1


class Flow(Enum):
    """What happens to traffic."""

    PASS = "pass"  # noqa: S105  no password
    STALL = "stall"
    """Connections open and stay open, and nothing passes: a peer that disappeared silently."""
    REFUSE = "refuse"
    """What is open is closed, and what is opened is closed at once."""


class Proxy(Closing):
    """Forwards a loopback port, one of its own or `listen`, to `host`:`port`."""

    def __init__(self, host: str, port: int, *, listen: int = 0) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._flow = Flow.PASS
        self._passing = asyncio.Event()
        self._passing.set()
        self._connections: dict[asyncio.Task[None], asyncio.Event] = {}
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._call(asyncio.start_server(self._accept, "127.0.0.1", listen))
        self.port = self._server.sockets[0].getsockname()[1]

    @classmethod
    def to_server_of(cls, kubeconfig: Path) -> Self:
        """In front of the API server of a kubeconfig's first cluster."""
        address = urlsplit(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
        return cls(address.hostname or "localhost", address.port or 443)

    def set(self, flow: Flow) -> None:
        """Treat all traffic so from now on; after `STALL`, `PASS` delivers what was held back."""
        self._call(self._set(flow))

    def freeze(self) -> None:
        """Never again deliver anything on what is open now; new connections are served: a lost NAT entry."""
        self._call(self._freeze())

    def cut(self) -> None:
        """Close what is open; new connections are served."""
        self._call(self._cut())

    def close(self) -> None:
        """End everything. May be called more than once."""
        if self._loop.is_closed():
            return
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    async def _set(self, flow: Flow) -> None:
        self._flow = flow
        if flow is Flow.STALL:
            self._passing.clear()
        else:
            self._passing.set()
        if flow is Flow.REFUSE:
            await self._cut()

    async def _freeze(self) -> None:
        for alive in self._connections.values():
            alive.clear()

    async def _cut(self) -> None:
        doomed = list(self._connections)
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)

    async def _stop(self) -> None:
        self._server.close()
        await self._cut()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover  (a server's callback is a task)
            return
        alive = self._connections[task] = asyncio.Event()
        alive.set()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await self._serve(reader, writer, alive)
        del self._connections[task]
        writer.transport.abort()

    def _backend(self) -> tuple[str, int]:
        """The target of a new connection."""
        return self._target

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        if self._flow is Flow.REFUSE:
            return
        await self._passing.wait()
        target_reader, target_writer = await asyncio.open_connection(*self._backend())
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, target_writer, alive))
                both.create_task(self._pump(target_reader, writer, alive))
        except* OSError:
            pass
        finally:
            target_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._passing.wait()
            await alive.wait()
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class ServiceProxy(Proxy):
    """A Service as kube-proxy implements it: ready backends in turn, and each change is known only after `delay`.

    `ready` names the ports that are ready now. An open connection stays with its backend; a new one to a
    backend that no longer listens fails.
    """

    def __init__(self, listen: int, ready: Callable[[], frozenset[int]], *, delay_seconds: float) -> None:
        self._ready = ready
        self._delay = delay_seconds
        self._history: list[tuple[float, frozenset[int]]] = [(float("-inf"), ready())]
        self._turn = 0
        self._ended = threading.Event()
        self._observer = threading.Thread(target=self._observe, name="endpoints", daemon=True)
        super().__init__("127.0.0.1", 0, listen=listen)
        self._observer.start()

    def close(self) -> None:
        self._ended.set()
        super().close()
        self._observer.join()

    def _observe(self) -> None:
        while not self._ended.wait(_OBSERVE_SECONDS):
            found = self._ready()
            if found != self._history[-1][1]:
                self._history.append((time.monotonic(), found))

    def _backend(self) -> tuple[str, int]:
        known_until = time.monotonic() - self._delay
        ports = sorted(next(found for since, found in reversed(self._history) if since <= known_until))
        self._turn += 1
        if not ports:
            raise ConnectionRefusedError
        return "127.0.0.1", ports[self._turn % len(ports)]
