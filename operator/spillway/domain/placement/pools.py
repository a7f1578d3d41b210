"""Which pools of virtual nodes take a pod, and which of them together.

Contract: pure. A pool is asked in the policy's order and answers with a clause why it does not take the pod, or with
nothing. Admitted are the first pool that takes it and every later one that takes it as well and wants nothing else done
to the pod: what an overlay and a bigger size change is settled when the pod is created, so two pools that differ in
that cannot both be open to the same pod.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from spillway.api.podoverlay import PodOverlay
from spillway.api.virtualnodebudget import VirtualNodeBudgetSpec
from spillway.domain.fit.affinity import allows
from spillway.domain.fit.tolerations import Toleration, hard_taints, needed, tolerates
from spillway.domain.model.records import NodeRecord

Json = Mapping[str, Any]

_PLAIN: Final = PodOverlay()


@dataclass(frozen=True)
class Pool:
    """One VirtualNodeBudget as admission sees it now; what follows from its nodes is worked out once."""

    name: str
    spec: VirtualNodeBudgetSpec
    nodes: tuple[NodeRecord, ...] = ()
    closed: str = ""
    """Why it takes no pods at all; empty while it does."""
    step: int = 0
    """Of the ladder of sizes; 0 is what the pod itself requests."""

    @property
    def overlay(self) -> PodOverlay:
        return self.spec.pod_overlay or _PLAIN

    @cached_property
    def open_nodes(self) -> tuple[NodeRecord, ...]:
        return tuple(node for node in self.nodes if node.ready and not node.unschedulable and not node.deleting)

    @cached_property
    def tolerations(self) -> tuple[dict[str, Any], ...]:
        """What a pod has to tolerate there."""
        return needed(self.spec.pod_overlay, self.open_nodes)


class PoolAdmission(NamedTuple):
    """What the pools said."""

    pools: tuple[Pool, ...]
    """Those that take the pod, in order of preference; empty where none does."""
    refusals: tuple[tuple[str, str], ...]
    """Of the others: the pool and its clause."""

    @property
    def because(self) -> str:
        """All refusals as one clause."""
        return "; ".join(f"{name}: {clause}" for name, clause in self.refusals) or "its policy lists no pool"


def admit(
    pools: Sequence[Pool],
    suits: Callable[[Pool], str],
    has_room: Callable[[Pool], str],
    *,
    avoid: Collection[str] = (),
) -> PoolAdmission:
    """The pools that take a pod. `suits` and `has_room` answer why one does not; room is asked last and only if needed.

    `avoid` are pools that have failed to take a pod of the same owner a short time ago.
    """
    admitted: list[Pool] = []
    refusals: list[tuple[str, str]] = []
    for pool in pools:
        clause = (
            pool.closed
            or ("did not take one of its workload's pods" if pool.name in avoid else "")
            or ("" if not admitted or together(admitted[0], pool) else f"wants other changes than {admitted[0].name}")
            or suits(pool)
            or has_room(pool)
        )
        if clause:
            refusals.append((pool.name, clause))
        else:
            admitted.append(pool)
    return PoolAdmission(tuple(admitted), tuple(refusals))


def together(first: Pool, later: Pool) -> bool:
    """Whether a pod that is made for the one pool is as it should be on the other."""
    sizes = first.step == later.step and (first.step == 0 or first.spec.stock_out == later.spec.stock_out)
    return sizes and first.overlay == later.overlay


def mismatch(pod: Json, pool: Pool, *, tolerations: Sequence[Toleration]) -> str:
    """Why no node of the pool can take this pod with these tolerations beside its own, whatever room it has.

    Empty where one can.
    """
    spec = pod.get("spec") or {}
    nodes = pool.open_nodes
    if not nodes:
        return "has no node that is ready and open"
    nodes = tuple(node for node in nodes if allows(spec, node))
    if not nodes:
        return "has no node that the pod's node selector or affinity allows"
    for key in hard_spread_keys(spec):
        nodes = tuple(node for node in nodes if key in node.labels)
        if not nodes:
            return f"has no node with the label {key}, by which the pod must spread (DoNotSchedule)"
    held = (*(spec.get("tolerations") or ()), *tolerations)
    if not any(_tolerated(node, held) for node in nodes):
        return "has nodes with a taint that its podOverlay.tolerations do not cover"
    return ""


def hard_spread_keys(spec: Json) -> tuple[str, ...]:
    """The node labels by which the pod must spread: the scheduler passes over a node that lacks one."""
    constraints = spec.get("topologySpreadConstraints") or ()
    hard = (one for one in constraints if (one.get("whenUnsatisfiable") or "DoNotSchedule") == "DoNotSchedule")
    return tuple(dict.fromkeys(one["topologyKey"] for one in hard if one.get("topologyKey")))


def _tolerated(node: NodeRecord, tolerations: Sequence[Toleration]) -> bool:
    return all(any(tolerates(toleration, taint) for toleration in tolerations) for taint in hard_taints(node))
