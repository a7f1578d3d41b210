"""The check of Karpenter's NodePools and nodes."""

from typing import Any

import pytest

from spillway.api import ElasticPolicy
from spillway.domain.doctor.autoscaler import DO_NOT_DISRUPT, check_node_annotations, check_node_pool
from tests.support.world import ELASTIC, policy_resource

TAINT = {"key": "spillway.dev/elastic", "value": "online", "effect": "PreferNoSchedule"}
GOOD = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "30s"}


def policy(mode: str = "Enforce", **elastic: Any) -> ElasticPolicy:
    return ElasticPolicy.model_validate(policy_resource(mode=mode, elastic={**ELASTIC, **elastic}))


def node_pool(
    disruption: dict[str, Any] | None = None,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    taints: tuple[dict[str, str], ...] = (TAINT,),
) -> dict[str, Any]:
    metadata = {"labels": {"pool": "elastic"} if labels is None else labels, "annotations": annotations or {}}
    template = {"metadata": metadata, "spec": {"taints": list(taints)}}
    spec = {"disruption": GOOD if disruption is None else disruption, "template": template}
    return {"metadata": {"name": "elastic"}, "spec": spec}


@pytest.mark.parametrize(
    ("pool", "severities", "words"),
    [
        pytest.param(node_pool(), [], "", id="good"),
        pytest.param(node_pool({}, labels={"pool": "other"}), [], "", id="not-elastic"),
        pytest.param(node_pool({}), ["warning"], "which evicts pods", id="default-policy"),
        pytest.param(node_pool({**GOOD, "consolidateAfter": "Never"}), ["error"], "are never removed", id="never"),
        pytest.param(
            node_pool({**GOOD, "budgets": [{"nodes": "0"}]}), ["warning"], "allows no node to be removed", id="budget"
        ),
        pytest.param(
            node_pool({**GOOD, "budgets": [{"nodes": "0", "reasons": ["Drifted"]}]}), [], "", id="budget-of-drift"
        ),
        pytest.param(
            node_pool({**GOOD, "budgets": [{"nodes": "0", "schedule": "0 9 * * *", "duration": "8h"}]}),
            [],
            "",
            id="budget-by-day",
        ),
        pytest.param(
            node_pool(annotations={DO_NOT_DISRUPT: "true"}), ["warning"], "empty ones are not removed", id="annotated"
        ),
        pytest.param(node_pool(taints=()), ["warning"], "does not declare the taint", id="taint-not-declared"),
    ],
)
def test_node_pools(pool: dict[str, Any], severities: list[str], words: str) -> None:
    found = list(check_node_pool(pool, [policy()]))

    assert [one.severity.value for one in found] == severities
    assert all(words in one.message and one.object == "NodePool/elastic" for one in found)


@pytest.mark.parametrize("quiet", [policy("Recommend"), policy(softTaint=False)])
def test_the_taint_is_declared_only_where_it_is_written(quiet: ElasticPolicy) -> None:
    assert list(check_node_pool(node_pool(taints=()), [quiet])) == []


def test_a_tier_may_select_by_karpenters_own_label() -> None:
    by_name = policy(nodeSelector={"matchLabels": {"karpenter.sh/nodepool": "elastic"}})

    assert len(list(check_node_pool(node_pool({}, labels={}), [by_name]))) == 1


def test_nodes_that_may_not_be_removed() -> None:
    nodes: list[dict[str, Any]] = [
        {"metadata": {"name": "e1", "annotations": {DO_NOT_DISRUPT: "true"}}},
        {"metadata": {"name": "e2"}},
        {"metadata": {"name": "fixed", "annotations": {DO_NOT_DISRUPT: "true"}}},
    ]

    [found] = check_node_annotations(nodes, frozenset({"e1", "e2"}), DO_NOT_DISRUPT)

    assert found.object == "Node/e1"
