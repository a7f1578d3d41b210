"""The soft taint of elastic nodes: which nodes carry it.

Contract: the wanted taints of a node are a function of the node and the policies alone, so the controller that repairs
taints and the webhook that sets them on new nodes cannot disagree. The taint is recognised by its key
(`ELASTIC_TAINT`); all other taints stay as they are, in their order.
"""

from dataclasses import dataclass
from typing import Final

from spillway.api.elasticpolicy import PolicyMode
from spillway.domain.model.names import ELASTIC_TAINT
from spillway.domain.model.records import NodeRecord, Taint
from spillway.domain.policies.governance import ElasticOwner

SOFT: Final = "PreferNoSchedule"
_LONGEST_VALUE: Final = 63


@dataclass(frozen=True, slots=True)
class TaintPlan:
    """The wanted taints of one node; `added` says whether Spillway's taint is added or removed."""

    node: NodeRecord
    wanted: tuple[Taint, ...]
    added: bool


def is_elastic(taint: Taint) -> bool:
    """Whether it is the soft taint of elastic nodes."""
    return taint.key == ELASTIC_TAINT


def our_taint(owner: ElasticOwner | None) -> Taint | None:
    """The taint that a node with this elastic owner carries; None if it carries none of Spillway's.

    The API server refuses a node with a taint whose value is not a valid label value. The name of a policy can only be
    too long for that: such a policy, from before the CRD limited the length, taints no node.
    """
    if owner is None:
        return None
    if owner.mode is not PolicyMode.ENFORCE or not owner.soft_taint or len(owner.policy) > _LONGEST_VALUE:
        return None
    return Taint(key=ELASTIC_TAINT, effect=SOFT, value=owner.policy)


def plan_taint(node: NodeRecord, owner: ElasticOwner | None) -> TaintPlan | None:
    """The change that one node needs; None if its taints are correct or it is being deleted."""
    ours = our_taint(owner)
    wanted = taints_with(node, ELASTIC_TAINT, ours)
    return None if wanted is None else TaintPlan(node=node, wanted=wanted, added=ours is not None)


def taints_with(node: NodeRecord, key: str, wanted: Taint | None) -> tuple[Taint, ...] | None:
    """The taints of a node that carries this one with the key, or none; None if it does, or is being deleted."""
    present = tuple(taint for taint in node.taints if taint.key == key)
    if node.deleting or present == ((wanted,) if wanted else ()):
        return None
    others = tuple(taint for taint in node.taints if taint.key != key)
    return (*others, wanted) if wanted else others
