"""Where a node stands in a policy's order of cost, and who governs a workload: the words planners are asked in."""

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
    """Among virtual pools: 0 is the cheapest (first in preference); the highest goes first at scale-down."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A policy's hold on one workload."""

    policy: str
    workload_class: str
    mode: PolicyMode
    max_skew: int
    """Of the ZonalBalance that selects the workload; 1 where none does."""
    zone_key: str

    @property
    def enforced(self) -> bool:
        return self.mode is PolicyMode.ENFORCE
