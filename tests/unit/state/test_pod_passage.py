"""Which node a pod has left and come to by a change, and when."""

import pytest

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase, PodRecord
from spillway.state.pod_passage import PodPassage, passage_of
from tests.builders import make_pod

NOW = 1000.0
A, B, NONE = NodeName("a"), NodeName("b"), NodeName("")


def pod(node: NodeName, *, finished: bool = False) -> PodRecord:
    return make_pod(node=node, created=100.0, started=110.0, phase=Phase.SUCCEEDED if finished else Phase.RUNNING)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        pytest.param(pod(NONE), pod(A), PodPassage(NONE, A, NOW), id="bound"),
        pytest.param(None, pod(A), PodPassage(NONE, A, 110.0), id="first seen with its node"),
        pytest.param(pod(A), None, PodPassage(A, NONE, NOW), id="gone"),
        pytest.param(pod(A), pod(A, finished=True), PodPassage(A, NONE, NOW), id="finished"),
        pytest.param(pod(A, finished=True), None, None, id="gone after it was finished"),
        pytest.param(pod(A), pod(A), None, id="stays"),
        pytest.param(None, pod(NONE), None, id="without a node"),
        pytest.param(pod(A), pod(B), PodPassage(A, B, NOW), id="of another node"),
    ],
)
def test_changes(old: PodRecord | None, new: PodRecord | None, change: PodPassage | None) -> None:
    assert passage_of(old, new, NOW) == change
