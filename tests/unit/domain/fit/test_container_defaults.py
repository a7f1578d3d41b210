"""What a LimitRange gives to containers."""

from typing import Any

import pytest

from spillway.domain.fit.container_defaults import defaults_of, with_defaults

DEFAULTS = {"cpu": "200m", "memory": "64Mi"}


def limit_range(*requests: dict[str, str], kind: str = "Container") -> dict[str, Any]:
    return {"spec": {"limits": [{"type": kind, "defaultRequest": one} for one in requests]}}


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([{}, {"spec": {"limits": [{"type": "Container", "max": {"cpu": "4"}}]}}], {}, id="no defaults"),
        pytest.param([limit_range(DEFAULTS)], DEFAULTS, id="one"),
        pytest.param([limit_range(DEFAULTS, kind="Pod")], {}, id="of pods as a whole"),
        pytest.param([limit_range({"cpu": "1"}, {"cpu": "200m"})], {"cpu": "200m"}, id="the last of one LimitRange"),
        pytest.param([limit_range({"cpu": "1"}), limit_range({"cpu": "200m"})], {"cpu": "1"}, id="the largest of two"),
        pytest.param([limit_range({"cpu": "200m"}), limit_range({"cpu": "1"})], {"cpu": "1"}, id="in any order"),
    ],
)
def test_the_defaults_of_a_namespace(ranges: list[dict[str, Any]], expected: dict[str, str]) -> None:
    assert defaults_of(ranges) == expected


@pytest.mark.parametrize(
    ("resources", "requests"),
    [
        pytest.param(None, DEFAULTS, id="a container that says nothing"),
        pytest.param({"requests": {"cpu": "1"}}, {"cpu": "1", "memory": "64Mi"}, id="what it says stays"),
        pytest.param({"limits": {"cpu": "1"}}, {"memory": "64Mi"}, id="a limit is the request"),
        pytest.param({"requests": {"cpu": "0"}}, {"cpu": "0", "memory": "64Mi"}, id="also nothing at all"),
    ],
)
@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_what_a_container_lacks_is_filled_in(
    field: str, resources: dict[str, Any] | None, requests: dict[str, str]
) -> None:
    container = {"name": "agent"} | ({} if resources is None else {"resources": resources})
    pod: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {field: [container]}}
    filled = with_defaults(pod, DEFAULTS)
    assert filled["spec"][field][0]["resources"]["requests"] == requests
    assert pod["spec"][field] == [container], "the given pod stays as it is"
    assert filled["metadata"] is pod["metadata"]


def test_without_defaults_the_pod_is_the_same() -> None:
    pod = {"spec": {"containers": [{"name": "main"}]}}
    assert with_defaults(pod, {}) is pod
