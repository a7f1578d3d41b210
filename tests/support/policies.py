"""Policies for tests, by what a test cares about."""

from collections.abc import Mapping
from typing import Any

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.domain.policies.governance import Governance

CREATED = "2026-01-01T00:00:00Z"


def governance_of(
    *,
    mode: str = "Enforce",
    elastic: Mapping[str, str] | None = None,
    virtual: Mapping[str, str] | None = None,
    cordon: str = "None",
    places: bool = False,
) -> Governance:
    """One policy `online` that governs every workload; `elastic` and `virtual` (pool `pool-v`) select by labels.

    With `places` its class places pods.
    """
    tiers: dict[str, Any] = {}
    budgets = []
    placement: dict[str, Any] = {"placement": {"virtual": "Always"}} if places else {}
    if elastic:
        tiers["elastic"] = {"nodeSelector": {"matchLabels": dict(elastic)}, "softTaint": True}
    if virtual:
        tiers["virtual"] = {"budgets": ["pool-v"]}
        budgets.append(
            VirtualNodeBudget.model_validate(
                {
                    "metadata": {"name": "pool-v", "uid": "uid-pool-v", "generation": 1, "creationTimestamp": CREATED},
                    "spec": {"nodeSelector": {"matchLabels": dict(virtual)}, "cordon": cordon},
                }
            )
        )
    policy = ElasticPolicy.model_validate(
        {
            "metadata": {"name": "online", "uid": "uid-online", "generation": 1, "creationTimestamp": CREATED},
            "spec": {"mode": mode, "tiers": tiers, "workloads": [{"name": "all", **placement}]},
        }
    )
    return Governance.compile([policy], budgets, [])
