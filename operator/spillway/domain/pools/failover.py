"""Failover: which pods of a pool are lost with their nodes, and whether that is credible.

Contract: the same as Kubernetes' node lifecycle controller does after five minutes, only sooner. A pod is deleted if it
is not ready and its node has not been ready for `unhealthyAfter`; if only some nodes of a pool died, only their pods.
As in Kubernetes, PodDisruptionBudgets are not consulted: such a pod is already down, and a budget would prevent its
replacement. Not deleted are pods without an owner (no replacement would be created), pods that belong to their node
(DaemonSet, mirror), a StatefulSet's (no other pod may take its name before its kubelet has confirmed its end) and a
Job's (a deletion counts against the Job's `backoffLimit`; Kubernetes' own deletion, after five minutes, records the
cause).

Nothing is deleted while most of the other nodes look dead as well: then it is more likely that the API server has lost
contact with the nodes.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import LEFT_TO_KUBERNETES, has_successor
from spillway.domain.model.records import NodeRecord, PodRecord

MOSTLY_DEAD_PERCENT: Final = 55
"""The share of dead nodes outside the pool from which on nothing is deleted; Kubernetes'
`--unhealthy-zone-threshold`."""


def dead_nodes(
    nodes: Iterable[NodeRecord], unready_since: Mapping[NodeName, float], unhealthy_after: float, now: float
) -> tuple[NodeRecord, ...]:
    """The nodes that have not been ready for `unhealthy_after` seconds."""
    return tuple(
        node for node in nodes if not node.ready and now - unready_since.get(node.name, now) >= unhealthy_after
    )


def lost(pod: PodRecord) -> bool:
    """Whether a pod on a dead node is to be replaced elsewhere."""
    return pod.active and not pod.ready and has_successor(pod) and pod.owner_kind not in LEFT_TO_KUBERNETES


def mostly_dead(pool: str, nodes: Iterable[tuple[str | None, NodeRecord]]) -> bool:
    """Whether most nodes outside the pool look dead, so that its own state is not credible. Nodes come with their pool.

    The nodes outside all pools decide; without such nodes those of the other pools; without any other node the answer
    is no confirmation.
    """
    owned: list[bool] = []
    others: list[bool] = []
    for where, node in nodes:
        if where is None:
            owned.append(node.ready)
        elif where != pool:
            others.append(node.ready)
    witnesses = owned or others
    return not witnesses or witnesses.count(False) * 100 >= len(witnesses) * MOSTLY_DEAD_PERCENT
