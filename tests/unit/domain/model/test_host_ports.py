"""The ports of its node that a pod takes, as the scheduler compares them."""

from typing import Any

import pytest

from spillway.domain.model.host_ports import HostPort, first_taken, host_ports


def container(*ports: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "main", "ports": [{"containerPort": 80, **port} for port in ports], **fields}


def test_containers_and_sidecars_take_ports_and_other_init_containers_do_not() -> None:
    spec = {
        "initContainers": [
            container({"hostPort": 1}),
            container({"hostPort": 2, "protocol": "UDP"}, restartPolicy="Always"),
        ],
        "containers": [container({}, {"hostPort": 3, "hostIP": "10.0.0.1"}), {"name": "none"}],
    }
    assert host_ports(spec) == (HostPort(2, "UDP"), HostPort(3, address="10.0.0.1"))
    assert host_ports({}) == ()


@pytest.mark.parametrize(
    ("first", "second", "excluded"),
    [
        (HostPort(80), HostPort(80), True),
        (HostPort(80), HostPort(81), False),
        (HostPort(80), HostPort(80, "UDP"), False),
        (HostPort(80), HostPort(80, address="10.0.0.1"), True),
        (HostPort(80, address="10.0.0.1"), HostPort(80, address="10.0.0.2"), False),
    ],
)
def test_ports_that_exclude_each_other(first: HostPort, second: HostPort, *, excluded: bool) -> None:
    assert first.excludes(second) is second.excludes(first) is excluded
    assert first_taken([HostPort(1), first], [second]) == (first if excluded else None)
