"""The metrics of policies and conditions."""

from datetime import UTC, datetime

from spillway.api.conditions import Condition
from spillway.domain.model.names import Tier
from spillway.telemetry.policies import PolicySample, set_conditions, set_nodes, set_policies
from spillway.telemetry.registry import REGISTRY

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def value(sample: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(sample, labels)


def test_replicas_and_nodes_are_shown_by_tier_until_the_policy_is_gone() -> None:
    pods = {Tier.FIXED: 5, Tier.VIRTUAL: 2}
    set_policies({"online": PolicySample(1, pods, nodes={Tier.FIXED: 3})})

    assert value("spillway_policy_pods", policy="online", tier="fixed") == 5
    assert value("spillway_policy_pods", policy="online", tier="elastic") == 0
    assert value("spillway_policy_pods", policy="online", tier="virtual") == 2
    assert value("spillway_policy_nodes", policy="online", tier="fixed") == 3

    set_policies({})

    assert value("spillway_policy_pods", policy="online", tier="fixed") is None
    assert value("spillway_policy_workloads", policy="online") is None


def test_all_nodes_are_shown_by_tier() -> None:
    set_nodes({Tier.FIXED: 3, Tier.ELASTIC: 1}, {Tier.FIXED: 6500, Tier.ELASTIC: 2000})

    assert [value("spillway_nodes", tier=tier.value) for tier in Tier] == [3, 1, 0]
    assert [value("spillway_node_cores", tier=tier.value) for tier in Tier] == [6.5, 2, 0]

    set_nodes({Tier.VIRTUAL: 1}, {Tier.VIRTUAL: 500})

    assert [value("spillway_nodes", tier=tier.value) for tier in Tier] == [0, 0, 1]
    assert [value("spillway_node_cores", tier=tier.value) for tier in Tier] == [0, 0, 0.5]


def test_a_condition_is_one_where_it_holds_and_gone_with_its_resource() -> None:
    ready = Condition.make("Ready", holds=True, reason="Enforcing", message="", now=NOW)
    foreign = Condition.make("ForeignWriter", holds=False, reason="NoForeignWriter", message="", now=NOW)

    set_conditions([("ElasticPolicy", "online", ready), ("ElasticPolicy", "online", foreign)])

    assert value("spillway_condition", kind="ElasticPolicy", name="online", type="Ready") == 1
    assert value("spillway_condition", kind="ElasticPolicy", name="online", type="ForeignWriter") == 0

    set_conditions([])

    assert value("spillway_condition", kind="ElasticPolicy", name="online", type="Ready") is None
