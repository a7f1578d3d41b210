"""Policies, budgets and balances of a given age, for the tests of governance and of conflicts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.domain.policies.governance import Governance
from tests.builders import make_namespace

START = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = make_namespace("shop", team="shop", **{"kubernetes.io/metadata.name": "shop"})


def metadata(name: str, age: int) -> dict[str, Any]:
    return {"name": name, "creationTimestamp": (START + timedelta(days=age)).isoformat()}


def policy(
    name: str = "online",
    *classes: dict[str, Any],
    age: int = 0,
    mode: str = "Enforce",
    elastic: dict[str, Any] | None = None,
    budgets: tuple[str, ...] = (),
) -> ElasticPolicy:
    tiers: dict[str, Any] = {}
    if elastic is not None:
        tiers["elastic"] = {"nodeSelector": {"matchLabels": elastic}}
    if budgets:
        tiers["virtual"] = {"budgets": budgets}
    spec = {"mode": mode, "tiers": tiers, "workloads": classes or [{"name": "default"}]}
    return ElasticPolicy.model_validate({"metadata": metadata(name, age), "spec": spec})


def budget(
    name: str = "eci-a",
    labels: dict[str, str] | None = None,
    *,
    age: int = 0,
    price: tuple[str, str] | None = None,
    currency: str = "CNY",
) -> VirtualNodeBudget:
    spec: dict[str, Any] = {"nodeSelector": {"matchLabels": labels or {"pool": name}}}
    if price is not None:
        spec["price"] = {"currency": currency, "cpuHour": price[0], "memoryGiBHour": price[1]}
    return VirtualNodeBudget.model_validate({"metadata": metadata(name, age), "spec": spec})


def balance(name: str = "even", *, age: int = 0, **spec: Any) -> ZonalBalance:
    return ZonalBalance.model_validate({"metadata": metadata(name, age), "spec": spec})


def governance(*resources: ElasticPolicy | VirtualNodeBudget | ZonalBalance) -> Governance:
    return Governance.compile(
        [one for one in resources if isinstance(one, ElasticPolicy)],
        [one for one in resources if isinstance(one, VirtualNodeBudget)],
        [one for one in resources if isinstance(one, ZonalBalance)],
    )
