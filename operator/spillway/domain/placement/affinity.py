"""The node affinity that makes a pod's pools the only nodes on which it may run.

Contract: a pod that may go to several pools gets each of the user's required terms once for each pool, with the pool's
requirements added, so a node has to satisfy both; a term keeps its `matchFields`. A term without any requirement
matches no node and is left out. Pools are preferred in their order by weights, beside the user's own preferences, which
stay.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from spillway.api.common import LabelSelector
from spillway.domain.fit.node_affinity import required_terms, selector_requirements
from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import HEAVIEST, PREFERRED, REQUIRED, Json

_NODE_AFFINITY: Final = ("spec", "affinity", "nodeAffinity")


def affinity_additions(pod: Json, pools: Sequence[LabelSelector]) -> tuple[Addition, ...]:
    """Make these pools, in order of preference, the only nodes on which the pod may run.

    Raises:
        ValueError: no pool is given; that would let the pod run anywhere.
    """
    if not pools:
        raise ValueError("a pod that goes to virtual nodes needs a pool")
    required = [selector_requirements(selector) for selector in pools]
    spec = pod.get("spec") or {}
    affinity = spec.get("affinity") or {}
    present = affinity.get("nodeAffinity") or {}
    users = [term for term in required_terms(present) if term.get("matchExpressions") or term.get("matchFields")]
    terms = [_joined(term, requirements) for term in users or [{}] for requirements in required]
    wanted: dict[str, Any] = {**present, REQUIRED: {"nodeSelectorTerms": terms}}
    if len(pools) > 1:
        own = [
            {"weight": weight, "preference": {"matchExpressions": requirements}}
            for weight, requirements in zip(weights(len(pools)), required, strict=True)
            if weight
        ]
        wanted[PREFERRED] = [*(present.get(PREFERRED) or ()), *own]
    if not affinity:
        return (Addition(_NODE_AFFINITY[:2], {"nodeAffinity": wanted}),)
    return (Addition(_NODE_AFFINITY, wanted),)


def weights(count: int) -> tuple[int, ...]:
    """One weight for each of so many pools: from the heaviest in equal steps down to 0, which is no preference.

    As far apart as can be: the default topology spread scores against a full node with the same weight.
    """
    return tuple(HEAVIEST * (count - 1 - index) // max(count - 1, 1) for index in range(count))


def _joined(term: Json, requirements: Iterable[Json]) -> dict[str, Any]:
    present = list(term.get("matchExpressions") or ())
    # When the webhook is called again, the terms have the requirements already.
    missing = [one for one in requirements if one not in present]
    return {**term, "matchExpressions": [*present, *missing]}
