"""The plans in the statuses: recommended replicas, headroom and moves."""

from typing import Any

from spillway.api import ElasticPolicy, ZonalBalance
from spillway.domain.overview.plans import headroom_plan, moves_plan, scaling_plan
from spillway.state.catalog import Kind
from tests.support.world import ELASTIC, policy_resource, resource


def policy(name: str = "online", *, spec: dict[str, Any] | None = None, **status: Any) -> ElasticPolicy:
    raw = policy_resource(name, elastic=ELASTIC)
    raw["spec"] |= spec or {}
    return ElasticPolicy.model_validate({**raw, "status": status})


def balance(spec: dict[str, Any], **status: Any) -> ZonalBalance:
    return ZonalBalance.model_validate({**resource(Kind.ZONAL_BALANCE, "even", **spec), "status": status})


def test_scaling() -> None:
    cart = {"workload": "Deployment/shop/cart", "replicas": 12, "reason": "Schedule", "schedule": "evening"}
    api = {"workload": "Deployment/shop/api", "replicas": 3, "reason": "Forecast", "forecast": 3, "autoscaler": "api"}

    found = scaling_plan([policy(scaling=[cart, api]), policy("none")]).scaling

    assert [one.workload for one in found] == ["Deployment/shop/api", "Deployment/shop/cart"]
    assert (found[0].autoscaler, found[0].schedule, found[0].forecast) == ("api", None, 3)
    assert (found[1].replicas, found[1].schedule, found[1].autoscaler) == (12, "evening", None)


def test_headroom() -> None:
    kept = {"pods": 6, "ready": 4, "nodes": 2, "unit": {"cpu": "1", "memory": "2Gi"}, "reason": "Forecast"}

    [found] = headroom_plan([policy("none"), policy(headroom={**kept, "heldBy": "Balloons"})]).headroom

    assert (found.policy, found.pods, found.ready, found.nodes) == ("online", 6, 4, 2)
    assert (found.cpu, found.memory, found.held_by) == ("1", "2Gi", "Balloons")
    [unknown] = headroom_plan([policy(headroom={"pods": 0})]).headroom
    assert (unknown.cpu, unknown.held_by) == (None, None)


def test_moves() -> None:
    even = balance(
        {"rebalance": {"mode": "Active"}},
        imbalancePercent=40,
        moves={"next": ["shop/web-1: n1 to n4"], "done": 7, "expectedImbalancePercent": 12},
    )
    emptied = policy(
        spec={"consolidation": {"mode": "Active"}},
        consolidation={"emptying": ["e1"], "moved": 3, "inProgress": 1, "left": ["Deployment/shop/db: Paused"]},
    )

    first, second = moves_plan([emptied, policy("none")], [balance({}), even]).moves

    assert (first.kind, first.name, first.purpose, first.mode) == ("ZonalBalance", "even", "EvenLoad", "Active")
    assert (first.imbalance_percent, first.expected_imbalance_percent, first.done) == (40, 12, 7)
    assert (second.purpose, second.emptying, second.in_progress, second.done) == ("EmptyNodes", ("e1",), 1, 3)
    assert second.left == ("Deployment/shop/db: Paused",)


def test_a_policy_in_recommend_moves_nothing() -> None:
    raw = policy_resource(mode="Recommend", elastic=ELASTIC)
    raw["spec"]["consolidation"] = {"mode": "Active"}
    raw["status"] = {"consolidation": {}}

    [found] = moves_plan([ElasticPolicy.model_validate(raw)], []).moves

    assert found.mode == "Recommend"
