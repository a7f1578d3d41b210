"""The scores of nodes: by the last reading, and by the pods that have come since."""

from typing import Any

import msgspec

from spillway.domain.balance.load import COUNTED_SECONDS, Loads, NodeShare, Weights, following
from spillway.domain.balance.node_scores import MEASURED_SECONDS, NodeLoads
from spillway.domain.model.names import EMPTYING_TAINT, NodeName
from spillway.domain.model.records import Phase, Taint
from spillway.state.node_scores import NodeScores
from tests.builders import make_node, make_pod, make_state
from tests.support.fake_clock import FakeClock

CPU = Weights(1, 0)


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock(10_000.0)
        self.state = make_state()
        self.scores = NodeScores(self.state, self.clock, in_pool=lambda node: "pool" in node.labels)
        for name in ("a", "b", "c"):
            self.state.apply(make_node(name, cpu_millis=1000))

    def read(self, target: float = 80.0, **percent: float) -> NodeLoads:
        loads = {NodeName(name): value for name, value in percent.items()}
        return NodeLoads(loads, self.clock.now(), 60.0, target, CPU)

    def of(self, *names: str) -> list[int] | None:
        return self.scores.of([NodeName(name) for name in names])

    def bound(self, name: str, node: str, **changes: Any) -> None:
        """A pod is created, and then bound."""
        waiting = make_pod(name, node=NodeName(""), cpu_millis=400, created=self.clock.now())
        self.state.apply(waiting)
        self.state.apply(msgspec.structs.replace(waiting, node=NodeName(node), **changes))


def test_before_the_first_reading_there_are_no_scores() -> None:
    assert Scene().of("a", "b") is None


def test_nodes_are_scored_in_the_order_in_which_they_were_asked_for() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0, b=40.0, c=90.0)])
    assert scene.of("c", "a", "b") == [0, 10, 5]


def test_a_node_without_a_load_has_the_score_of_the_mean() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0, b=80.0)])
    assert scene.of("new") == [5]


def test_a_node_that_is_emptied_and_one_of_a_pool_have_the_lowest_score() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0, b=40.0)])
    assert scene.of("a", "b") == [10, 5]
    scene.state.apply(make_node("a", cpu_millis=1000, taints=(Taint(EMPTYING_TAINT, "PreferNoSchedule"),)))
    scene.state.apply(make_node("virtual", labels={"pool": "a"}))
    assert scene.of("a", "b", "virtual") == [0, 5, 0]
    scene.state.apply(make_node("a", cpu_millis=1000))
    assert scene.of("a", "b") == [10, 5]


def test_an_old_reading_is_none_until_the_next_one() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0)])
    scene.clock.forward(60.0)
    assert scene.of("a") == [10]
    scene.clock.forward(0.1)
    assert scene.of("a") is None
    scene.scores.use([scene.read(a=40.0)])
    assert scene.of("a") == [5]


def test_of_several_readings_the_first_counts_as_long_as_it_is_current() -> None:
    scene = Scene()
    first = scene.read(a=0.0)
    scene.clock.forward(30.0)
    scene.scores.use([first, scene.read(a=80.0, b=40.0)])
    assert scene.of("a", "b") == [10, 5]
    scene.clock.forward(31.0)
    assert scene.of("a", "b") == [0, 5], "the first is too old"


def test_a_burst_goes_to_several_nodes_before_the_next_reading() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0, b=20.0)])
    assert scene.of("a", "b") == [10, 8]
    scene.clock.forward(5.0)
    scene.bound("p0", "a")
    assert scene.of("a", "b") == [5, 8], "it counts as using what it requests"
    scene.bound("p1", "a")
    assert scene.of("a", "b") == [0, 8]


def test_a_pod_that_is_gone_or_finished_does_not_count() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0)])
    scene.bound("p0", "a")
    scene.bound("p1", "a")
    assert scene.of("a") == [0]
    first, second = scene.state.pods.values()
    scene.state.apply(msgspec.structs.replace(first, phase=Phase.SUCCEEDED))
    assert scene.of("a") == [5]
    scene.state.remove(second)
    assert scene.of("a") == [10]


def test_a_pod_counts_until_the_smoothed_load_shows_it() -> None:
    scene = Scene()
    scene.bound("p0", "a")
    scene.scores.use([scene.read(a=0.0)])
    assert scene.of("a") == [5]
    scene.clock.forward(60.0)
    scene.scores.use([scene.read(a=0.0)])
    assert scene.of("a") == [8], "the load shows two thirds of it"
    scene.clock.forward(COUNTED_SECONDS)
    scene.scores.use([scene.read(a=0.0)])
    assert scene.of("a") == [10]
    assert not scene.scores._came, "nothing is kept for good"


def test_the_first_load_of_a_node_counts_its_pods_once() -> None:
    scene = Scene()
    scene.bound("old", "a")
    scene.clock.forward(MEASURED_SECONDS + 1.0)
    scene.bound("new", "a")
    scene.clock.forward(1.0)
    now = scene.clock.now()
    loads = following(Loads(), {NodeName("a"): NodeShare(0.4, now)}, CPU, now=now)
    scene.scores.use([NodeLoads(loads.percent, loads.at, 60.0, 160.0, CPU, loads.first)])
    assert scene.of("a") == [5], "40 % that the load shows, and 40 % of the pod that came a second before"


def test_pods_are_forgotten_also_without_a_reading() -> None:
    scene = Scene()
    for number in range(4):
        scene.bound(f"p{number}", "a")
        scene.clock.forward(COUNTED_SECONDS + 1)
    assert sum(map(len, scene.scores._came.values())) <= 2


def test_a_pod_that_is_first_seen_on_its_node_counts_from_its_start() -> None:
    scene = Scene()
    scene.scores.use([scene.read(a=0.0)])
    old = make_pod("old", node=NodeName("a"), cpu_millis=400, created=scene.clock.now() - COUNTED_SECONDS)
    scene.state.apply(old)
    assert scene.of("a") == [10]
    scene.state.apply(make_pod("new", node=NodeName("a"), cpu_millis=400, created=scene.clock.now()))
    assert scene.of("a") == [5]
