"""Whether other pods leave a node of a pool to a pod."""

import pytest

from spillway.domain.fit.other_pods import concerns_other_pods, refusal_by_other_pods
from tests.support.neighbours import HOST, Other, Others, hosts, pod_of, required

SPREAD = {"topologyKey": HOST, "maxSkew": 1, "labelSelector": {"matchLabels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("spec", "concerns"),
    [
        ({}, False),
        ({"affinity": {"nodeAffinity": {"x": 1}}}, False),
        ({"affinity": None, "topologySpreadConstraints": []}, False),
        ({"affinity": {"podAffinity": required(HOST, "web")}}, True),
        ({"affinity": {"podAntiAffinity": required(HOST, "web")}}, True),
        ({"topologySpreadConstraints": [SPREAD]}, True),
    ],
)
def test_only_pods_with_such_terms_are_looked_at_closely(spec: dict[str, object], *, concerns: bool) -> None:
    assert concerns_other_pods(spec) is concerns


def test_a_node_has_to_satisfy_both_rules_at_once() -> None:
    nodes = hosts("v1", "v2")
    anti = {"podAntiAffinity": required(HOST, "db")}
    pod = pod_of("web", affinity=anti, topologySpreadConstraints=[SPREAD])
    alone = Others(nodes, [Other({"app": "db"}, "v1")])
    assert refusal_by_other_pods(pod, nodes, nodes, alone) == ""
    # One node is excluded by the anti-affinity, the other by the spread.
    both = Others(nodes, [*alone.pods, Other({"app": "web"}, "v2")])
    assert "topology spread" in refusal_by_other_pods(pod, nodes, nodes, both)
