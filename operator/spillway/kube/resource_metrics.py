"""The resource metrics of nodes and pods, as metrics-server or another server of metrics.k8s.io reports them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from spillway.api.quantity import parse_quantity
from spillway.domain.model.names import NodeName
from spillway.kube.client import Transport
from spillway.kube.decode import unix_seconds
from spillway.kube.pages import PAGE_BYTES
from spillway.kube.paths import ApiResource
from spillway.kube.slices import in_slices
from spillway.kube.transport import transport_errors

NODE_METRICS: Final = ApiResource("metrics.k8s.io", "v1beta1", "nodes", namespaced=False)
POD_METRICS: Final = ApiResource("metrics.k8s.io", "v1beta1", "pods", namespaced=True)
_TIMEOUT_SECONDS: Final = 15.0
_POD_BYTES: Final = PAGE_BYTES
"""The metrics of a pod contain its labels, which whoever creates it can make large."""


class PodMetrics(NamedTuple):
    """What a pod uses, at the end of the window in which it was measured (Unix seconds; 0.0 if that is not said)."""

    cpu_millis: float
    memory_bytes: float
    at: float = 0.0


class NodeMetrics(NamedTuple):
    """What a node uses, at the end of the window in which it was measured (Unix seconds)."""

    cpu_millis: float
    memory_bytes: float
    at: float


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    name: str


class _Amounts(msgspec.Struct, frozen=True, gc=False):
    cpu: str
    memory: str


class _NodeMetrics(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata
    usage: _Amounts
    timestamp: str = ""


class _NodeList(msgspec.Struct, frozen=True):
    items: list[_NodeMetrics]


class _Container(msgspec.Struct, frozen=True, gc=False):
    usage: _Amounts


class _PodMetrics(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata
    containers: tuple[_Container, ...] = ()
    timestamp: str = ""


class _PodList(msgspec.Struct, frozen=True):
    items: list[_PodMetrics]


_nodes: Final = msgspec.json.Decoder(_NodeList)
_pods: Final = msgspec.json.Decoder(_PodList)


async def node_usage(client: Transport) -> dict[NodeName, NodeMetrics]:
    """The use of every node that has been measured; an entry that is no amount is left out.

    Raises:
        RequestError: there is no answer, for example because no server of metrics.k8s.io is installed.
    """
    raw = await client.request("GET", NODE_METRICS.everywhere, timeout=_TIMEOUT_SECONDS)
    with transport_errors():
        entries = _nodes.decode(raw).items
    found: dict[NodeName, NodeMetrics] = {}
    async for entry in in_slices(entries):
        try:
            cpu, memory = float(parse_quantity(entry.usage.cpu)), float(parse_quantity(entry.usage.memory))
        except ValueError:
            continue
        found[NodeName(entry.metadata.name)] = NodeMetrics(1000 * cpu, memory, unix_seconds(entry.timestamp))
    return found


async def pod_usage(client: Transport, namespace: str) -> dict[str, PodMetrics]:
    """The use of each pod of a namespace that has been measured, by its name; one that is no amount is left out.

    Raises:
        RequestError: there is no answer, or it is too large.
    """
    path = POD_METRICS.within(namespace)
    raw = await client.request("GET", path, timeout=_TIMEOUT_SECONDS, most_bytes=_POD_BYTES)
    with transport_errors():
        entries = _pods.decode(raw).items
    found: dict[str, PodMetrics] = {}
    async for entry in in_slices(entries):
        try:
            cpu = sum(float(parse_quantity(one.usage.cpu)) for one in entry.containers)
            memory = sum(float(parse_quantity(one.usage.memory)) for one in entry.containers)
        except ValueError:
            continue
        found[entry.metadata.name] = PodMetrics(1000 * cpu, memory, unix_seconds(entry.timestamp))
    return found


def measured_since(used: Mapping[str, PodMetrics], oldest: float) -> Mapping[str, PodMetrics]:
    """The pods that were measured at this time (Unix seconds) or later, and those of which it is not said when."""
    return {name: one for name, one in used.items() if not one.at or one.at >= oldest}
