"""The overview: its rows, the sums of money, and the operator by its Lease."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.domain.overview.status import OperatorState, SavedAmounts, operator_state, overview
from spillway.state.catalog import Kind
from tests.support.world import policy_resource, resource

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LEADS = OperatorState("spillway-1", None, "2026-01-05T12:00:00Z", None)


def lease(**spec: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"leaseDurationSeconds": 15, **spec}}


def policy(name: str, status: dict[str, Any]) -> ElasticPolicy:
    return ElasticPolicy.model_validate({**policy_resource(name), "status": {"observedGeneration": 1, **status}})


def budget(name: str, status: dict[str, Any], **spec: Any) -> VirtualNodeBudget:
    raw = resource(Kind.VIRTUAL_NODE_BUDGET, name, nodeSelector={"matchLabels": {"pool": name}}, **spec)
    return VirtualNodeBudget.model_validate({**raw, "status": {"observedGeneration": 1, **status}})


def test_rows_and_sums() -> None:
    price = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"}
    balance = {
        **resource(Kind.ZONAL_BALANCE, "even", maxSkew=2),
        "status": {"observedGeneration": 1, "zones": [{"name": "a", "nodes": 2, "pods": 5, "loadPercent": 41}]},
    }
    found = overview(
        [
            policy("second", {"saving": {"perHour": "0.2", "currency": "CNY"}}),
            policy(
                "first",
                {
                    "workloads": {"governed": 2, "onFixed": 3, "onVirtual": 4},
                    "saving": {"perHour": "12.4", "perHourAgainstVirtual": "-1.5", "currency": "CNY"},
                },
            ),
        ],
        [budget("eci-a", {"used": {"pods": 4, "costPerHour": "1.5"}}, limits={"pods": 9}, price=price)],
        [ZonalBalance.model_validate(balance)],
        operator=LEADS,
        cluster="https://here",
        now=NOW,
    )

    assert [one.name for one in found.policies] == ["first", "second"]
    assert (found.policies[0].on_fixed, found.policies[0].on_elastic, found.policies[0].on_virtual) == (3, 0, 4)
    assert found.policies[1].workloads is None
    assert (found.pools[0].pods, found.pools[0].pods_limit, found.pools[0].cost_this_month) == (4, 9, None)
    assert [(one.zone, one.load_percent) for one in found.zones] == [("a", 41)]
    [saving] = found.savings
    assert (saving.currency, saving.saving_per_hour, saving.saving_per_hour_against_virtual) == ("CNY", "12.6", "-1.5")
    assert (saving.virtual_cost_per_hour, saving.virtual_cost_this_month) == ("1.5", None)
    assert found.attention == ()


def test_what_was_saved_without_a_currency_is_not_shown() -> None:
    saved = SavedAmounts({"": 5.0, "CNY": 1.5}, {"": 9.0})
    [row] = overview([], [], [], operator=LEADS, cluster="", now=NOW, saved=saved).savings
    assert (row.currency, row.saved_today, row.saved_this_month) == ("CNY", "1.5", None)


def test_the_keys_are_those_of_the_page() -> None:
    """Programs read them: a key that is taken away or renamed breaks them."""
    found = msgspec.to_builtins(overview([policy("one", {})], [], [], operator=LEADS, cluster="", now=NOW))

    assert list(found) == [
        "cluster",
        "at",
        "operator",
        "policies",
        "pools",
        "zones",
        "balances",
        "savings",
        "attention",
    ]
    assert {"onFixed", "savingPerHour", "ownedNodesAdvised", "asPlanned"} <= set(found["policies"][0])


@pytest.mark.parametrize(
    ("found", "leader", "problem"),
    [
        pytest.param(lease(holderIdentity="a", renewTime="2026-01-05T11:59:50.000000Z"), "a", "", id="leads"),
        pytest.param(lease(holderIdentity="a", renewTime="2026-01-05T11:59:30Z"), None, "has expired", id="expired"),
        pytest.param(lease(holderIdentity="a"), None, "no known time", id="never-renewed"),
        pytest.param(lease(holderIdentity="", renewTime="2026-01-05T11:59:59Z"), None, "no replica", id="released"),
        pytest.param(None, None, "there is no Lease", id="no-lease"),
    ],
)
def test_the_operator_by_its_lease(found: dict[str, Any] | None, leader: str | None, problem: str) -> None:
    state = operator_state(found, NOW)

    assert state.leader == leader
    assert problem in (state.problem or "")
    shown = overview([], [], [], operator=state, cluster="", now=NOW).attention
    assert [one.severity.value for one in shown] == (["error"] if problem else [])
