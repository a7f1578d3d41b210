"""The place of a node in a policy's order of cost, and the claim of a policy on a workload."""

from dataclasses import dataclass

from spillway.api.elasticpolicy import PolicyMode
from spillway.domain.model.names import Tier, Zone


@dataclass(frozen=True, slots=True)
class NodePlace:
    """A node as one policy sees it."""

    tier: Tier
    zone: Zone
    """Empty where the node lacks the zone label."""
    pool: str = ""
    """On a virtual node: the VirtualNodeBudget's name."""
    dearness: int = 0
    """Among virtual pools: 0 is the cheapest (first in preference); the highest is emptied first at a scale-down."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a policy on one workload that it governs."""

    policy: str
    workload_class: str
    mode: PolicyMode
    max_skew: int
    """`maxSkew` of the ZonalBalance that selects the workload; 1 if none does."""
    zone_key: str

    @property
    def enforced(self) -> bool:
        return self.mode is PolicyMode.ENFORCE
