"""The verdict on a pool: whether it takes pods now, from everything except its limits.

Contract: the user's hold comes first, then whether there are nodes, then health, then stock. So a pool that was held
stays held when it is healthy again, and one that failed stays closed when the hold is lifted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from spillway.domain.model.records import NodeRecord
from spillway.domain.pools.health import PROBE_PODS, Health, State

HELD: Final = "is held"
KEPT_OUT: Final = "did not start pods of its namespace"
NO_STOCK: Final = "is out of stock for pods of its namespace"
RETRYING: Final = f"is being tried with {PROBE_PODS} pods at a time"
CLAUSES: Final[Mapping[str, str]] = {
    "Held": HELD,
    "NoNodes": "has no nodes",
    "Unhealthy": "is unhealthy",
    "OutOfStock": "is out of stock",
    "Retrying": RETRYING,
}
"""By the reason of a verdict, which is also that of the condition `Accepting`: why a pod does not go to the pool."""


@dataclass(frozen=True, slots=True)
class PoolVerdict:
    """Whether a VirtualNodeBudget takes pods, by its hold, health and stock. Its limits are checked for each pod."""

    takes: bool = True
    reason: str = "Open"
    """Open, or a key of `CLAUSES`; in Retrying it takes a few pods at a time."""
    step: int = 0
    """The size of `stockOut.ladder` that is requested now; 0 is the pod's own request."""
    kept_out: frozenset[str] = frozenset()
    """Namespaces whose pods it does not take, because pods of theirs did not start there."""
    steps: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The same as `step` for namespaces whose pods had no stock of more sizes than others saw."""
    out_of_stock_for: frozenset[str] = frozenset()
    """Of these, the namespaces for whose pods there was no stock of any size."""

    @property
    def closed(self) -> bool:
        """Whether pods that were sent there would never get a node; a pool that is tried again waits for them."""
        return not self.takes and not self.retrying

    def closed_to(self, namespace: str) -> bool:
        """Whether pods of this namespace that were sent there would never get a node, or not start."""
        return self.closed or bool(self.clause_for(namespace))

    def clause_for(self, namespace: str) -> str:
        """Why pods of this namespace do not go to the pool while others do; empty if they do."""
        if namespace in self.kept_out:
            return KEPT_OUT
        return NO_STOCK if namespace in self.out_of_stock_for else ""

    def step_for(self, namespace: str) -> int:
        """The size that pods of this namespace request."""
        return self.steps.get(namespace, self.step)

    @property
    def clause(self) -> str:
        """Why a pod does not go to the pool; empty while it takes pods."""
        return "" if self.takes else CLAUSES[self.reason]

    @property
    def retrying(self) -> bool:
        """Whether the pool is being tried again, with a few pods at a time."""
        return self.reason == "Retrying"


OPEN: Final = PoolVerdict()


def takes_probe(coming: int) -> bool:
    """Whether a pool that is being tried again takes one more pod; `coming` are those that have not started there."""
    return coming < PROBE_PODS


def pool_verdict(
    nodes: Iterable[NodeRecord],
    health: Health,
    *,
    held: bool,
    step: int,
    out_of_stock: bool,
    coming: int,
    kept_out: frozenset[str] = frozenset(),
    steps: Mapping[str, int] = MappingProxyType({}),
    out_of_stock_for: frozenset[str] = frozenset(),
) -> PoolVerdict:
    """The verdict on one pool. `coming` counts pods that are sent there, or bound, and have not started."""
    nodes = tuple(nodes)
    takes, reason = True, "Open"
    # Nodes that are not ready close no pool before it counts as failed: a short interruption replaces none of its pods.
    # New pods skip it in the meantime, because a pod is only sent to a pool with a ready node.
    if held or (nodes and all(node.unschedulable for node in nodes)):
        takes, reason = False, "Held"
    elif not nodes:
        takes, reason = False, "NoNodes"
    elif health.state is State.FAILED:
        takes, reason = False, "Unhealthy"
    elif out_of_stock:
        takes, reason = False, "OutOfStock"
    elif health.state is State.RETRYING:
        takes, reason = takes_probe(coming), "Retrying"
    return PoolVerdict(takes, reason, step, kept_out, steps, out_of_stock_for)
