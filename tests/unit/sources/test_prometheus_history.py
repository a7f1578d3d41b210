"""The queries of the history of a cluster, and what is read of their answers."""

from collections.abc import Mapping

import numpy as np
import pytest

from spillway.sources.connection import Connection
from spillway.sources.prometheus import Series
from spillway.sources.prometheus_history import highest_replicas, queries, read_history, saved, step_of
from tests.support.monitoring import known_metrics, named_metrics, unknown_names


@pytest.mark.parametrize("query", queries())
def test_queries_name_only_what_exists(query: str) -> None:
    plain = query.replace(",@", "").replace("@", "")
    assert named_metrics(plain)
    assert unknown_names(plain, known_metrics(), set()) == []


def test_an_hour_is_the_longest_step() -> None:
    assert [step_of(days * 86_400) for days in (1 / 24, 2, 3, 90)] == [300, 300, 3600, 3600]


class Answers:
    """A Prometheus that answers every query with one series, of the value 12 at the end of the time that is asked."""

    def __init__(self, **labels: str) -> None:
        self.labels: Mapping[str, str] = labels
        self.connection = Connection(url="http://here")

    async def check(self) -> None:
        raise AssertionError

    async def instant(
        self, _: str, at: float, *, seconds: float = 0.0, lookback_seconds: float | None = None
    ) -> list[Series]:
        assert (seconds, lookback_seconds) == (0.0, None)
        return [Series(self.labels, np.array([at]), np.array([12.0]))]

    async def range(
        self, _: str, start: float, end: float, step_seconds: float, *, seconds: float = 0.0
    ) -> list[Series]:
        assert (seconds, start + step_seconds <= end) == (0.0, True)
        return [Series(self.labels, np.array([end]), np.array([12.0]))]


@pytest.mark.parametrize(("labels", "currency"), [({"currency": "CNY"}, "CNY"), ({}, "")], ids=["named", "left out"])
async def test_labels_that_prometheus_leaves_out_are_empty(labels: Mapping[str, str], currency: str) -> None:
    answers = Answers(**labels)
    assert await saved(answers, now=7200.0, seconds=3600.0) == {currency: 1.0}
    history = await read_history(answers, now=7200.0, seconds=3600.0)
    assert history.charged.keys() == {currency}
    assert history.charged[currency][-1] == 12.0
    assert history.limits.keys() == {": "}
    assert await highest_replicas(Answers(kind="Deployment", workload="web"), now=7200.0, seconds=3600.0) == {
        "Deployment//web": 12.0
    }
