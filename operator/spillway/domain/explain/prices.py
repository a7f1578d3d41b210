"""What one pod, node or pool costs per hour, with what the amount is made of.

Contract: pure and exact; amounts are shown with six decimals at most. A pod on a physical node is given the larger of
its shares of the node's CPU and memory, although no such bill exists: the node costs the same without it.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from spillway.api.common import NodePrice
from spillway.api.elasticpolicy import ElasticPolicySpec
from spillway.api.virtualnodebudget import COMPARED_GIB_PER_CORE, PoolPrice
from spillway.domain.budget.price import per_hour, shown
from spillway.domain.explain.answers import Price
from spillway.domain.model.names import Tier
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.units import GIB
from spillway.domain.model.usage import Usage

_SIX: Final = 10**6


def virtual_price(price: PoolPrice, billed: Usage) -> Price:
    """The price of a pod on a pool, which is billed so much."""
    amount = per_hour(price, billed.cpu_millis, billed.memory_bytes)
    size = f"{billed.cpu_millis / 1000:g} cores and {billed.memory_bytes / GIB:.4g} GiB"
    minimum = f", for at least {price.minimum_seconds} seconds" if price.minimum_seconds else ""
    return Price(shown(amount), price.currency, f"the provider bills {size} while the pod runs{minimum}")


def pool_price(price: PoolPrice) -> Price:
    """The price by which pools are compared."""
    basis = f"one core ({price.cpu_hour}) with {COMPARED_GIB_PER_CORE} GiB ({price.memory_gib_hour} each)"
    return Price(shown(price.compared), price.currency, basis)


def node_price_of(spec: ElasticPolicySpec, tier: Tier) -> NodePrice | None:
    """The price of a node of this tier; None where the policy has none."""
    tiers = spec.tiers
    if tier is Tier.VIRTUAL:
        return None
    found = tiers.fixed if tier is Tier.FIXED else tiers.elastic
    return None if found is None else found.price


def node_price(price: NodePrice, tier: Tier) -> Price:
    """The price of a whole node."""
    basis = "owned: it costs the same, used or not" if tier is Tier.FIXED else "elastic: it is billed while it exists"
    return Price(shown(price.node_hour.amount), price.currency, basis)


def physical_price(price: NodePrice, requests: Usage, node: NodeRecord, tier: Tier) -> Price | None:
    """The part of a node's price that a pod's requests are; None where the node offers nothing."""
    if not (node.cpu_millis and node.memory_bytes):
        return None
    cpu, memory = Fraction(requests.cpu_millis, node.cpu_millis), Fraction(requests.memory_bytes, node.memory_bytes)
    share, of = (cpu, "CPU") if cpu >= memory else (memory, "memory")
    exact = Fraction(price.node_hour.amount) * share
    amount = Decimal(round(exact * _SIX)) / _SIX
    saved = "the node costs the same without it" if tier is Tier.FIXED else "saved once the node is removed"
    basis = f"{float(share * 100):.3g} % of the node's {of} at {price.node_hour} an hour; {saved}"
    return Price(shown(amount), price.currency, basis)
