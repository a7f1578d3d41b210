from spillway.domain.governance import Governance
from spillway.domain.names import ZONE_LABEL, NodeName, Tier, Zone
from spillway.kube.state import ClusterState
from spillway.webhooks.surroundings import UNKNOWN, Surroundings
from tests.builders import make_node
from tests.support.policies import governance_of

ELASTIC = {"pool": "elastic"}


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.state = ClusterState()
        self.governance: Governance = governance_of(elastic=ELASTIC)
        self.surroundings = Surroundings(self.state, lambda: self.governance, lambda: self.now, order_seconds=1.0)

    def node(self, name: str, created: float, **labels: str) -> None:
        self.state.apply(make_node(name, created=created, labels={**ELASTIC, ZONE_LABEL: "a", **labels}))

    def tier(self, name: str) -> Tier:
        return self.surroundings.place_of("online", NodeName(name)).tier


def test_a_place_follows_the_node() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    assert scene.tier("n1") is Tier.ELASTIC
    scene.node("n1", 1.0, pool="fixed")
    assert scene.tier("n1") is Tier.FIXED


def test_a_place_follows_the_policies() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    assert scene.tier("n1") is Tier.ELASTIC
    scene.governance = governance_of()
    assert scene.tier("n1") is Tier.FIXED


def test_an_unknown_node_is_taken_for_one_that_is_kept() -> None:
    assert Scene().surroundings.place_of("online", NodeName("n9")) == UNKNOWN


def test_the_workloads_own_zone_key_counts() -> None:
    scene = Scene()
    scene.node("n1", 1.0, rack="r7")
    node = scene.state.nodes[NodeName("n1")]
    assert scene.surroundings.place("online", node, zone_key="rack").zone == Zone("r7")
    assert scene.surroundings.place("online", node).zone == Zone("a")


def test_the_order_is_made_anew_when_nodes_change_but_not_too_often() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    first = scene.surroundings.order("online")
    assert set(first) == {"n1"}
    scene.node("n2", 2.0)
    assert scene.surroundings.order("online") is first
    scene.now = 1.0
    second = scene.surroundings.order("online")
    assert second[NodeName("n2")] > second[NodeName("n1")]
    scene.now = 50.0
    assert scene.surroundings.order("online") is second
    scene.state.remove(make_node("n2"))
    assert set(scene.surroundings.order("online")) == {"n1"}


def test_a_policy_that_is_gone_has_no_order() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    assert scene.surroundings.order("another") == {}


def test_whether_anybody_may_write() -> None:
    scene = Scene()
    assert scene.surroundings.has_enforcing_policy
    scene.governance = governance_of(mode="Recommend")
    assert scene.surroundings.has_policy
    assert not scene.surroundings.has_enforcing_policy
    scene.governance = Governance.compile([], [], [])
    assert not scene.surroundings.has_policy
