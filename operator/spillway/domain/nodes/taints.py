"""Which elastic nodes carry our soft taint.

Contract: the wanted taints of a node are a function of the node and the policies alone, so the controller that
repairs and the webhook that writes at birth cannot disagree. A taint is ours by its key (`ELASTIC_TAINT`); all the
others stay as they are, in their order.
"""

from dataclasses import dataclass
from typing import Final

from spillway.api.elasticpolicy import PolicyMode
from spillway.domain.model.names import ELASTIC_TAINT
from spillway.domain.model.records import NodeRecord, Taint

SOFT: Final = "PreferNoSchedule"
_LONGEST_VALUE: Final = 63

ElasticOwner = tuple[str, PolicyMode, bool]
"""The policy in which a node is elastic, that policy's mode, and whether it asks for the soft taint."""


@dataclass(frozen=True, slots=True)
class TaintPlan:
    """One node's taints as they should become; `added` says whether ours goes on or off."""

    node: NodeRecord
    wanted: tuple[Taint, ...]
    added: bool


def is_ours(taint: Taint) -> bool:
    """Whether Spillway wrote this taint."""
    return taint.key == ELASTIC_TAINT


def our_taint(owner: ElasticOwner | None) -> Taint | None:
    """The taint that a node with this elastic owner carries; None where it carries none of ours.

    The API server refuses a node with a taint whose value is no label's. Names of policies differ from those in their
    length alone: a longer one, from before the CRD bounded it, taints nothing.
    """
    if owner is None:
        return None
    policy, mode, soft_taint = owner
    if mode is not PolicyMode.ENFORCE or not soft_taint or len(policy) > _LONGEST_VALUE:
        return None
    return Taint(key=ELASTIC_TAINT, effect=SOFT, value=policy)


def plan_taint(node: NodeRecord, owner: ElasticOwner | None) -> TaintPlan | None:
    """The change that one node needs; None where it is already right or is on its way out."""
    if node.deleting:
        return None
    ours = our_taint(owner)
    present = tuple(taint for taint in node.taints if is_ours(taint))
    if present == ((ours,) if ours else ()):
        return None
    others = tuple(taint for taint in node.taints if not is_ours(taint))
    return TaintPlan(node=node, wanted=(*others, ours) if ours else others, added=ours is not None)
