"""The prices of one core of a workload's real load per hour, on each kind of node.

Contract: pure; None where a price is not known, or where a replica requests nothing that could be priced. Nodes are
priced as filled up to the target utilisation. An elastic node is paid for while it is needed, while it starts and until
the node autoscaler removes it. A replica on virtual nodes is billed for its requests, so the less of
them it uses and the more memory it requests, the more expensive a core of its load is there.
"""

from dataclasses import dataclass
from typing import Final

from spillway.domain.threshold.billing import Billing
from spillway.domain.threshold.history import STEP_SECONDS
from spillway.domain.threshold.request import PolicyNeed, WorkloadNeed

ELASTIC_BILLING: Final = Billing(STEP_SECONDS, startup_seconds=180.0, idle_seconds=600.0)
"""An elastic node takes minutes to start; cluster-autoscaler removes it after ten minutes without need by default."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one core of real load for an hour, in the policy's currency."""

    owned_node_core: float | None
    """The price of one core of an owned node, used or not."""
    elastic_core: float | None
    virtual_core: float | None
    billing: Billing
    """What is billed on virtual nodes."""
    elastic_billing: Billing = ELASTIC_BILLING

    @property
    def known(self) -> bool:
        """Whether owning can be compared with virtual nodes."""
        return bool(self.owned_node_core) and bool(self.virtual_core)


def priced(need: WorkloadNeed, policy: PolicyNeed, cores: float, node_cores: float) -> Prices:
    """The prices of a workload whose replica has a real load of `cores`."""
    owned = elastic = virtual = None
    if policy.fixed_node_hour is not None and node_cores > 0:
        owned = policy.fixed_node_hour / node_cores
    size = policy.elastic_node_cores or node_cores
    if policy.elastic_node_hour is not None and size > 0:
        elastic = policy.elastic_node_hour / (size * policy.target)
    if policy.virtual_core_hour is not None and policy.virtual_gib_hour is not None:
        replica = need.request_cores * policy.virtual_core_hour + need.request_gib * policy.virtual_gib_hour
        virtual = replica / cores if replica > 0 else None
    return Prices(owned, elastic, virtual, Billing(STEP_SECONDS, policy.minimum_seconds, policy.startup_seconds))
