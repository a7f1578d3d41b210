"""The kinds of objects that the operator keeps in memory: the resource and the decoder of each.

Contract: the informers follow every one of them, and read-only commands read them once.
"""

from typing import Any, Final, NamedTuple

from spillway.domain.model.records import (
    NamespaceRecord,
    NodeRecord,
    OwnerRecord,
    PodRecord,
    ReplicaSetRecord,
    ReplicationControllerRecord,
    StatefulSetRecord,
)
from spillway.kube import decode, paths
from spillway.kube.decode import Decoder
from spillway.kube.paths import ApiResource
from spillway.state.cluster import Record


class Followed(NamedTuple):
    """A kind of objects that is kept in memory."""

    resource: ApiResource
    decoder: Decoder[Any, Any]


FOLLOWED: Final[dict[type[Record], Followed]] = {
    NamespaceRecord: Followed(paths.NAMESPACES, decode.NAMESPACES),
    NodeRecord: Followed(paths.NODES, decode.NODES),
    ReplicaSetRecord: Followed(paths.REPLICASETS, decode.REPLICASETS),
    ReplicationControllerRecord: Followed(paths.REPLICATION_CONTROLLERS, decode.REPLICATION_CONTROLLERS),
    StatefulSetRecord: Followed(paths.STATEFULSETS, decode.STATEFULSETS),
    PodRecord: Followed(paths.PODS, decode.PODS),
}
"""By the type of their records, pods last: what they refer to is known by then."""

_OWNERS: Final[tuple[type[OwnerRecord], ...]] = (ReplicaSetRecord, ReplicationControllerRecord, StatefulSetRecord)

FOLLOWED_OWNERS: Final = {record.kind: FOLLOWED[record] for record in _OWNERS}
"""Those that own pods, by the name of the kind in a reference."""
