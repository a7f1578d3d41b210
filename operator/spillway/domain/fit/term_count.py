"""How much of a pod has to be compared with each node: a pod of any size must not delay others.

Contract: pure, and one look at the pod. Anybody who may create pods can write tens of thousands of terms into one, and
each of them is compared with each node, on the event loop in which admission is answered. A pod with more than
`WEIGHT_MAX` fits on no node for Spillway: it stays physical, and no replica of it is moved.
"""

from collections.abc import Iterable
from typing import Any, Final

from spillway.domain.model.documents import REQUIRED, Json

WEIGHT_MAX: Final = 1000
_WHOLE: Final = 10
"""The weight of a term, a requirement, a toleration or a port; that of a value in a list is 1."""


def weight_of(spec: Json) -> int:
    """The weight of all that a pod says about nodes."""
    affinity: Json = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms: Iterable[Json] = (affinity.get(REQUIRED) or {}).get("nodeSelectorTerms") or ()
    wholes = len(spec.get("nodeSelector") or ()) + len(spec.get("tolerations") or ())
    wholes += len(spec.get("topologySpreadConstraints") or ())
    values = 0
    for term in terms:
        requirements: list[Any] = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
        wholes += 1 + len(requirements)
        values += sum(len(one.get("values") or ()) for one in requirements)
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            wholes += sum("hostPort" in port for port in container.get("ports") or ())
    return wholes * _WHOLE + values


def too_many_terms(spec: Json) -> bool:
    """Whether it takes too long to compare the pod with every node."""
    return weight_of(spec) > WEIGHT_MAX
