"""How many replicas of a workload belong on virtual nodes under proposed resources.

Contract: pure. It estimates, from numbers of replicas, what placement and bring-back come to in the end; which pod goes
where is decided when it is created.
"""

from spillway.api.elasticpolicy import Placement


def replicas_for_virtual(
    placement: Placement, replicas: int, threshold: int | None, *, present: int, suitable: bool, pool_open: bool
) -> int:
    """The replicas for virtual nodes, of which `present` are there now.

    `threshold` is None where all replicas stay on physical nodes; `suitable` says whether its pods may run on virtual
    nodes at all, and `pool_open` whether a pool takes pods.
    """
    if placement.virtual == "Never" or not suitable:
        wanted = 0
    elif placement.virtual == "Always":
        wanted = replicas
    else:
        wanted = 0 if threshold is None else max(0, replicas - threshold)
    if wanted > present:
        return wanted if pool_open else present
    return wanted if placement.bring_back else present
