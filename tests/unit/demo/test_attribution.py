"""For which contender the operator wrote an object, by names alone."""

import pytest

from demo.attribution import written_for
from demo.contenders import Contender
from spillway.domain.headroom.manifests import name_of
from spillway.domain.model.names import Zone

SYSTEM = "spillway-system"
PLACEHOLDERS = name_of("demo-moves", Zone("zone-b"))


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "contender"),
    [
        pytest.param("pods", "day-spillway", "svc-1-a-b", Contender.SPILLWAY, id="a pod of the day"),
        pytest.param("deployments", "day-spillway-moves", "svc-1", Contender.SPILLWAY_MOVES, id="a surge"),
        pytest.param("replicasets", "storm-spillway", "svc-1-a", Contender.SPILLWAY, id="the storm"),
        pytest.param("nodes", "", "spillway-elastic-x7k2p", Contender.SPILLWAY, id="an elastic node"),
        pytest.param("nodes", "", "spillway-moves-elastic-x7k2p", Contender.SPILLWAY_MOVES, id="that of another"),
        pytest.param("nodes", "", "spillway-moves-fixed-zone-a-0", Contender.SPILLWAY_MOVES, id="a fixed node"),
        pytest.param("nodes", "", "another", None, id="a node of no contender"),
        pytest.param("elasticpolicies", "", "demo", Contender.SPILLWAY, id="a policy"),
        pytest.param("elasticpolicies", "", "demo-moves", Contender.SPILLWAY_MOVES, id="another policy"),
        pytest.param("virtualnodebudgets", "", "demo-moves", Contender.SPILLWAY_MOVES, id="a budget"),
        pytest.param("deployments", SYSTEM, PLACEHOLDERS, Contender.SPILLWAY_MOVES, id="headroom"),
        pytest.param("pods", SYSTEM, f"{PLACEHOLDERS}-5f-x", Contender.SPILLWAY_MOVES, id="a placeholder pod"),
        pytest.param("secrets", SYSTEM, "spillway-webhook", None, id="what serves all contenders"),
        pytest.param("mutatingwebhookconfigurations", "", "spillway", None, id="a webhook configuration"),
    ],
)
def test_the_contender_of_an_object(resource: str, namespace: str, name: str, contender: Contender | None) -> None:
    assert written_for(resource, namespace, name) is contender
