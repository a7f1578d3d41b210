"""Waiting pods that change sides: physical ones that find no room, and virtual ones that no pool took.

Contract: pure. A pod is *due* once the scheduler has found no node for it for the class's `spillAfter`. A physical one
then gets what it needs on virtual nodes (it *spills*): that is the last resort, after balloons were pre-empted and a
node autoscaler could react, as far as this can be known. A virtual one is replaced by a physical one (it is
*recalled*), because an affinity cannot be loosened on a pod that is there.

Two signs show that room is coming: the scheduler (for a pre-emption) and some autoscalers (for a node that they start)
name the node in `status.nominatedNodeName`; and a young node that is not ready yet, or has room, will be tried. The
decision of an autoscaler cannot be seen: if new nodes are to come first, `spillAfter` must be longer than its decision
and the start of the node.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from spillway.api.elasticpolicy import Placement
from spillway.api.podoverlay import PodOverlay
from spillway.domain.fit.suitability import unsuitable
from spillway.domain.model.additions import Addition, annotation_additions
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.documents import Json
from spillway.domain.model.names import POOLS, RESERVATION, OwnerUid, pools_in
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.metadata import add_metadata, patchable
from spillway.domain.overlay.tolerations import toleration_additions
from spillway.domain.placement.pools import Pool, PoolFits, refusal, together

NOMINATED_SECONDS: Final = 120.0
"""How long after it is due a pod waits for the node named for it: a balloon may take its whole grace period."""
INITIALISING_SECONDS: Final = 10.0
"""For how long a pod waits for pools all of whose nodes are about to be initialised by their cloud."""
NODE_START_SECONDS: Final = 180.0
"""For how long after its creation a node counts as one that will take pods."""
LONGEST_TURN_SECONDS: Final = 3600.0
TURNS_FORGOTTEN_SECONDS: Final = 4 * 3600.0


class Direction(StrEnum):
    """The direction in which a waiting pod changes sides."""

    SPILL = "spill"
    RECALL = "recall"


class StayReason(StrEnum):
    """Why a pod that is due stays as it is."""

    NOMINATED = "Nominated"
    """A node was nominated for it: a pre-emption or a new node is in progress."""
    NODE_STARTING = "NodeStarting"
    """A young node may take it."""
    EXPENDABLE = "Expendable"
    """Its priority is negative: a balloon is meant to wait."""
    GATED = "Gated"
    """A scheduling gate holds it."""
    UNSUITABLE = "Unsuitable"
    """Virtual nodes cannot run it."""
    NO_POOL = "NoPool"
    """No pool is open, has room for it under its limits, and has a node that its own selectors allow."""
    SURGING = "Surging"
    """Its workload runs an additional replica to bring another back; that surge is undone instead."""
    CANNOT_REPLACE = "CannotReplace"
    """It would have to be replaced, but its owner would create no replacement, or its Job would count it as failed too
    often."""
    TURNED = "Turned"
    """Its owner's pods changed sides in the other direction a short time ago."""


@dataclass(frozen=True, slots=True)
class Due:
    """A move, and its time (Unix seconds)."""

    move: Direction
    at: float


def due(
    pod: PodRecord,
    placement: Placement,
    *,
    spilled_at: float = 0.0,
    closed: bool = False,
    everywhere: bool = False,
    initialising: bool = False,
) -> Due | None:
    """When a pod changes sides if nothing happens before; None if it does not.

    A pod that has spilled may run on both sides already, and spills once more, to pools that it cannot use yet:
    `spilled_at` is when it got its mark, and `closed` says that none of the pools it names takes pods any more.
    `everywhere` says that it names all pools of its policy, so that none is left to spill to.
    `initialising` says that these pools have no node but such as wait for their cloud.
    """
    pending = pod.pending
    if pending is None or not pod.unschedulable_since:
        return None
    at = pod.unschedulable_since + placement.spill_after.seconds
    if pending.virtual:
        soon = pod.unschedulable_since + INITIALISING_SECONDS
        return Due(Direction.RECALL, min(at, soon) if initialising else at)
    if placement.virtual == "Never" or everywhere:
        return None
    if pending.pools and not closed:
        at = max(at, spilled_at + placement.spill_after.seconds)
    return Due(Direction.SPILL, at)


def marked_pools(pod: Json) -> tuple[str, ...]:
    """The pools that the mark of a pod names, as the API server gives it (`PodRecord.marked_pools` of a record)."""
    return pools_in(((pod.get("metadata") or {}).get("annotations") or {}).get(POOLS) or "")


def keeps(pod: Json, *, late_seconds: float, local_claims: Sequence[str] = ()) -> StayReason | None:
    """Why this physical pod must not spill, by the pod alone; `late_seconds` is how long it has been due."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if (spec.get("priority") or 0) < 0:
        return StayReason.EXPENDABLE
    if spec.get("schedulingGates"):
        return StayReason.GATED
    if unsuitable(pod, local_claims) is not None:
        return StayReason.UNSUITABLE
    if status.get("nominatedNodeName") and late_seconds < NOMINATED_SECONDS:
        return StayReason.NOMINATED
    return None


def is_starting(node: NodeRecord, now: float) -> bool:
    """Whether a node is young enough to be starting; the room of such nodes says for how many pods."""
    return now - node.created < NODE_START_SECONDS and not node.deleting and (not node.ready or not node.unschedulable)


@dataclass(frozen=True, slots=True)
class SpillPlan:
    """The way in which a pod gets to virtual nodes."""

    pools: tuple[str, ...]
    """Every pool whose nodes it may then run on, the one it is meant for first."""
    tolerations: tuple[Json, ...] = ()
    in_place: bool = True
    """Whether a patch is enough; else it is replaced, and its successor is made for virtual nodes."""


def plan_spill(
    pod: Json,
    pools: Sequence[Pool],
    has_room: Callable[[Pool], str],
    others: Iterable[Pool] = (),
    *,
    avoid: Collection[str] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
    fits: PoolFits | None = None,
) -> SpillPlan | None:
    """The way to the first of `pools`, in the policy's order, that takes it; None where none does.

    `has_room` answers why a pool has none under its limits; `others` are the pools that the policy does not list, and
    `avoid` those that it must not be meant for; `left_out` are those for which the API server refused its owner's
    pods, each with a clause. A patch adds a toleration and nothing that keeps the pod from other
    nodes with the same taint: if these belong to a pool that must not take it, or that needs other changes, the pod is
    replaced, because its successor gets an affinity. The pools in the pod's own mark have been tried, and remain
    allowed. `fits` are the pod's, where they are known already.
    """
    fits = fits or PoolFits(pod.get("spec") or {})
    listed = {pool.name for pool in pools}
    marked = marked_pools(pod)

    for pool in pools:
        if pool.name in marked or refusal(pool, fits.mismatch, has_room, avoid=avoid, left_out=left_out):
            continue
        reached = [
            other
            for other in (*pools, *others)
            if other.name in marked or (other.name != pool.name and any(map(fits.of(pool).admits, other.open_nodes)))
        ]
        patched = (
            pool.step == 0
            and patchable(pool.overlay)
            and all(
                other.name in listed
                and together(pool, other)
                and (other.name in marked or not (other.closed or has_room(other)))
                for other in reached
            )
        )
        names = (pool.name, *(other.name for other in reached)) if patched else (pool.name,)
        return SpillPlan(names, pool.tolerations, patched)
    return None


def spill_additions(
    pod: Json, found: SpillPlan, overlay: PodOverlay, token: str
) -> tuple[tuple[Addition, ...], tuple[str, ...]]:
    """The additions to a pod that goes that way in place, and what of the overlay its user had set otherwise."""
    draft = Draft(pod)
    draft.add_all(toleration_additions(pod, found.tolerations))
    add_metadata(draft, overlay, pool=found.pools[0])
    marks = {POOLS: ",".join(found.pools), RESERVATION: token}
    draft.add_all(annotation_additions(draft.at("metadata", "annotations"), marks))
    return draft.additions, draft.conflicts


@dataclass(slots=True)
class Turns:
    """A guard against replacing the pods of one owner back and forth: each change of direction waits twice as long."""

    _last: dict[OwnerUid, tuple[Direction, float, int]] = field(default_factory=dict)

    def wait(self, owner: OwnerUid, move: Direction, now: float, spill_after: float) -> float:
        """Seconds until a pod of this owner may be replaced that way; 0 for now."""
        last = self._last.get(owner)
        if last is None or last[0] is move:
            return 0.0
        _, at, turns = last
        return max(0.0, at + backoff_seconds(turns + 1, first=spill_after, longest=LONGEST_TURN_SECONDS) - now)

    def note(self, owner: OwnerUid, move: Direction, now: float) -> None:
        """Record that a pod of this owner was replaced in this direction."""
        last = self._last.pop(owner, None)
        if last is not None and now - last[1] >= TURNS_FORGOTTEN_SECONDS:
            last = None
        turned = last is not None and last[0] is not move
        self._last[owner] = (move, now, (0 if last is None else last[2]) + turned)
        for one, (_, at, _) in list(self._last.items()):
            if now - at < TURNS_FORGOTTEN_SECONDS:
                break
            del self._last[one]
