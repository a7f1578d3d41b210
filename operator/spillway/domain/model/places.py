"""The place of a node in a policy's order of cost, the marks of pods there, and the claim of a policy on a workload."""

from dataclasses import dataclass
from typing import Final

from spillway.api.elasticpolicy import PolicyMode
from spillway.domain.model.names import POLICY, POOL, TIER, Tier, Zone
from spillway.domain.model.records import PodRecord

_TIERS: Final = frozenset(Tier)


@dataclass(frozen=True, slots=True)
class NodePlace:
    """A node as one policy sees it."""

    tier: Tier
    zone: Zone
    """Empty where the node lacks the zone label."""
    pool: str = ""
    """On a virtual node: the VirtualNodeBudget's name."""
    price_rank: int = 0
    """Among virtual pools: 0 is the cheapest (first in preference); the highest is emptied first at a scale-down."""


UNKNOWN: Final = NodePlace(tier=Tier.FIXED, zone=Zone(""))
"""The place of a pod whose node is not known: it is kept longest, so that it is not deleted by mistake."""


def remembered_place(pod: PodRecord) -> NodePlace:
    """The place that the pod's own marks give, for a pod on a node that is not known, or not any more.

    Anybody can write the marks, also on a pod for a node that never was, so they are believed once a kubelet has taken
    the pod.
    """
    if not pod.started:
        return UNKNOWN
    return NodePlace(tier=Tier(pod.tier) if pod.tier in _TIERS else Tier.FIXED, zone=Zone(""), pool=pod.pool)


def place_marks(policy: str, tier: Tier, pool: str) -> dict[str, str | None]:
    """The marks of a bound pod, which `remembered_place` reads; None removes one, because not every place is a pool."""
    return {POLICY: policy, TIER: tier.value, POOL: pool or None}


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a policy on one workload that it governs."""

    policy: str
    workload_class: str
    mode: PolicyMode
    max_skew: int
    """`maxSkew` of the ZonalBalance that selects the workload; 1 if none does."""
    zone_key: str
    balance: str = ""
    """The ZonalBalance that selects the workload; empty if none does."""

    @property
    def enforced(self) -> bool:
        return self.mode is PolicyMode.ENFORCE
