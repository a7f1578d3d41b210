"""Which pods are lost with the nodes of a pool, and whether it is believable that they are.

Contract: as Kubernetes' own node lifecycle controller does after five minutes, only sooner. A pod goes when it is not
ready and its node has not been ready for `unhealthyAfter`: on a pool of which some nodes died, theirs and no others.
PodDisruptionBudgets are not asked, as there: such a pod is down already, and a budget would keep its successor from
coming up. Left alone are pods that nobody would make anew (no owner), those that belong to their node (DaemonSet,
mirror), a StatefulSet's (no other pod may take its name before its kubelet has confirmed its end) and a Job's (its
deletion counts against the Job's `backoffLimit`; Kubernetes' own, after five minutes, says whose fault it was).

Nothing goes while most of everything else looks dead as well: then it is more likely that the API server hears nobody.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import PER_NODE
from spillway.domain.model.records import NodeRecord, PodRecord

MOSTLY_DEAD_PERCENT: Final = 55
"""Of the nodes outside the pool; Kubernetes' `--unhealthy-zone-threshold`."""
LEFT_TO_KUBERNETES: Final = PER_NODE | {"StatefulSet", "Job"}


def dead_nodes(
    nodes: Iterable[NodeRecord], unready_since: Mapping[NodeName, float], unhealthy_after: float, now: float
) -> tuple[NodeRecord, ...]:
    """The nodes that have not been ready for `unhealthy_after` seconds."""
    return tuple(
        node for node in nodes if not node.ready and now - unready_since.get(node.name, now) >= unhealthy_after
    )


def lost(pod: PodRecord) -> bool:
    """Whether a pod on a dead node is to be made anew elsewhere."""
    return pod.active and not pod.ready and bool(pod.owner_uid) and pod.owner_kind not in LEFT_TO_KUBERNETES


def mostly_dead(pool: str, nodes: Iterable[tuple[str | None, NodeRecord]]) -> bool:
    """Whether what is outside the pool does not vouch for what we see of it. Nodes come with the pool they are in.

    The nodes of no pool vouch; where there are none, those of the other pools do; where there is nothing else at all,
    nobody does.
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
