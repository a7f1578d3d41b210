"""What a pod is told about where it landed."""

import pytest

from spillway.domain.model.names import Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.overlay.landing import landing_annotation, landing_marks, landing_reference
from tests.unit.domain.overlay.overlay_cases import overlay

ENV = overlay(
    env=[
        {"name": "TIER", "fromLanding": "tier"},
        {"name": "JAEGER_ENDPOINT", "value": "http://collector:14268", "landed": True},
        {"name": "EMPTY", "value": "", "landed": True},
        {"name": "REGION", "value": "b"},
    ]
)
VIRTUAL = NodePlace(tier=Tier.VIRTUAL, zone=Zone("a"), pool="eci-a")


def test_on_the_pool_a_pod_gets_zone_node_and_the_pools_landed_values() -> None:
    assert landing_marks(VIRTUAL, "vk-1", ENV) == {
        "landing.spillway.dev/node": "vk-1",
        "landing.spillway.dev/zone": "a",
        "landing.spillway.dev/env.JAEGER_ENDPOINT": "http://collector:14268",
        "landing.spillway.dev/env.EMPTY": "",
    }


@pytest.mark.parametrize("tier", [Tier.FIXED, Tier.ELASTIC])
def test_elsewhere_a_pod_learns_its_zone_and_node_only(tier: Tier) -> None:
    marks = landing_marks(NodePlace(tier=tier, zone=Zone("b")), "n1", None)
    assert marks == {"landing.spillway.dev/node": "n1", "landing.spillway.dev/zone": "b"}


def test_a_node_without_a_zone_gives_none() -> None:
    assert landing_marks(NodePlace(tier=Tier.FIXED, zone=Zone("")), "n1", None) == {"landing.spillway.dev/node": "n1"}


def test_a_variable_refers_to_what_is_stamped() -> None:
    assert landing_reference(ENV.env[1]) == {
        "name": "JAEGER_ENDPOINT",
        "valueFrom": {
            "fieldRef": {
                "apiVersion": "v1",
                "fieldPath": "metadata.annotations['landing.spillway.dev/env.JAEGER_ENDPOINT']",
            }
        },
    }
    assert landing_annotation(ENV.env[0]) == "spillway.dev/tier"
