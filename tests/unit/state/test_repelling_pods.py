"""The index of anti-affinity terms, kept by delta."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName
from spillway.domain.model.pod_terms import required_pod_terms
from spillway.domain.model.records import Phase, PodRecord
from spillway.state.repelling_pods import RepellingPods
from tests.builders import make_pod
from tests.support.neighbours import HOST, required

TERMS = required_pod_terms(required(HOST, "web"), "shop", {})


def shown(index: RepellingPods) -> list[list[str]]:
    return [sorted(nodes) for _, nodes in index.terms()]


def test_a_pod_counts_from_its_binding_until_it_is_finished() -> None:
    index = RepellingPods()
    waiting = make_pod(node=NodeName(""), repels=TERMS)
    index.replace(None, waiting)
    assert not index
    bound = msgspec.structs.replace(waiting, node=NodeName("n1"))
    index.replace(waiting, bound)
    assert shown(index) == [["n1"]]
    index.replace(bound, msgspec.structs.replace(bound, phase=Phase.SUCCEEDED))
    assert not index


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["", "n1", "n2"]),
            st.booleans(),
            st.sampled_from([Phase.RUNNING, Phase.FAILED]),
        )
    )
)
def test_the_index_is_what_counting_all_pods_gives(steps: list[tuple[int, str, bool, Phase]]) -> None:
    index, pods = RepellingPods(), dict[int, PodRecord]()
    for which, node, repels, phase in steps:
        new: Any = make_pod(f"p{which}", node=NodeName(node), phase=phase, repels=TERMS if repels else ())
        index.replace(pods.get(which), new)
        pods[which] = new
    expected = sorted({pod.node for pod in pods.values() if pod.repels and pod.node and not pod.finished})
    assert shown(index) == ([expected] if expected else [])
    for pod in pods.values():
        index.replace(pod, None)
    assert not index
