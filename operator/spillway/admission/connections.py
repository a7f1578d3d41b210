"""The open connections of the admission server, and the bodies that they hold: bounded, whoever sends them.

Contract: anybody who reaches the port may open connections and send bodies. The API server's requests arrive whole
within milliseconds, and it uses its connections again and again; so what is given up first is the connection that was
never answered or not for the longest time, the body that has been arriving for the longest time, and a large request
while many large ones are being answered. A small request of the API server is refused because of none of them.
"""

import asyncio
from collections.abc import Iterator
from typing import Final, Protocol

CONNECTIONS_MAX: Final = 1024
"""The number of open connections: an API server has a few dozen at most."""
ARRIVING_BYTES_MAX: Final = 64 * 1024 * 1024
"""What all bodies that have not arrived whole hold together."""
ANSWERING_BYTES_MAX: Final = 64 * 1024 * 1024
"""What large requests that are being answered hold together."""
LARGE_BYTES: Final = 1024 * 1024
"""The size of a body from which on it is a large one."""


class OpenConnection(Protocol):
    """One connection."""

    closed: asyncio.Future[None]
    """Done once it is closed."""

    @property
    def busy(self) -> bool:
        """Whether a request on it arrives or is being answered."""

    def finish(self) -> None:
        """Close it at once if it is idle, otherwise after the answer."""

    def abort(self) -> None:
        """Close it at once, and forget what has arrived on it."""


class Connections:
    """The connections of one server. A connection that is aborted here is discarded by itself afterwards."""

    def __init__(
        self,
        *,
        most: int = CONNECTIONS_MAX,
        arriving_bytes: int = ARRIVING_BYTES_MAX,
        answering_bytes: int = ANSWERING_BYTES_MAX,
    ) -> None:
        self._most = most
        self._arriving_most = arriving_bytes
        self._answering_most = answering_bytes
        self._unanswered: dict[OpenConnection, None] = {}
        """Oldest first."""
        self._answered: dict[OpenConnection, None] = {}
        """In the order of their last answers."""
        self._arriving: dict[OpenConnection, int] = {}
        """Bytes, in the order of their first ones."""
        self._answering: dict[OpenConnection, int] = {}
        self._arriving_sum = 0

    def __iter__(self) -> Iterator[OpenConnection]:
        yield from self._unanswered
        yield from self._answered

    def __len__(self) -> int:
        return len(self._unanswered) + len(self._answered)

    def add(self, connection: OpenConnection) -> None:
        """A connection was opened; beyond the bound another one is closed for it."""
        if len(self) >= self._most:
            idle = next((one for one in self if not one.busy), None)
            self._end(idle or next(iter(self)))
        self._unanswered[connection] = None

    def discard(self, connection: OpenConnection) -> None:
        """A connection was closed."""
        self._unanswered.pop(connection, None)
        self._answered.pop(connection, None)
        self._forget(connection)
        self._answering.pop(connection, None)

    def receive(self, connection: OpenConnection, count: int) -> None:
        """Bytes of a body have arrived; beyond the bound bodies are given up, which may be this one."""
        self._arriving[connection] = self._arriving.get(connection, 0) + count
        self._arriving_sum += count
        while self._arriving_sum > self._arriving_most:
            self._end(next(iter(self._arriving)))

    def answer(self, connection: OpenConnection) -> bool:
        """A request has arrived whole; False where it is too large to be answered beside those that are."""
        count = self._forget(connection)
        if count >= LARGE_BYTES and sum(self._answering.values()) + count > self._answering_most:
            return False
        if count >= LARGE_BYTES:
            self._answering[connection] = count
        return True

    def answered(self, connection: OpenConnection) -> None:
        """A request was answered."""
        self._answering.pop(connection, None)
        if connection in self._unanswered or connection in self._answered:
            self._unanswered.pop(connection, None)
            self._answered.pop(connection, None)
            self._answered[connection] = None

    def _end(self, connection: OpenConnection) -> None:
        self.discard(connection)
        connection.abort()

    def _forget(self, connection: OpenConnection) -> int:
        count = self._arriving.pop(connection, 0)
        self._arriving_sum -= count
        return count
