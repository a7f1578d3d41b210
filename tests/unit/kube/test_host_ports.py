"""The ports of its node that a pod of the informer takes: as the planners read them."""

from typing import Any

import msgspec
import pytest

from spillway.domain.model.host_ports import host_ports
from spillway.kube.host_ports import KEPT_MAX, pod_host_ports
from spillway.kube.wire import PodSpec

TAKES = {"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "UDP", "hostIP": "10.0.0.1"}]}
NONE = {"name": "b", "ports": [{"containerPort": 80, "name": "hostPort"}]}
SPECS: list[dict[str, Any]] = [
    {},
    {"containers": [NONE, {"name": "c", "ports": None}]},
    {"containers": [NONE, TAKES]},
    {"containers": [NONE], "initContainers": [TAKES]},
    {"containers": [NONE], "initContainers": [{**TAKES, "restartPolicy": "Always"}]},
]


def of(spec: dict[str, Any]) -> Any:
    return pod_host_ports(msgspec.json.decode(msgspec.json.encode(spec), type=PodSpec))


@pytest.mark.parametrize("spec", SPECS)
def test_informer_and_planners_agree(spec: dict[str, Any]) -> None:
    assert of(spec) == host_ports(spec)


def test_of_a_pod_with_thousands_a_bounded_number_is_kept() -> None:
    ports = [{"containerPort": 80, "hostPort": number} for number in range(1, 5000)]
    assert [one.port for one in of({"containers": [{"ports": ports}]})] == list(range(1, KEPT_MAX + 1))
