"""Decides a pod that is about to be created, promises it its place, and says what to change in it.

Contract: one a process, asked by the leader alone. `place` waits for nothing: between what it counts and what it
promises nobody else is asked, so a burst of any size lands exactly as the thresholds and the limits say. With `act`
False (a dry run, a policy in Recommend) it answers the same and promises nothing.

What is changed in a pod is added: what its user wrote stays, but for the terms of a required node affinity, each of
which is narrowed to the pools.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import msgspec

from spillway.api.elasticpolicy import WorkloadClass
from spillway.api.podoverlay import PodOverlay
from spillway.domain.budget.price import billed
from spillway.domain.fit.affinity import affinity_operations
from spillway.domain.fit.suitability import unsuitable
from spillway.domain.fit.tolerations import toleration_operations
from spillway.domain.model import names
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.places import Claim
from spillway.domain.model.usage import Usage
from spillway.domain.overlay.draft import Operation, added
from spillway.domain.overlay.plan import landing_operations, overlay_operations
from spillway.domain.placement.decide import DEFAULT, Decision, PlacementReason, Wish, decide
from spillway.domain.placement.pools import Pool, PoolAdmission, admit, mismatch
from spillway.domain.policies.governance import Governance
from spillway.domain.pools.resize import requests_of, resize_operations
from spillway.domain.threshold.effective import Choice, ThresholdReason, effective
from spillway.state.board import Board, Redirect
from spillway.state.open_pools import Openings
from spillway.state.usage import LiveUsage

Json = Mapping[str, Any]

_REMEMBERED: Final = 4096
_ONE: Final = Usage(1)
_STAY: Final = Redirect(0.0)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A pod that is about to be created, and what governs it."""

    pod: Json
    owner: OwnerUid
    workload: str
    """Kind/namespace/name, as in the plan of thresholds."""
    claim: Claim
    workload_class: WorkloadClass
    annotation: str = ""
    """The workload's `spillway.dev/threshold`."""
    numbered: bool = True
    """Whether a threshold means anything for it; a Job's pods are not replicas of a service."""
    planned: bool = True
    """Whether mode Auto plans it: it has ReplicaSets."""

    @property
    def token(self) -> str:
        """Of a reservation that an earlier round of admission made for it."""
        return str(((self.pod.get("metadata") or {}).get("annotations") or {}).get(names.RESERVATION, ""))


@dataclass(frozen=True, slots=True)
class Placed:
    """What was decided."""

    wish: Wish
    operations: tuple[Operation, ...] = ()
    pools: tuple[str, ...] = ()
    because: str = ""
    """Why it stays on physical nodes although it was to go to virtual ones: a clause for its owner's Event."""
    conflicts: tuple[str, ...] = ()
    """What a pool wanted and the user had set otherwise."""
    tolerated: str = ""
    """Of a class that keeps off virtual nodes: a pool where the pod may land by its user's own toleration."""
    problem: str = ""
    """What is wrong with the workload's own threshold."""


class _Prepared(NamedTuple):
    """The pod as it would go to one pool, but for tolerations and affinity."""

    pod: Json
    operations: tuple[Operation, ...]
    conflicts: tuple[str, ...]
    used: Usage
    billed: Usage
    size: str


class Placer:
    """Places pods by the board, the policies and what there is now."""

    def __init__(self, usage: LiveUsage, board: Board, governance: Callable[[], Governance]) -> None:
        self.usage = usage
        self._board = board
        self._governance = governance
        self._openings = Openings(usage, board, governance)
        self._mismatches: dict[tuple[int, bool, bytes], tuple[Pool, str]] = {}

    def may_leave(self, newcomer: Newcomer) -> bool:
        """Whether the pod would go to virtual nodes as things stand: what costs a look-up is asked only then."""
        if (newcomer.workload_class.placement or DEFAULT).virtual == "Never":
            return False
        return self._board.redirected(newcomer.owner) or self._wish(newcomer, None).virtual

    def place(self, newcomer: Newcomer, local_claims: Collection[str] = (), *, act: bool = True) -> Placed:
        """Decide, and promise the place."""
        redirect = self._board.take_redirect(newcomer.owner) if act else None
        wish = self._wish(newcomer, redirect)
        problem = self._threshold(newcomer).problem
        if not wish.virtual:
            placed = self._physical(newcomer, wish, act=act, problem=problem)
            return (
                replace(placed, tolerated=self._tolerated(newcomer)) if wish.reason is PlacementReason.NEVER else placed
            )
        clause = unsuitable(newcomer.pod, local_claims)
        if clause is not None:
            kept = Wish(Decision.PHYSICAL, PlacementReason.UNSUITABLE)
            return self._physical(newcomer, kept, act=act, because=clause, problem=problem)
        prepared: dict[str, _Prepared] = {}
        avoid = (redirect or _STAY).avoid | self._board.avoided(newcomer.owner)
        admission = self._admit(newcomer, avoid, prepared)
        if not admission.pools:
            kept = Wish(Decision.PHYSICAL, PlacementReason.NO_POOL)
            because = f"no pool takes it ({admission.because})"
            return self._physical(newcomer, kept, act=act, because=because, problem=problem)
        return self._virtual(newcomer, wish, admission.pools, prepared[admission.pools[0].name], act=act)

    def again(self, newcomer: Newcomer) -> bool:
        """Whether this pod has been placed and comes by once more because another webhook changed it.

        Then what it asks for by now is what is promised.
        """
        held = self.usage.reservations.get(newcomer.token) if newcomer.token else None
        if held is None or held.owner != newcomer.owner:
            return False
        if held.pools:
            size = str(newcomer.pod["metadata"]["annotations"].get(names.SIZE, ""))
            used, cost = _measured(newcomer.pod, size)
            self.usage.reservations.remeasure(newcomer.token, used=used, billed=cost)
        return True

    # The tier

    def _threshold(self, newcomer: Newcomer) -> Choice:
        if not newcomer.numbered:
            return Choice(None, ThresholdReason.NO_THRESHOLD)
        auto = self._board.thresholds.get(newcomer.workload)
        return effective(newcomer.workload_class.threshold, newcomer.annotation, auto, planned=newcomer.planned)

    def _wish(self, newcomer: Newcomer, redirect: Redirect | None) -> Wish:
        said = redirect or _STAY
        return decide(
            newcomer.workload_class.placement,
            self._threshold(newcomer),
            self.usage.physical(newcomer.owner),
            redirect="physical" if said.physical else "virtual" if said.virtual else "",
        )

    # The pools

    def _admit(self, newcomer: Newcomer, avoid: Collection[str], prepared: dict[str, _Prepared]) -> PoolAdmission:
        governance = self._governance()
        pools = [self._openings.pool(name) for name in governance.pools_of(newcomer.claim.policy)]
        constraints = _constraints(newcomer.pod)

        def suits(pool: Pool) -> str:
            return self._mismatch(newcomer.pod, pool, constraints)

        def has_room(pool: Pool) -> str:
            made = prepared[pool.name] = self._prepare(newcomer, pool)
            return self._openings.lack(pool, made.used, made.billed)

        return admit(pools, suits, has_room, avoid=avoid)

    def _mismatch(self, pod: Json, pool: Pool, constraints: bytes, *, as_it_is: bool = False) -> str:
        """Pods of one workload ask the same of nodes, and pools seldom change: remembered."""
        key = (id(pool), as_it_is, constraints)
        known = self._mismatches.get(key)
        # The pool is kept with its answer, so no other can have its identity.
        if known is not None:
            return known[1]
        if len(self._mismatches) >= _REMEMBERED:
            self._mismatches.clear()
        clause = mismatch(pod, pool, tolerations=() if as_it_is else pool.tolerations)
        self._mismatches[key] = (pool, clause)
        return clause

    def _tolerated(self, newcomer: Newcomer) -> str:
        """The first pool with a node that the pod may run on as it is."""
        governance = self._governance()
        constraints = _constraints(newcomer.pod)
        pools = (self._openings.pool(name) for name in governance.pools_of(newcomer.claim.policy))
        reached = (pool.name for pool in pools if not self._mismatch(newcomer.pod, pool, constraints, as_it_is=True))
        return next(reached, "")

    # The pod

    def _prepare(self, newcomer: Newcomer, pool: Pool) -> _Prepared:
        plan = overlay_operations(newcomer.pod, pool.overlay, pool=pool.name)
        pod = plan.onto(newcomer.pod)
        landing = landing_operations(pod, self._overlays(newcomer.claim.policy))
        pod = landing.onto(pod)
        size = ""
        grown: tuple[Operation, ...] = ()
        if pool.step and pool.spec.stock_out is not None:
            resized = resize_operations(pod, pool.spec.stock_out, pool.step)
            grown = tuple(Operation(_parts(one.path), one.value) for one in resized.operations)
            size = resized.size_mark
        pod = _onto(pod, grown)
        used, cost = _measured(pod, size)
        operations = (*plan.operations, *landing.operations, *grown)
        return _Prepared(pod, operations, (*plan.conflicts, *landing.conflicts), used, cost, size)

    def _overlays(self, policy: str) -> Sequence[tuple[str, PodOverlay]]:
        governance = self._governance()
        listed = ((name, governance.budgets[name].spec.pod_overlay) for name in governance.pools_of(policy))
        return [(name, overlay) for name, overlay in listed if overlay is not None]

    def _virtual(self, newcomer: Newcomer, wish: Wish, pools: Sequence[Pool], made: _Prepared, *, act: bool) -> Placed:
        admitted = tuple(pool.name for pool in pools)
        marks = {names.PLACEMENT: wish.decision.value, names.POOLS: ",".join(admitted)}
        if made.size:
            marks[names.SIZE] = made.size
        if act:
            marks[names.RESERVATION] = self.usage.reservations.reserve(
                newcomer.owner, pools=admitted, used=made.used, billed=made.billed
            )
        operations = [*made.operations]
        tolerations = (toleration for pool in pools for toleration in pool.tolerations)
        operations += toleration_operations(made.pod, tolerations)
        operations += affinity_operations(made.pod, [pool.spec.node_selector for pool in pools])
        operations += _annotations(made.pod, marks | {names.POLICY: newcomer.claim.policy})
        return Placed(wish, tuple(operations), admitted, conflicts=made.conflicts)

    def _physical(self, newcomer: Newcomer, wish: Wish, *, act: bool, because: str = "", problem: str = "") -> Placed:
        landing = landing_operations(newcomer.pod, self._overlays(newcomer.claim.policy))
        marks = {names.PLACEMENT: wish.decision.value, names.POLICY: newcomer.claim.policy}
        if names.POOLS in ((newcomer.pod.get("metadata") or {}).get("annotations") or {}):
            # Only of a template copied from a pod: on a physical pod it would mean that it has spilled.
            marks[names.POOLS] = ""
        if act:
            marks[names.RESERVATION] = self.usage.reservations.reserve(newcomer.owner, used=_ONE)
        operations = (*landing.operations, *_annotations(landing.onto(newcomer.pod), marks))
        return Placed(wish, operations, because=because, conflicts=landing.conflicts, problem=problem)


def _measured(pod: Json, size: str) -> tuple[Usage, Usage]:
    """What the pod requests, and what the provider would bill of it."""
    asked = requests_of(pod)
    used = Usage(1, asked.cpu_millis, asked.memory_bytes)
    return used, Usage(1, *billed(used.cpu_millis, used.memory_bytes, size))


def _constraints(pod: Json) -> bytes:
    """What decides which nodes can take the pod, as one key."""
    spec = pod.get("spec") or {}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity")
    parts = (spec.get("nodeSelector"), affinity, spec.get("topologySpreadConstraints"), spec.get("tolerations"))
    return msgspec.json.encode(parts)


def _annotations(pod: Json, wanted: Mapping[str, str]) -> Iterator[Operation]:
    """Marks are ours whatever stands there: a template that was copied from a pod must not decide for its pods."""
    present = (pod.get("metadata") or {}).get("annotations")
    if present is None:
        yield Operation(("metadata", "annotations"), dict(wanted))
        return
    for key, value in wanted.items():
        if present.get(key) != value:
            yield Operation(("metadata", "annotations", key), value)


def _onto(pod: Json, operations: Collection[Operation]) -> Json:
    for operation in operations:
        pod = added(pod, operation.path, operation.value)
    return pod


def _parts(pointer: str) -> tuple[str, ...]:
    """The parts of a JSON pointer."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
