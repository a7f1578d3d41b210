"""The informers of all watched resources.

Contract: Pods, Nodes, ReplicaSets and Namespaces of the whole cluster, each by its own list and watch into one
`ClusterState`. Admission and controllers wait for `state.synced`; a controller that disrupts also checks
`state.stale()`.
"""

import asyncio
from functools import partial
from typing import Any

from spillway.domain.model.records import NamespaceRecord, NodeRecord, PodRecord, ReplicaSetRecord
from spillway.kube import decode, paths
from spillway.kube.client import KubeClient
from spillway.kube.watch import ResourceWatch, WatchSettings
from spillway.state.cluster import ClusterState, Record
from spillway.telemetry.kube import INFORMER_SILENCE

PATHS: dict[type[Record], str] = {
    NamespaceRecord: paths.NAMESPACES.everywhere,
    NodeRecord: paths.NODES.everywhere,
    ReplicaSetRecord: paths.REPLICASETS.everywhere,
    PodRecord: paths.PODS.everywhere,
}
_DECODERS: dict[type[Record], decode.Decoder[Any, Any]] = {
    NamespaceRecord: decode.NAMESPACES,
    NodeRecord: decode.NODES,
    ReplicaSetRecord: decode.REPLICASETS,
    PodRecord: decode.PODS,
}


class Informers:
    """The informers that keep `state` equal to the cluster."""

    def __init__(self, client: KubeClient, state: ClusterState, *, settings: WatchSettings | None = None) -> None:
        self._watches = [
            ResourceWatch(
                client, state, path=path, record_type=record_type, decoder=_DECODERS[record_type], settings=settings
            )
            for record_type, path in PATHS.items()
        ]
        for record_type, path in PATHS.items():
            resource = path.rsplit("/", 1)[-1]
            INFORMER_SILENCE.labels(resource).set_function(partial(state.last_event_age, record_type))

    async def run(self) -> None:
        """Run until cancelled. Failures of the server are retried; only a defect of the operator raises."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches:
                tasks.create_task(watch.run(), name=f"informer-{watch.resource}")
