"""The check of selectors that match nothing."""

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.domain.doctor.selectors import check_balance, check_budget, check_classes, check_elastic
from spillway.state.catalog import Kind
from tests.builders import make_node
from tests.support.world import ELASTIC, policy_resource, resource

POLICY = ElasticPolicy.model_validate(policy_resource(elastic=ELASTIC))
BUDGET = VirtualNodeBudget.model_validate(
    resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector={"matchLabels": {"pool": "eci-a"}})
)
BALANCE = ZonalBalance.model_validate(resource(Kind.ZONAL_BALANCE, "even"))


def test_classes_without_workloads() -> None:
    assert list(check_classes(POLICY, {("online", "default"): 3}, {})) == []

    [found] = check_classes(POLICY, {("other", "default"): 3}, {"online": "older"})
    assert "the class default governs no workload" in found.message
    assert "the older policy older" in found.message


def test_an_elastic_tier_without_nodes_is_normal() -> None:
    assert list(check_elastic(POLICY, [make_node(labels={"pool": "elastic"})])) == []

    [found] = check_elastic(POLICY, [make_node()])
    assert found.severity.value == "info"


def test_pools() -> None:
    nodes = [make_node(labels={"pool": "eci-a"})]

    assert list(check_budget(BUDGET, nodes, {"eci-a"})) == []
    assert [one.message for one in check_budget(BUDGET, [], set())] == [
        "its nodeSelector selects no node",
        "no ElasticPolicy lists it, so no pod is sent there",
    ]


def test_balances_without_workloads() -> None:
    assert list(check_balance(BALANCE, {"even": 1})) == []
    assert len(list(check_balance(BALANCE, {}))) == 1
