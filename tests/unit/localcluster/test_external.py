"""What can be seen in a cluster that another client runs."""

from typing import Any

import pytest

from demo.day import OPTIONS
from localcluster import karpenter, metrics_server
from localcluster.external import visible_features
from localcluster.rest import RestError

AVAILABLE = {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
BROKEN = {"status": {"conditions": [{"type": "Available", "status": "False"}]}}


@pytest.mark.parametrize(
    ("objects", "features"),
    [
        pytest.param({}, set(), id="a bare cluster"),
        pytest.param({karpenter.NODE_CLASSES: {"items": []}}, {"karpenter"}, id="Karpenter's kwok provider"),
        pytest.param({metrics_server.API_SERVICE: AVAILABLE}, {"metrics-server"}, id="a metrics-server"),
        pytest.param({metrics_server.API_SERVICE: BROKEN}, set(), id="one that does not answer"),
        pytest.param({metrics_server.API_SERVICE: {}}, set(), id="one that has just been registered"),
        pytest.param(
            {karpenter.NODE_CLASSES: {}, metrics_server.API_SERVICE: AVAILABLE},
            {"karpenter", "metrics-server"},
            id="what the demo asks for",
        ),
    ],
)
def test_features_are_those_that_answer(objects: dict[str, Any], features: set[str]) -> None:
    def get(path: str) -> Any:
        if path not in objects:
            raise RestError(404, "NotFound", path)
        return objects[path]

    assert visible_features(get) == features


def test_only_a_cluster_of_our_own_pretends_usage() -> None:
    """A test that waits for an HPA must not run where a metrics-server cannot ask kwok."""
    assert {"metrics-server", "usage"} <= OPTIONS.features
