"""The placement of one new pod: the nodes it is decided for, the pools that may take it, and what is added to it.

Contract: pure; `plan` reads a creation from top to bottom. The caller passes the facts of this moment and reserves the
place before another pod is placed. All changes of a pod are additions: what its user wrote stays, except the terms of a
required node affinity, each of which is restricted to the pools. The pod is built once, for the first pool that takes
it; a later pool is admitted only if it wants the same changes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from spillway.api.elasticpolicy import WorkloadClass
from spillway.api.podoverlay import PodOverlay
from spillway.api.virtualnodebudget import PodSpecSize
from spillway.domain.budget.price import billed
from spillway.domain.fit.container_defaults import NO_DEFAULTS, Defaults, with_defaults
from spillway.domain.fit.suitability import unsuitable
from spillway.domain.fit.taint_toleration import Toleration
from spillway.domain.model import names
from spillway.domain.model.additions import Addition, annotation_additions
from spillway.domain.model.documents import Json
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import WorkloadKey
from spillway.domain.model.places import Claim
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.plan import add_landing_variables, add_overlay
from spillway.domain.overlay.tolerations import toleration_additions
from spillway.domain.placement.affinity import affinity_additions
from spillway.domain.placement.annotations import physical_annotations, virtual_annotations
from spillway.domain.placement.decide import Decision, NodeKind, PlacementReason, decide
from spillway.domain.placement.pools import Pool, PoolAdmission, admit
from spillway.domain.placement.refusals import NO_CHANGES, PoolChanges
from spillway.domain.pools.resize import requests_of, resize
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason, effective, unread_on

_ONE: Final = Usage(1)

TokenFor = Callable[[str], str]
"""A function that gives the token of a pod's reservation by the pools in its mark, separated by commas."""


SizeMark = Callable[[str], str]
"""Gives the value of the mark `names.SIZE` by what it says."""


def no_token(_: str) -> str:
    """Of a dry run, which reserves nothing."""
    return ""


def without_proof(size: str) -> str:
    """Of a dry run, whose pod is never billed."""
    return size


@dataclass(frozen=True, slots=True)
class NewPod:
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
    position: int | None = None
    """How many replicas come before it, where they have an order (a StatefulSet's); None where they have none."""

    @property
    def present_annotations(self) -> dict[str, str] | None:
        found: dict[str, str] | None = (self.pod.get("metadata") or {}).get("annotations")
        return found

    @property
    def namespace(self) -> str:
        return self.workload.split("/", 2)[1]

    @property
    def reservation(self) -> str:
        """The token of the reservation that an earlier round of admission made for it."""
        return str((self.present_annotations or {}).get(names.RESERVATION, ""))

    def threshold(self, auto: int | None) -> EffectiveThreshold:
        """Its workload's threshold; `auto` is the number that mode Auto plans, None while there is no plan."""
        if not self.numbered:
            problem = unread_on(WorkloadKey.parse(self.workload).kind) if self.annotation else ""
            return EffectiveThreshold(None, ThresholdReason.NO_THRESHOLD, problem)
        return effective(self.workload_class.threshold, self.annotation, auto, planned=self.planned)


class Facts(NamedTuple):
    """The counts, pools and reservations of this moment on which one pod's placement depends."""

    physical: int
    """Pods of its owner on physical nodes, those included that are decided and not seen yet; where the replicas have an
    order, those that come before it."""
    threshold: EffectiveThreshold
    """Its workload's threshold."""
    landing: Sequence[tuple[str, PodOverlay]]
    """The overlays of its policy's pools, by name."""
    pools: Callable[[], Sequence[Pool]]
    """The pools of its policy, in order; asked only for a pod that they matter to."""
    mismatch: Callable[[Json, Pool, Sequence[Toleration]], str]
    """Why no node of a pool can take the pod, had it these tolerations beside its own."""
    refusal_by_limits: Callable[[Pool, Usage, Usage], str]
    """Why a pool has no room for one more pod that requests and is billed for so much."""
    refusal_by_nodes: Callable[[Json, Pool, Usage], str]
    """Why no node of a pool that may take the pod, which requests so much, has room for it beside the other pods."""
    redirect: Literal["", "physical", "virtual"] = ""
    """What was said when the pod before it was replaced."""
    avoid: Collection[str] = frozenset()
    """Pools that have failed to take a pod of its owner a short time ago."""
    left_out: Mapping[str, str] = MappingProxyType({})
    """Pools for which the API server has refused pods of its owner, each with a clause that says so."""
    defaults: Defaults = NO_DEFAULTS
    """The requests that its namespace gives to containers that set none."""
    growth: Usage = NOTHING
    """By how much it is expected to be bigger once it is created."""
    local_claims: Collection[str] = frozenset()
    """Those of its PersistentVolumeClaims whose volume is part of one node."""


@dataclass(frozen=True, slots=True)
class PodPlacement:
    """What was decided for one pod, and everything that follows from it."""

    decision: Decision
    additions: tuple[Addition, ...] = ()
    pools: tuple[str, ...] = ()
    """The pools that may take it, in order of preference; empty for a pod decided physical."""
    used: Usage = _ONE
    """What it counts for against the limits of these pools, with its expected growth."""
    billed: Usage = _ONE
    changes: PoolChanges = NO_CHANGES
    """What these pools change of the pod."""
    because: str = ""
    """Why it stays on physical nodes although it was to go to virtual ones: a clause for its owner's Event."""
    conflicts: tuple[str, ...] = ()
    """What a pool wanted and the user had set otherwise."""
    tolerated: str = ""
    """Of a class that keeps off virtual nodes: a pool where the pod may land by its user's own toleration."""
    problem: str = ""
    """What is wrong with the workload's own threshold."""
    token: str = ""
    """Of its reservation, as its marks have it."""


def plan(
    new: NewPod, facts: Facts, *, token_for: TokenFor = no_token, size_mark: SizeMark = without_proof
) -> PodPlacement:
    """Place one pod. `token_for` gives the token under which its place will be promised."""
    decision = decided(new, facts)
    if not decision.virtual:
        placement = _physical(new, facts, decision, token_for)
        never = decision.reason is PlacementReason.NEVER
        return replace(placement, tolerated=_tolerated(new, facts)) if never else placement
    clause = unsuitable(new.pod, facts.local_claims)
    if clause is not None:
        kept = Decision(NodeKind.PHYSICAL, PlacementReason.UNSUITABLE)
        return _physical(new, facts, kept, token_for, because=clause)
    admission, built = _admitted(new, facts)
    if built is None:
        kept = Decision(NodeKind.PHYSICAL, PlacementReason.NO_POOL)
        return _physical(new, facts, kept, token_for, because=f"no pool takes it ({admission.because})")
    return _virtual(new, decision, admission.pools, built, token_for, size_mark)


def decided(new: NewPod, facts: Facts) -> Decision:
    """The decision from the counts alone, before it is known whether a pool takes the pod."""
    return decide(new.workload_class.effective_placement, facts.threshold, facts.physical, redirect=facts.redirect)


def measured(pod: Json, size: str, ladder: Collection[PodSpecSize], growth: Usage = NOTHING) -> tuple[Usage, Usage]:
    """What a pod requests with its growth, and what the provider would bill of it at this size of the ladder."""
    asked = requests_of(pod)
    used = Usage(1, asked.cpu_millis, asked.memory_bytes) + growth
    return used, billed(used, size, ladder)


class _Built(NamedTuple):
    """The pod as one pool wants it, but for tolerations, affinity and marks."""

    draft: Draft
    used: Usage
    billed: Usage
    size: str


def _admitted(new: NewPod, facts: Facts) -> tuple[PoolAdmission, _Built | None]:
    """The pools that take the pod, and the pod as they want it; None where there is no pool."""
    built: _Built | None = None

    def suits(pool: Pool) -> str:
        return facts.mismatch(new.pod, pool, pool.tolerations)

    def has_room(pool: Pool) -> str:
        nonlocal built
        wanted = built or _build(new, facts, pool)
        by_limits = facts.refusal_by_limits(pool, wanted.used, wanted.billed)
        clause = by_limits or facts.refusal_by_nodes(wanted.draft.pod, pool, wanted.used)
        if not clause:
            built = wanted
        return clause

    return admit(facts.pools(), suits, has_room, avoid=facts.avoid, left_out=facts.left_out), built


def _build(new: NewPod, facts: Facts, pool: Pool) -> _Built:
    draft = Draft(new.pod)
    add_overlay(draft, pool.overlay, pool=pool.name)
    add_landing_variables(draft, facts.landing)
    size = ""
    ladder: Sequence[PodSpecSize] = ()
    if pool.step and pool.spec.stock_out is not None:
        ladder = pool.spec.stock_out.ladder
        resized = resize(with_defaults(draft.pod, facts.defaults), pool.spec.stock_out, pool.step)
        draft.add_all(resized.additions)
        size = resized.size_mark
    shaped = with_defaults(draft.pod, facts.defaults)
    return _Built(draft, *measured(shaped, size, ladder, facts.growth), size)


def _virtual(  # noqa: PLR0917 - the steps of `plan`, one after the other
    new: NewPod,
    decision: Decision,
    pools: Sequence[Pool],
    built: _Built,
    token_for: TokenFor,
    size_mark: SizeMark,
) -> PodPlacement:
    draft, used, cost, size = built
    admitted = tuple(pool.name for pool in pools)
    draft.add_all(toleration_additions(draft.pod, (one for pool in pools for one in pool.tolerations)))
    draft.add_all(affinity_additions(draft.pod, [pool.spec.node_selector for pool in pools]))
    named = ",".join(admitted)
    token = token_for(named)
    marked = size_mark(size) if size else ""
    marks = virtual_annotations(named, size=marked, policy=new.claim.policy, reservation=token)
    additions = _marked(draft, marks)
    changes = PoolChanges(size, pools[0].spec.pod_overlay is not None, _is_larger(draft.pod, new.pod))
    return PodPlacement(decision, additions, admitted, used, cost, changes, conflicts=draft.conflicts, token=token)


def _is_larger(built: Json, pod: Json) -> bool:
    """Whether it requests more than its user wrote; a container more may get requests and limits by default."""
    specs = built.get("spec") or {}, pod.get("spec") or {}
    if all(specs[0].get(name) is specs[1].get(name) for name in ("containers", "initContainers", "resources")):
        return False
    added = len(specs[0].get("initContainers") or ()) > len(specs[1].get("initContainers") or ())
    return added or requests_of(built) != requests_of(pod)


def _physical(new: NewPod, facts: Facts, decision: Decision, token_for: TokenFor, *, because: str = "") -> PodPlacement:
    draft = Draft(new.pod)
    add_landing_variables(draft, facts.landing)
    token = token_for("")
    marks = physical_annotations(new.present_annotations, policy=new.claim.policy, reservation=token)
    additions = _marked(draft, marks)
    return PodPlacement(
        decision,
        additions,
        because=because,
        conflicts=draft.conflicts,
        problem=facts.threshold.problem,
        token=token,
    )


def _marked(draft: Draft, marks: Mapping[str, str]) -> tuple[Addition, ...]:
    """The draft's additions and the marks, the last thing added to a pod."""
    return (*draft.additions, *annotation_additions(draft.at("metadata", "annotations"), marks))


def _tolerated(new: NewPod, facts: Facts) -> str:
    """The first pool with a node that the pod may run on as it is."""
    return next((pool.name for pool in facts.pools() if not facts.mismatch(new.pod, pool, ())), "")
