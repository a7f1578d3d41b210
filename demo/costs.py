"""The cost of the day, at one price table for all contenders. Pure.

Contract: fixed nodes are paid for the whole day, used or not; elastic nodes while they exist; virtual nodes by what
their pods request while they exist, at the price that the demo's VirtualNodeBudget names. Amounts are in `CURRENCY`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from demo.contenders import Contender
from demo.manifests import ELASTIC_CPU, FIXED_CPU, FIXED_NODES, REQUEST_MEMORY_MIB, VIRTUAL_PRICE
from demo.scenario import REQUEST_MILLIS
from spillway.api.virtualnodebudget import PoolPrice
from spillway.domain.budget.price import per_hour

CURRENCY: Final = VIRTUAL_PRICE["currency"]
FIXED_NODE_HOUR: Final = 0.36
"""0.03 a core: a machine that is reserved for a year or more."""
ELASTIC_NODE_HOUR: Final = 0.40
"""0.05 a core: a machine on demand."""
VIRTUAL_POD_HOUR: Final = float(
    per_hour(PoolPrice.model_validate(VIRTUAL_PRICE), REQUEST_MILLIS, REQUEST_MEMORY_MIB * 2**20)
)
_REQUESTS: Final = f"{REQUEST_MILLIS / 1000:g} CPU, {REQUEST_MEMORY_MIB} MiB"
BASELINE: Final = Contender.PLAIN.value


@dataclass(frozen=True, slots=True)
class Price:
    """One line of the price table; `key` is the part of the cost that it makes."""

    key: str
    what: str
    amount: float
    per: str


PRICES: Final = (
    Price("fixed", f"{FIXED_NODES} fixed nodes ({FIXED_CPU} CPUs), all day", FIXED_NODE_HOUR, "node-hour"),
    Price("elastic", f"elastic nodes ({ELASTIC_CPU} CPUs)", ELASTIC_NODE_HOUR, "node-hour"),
    Price("virtual", f"virtual pods ({_REQUESTS})", VIRTUAL_POD_HOUR, "pod-hour"),
)


def cost(*, hours: float, elastic_node_hours: float, virtual_pod_hours: float) -> dict[str, float]:
    """The cost of so many hours by tier, and its `total`, in cents' precision."""
    parts = {
        "fixed": round(FIXED_NODES * hours * FIXED_NODE_HOUR, 2),
        "elastic": round(elastic_node_hours * ELASTIC_NODE_HOUR, 2),
        "virtual": round(virtual_pod_hours * VIRTUAL_POD_HOUR, 2),
    }
    return {**parts, "total": round(sum(parts.values()), 2)}


def saving(figures: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    """How much less a contender's day cost than the baseline's; negative if it cost more, None without one of them."""
    if name == BASELINE or not {BASELINE, name} <= figures.keys():
        return None
    return round(float(figures[BASELINE]["cost"]["total"]) - float(figures[name]["cost"]["total"]), 2)


def saving_share(figures: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    """The saving as a share of what the baseline's day cost; None without a baseline."""
    saved = saving(figures, name)
    if saved is None:
        return None
    return round(saved / float(figures[BASELINE]["cost"]["total"]), 4)
