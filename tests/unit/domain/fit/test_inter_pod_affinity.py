"""Required affinity and anti-affinity between pods, from both sides."""

import pytest

from spillway.domain.fit.inter_pod_affinity import AFFINITY, ANTI_AFFINITY, REPELLED, inter_pod_affinity
from spillway.domain.fit.neighbours import Incoming
from spillway.domain.model.pod_terms import required_pod_terms
from tests.support.neighbours import HOST, ZONE, Other, Others, hosts, pod_of, required

NODES = hosts(v1="a", v2="b", v3="b")
APART = pod_of("web", affinity={"podAntiAffinity": required(HOST, "web")})
APART_BY_ZONE = pod_of("web", affinity={"podAntiAffinity": required(ZONE, "web")})
NEAR = pod_of("web", affinity={"podAffinity": required(ZONE, "cache")})
WEB, CACHE = {"app": "web"}, {"app": "cache"}


@pytest.mark.parametrize(
    ("pod", "others", "left", "clause"),
    [
        pytest.param(APART, [], "v1 v2 v3", "", id="no other pod"),
        pytest.param(APART, [Other(WEB, "v1")], "v2 v3", "", id="one is taken"),
        pytest.param(APART, [Other(CACHE, "v1")], "v1 v2 v3", "", id="by a pod that is not selected"),
        pytest.param(APART, [Other(WEB, "v1", "other")], "v1 v2 v3", "", id="in another namespace"),
        pytest.param(APART, [Other(WEB, "v1", leaving=True)], "v2 v3", "", id="one that is being deleted counts"),
        pytest.param(APART, [Other(WEB)] * 2, "v1 v2 v3", "", id="two are promised, three are free"),
        pytest.param(APART, [Other(WEB)] * 3, "", ANTI_AFFINITY, id="all are promised"),
        pytest.param(APART, [Other(WEB, "v1"), Other(WEB), Other(WEB)], "", ANTI_AFFINITY, id="taken and promised"),
        pytest.param(APART_BY_ZONE, [Other(WEB, "v3")], "v1", "", id="a node takes its zone"),
        pytest.param(APART_BY_ZONE, [Other(WEB, "v3"), Other(WEB)], "", ANTI_AFFINITY, id="the other zone is promised"),
        pytest.param(NEAR, [Other(CACHE, "v3")], "v2 v3", "", id="near"),
        pytest.param(NEAR, [Other(CACHE)], "", AFFINITY, id="it is nowhere yet"),
        pytest.param(pod_of("cache", affinity=NEAR.spec["affinity"]), [], "v1 v2 v3", "", id="the first of its kind"),
    ],
)
def test_the_nodes_that_are_left(pod: Incoming, others: list[Other], left: str, clause: str) -> None:
    nodes, said = inter_pod_affinity(pod, NODES, Others(NODES, others))
    assert " ".join(node.name for node in nodes) == left
    assert said == clause


def test_the_anti_affinity_of_another_pod_keeps_a_pod_off_that_has_none() -> None:
    term = required_pod_terms(required(ZONE, "web"), "shop", {})[0]
    others = Others(NODES, terms=[(term, ["v2"])])
    assert [node.name for node in inter_pod_affinity(pod_of("web"), NODES, others)[0]] == ["v1"]
    others.terms[0][1].append("v1")
    assert inter_pod_affinity(pod_of("web"), NODES, others) == ((), REPELLED)


def test_nodes_without_the_label_of_an_anti_affinity_always_fit_it() -> None:
    bare = hosts("v1")
    assert inter_pod_affinity(APART_BY_ZONE, bare, Others(bare, [Other(WEB, "v1"), Other(WEB)]))[0] == bare


def test_nodes_without_the_label_of_an_affinity_never_fit_it() -> None:
    bare = hosts("v1")
    assert inter_pod_affinity(NEAR, bare, Others(bare, [Other(CACHE, "v1")])) == ([], AFFINITY)
