"""The removal of Spillway's marks from objects.

Contract: everything that Spillway writes on another object carries its mark, and the mark names the resource that
requested it. Removing marks never changes what another client wrote: a deletion cost that differs from the one that
Spillway recorded belongs to another client and stays. Which pods have lost their policy is decided by
`controllers.nodes.sweep`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spillway.api.group import GROUP
from spillway.domain.model.names import (
    CORDONED_BY,
    COST_WRITTEN,
    ELASTIC_TAINT,
    EMPTYING_TAINT,
    HOT_TAINT,
    PLACEMENT,
    POD_DELETION_COST,
    POLICY,
    POOL,
    POOLS,
    RESERVATION,
    TIER,
)
from spillway.domain.model.records import NodeRecord, PodRecord, Taint

PREFIX: Final = f"{GROUP}/"

TAINTS: Final = frozenset({ELASTIC_TAINT, EMPTYING_TAINT, HOT_TAINT})
"""The keys of the taints that Spillway writes."""
USER_KEYS: Final = frozenset({f"{GROUP}/class", f"{GROUP}/threshold"})
"""Keys with Spillway's prefix that users set; they are not marks."""


def carries_marks(pod: PodRecord) -> bool:
    """Whether this pod carries anything that Spillway wrote."""
    return bool(pod.policy or pod.tier or pod.pool) or pod.cost_written is not None


def unmark(pod: PodRecord) -> dict[str, None]:
    """The annotations to remove from a pod so that nothing of Spillway's is left; empty if there is none."""
    removed: dict[str, None] = {}
    if pod.policy:
        # The record of a started pod does not hold what admission decided: those marks are removed unseen. The size
        # stays, because the provider continues to bill it.
        removed |= dict.fromkeys((POLICY, PLACEMENT, POOLS, RESERVATION))
    if pod.tier:
        removed[TIER] = None
    if pod.pool:
        removed[POOL] = None
    if pod.cost_written is not None:
        removed[COST_WRITTEN] = None
        if pod.deletion_cost == pod.cost_written:
            removed[POD_DELETION_COST] = None
    return removed


def unmark_annotations(annotations: Mapping[str, str]) -> dict[str, None]:
    """As `unmark`, for the annotations of any object, including keys that this version does not know."""
    removed = _own_keys(annotations)
    if COST_WRITTEN in removed and annotations.get(POD_DELETION_COST) == annotations[COST_WRITTEN]:
        removed[POD_DELETION_COST] = None
    return removed


def _own_keys(annotations: Iterable[str]) -> dict[str, None]:
    return {key: None for key in annotations if key.startswith(PREFIX) and key not in USER_KEYS}


@dataclass(frozen=True, slots=True)
class NodeRestore:
    """What to remove from one node; `uncordon` only if the mark says that Spillway closed it."""

    node: NodeRecord
    taints: tuple[Taint, ...]
    annotations: Mapping[str, None]
    uncordon: bool


def restore_node(node: NodeRecord, annotations: Sequence[str] = ()) -> NodeRestore | None:
    """Everything of Spillway's on one node; None if there is nothing. `annotations` are the keys that it carries."""
    keys = _own_keys(annotations)
    if node.cordoned_by:
        keys[CORDONED_BY] = None
    tainted = any(taint.key in TAINTS for taint in node.taints)
    if not keys and not tainted:
        return None
    return NodeRestore(
        node=node,
        taints=tuple(taint for taint in node.taints if taint.key not in TAINTS),
        annotations=keys,
        uncordon=bool(node.cordoned_by) and node.unschedulable,
    )
