"""The prices of pods, pools and nodes, and what they are made of."""

import pytest

from spillway.api.common import NodePrice
from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.virtualnodebudget import PoolPrice
from spillway.domain.explain.prices import node_price, node_price_of, physical_price, pool_price, virtual_price
from spillway.domain.model.names import Tier
from spillway.domain.model.units import GIB
from spillway.domain.model.usage import Usage
from tests.builders import make_node
from tests.support.world import ELASTIC, policy_resource

ECI = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044", "minimumSeconds": 60})
OWNED = NodePrice.model_validate({"nodeHour": "1.60", "currency": "CNY"})


def test_a_pod_on_a_pool_is_billed_for_its_size() -> None:
    found = virtual_price(ECI, Usage(1, 2000, 4 * GIB))

    assert (found.per_hour, found.currency) == ("0.876", "CNY")
    assert "2 cores and 4 GiB" in found.basis
    assert "at least 60 seconds" in found.basis


@pytest.mark.parametrize(
    ("usage", "per_hour", "of"),
    [
        (Usage(1, 4000, GIB), "0.8", "50 % of the node's CPU"),
        (Usage(1, 1000, 8 * GIB), "0.4", "25 % of the node's"),
    ],
)
def test_a_physical_pod_has_the_larger_share_of_its_node(usage: Usage, per_hour: str, of: str) -> None:
    found = physical_price(OWNED, usage, make_node(), Tier.FIXED)

    assert found is not None
    assert found.per_hour == per_hour
    assert of in found.basis


def test_a_node_that_offers_nothing_has_no_shares() -> None:
    assert physical_price(OWNED, Usage(1, 1, 1), make_node(cpu_millis=0), Tier.FIXED) is None


def test_pools_and_nodes() -> None:
    assert pool_price(ECI).per_hour == "0.526"
    assert "owned" in node_price(OWNED, Tier.FIXED).basis
    assert "while it exists" in node_price(OWNED, Tier.ELASTIC).basis


def test_which_price_a_tier_has() -> None:
    raw = policy_resource(elastic={**ELASTIC, "price": {"nodeHour": "2"}})
    spec = ElasticPolicy.model_validate(raw).spec

    elastic = node_price_of(spec, Tier.ELASTIC)
    assert elastic is not None
    assert elastic.node_hour == "2"
    assert node_price_of(spec, Tier.FIXED) is None
    assert node_price_of(spec, Tier.VIRTUAL) is None
