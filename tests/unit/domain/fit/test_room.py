"""Room is promised once, and not to a replica that could wait while another one does."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.fit.room import LONGEST_WAIT_SECONDS, NodeRoom, waiting_requests
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Pending, Phase
from spillway.domain.model.usage import Usage
from tests.builders import make_pod

NOW = 85.0 + LONGEST_WAIT_SECONDS
"""Pods of the builder were created a few seconds less than so long ago."""


def room(*cores: int, waiting: list[tuple[int, int]] | None = None) -> NodeRoom:
    free = {NodeName(f"n{index}"): Usage(10, millis, 1000) for index, millis in enumerate(cores)}
    return NodeRoom(free, [Usage(1, *one) for one in waiting or []])


def test_the_emptiest_node_that_admits_it() -> None:
    found = room(100, 500, 300)
    assert found.find(Usage(1, 100, 1)) == "n1"
    assert found.find(Usage(1, 100, 1), admits=lambda name: name != "n1") == "n2"
    assert found.find(Usage(1, 501, 1)) is None, "cores of several nodes make no room for one pod"


def test_a_promise_is_not_made_twice() -> None:
    found = room(500)
    for _ in range(2):
        node = found.find(Usage(1, 250, 1))
        assert node is not None
        found.take(node, Usage(1, 250, 1))
    assert found.find(Usage(1, 1, 1)) is None


def test_pods_that_wait_come_first_unless_they_fit_nowhere() -> None:
    assert room(500, waiting=[(300, 1)]).find(Usage(1, 300, 1)) is None
    assert room(500, waiting=[(300, 1)]).find(Usage(1, 200, 1)) == "n0"
    assert room(500, waiting=[(9000, 1)]).find(Usage(1, 500, 1)) == "n0"


def test_a_full_node_counts_for_nothing() -> None:
    free = {NodeName("full"): Usage(0, 500, 1000), NodeName("over"): Usage(5, -200, 1000)}
    assert NodeRoom(free).find(Usage(1)) is None


def test_who_waits_for_a_node() -> None:
    pods = [
        make_pod("bound", node="n1", phase=Phase.PENDING, cpu_millis=1),
        make_pod("waits", node="", phase=Phase.PENDING, cpu_millis=2),
        make_pod("physical", node="", phase=Phase.PENDING, pending=Pending(placement="physical"), cpu_millis=3),
        make_pod("goes", node="", phase=Phase.PENDING, terminating=True, cpu_millis=5),
        make_pod("gated", node="", phase=Phase.PENDING, pending=Pending(gated=True), cpu_millis=7),
        make_pod("old", node="", phase=Phase.PENDING, created=NOW - LONGEST_WAIT_SECONDS, cpu_millis=11),
        make_pod("tried", node="", phase=Phase.PENDING, pending=Pending(unschedulable_since=NOW - 9.0), cpu_millis=13),
        make_pod(
            "waits for something else",
            node="",
            phase=Phase.PENDING,
            pending=Pending(unschedulable_since=NOW - LONGEST_WAIT_SECONDS),
            cpu_millis=17,
        ),
    ]
    assert [one.cpu_millis for one in waiting_requests(pods, NOW)] == [2, 3, 13]


@given(
    st.lists(st.integers(0, 1000), max_size=6),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), max_size=6),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), max_size=30),
)
def test_never_more_is_promised_than_is_free(
    cores: list[int], waiting: list[tuple[int, int]], asking: list[tuple[int, int]]
) -> None:
    found = room(*cores, waiting=waiting)
    taken: dict[str, list[tuple[int, int]]] = {}
    for cpu, memory in asking:
        node = found.find(Usage(1, cpu, memory))
        if node is not None:
            found.take(node, Usage(1, cpu, memory))
            taken.setdefault(node, []).append((cpu, memory))
    for index, free in enumerate(cores):
        mine = taken.get(f"n{index}", [])
        assert sum(cpu for cpu, _ in mine) <= free
        assert sum(memory for _, memory in mine) <= 1000
        assert len(mine) <= 10
