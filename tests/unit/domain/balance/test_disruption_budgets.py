"""How many nodes of a NodePool may be emptied at once: read as Karpenter reads its budgets."""

from datetime import UTC, datetime
from typing import Any

import pytest

from spillway.domain.balance.disruption_budgets import DisruptionBudget, allowed_nodes, disruption_budgets
from spillway.domain.model.names import NODE_POOL_LABEL, NodeName
from spillway.domain.model.records import NodeRecord, Taint
from tests.builders import make_node

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("budgets", "allowed"),
    [
        pytest.param(None, 2, id="10 % by default, rounded up"),
        pytest.param([], None, id="no budget"),
        pytest.param([{"nodes": "100%"}], 11, id="all"),
        pytest.param([{"nodes": "5"}, {"nodes": "3"}], 3, id="the least counts"),
        pytest.param([{"nodes": "0", "reasons": ["Drifted"]}, {"nodes": "4"}], 4, id="for another reason"),
        pytest.param([{"nodes": "1", "reasons": ["Underutilized", "Empty"]}], 1, id="for this reason"),
        pytest.param([{"nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "8h"}], 0, id="in its hours"),
        pytest.param([{"nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "2h30m0s"}], None, id="after them"),
        pytest.param([{"nodes": "0", "schedule": "@daily", "duration": "13h"}], 0, id="a macro"),
        pytest.param([{"nodes": "3", "schedule": "@hourly", "duration": "1m"}], 3, id="from the first second on"),
        pytest.param([{"nodes": "3"}, {"nodes": "9", "schedule": "never", "duration": "1m"}], 0, id="no schedule"),
        pytest.param([{"nodes": "some"}], 0, id="no number"),
        pytest.param([{"nodes": "3", "duration": "1h"}], 0, id="a duration alone"),
    ],
)
def test_what_the_budgets_allow(budgets: Any, allowed: int | None) -> None:
    spec: dict[str, Any] = {} if budgets is None else {"disruption": {"budgets": budgets}}
    assert allowed_nodes(spec, 11, NOON) == allowed


def _node(name: str, pool: str = "spot", **changes: Any) -> NodeRecord:
    labels = {NODE_POOL_LABEL: pool, "karpenter.sh/initialized": "true"} | changes.pop("labels", {})
    return make_node(name, labels=labels, **changes)


def test_nodes_that_are_disrupted_idle_or_emptied_by_others_count() -> None:
    nodes = [
        *(_node(f"n{n}") for n in range(10)),
        _node("idle"),
        _node("theirs"),
        _node("leaves", taints=(Taint("karpenter.sh/disrupted", "NoSchedule"),)),
        _node("down", ready=False),
        _node("deleted", deleting=True),
        _node("starts", labels={"karpenter.sh/initialized": "false"}),
        _node("other", pool="gone"),
        make_node("fixed"),
    ]
    pools = [{"metadata": {"name": "spot"}, "spec": {"disruption": {"budgets": [{"nodes": "50%"}]}}}]
    found = disruption_budgets(pools, nodes, {NodeName("idle"), NodeName("theirs")}, NOON)
    assert found == {"spot": DisruptionBudget(8, 5), "gone": DisruptionBudget(0, 0)}


def test_what_was_begun_is_finished_while_the_budget_itself_allows_it() -> None:
    budget = DisruptionBudget(2, disrupted=1)
    assert [budget.takes(begun, emptying=False) for begun in (0, 1)] == [True, False]
    assert [budget.takes(begun, emptying=True) for begun in (1, 2)] == [True, False]
    assert DisruptionBudget(None, disrupted=9).takes(9, emptying=False)
