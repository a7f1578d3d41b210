"""The interface of a Prometheus, by which it does not matter which client asks."""

from typing import Protocol

from spillway.sources.connection import Connection
from spillway.sources.prometheus import Series


class Queries(Protocol):
    """One Prometheus. Every method raises `PrometheusError` without an answer."""

    @property
    def connection(self) -> Connection: ...

    async def check(self) -> None:
        """Ask something that any server answers at once."""

    async def instant(
        self, query: str, at: float, *, seconds: float = ..., lookback_seconds: float | None = None
    ) -> list[Series]:
        """The value of each series at one time, from a sample that is not older than `lookback_seconds`."""

    async def range(
        self, query: str, start: float, end: float, step_seconds: float, *, seconds: float = ...
    ) -> list[Series]:
        """The values of each series at `start`, `start + step_seconds` and so on, up to `end`."""
