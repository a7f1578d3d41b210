"""What `bench_cordon` reads from the watch, and how it sums it up."""

import msgspec

from spillway.domain.model.names import ELASTIC_TAINT, NodeName
from spillway.domain.model.records import Taint
from tests.bench.bench_cordon import Arrivals, summary
from tests.builders import make_node, make_state


def test_the_last_node_of_each_round_and_every_node_are_told_apart() -> None:
    figures = summary([[0.1, 0.2, 0.4], [0.1, 0.3, 0.8]])
    assert figures["last_node_of_a_round_ms"]["max"] == figures["each_node_ms"]["max"] == 800
    assert figures["last_node_of_a_round_ms"]["p50"] == 800
    assert figures["each_node_ms"]["p50"] == 300


def test_only_what_turned_since_the_round_began_counts() -> None:
    state = make_state()
    arrivals = Arrivals(state)
    first, second = (make_node(name) for name in ("v1", "v2"))
    for node in (first, second):
        state.apply(node)
    state.apply(msgspec.structs.replace(first, unschedulable=True))
    assert set(arrivals.turned) == {"v1"}

    arrivals.begin()
    assert arrivals.turned == {}
    ours = Taint(ELASTIC_TAINT, "PreferNoSchedule", "online")
    state.apply(msgspec.structs.replace(second, taints=(ours,)))
    assert (set(arrivals.turned), set(arrivals.tainted)) == (set(), {"v2"})
    assert arrivals.tainted[NodeName("v2")] >= arrivals.appeared[NodeName("v2")]
