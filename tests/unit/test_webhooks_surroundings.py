import pytest

from spillway.domain.names import NodeName, Tier, Zone
from spillway.domain.places import NodePlace
from spillway.kube.state import ClusterState
from spillway.webhooks.surroundings import Surroundings
from tests.builders import make_node, make_pod


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class OnePolicy:
    """Governance of a policy `online` under which every node is elastic."""

    policies: dict[str, object]

    def __init__(self) -> None:
        self.policies = {}

    def place(self, *_: object, **__: object) -> NodePlace:
        return NodePlace(tier=Tier.ELASTIC, zone=Zone("a"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state() -> ClusterState:
    state = ClusterState()
    for name, created in (("old", 1.0), ("new", 2.0)):
        state.apply(make_node(name, created=created))
    return state


def surroundings(state: ClusterState, clock: Clock) -> Surroundings:
    governance = OnePolicy()
    made = Surroundings(state, lambda: governance, clock)  # type: ignore[arg-type, return-value]
    made._compiled = governance  # type: ignore[assignment]
    governance.policies["online"] = object()
    return made


def first(made: Surroundings) -> str:
    order = made.order("online")
    return max(order, key=lambda name: order[name])


def test_the_node_with_fewest_pods_empties_first(state: ClusterState, clock: Clock) -> None:
    state.apply(make_pod("web-1", node=NodeName("new"), policy="online"))
    assert first(surroundings(state, clock)) == "old"


def test_a_node_with_a_pod_that_will_not_leave_empties_last(state: ClusterState, clock: Clock) -> None:
    state.apply(make_pod("bare", node=NodeName("old"), owner_kind="", owner_uid=""))
    for number in range(3):
        state.apply(make_pod(f"web-{number}", node=NodeName("new"), policy="online"))
    assert first(surroundings(state, clock)) == "new"


@pytest.mark.parametrize("kind", ["DaemonSet", "Job", "Node"])
def test_pods_that_go_with_their_node_do_not_hold_it(state: ClusterState, clock: Clock, kind: str) -> None:
    state.apply(make_pod("agent", node=NodeName("old"), owner_kind=kind))
    state.apply(make_pod("web-1", node=NodeName("new"), policy="online"))
    state.apply(make_pod("web-2", node=NodeName("new"), policy="online"))
    assert first(surroundings(state, clock)) == "old"


def test_counts_are_looked_at_once_a_minute(state: ClusterState, clock: Clock) -> None:
    made = surroundings(state, clock)
    assert first(made) == "new"
    state.apply(make_pod("web-1", node=NodeName("new"), policy="online"))
    clock.now += 59
    assert first(made) == "new"
    clock.now += 1
    assert first(made) == "old"


def test_a_node_that_joins_is_in_the_order_a_second_later(state: ClusterState, clock: Clock) -> None:
    made = surroundings(state, clock)
    assert first(made) == "new"
    state.apply(make_node("newest", created=3.0))
    assert first(made) == "new"
    clock.now += 1
    assert first(made) == "newest"
