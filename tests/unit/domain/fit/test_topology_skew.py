"""Required topology spread, by where the other pods are."""

from typing import Any

import pytest

from spillway.domain.fit.topology_skew import SKEWED, topology_skew
from spillway.domain.model.records import NodeRecord
from tests.builders import make_node
from tests.support.neighbours import HOST, ZONE, Other, Others, hosts, pod_of

NODES = hosts(v1="a", v2="b")
WEB = {"app": "web"}


def spread(key: str = ZONE, **more: Any) -> dict[str, Any]:
    return {
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": WEB},
        **more,
    }


@pytest.mark.parametrize(
    ("constraint", "others", "left"),
    [
        pytest.param(spread(), [], "v1 v2", id="even"),
        pytest.param(spread(), [Other(WEB, "v1")], "v2", id="one ahead"),
        pytest.param(spread(maxSkew=2), [Other(WEB, "v1")], "v1 v2", id="a larger skew is allowed"),
        pytest.param(spread(), [Other(WEB, "v1", leaving=True)], "v1 v2", id="one that is leaving does not count"),
        pytest.param(spread(), [Other({"app": "db"}, "v1")], "v1 v2", id="one that is not selected"),
        pytest.param(spread(), [Other(WEB, "v1", "other")], "v1 v2", id="one of another namespace"),
        pytest.param(spread(), [Other(WEB)], "v2", id="a promised one fills a domain"),
        pytest.param(spread(minDomains=3), [Other(WEB, "v1"), Other(WEB, "v2")], "", id="too few domains"),
        pytest.param(spread(minDomains=2), [Other(WEB, "v1"), Other(WEB, "v2")], "v1 v2", id="enough domains"),
        pytest.param(spread(whenUnsatisfiable="ScheduleAnyway"), [Other(WEB, "v1")], "v1 v2", id="soft"),
        pytest.param(spread("rack"), [], "", id="no node has the label"),
    ],
)
def test_the_nodes_that_are_left(constraint: dict[str, Any], others: list[Other], left: str) -> None:
    pod = pod_of("web", topologySpreadConstraints=[constraint])
    nodes, said = topology_skew(pod, NODES, NODES, Others(NODES, others))
    assert " ".join(node.name for node in nodes) == left
    assert said == ("" if left else SKEWED)


def test_an_empty_domain_counts_although_its_nodes_take_no_pods() -> None:
    pod = pod_of("web", topologySpreadConstraints=[spread()])
    others = Others(NODES, [Other(WEB, "v1")])
    assert topology_skew(pod, NODES[:1], NODES, others) == ((), SKEWED)


def test_nodes_outside_the_pool_count_only_if_the_constraint_ignores_the_affinity_for_the_pool() -> None:
    outside: list[NodeRecord] = [make_node("f1", labels={HOST: "f1", ZONE: "c"})]
    others = Others([*NODES, *outside], [Other(WEB, "v1"), Other(WEB, "v2")])
    for policy, left in (("Honor", NODES), ("Ignore", ())):
        pod = pod_of("web", topologySpreadConstraints=[spread(nodeAffinityPolicy=policy)])
        assert topology_skew(pod, NODES, NODES, others)[0] == left
