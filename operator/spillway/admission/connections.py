"""The open connections of a server, and the bodies that they hold: bounded, whoever sends them.

Contract: anybody who reaches the port may open connections and send bodies. Proper clients send whole requests within
milliseconds: the API server on connections that it uses again and again, the kubelet on a new one for each probe. So
connections that were answered and those that were not have half of the room each, whatever is opened or sent on the
others. The part that has more than its half loses the one that has waited for its client for the longest time (of those
that were answered, an idle one first); a connection whose request has arrived whole is closed only if all are such.
What is given up first besides is the body that has been arriving for the longest time, and a large request while many
large ones are being answered. A small request of the API server is refused because of none of them.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Final, Generic, Protocol, TypeVar

from spillway.telemetry import http as metrics

CONNECTIONS_MAX: Final = 1024
"""The number of open connections of the webhooks: an API server has a few dozen at most."""
ARRIVING_BYTES_MAX: Final = 64 * 1024 * 1024
"""What all bodies that have not arrived whole hold together."""
ANSWERING_BYTES_MAX: Final = 64 * 1024 * 1024
"""What large requests that are being answered hold together."""
LARGE_BYTES: Final = 1024 * 1024
"""The size of a body from which on it is a large one."""


class OpenConnection(Protocol):
    """One connection."""

    @property
    def busy(self) -> bool:
        """Whether a request on it arrives or is being answered."""

    @property
    def handled(self) -> bool:
        """Whether a request has arrived whole, and it is not the client whom its answer waits for."""

    def abort(self) -> None:
        """Close it at once, and forget what has arrived on it."""


Connection = TypeVar("Connection", bound=OpenConnection)


class Connections(Generic[Connection]):
    """The connections of one server. A connection that is aborted here is discarded by itself afterwards."""

    def __init__(
        self,
        server: str,
        *,
        most: int = CONNECTIONS_MAX,
        arriving_bytes: int = ARRIVING_BYTES_MAX,
        answering_bytes: int = ANSWERING_BYTES_MAX,
    ) -> None:
        self._server = server
        self._open = metrics.CONNECTIONS.labels(server)
        self._most = most
        self._arriving_most = arriving_bytes
        self._answering_most = answering_bytes
        self._unanswered: dict[Connection, None] = {}
        """Oldest first."""
        self._answered: dict[Connection, None] = {}
        """In the order of their last answers."""
        self._arriving: dict[Connection, int] = {}
        """Bytes, in the order of their first ones."""
        self._answering: dict[Connection, int] = {}
        self._arriving_sum = 0

    def __iter__(self) -> Iterator[Connection]:
        yield from self._unanswered
        yield from self._answered

    def __len__(self) -> int:
        return len(self._unanswered) + len(self._answered)

    def add(self, connection: Connection) -> None:
        """A connection was opened; beyond the bound another one is closed for it."""
        if len(self) >= self._most:
            self._end(self._spare(), "too-many")
        self._unanswered[connection] = None
        self._open.set(len(self))

    def discard(self, connection: Connection) -> None:
        """A connection was closed."""
        self._unanswered.pop(connection, None)
        self._answered.pop(connection, None)
        self._forget(connection)
        self._answering.pop(connection, None)
        self._open.set(len(self))

    def receive(self, connection: Connection, count: int) -> None:
        """Bytes of a body have arrived; beyond the bound bodies are given up, which may be this one."""
        self._arriving[connection] = self._arriving.get(connection, 0) + count
        self._arriving_sum += count
        while self._arriving_sum > self._arriving_most:
            self._end(next(iter(self._arriving)), "memory")

    def answer(self, connection: Connection) -> bool:
        """A request has arrived whole; False where it is too large to be answered beside those that are."""
        count = self._forget(connection)
        if count >= LARGE_BYTES and sum(self._answering.values()) + count > self._answering_most:
            return False
        if count >= LARGE_BYTES:
            self._answering[connection] = count
        return True

    def answered(self, connection: Connection) -> None:
        """A request was answered."""
        self._answering.pop(connection, None)
        if connection in self._unanswered or connection in self._answered:
            self._unanswered.pop(connection, None)
            self._answered.pop(connection, None)
            self._answered[connection] = None

    def _spare(self) -> Connection:
        """The connection to close for a new one."""
        # Looked at no further than needed: under a flood this is asked for each new connection.
        unanswered = (one for one in self._unanswered if not one.handled)
        idle = (one for one in self._answered if not one.handled and not one.busy)
        answered = (one for one in self._answered if not one.handled)
        if len(self._unanswered) > self._most // 2:
            return next(chain(unanswered, idle, answered, self._unanswered))
        return next(chain(idle, answered, unanswered, self._answered, self._unanswered))

    def _end(self, connection: Connection, reason: str) -> None:
        metrics.CLOSED.labels(self._server, reason).inc()
        self.discard(connection)
        connection.abort()

    def _forget(self, connection: Connection) -> int:
        count = self._arriving.pop(connection, 0)
        self._arriving_sum -= count
        return count
