"""What pools cost, on the real control plane: held against the pods' own start times, over the end of a leader too."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from harness import Installation
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.support.stage import GROUP_PATH, OwnedNodes, Stage

OWNED = OwnedNodes("owned-by-budgets", 1, cpu="100", pods=100)
MONEY_A_CORE_SECOND = Decimal(1)
PRICE = {"currency": "CNY", "cpuHour": "3600", "memoryGiBHour": "0"}
HALF_A_CORE = "500m"
ALWAYS = {"placement": {"virtual": "Always"}}


def _budget(stage: Stage) -> Object:
    found: Object = stage.cluster.rest.get(f"{GROUP_PATH}/virtualnodebudgets/{stage.pools['a']}")
    return found


def _used(stage: Stage) -> dict[str, Any]:
    used: dict[str, Any] = (_budget(stage).get("status") or {}).get("used") or {}
    return used


def _condition(stage: Stage, kind: str) -> tuple[str, str] | None:
    conditions = (_budget(stage).get("status") or {}).get("conditions") or []
    return next(((one["status"], one["reason"]) for one in conditions if one["type"] == kind), None)


def _events(stage: Stage) -> Counter[str]:
    """How often each reason was told of the pool."""
    items = stage.cluster.rest.items("/apis/events.k8s.io/v1/namespaces/default/events")
    return Counter(item["reason"] for item in items if item["regarding"]["name"] == stage.pools["a"])


def _seconds(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).astimezone(UTC).timestamp())


def _owed(stage: Stage, used: dict[str, Any]) -> Decimal:
    """What the pods on the pool cost from their own start times until the time for which a status is true."""
    until = _seconds(used["at"])
    starts = [_seconds(pod["status"]["startTime"]) for pod in stage.pods("web")]
    return sum((max(0, until - start) * Decimal("0.5") * MONEY_A_CORE_SECOND for start in starts), Decimal(0))


def _wait_counted(stage: Stage, pods: int) -> dict[str, Any]:
    """Until a status was written that counts so many pods, all of them started."""

    def counted() -> dict[str, Any] | None:
        used = _used(stage)
        rate = Decimal(used.get("costPerHour", "-1"))
        return used if used.get("pods") == pods and rate == pods * 1800 else None

    found = stage.cluster.wait_until(counted, f"a status with {pods} pods")
    assert found is not None
    return found


def _shown(operators: Installation, stage: Stage) -> float:
    return operators.total("spillway_pool_cost_this_month", pool=stage.pools["a"])


def test_the_cost_of_a_month_survives_the_leader_and_limits_are_told_once(
    operators: Installation, stage: Stage, cluster: ClusterApi
) -> None:
    stage.govern(ALWAYS, a={"price": PRICE, "limits": {"pods": 10, "costPerMonth": "900000000"}}, b={"cordon": "Hold"})
    stage.deploy("web", 8, cpu=HALF_A_CORE)
    stage.wait_bound("web", 8)
    used = _wait_counted(stage, 8)
    assert Decimal(used["costThisMonth"]) == _owed(stage, used)
    cluster.wait_until(lambda: _condition(stage, "NearLimit") == ("True", "PodsNearLimit"), "80 %")

    def quiet() -> bool:
        before, shown = _budget(stage), _shown(operators, stage)
        cluster.wait_until(lambda: _shown(operators, stage) > shown + 16, "the cost of four seconds in the metrics")
        return bool(_budget(stage)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"])

    # On a busy machine the last change of the status may still be written.
    cluster.wait_until(quiet, "the metrics to go on while nothing is written")

    leader = operators.wait_leader()
    operators.kill(leader)
    operators.wait_leader(other_than=leader)
    # While its cost of the month is not known the pool takes no pods, and admission waits for it only for a moment.
    cluster.wait_until(lambda: _shown(operators, stage) > 0, "the next leader to know what the pool has cost")
    operators.start_one(leader)
    # It answers the API server a moment before it knows whom to ask, and then pods are created as they are.
    operators.wait_ready(leader)
    stage.wait_governed()
    stage.scale("web", 10)
    stage.wait_bound("web", 10)

    used = _wait_counted(stage, 10)
    assert Decimal(used["costThisMonth"]) == _owed(stage, used), "also of the time in which no one led"
    cluster.wait_until(lambda: _condition(stage, "AtLimit") == ("True", "PodsAtLimit"), "100 %")
    assert _condition(stage, "Accepting") == ("False", "LimitReached")
    [top] = _budget(stage)["status"]["perWorkloadTop"]
    assert (top["workload"], top["pods"], top["costPerHour"]) == (f"Deployment/{stage.namespace}/web", 10, "18000")

    stage.scale("web", 2)
    cluster.wait_until(lambda: _condition(stage, "NearLimit") == ("False", "WithinLimits"), "room again")
    assert _condition(stage, "AtLimit") == ("False", "WithinLimits")
    assert _condition(stage, "Accepting") == ("True", "Open")

    def told() -> bool:
        return _events(stage)["WithinLimits"] >= 1

    cluster.wait_until(told, "the Events")
    events = _events(stage)
    assert (events["PodsNearLimit"], events["PodsAtLimit"]) == (1, 1)


def test_a_pod_that_ends_early_is_charged_the_minimum_and_a_month_that_is_spent_takes_no_more(
    operators: Installation, stage: Stage, cluster: ClusterApi
) -> None:
    price = {**PRICE, "minimumSeconds": 3600}
    limited = {"price": price, "limits": {"costPerMonth": "1000"}, "timeZone": "Asia/Shanghai"}
    stage.govern(ALWAYS, a=limited, b={"cordon": "Hold"})
    # What ends before a pool has its books is no one's cost.
    cluster.wait_until(lambda: _used(stage).get("at"), "the books to be open")
    stage.run_job("short", 2)

    def over() -> bool:
        used = _used(stage)
        return used.get("pods") == 0 and used.get("costThisMonth") == "720"

    # Two pods of a tenth of a core owe an hour each, however short they ran.
    cluster.wait_until(over, "both pods to be charged")
    assert _condition(stage, "AtLimit") is None
    labels = {"pool": stage.pools["a"], "workload": f"Job/{stage.id}/short"}

    def consumed() -> bool:
        return operators.total("spillway_consumed_cost_total", **labels) == pytest.approx(720)

    cluster.wait_until(consumed, "the metrics to say so")

    stage.deploy("later", 1)
    left = "what is left of the month does not pay for the least that it costs"
    assert stage.tiers(stage.wait_bound("later", 1)) == {"physical": 1}, left
