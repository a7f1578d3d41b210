"""The queries of the history of a cluster."""

import pytest

from spillway.sources.prometheus_history import queries, step_of
from tests.support.monitoring import known_metrics, named_metrics, unknown_names


@pytest.mark.parametrize("query", queries())
def test_queries_name_only_what_exists(query: str) -> None:
    plain = query.replace(",@", "").replace("@", "")
    assert named_metrics(plain)
    assert unknown_names(plain, known_metrics(), set()) == []


def test_an_hour_is_the_longest_step() -> None:
    assert [step_of(days * 86_400) for days in (1 / 24, 2, 3, 90)] == [300, 300, 3600, 3600]
