"""The check of taints: those that collide with Spillway's, and virtual nodes that no VirtualNodeBudget selects.

Contract: pure. Spillway's own taints have the effect PreferNoSchedule; under its key any other effect is another
client's, and keeps pods away that Spillway counts on.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.names import ELASTIC_TAINT, EMPTYING_TAINT, HOT_TAINT
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.wording import first_names
from spillway.domain.overview.attention import Severity

_OWN: Final = frozenset({ELASTIC_TAINT, HOT_TAINT, EMPTYING_TAINT})
_SOFT: Final = "PreferNoSchedule"
_VIRTUAL_LABEL: Final = ("type", "virtual-kubelet")
_VIRTUAL_TAINT: Final = "virtual-kubelet.io/provider"


def check_taints(nodes: Iterable[NodeRecord], pool_of: Callable[[NodeRecord], str | None]) -> Iterator[Finding]:
    """Findings about the taints of nodes; `pool_of` gives the VirtualNodeBudget that selects a node."""
    stray: list[str] = []
    for node in nodes:
        for taint in node.taints:
            if taint.key in _OWN and taint.effect != _SOFT:
                yield Finding(
                    Severity.ERROR,
                    Check.TAINTS,
                    f"Node/{node.name}",
                    f"another client set the taint {taint.key} with the effect {taint.effect}, which keeps pods away",
                    f"kubectl taint node {node.name} {taint.key}:{taint.effect}-",
                )
            elif taint.key in _OWN and pool_of(node) is not None:
                yield Finding(
                    Severity.WARNING,
                    Check.TAINTS,
                    f"Node/{node.name}",
                    f"it is virtual and has the taint {taint.key}, which is meant for physical nodes",
                    "Remove the taint, and the label by which two tiers select the node.",
                )
        if pool_of(node) is None and _is_virtual(node):
            stray.append(node.name)
    if stray:
        yield Finding(
            Severity.WARNING,
            Check.TAINTS,
            f"Node/{stray[0]}",
            f"virtual nodes are in no VirtualNodeBudget, so Spillway treats them as fixed nodes: {first_names(stray)}",
            "Create a VirtualNodeBudget whose nodeSelector matches them, and list it in the ElasticPolicy.",
        )


def _is_virtual(node: NodeRecord) -> bool:
    key, value = _VIRTUAL_LABEL
    return node.labels.get(key) == value or any(taint.key == _VIRTUAL_TAINT for taint in node.taints)
