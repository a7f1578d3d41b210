"""The pools of virtual nodes that take a pod together, and why the others do not.

Contract: pure. Pools are asked in the policy's order; each gives a clause that says why it does not take the pod, or an
empty one. Admitted are the first pool that takes the pod and every later one that takes it as well and wants the same
changes: what an overlay and a bigger size change is settled when the pod is created, so two pools that differ in that
cannot both be open to the same pod.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from spillway.api.podoverlay import PodOverlay
from spillway.api.virtualnodebudget import VirtualNodeBudgetSpec
from spillway.domain.fit.node_fit import OPEN, NodeFit, takes_pods
from spillway.domain.fit.taint_toleration import INITIALISING, UNTOLERATED, Toleration
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord
from spillway.domain.overlay.tolerations import needed

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
        return tuple(filter(takes_pods, self.nodes))

    @property
    def refusal(self) -> str:
        """Why it takes no pod, whatever that asks for; empty while it takes some. Its limits are not looked at."""
        return self.closed or ("" if self.open_nodes else f"has no node {OPEN}")

    @cached_property
    def tolerations(self) -> tuple[dict[str, Any], ...]:
        """What a pod has to tolerate there."""
        return needed(self.spec.pod_overlay, self.open_nodes)


class PoolAdmission(NamedTuple):
    """The pools that take one pod, and the refusals of the others."""

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
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> PoolAdmission:
    """The pools that take a pod. `suits` and `has_room` answer why one does not; room is asked last and only if needed.

    `avoid` are pools that have failed to take a pod of the same owner a short time ago. `left_out` gives a clause for
    each pool for which the API server refused one.
    """
    admitted: list[Pool] = []
    refusals: list[tuple[str, str]] = []
    for pool in pools:
        beside = admitted[0] if admitted else None
        clause = refusal(pool, suits, has_room, avoid=avoid, left_out=left_out, beside=beside)
        if clause:
            refusals.append((pool.name, clause))
        else:
            admitted.append(pool)
    return PoolAdmission(tuple(admitted), tuple(refusals))


def refusal(
    pool: Pool,
    suits: Callable[[Pool], str],
    has_room: Callable[[Pool], str],
    *,
    avoid: Collection[str] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
    beside: Pool | None = None,
) -> str:
    """Why one pool does not take a pod, which may be made for the pool `beside` already; empty if it does.

    The arguments are those of `admit`.
    """
    return (
        pool.closed
        or ("did not take one of its workload's pods" if pool.name in avoid else "")
        or left_out.get(pool.name, "")
        or ("" if beside is None or together(beside, pool) else f"needs other additions to the pod than {beside.name}")
        or suits(pool)
        or has_room(pool)
    )


def together(first: Pool, later: Pool) -> bool:
    """Whether a pod that is made for the one pool is as it should be on the other."""
    sizes = first.step == later.step and (first.step == 0 or first.spec.stock_out == later.spec.stock_out)
    return sizes and first.overlay == later.overlay


class PoolFits:
    """The fit of one pod on each pool with what its overlay tolerates, worked out once per pool."""

    def __init__(self, spec: Json) -> None:
        self._spec = spec
        self._fits: dict[str, NodeFit] = {}

    def of(self, pool: Pool) -> NodeFit:
        """The fit on the nodes of one pool."""
        if pool.name not in self._fits:
            self._fits[pool.name] = pool_fit(self._spec, pool.tolerations)
        return self._fits[pool.name]

    def mismatch(self, pool: Pool) -> str:
        """Why no node of one pool can take the pod; empty where one can."""
        return mismatch(self.of(pool), pool)

    def nodes(self, pool: Pool) -> tuple[NodeRecord, ...]:
        """The open nodes of one pool on which the pod may run."""
        return self.of(pool).admitted(pool.open_nodes)


def pool_fit(spec: Json, tolerations: Sequence[Toleration]) -> NodeFit:
    """The fit of a pod on the nodes of a pool, with these tolerations beside its own.

    A node that its cloud is about to initialise counts as one that takes pods: it does so in a moment, and a pod that
    waits for longer than `INITIALISING_SECONDS` is replaced.
    """
    return NodeFit(spec, (*tolerations, INITIALISING))


def mismatch(fit: NodeFit, pool: Pool) -> str:
    """Why no node of the pool can take the pod with this `pool_fit`, whatever room it has; empty where one can."""
    clause = fit.refusal_by_all(pool.open_nodes)
    if clause == UNTOLERATED:
        return "has nodes with a taint that its podOverlay.tolerations do not cover"
    return clause and f"has no node {clause}"
