"""The ports of its node that a pod takes, from its typed JSON.

Contract: those of `domain.model.host_ports`, at most `KEPT_MAX` of a pod. A container's ports are parsed only where
they may name one of the node: few pods take any.
"""

from typing import Any, Final

import msgspec

from spillway.domain.model.host_ports import HostPort, host_ports
from spillway.kube.wire import Container, PodSpec

KEPT_MAX: Final = 256
"""The number of ports that are kept of one pod."""


def pod_host_ports(spec: PodSpec) -> tuple[HostPort, ...]:
    """The ports; none for most pods."""
    # Loops and no generators: the informer asks it for every change of a pod.
    for one in spec.containers or ():
        if one.ports and b"hostPort" in bytes(one.ports):
            return _parsed(spec)
    for one in spec.init_containers or ():
        if one.ports and b"hostPort" in bytes(one.ports):
            return _parsed(spec)
    return ()


def _parsed(spec: PodSpec) -> tuple[HostPort, ...]:
    containers = [_plain(one) for one in spec.containers or ()]
    init_containers = [_plain(one) for one in spec.init_containers or ()]
    return host_ports({"containers": containers, "initContainers": init_containers})[:KEPT_MAX]


def _plain(container: Container) -> dict[str, Any]:
    ports: Any = msgspec.json.decode(container.ports) if container.ports else None
    return {"restartPolicy": container.restart_policy, "ports": ports}
