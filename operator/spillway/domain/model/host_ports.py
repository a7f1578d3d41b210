"""The ports of its node that a pod takes, and which of them exclude each other (the scheduler's NodePorts).

Contract: pure. Containers and sidecars (restartable init containers) count; other init containers end before the pod
runs. A port on one address of the node and one on all addresses exclude each other.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from spillway.domain.model.documents import Json

EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - as Kubernetes writes it


class HostPort(NamedTuple):
    """One port of a node."""

    port: int
    protocol: str = "TCP"
    address: str = EVERY_ADDRESS

    def excludes(self, other: "HostPort") -> bool:
        """Whether the two cannot be taken on one node."""
        if (self.port, self.protocol) != (other.port, other.protocol):
            return False
        return self.address == other.address or EVERY_ADDRESS in (self.address, other.address)


def host_ports(spec: Json) -> tuple[HostPort, ...]:
    """The ports of its node that the pod takes; none for most pods."""
    sidecars = (one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")
    return tuple(
        HostPort(int(port["hostPort"]), port.get("protocol") or "TCP", port.get("hostIP") or EVERY_ADDRESS)
        for container in (*sidecars, *(spec.get("containers") or ()))
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def first_taken(wanted: Iterable[HostPort], taken: Iterable[HostPort]) -> HostPort | None:
    """The first of the wanted ports that cannot be had beside those that are taken; None if all can."""
    others = tuple(taken)
    return next((one for one in wanted if any(one.excludes(other) for other in others)), None)
