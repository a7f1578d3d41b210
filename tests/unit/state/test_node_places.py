import time

from spillway.domain.model.names import ZONE_LABEL, NodeName, Tier, Zone
from spillway.domain.model.places import UNKNOWN
from spillway.domain.policies.governance import Governance
from spillway.state.node_counts import NodeCounts
from spillway.state.node_places import NodePlaces
from tests.builders import make_node, make_pod, make_state
from tests.support.policies import governance_of

ELASTIC = {"pool": "elastic"}


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.state = make_state()
        self.governance: Governance = governance_of(elastic=ELASTIC)
        self.places = NodePlaces(
            self.state, lambda: self.governance, lambda: self.now, now=time.time, order_seconds=1.0
        )

    def node(self, name: str, created: float, **labels: str) -> None:
        self.state.apply(make_node(name, created=created, labels={**ELASTIC, ZONE_LABEL: "a", **labels}))

    def tier(self, name: str) -> Tier:
        return self.places.place_of("online", NodeName(name)).tier


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
    assert Scene().places.place_of("online", NodeName("n9")) == UNKNOWN


def test_the_workloads_own_zone_key_counts() -> None:
    scene = Scene()
    scene.node("n1", 1.0, rack="r7")
    node = scene.state.nodes[NodeName("n1")]
    assert scene.places.place("online", node, zone_key="rack").zone == Zone("r7")
    assert scene.places.place("online", node).zone == Zone("a")


def test_the_order_is_made_anew_when_nodes_change_but_not_too_often() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    first = scene.places.order("online")
    assert set(first) == {"n1"}
    scene.node("n2", 2.0)
    assert scene.places.order("online") is first
    scene.now = 1.0
    second = scene.places.order("online")
    assert second[NodeName("n2")] > second[NodeName("n1")]
    scene.now = 50.0
    assert scene.places.order("online") is second
    scene.state.remove(make_node("n2"))
    assert set(scene.places.order("online")) == {"n1"}


def test_replicas_that_see_the_same_empty_the_same_nodes_whenever_they_are_asked() -> None:
    seconds = [120.0]
    state = make_state()
    governance = governance_of(elastic=ELASTIC)
    early, late = (NodePlaces(state, lambda: governance, lambda: 0.0, now=lambda: seconds[0]) for _ in range(2))
    n1, n2 = (NodeName("n1"), NodeName("n2"))
    for index, name in enumerate((n1, n2)):
        state.apply(make_node(name, created=float(index), labels=ELASTIC))
    state.apply(make_pod("one", node=n2, policy="online"))
    assert early.order("online")[n1] > early.order("online")[n2], "the one with the fewest pods goes first"
    seconds[0] = 150.0
    late.order("online")
    state.apply(make_pod("two", node=n1, policy="online"))
    state.apply(make_pod("three", node=n1, policy="online"))
    assert early.order("online")[n1] > early.order("online")[n2], "counted once a minute"
    seconds[0] = 181.0
    assert early.order("online")[n1] < early.order("online")[n2]
    state.apply(make_pod("four", node=n2, policy="online"))
    state.apply(make_pod("five", node=n2, policy="online"))
    seconds[0] = 239.0
    assert late.order("online") == early.order("online")


def test_a_pod_that_nobody_steers_keeps_its_node() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    scene.node("n2", 2.0)
    scene.state.apply(make_pod("bare", node="n2", owner_kind=""))
    scene.state.apply(make_pod("agent", node="n1", owner_kind="DaemonSet"))
    order = scene.places.order("online")
    assert order[NodeName("n2")] < order[NodeName("n1")]


def test_counting_by_delta_forgets_who_is_gone() -> None:
    minute = [0.0]
    state = make_state()
    state.apply(make_pod("before"))
    counts = NodeCounts(state, lambda: minute[0])
    assert counts.present().pods == {"n1": 1}
    state.apply(make_pod("before", node="n2"))
    state.apply(make_pod("leaving", terminating=True))
    state.apply(make_pod("bare", owner_kind=""))
    state.remove(make_pod("bare", owner_kind=""))
    minute[0] = 60.0
    assert (counts.present().pods, counts.present().staying) == ({"n2": 1}, {"n2": 1})


def test_a_policy_that_is_gone_has_no_order() -> None:
    scene = Scene()
    scene.node("n1", 1.0)
    assert scene.places.order("another") == {}


def test_whether_anybody_may_write() -> None:
    scene = Scene()
    assert scene.places.has_enforcing_policy
    scene.governance = governance_of(mode="Recommend")
    assert scene.places.has_policy
    assert not scene.places.has_enforcing_policy
    scene.governance = Governance.compile([], [], [])
    assert not scene.places.has_policy
