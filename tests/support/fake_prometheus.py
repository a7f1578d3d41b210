"""A Prometheus that has the series a test gives it, and remembers how old their samples may have been."""

from collections.abc import Mapping

import numpy as np

from spillway.sources.connection import Connection
from spillway.sources.prometheus import Series


class FakePrometheus:
    """The answers of instant queries, by query: labels and a value each."""

    def __init__(self, **answers: list[tuple[Mapping[str, str], float]]) -> None:
        self.connection = Connection(url="http://here")
        self._answers = answers
        self.lookbacks: list[float | None] = []

    async def check(self) -> None:
        """It always answers."""

    async def instant(
        self, query: str, at: float, *, seconds: float = 0.0, lookback_seconds: float | None = None
    ) -> list[Series]:
        assert seconds == 0.0
        self.lookbacks.append(lookback_seconds)
        return [Series(labels, np.array([at]), np.array([value])) for labels, value in self._answers[query]]

    async def range(
        self, query: str, start: float, end: float, step_seconds: float, *, seconds: float = 0.0
    ) -> list[Series]:
        raise NotImplementedError
