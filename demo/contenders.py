"""The contenders of the day, and the labels that separate their nodes and pods in one cluster."""

from enum import StrEnum
from typing import Final

from spillway.domain.model.names import ZONE_LABEL, NodeName, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import NodeRecord

CONTENDER_LABEL: Final = "demo.spillway.dev/contender"
"""On namespaces, nodes and pods: the contender to which they belong."""

TIER_LABEL: Final = "demo.spillway.dev/tier"
"""On nodes: the tier. The observer uses it for all contenders."""

APP_LABEL: Final = "app"
DAY: Final = "day"
STORM: Final = "storm"


class Contender(StrEnum):
    """One way of scaling down; each has a namespace, nodes and a Karpenter pool of its own."""

    PLAIN = "plain"
    """Kubernetes without Spillway."""
    FLAT = "flat"
    """Deletion cost -1 on elastic and virtual pods, and a soft taint on elastic nodes."""
    SPILLWAY = "spillway"
    PLAIN_DRAIN = "plain-drain"
    """Kubernetes without Spillway, and Karpenter drains nodes that are little used (`WhenEmptyOrUnderutilized`)."""
    SPILLWAY_MOVES = "spillway-moves"
    """Spillway, which also empties elastic nodes by moves (`consolidation`)."""

    @property
    def key(self) -> str:
        """Its key in JSON."""
        return self.value.replace("-", "_")

    @property
    def operated(self) -> bool:
        """Whether the operator acts for it."""
        return self in _OPERATED

    @property
    def namespace(self) -> str:
        return f"{DAY}-{self.value}"

    @property
    def storm_namespace(self) -> str:
        return f"{STORM}-{self.value}"

    def pool(self, tier: Tier) -> str:
        """The name of this contender's node pool of that tier; node names contain it."""
        return f"{self.value}-{tier.value}"


_OPERATED: Final = (Contender.SPILLWAY, Contender.SPILLWAY_MOVES)


def contender_of(namespace: str) -> Contender | None:
    """The contender of a namespace; None if it belongs to none."""
    scene, _, name = namespace.partition("-")
    return Contender(name) if scene in (DAY, STORM) and name in set(Contender) else None


def owner_of(node: NodeRecord) -> Contender | None:
    """The contender of a node; None if it belongs to none."""
    name = node.labels.get(CONTENDER_LABEL, "")
    return Contender(name) if name in set(Contender) else None


def place_of(node: NodeRecord) -> NodePlace:
    """The node's place by the demo's own labels, so that all contenders are compared in the same way."""
    tier = node.labels.get(TIER_LABEL, "")
    return NodePlace(
        tier=Tier(tier) if tier in set(Tier) else Tier.FIXED,
        zone=Zone(node.labels.get(ZONE_LABEL, "")),
        pool=tier if tier == Tier.VIRTUAL else "",
    )


def tier_of(nodes: dict[NodeName, NodeRecord], name: NodeName) -> Tier | None:
    """The tier of a node by its name; None while unassigned or unknown."""
    node = nodes.get(name)
    return None if node is None else place_of(node).tier
