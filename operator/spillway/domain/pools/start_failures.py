"""Start failures of a pool: pods that were bound to it for `startAfter` without a start, and when they close the pool.

Contract: pure. One broken workload closes no pool: the failures must be of several workloads or on several nodes. One
namespace closes no pool for others: a pool is closed for all pods only if pods of several namespaces fail, and else
for the pods of the namespace whose pods fail. All pods of a CronJob count as one workload, and so do the pods without
an owner of one namespace. Times are Unix seconds.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import Owner, counted_as_by_name, workload_key

FOR_ALL: Final = 2
"""The number of namespaces whose pods have to fail before a pool is closed for all pods."""
FOR_NAMESPACE: Final = 1
"""The same, before a pool is closed for the pods of one namespace."""
DIFFERENT: Final = 2
"""The number of workloads, or of nodes, that the failures have to be of."""
REMEMBERED_SECONDS: Final = 600.0
"""Seconds for which a failure counts. A workload's pods avoid the pool for as long."""


class StartFailure(NamedTuple):
    """One pod that did not start on a pool in time, or will not have."""

    due: float
    """When it counts as failed: `startAfter` after it was bound, or after another pod started on the pool."""
    namespace: str
    workload: str
    node: NodeName


def counted_workload(owner: Owner) -> str:
    """The key of the workload for which the failure of a pod of this owner counts."""
    if owner.kind == "Pod":
        return workload_key("Pod", owner.namespace, "")
    return counted_as_by_name(owner.key)


def closed_from(failures: Iterable[StartFailure], *, pods: int, namespaces: int) -> float | None:
    """The time from which these failures close a pool; None if they do not suffice.

    There have to be so many `pods`, of so many `namespaces`, and of `DIFFERENT` workloads or nodes.
    """
    seen: set[str] = set()
    workloads: set[str] = set()
    nodes: set[NodeName] = set()
    for count, one in enumerate(sorted(failures), start=1):
        seen.add(one.namespace)
        workloads.add(one.workload)
        nodes.add(one.node)
        if count >= pods and len(seen) >= namespaces and max(len(workloads), len(nodes)) >= DIFFERENT:
            return one.due
    return None
