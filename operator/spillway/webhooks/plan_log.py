"""The most recent scale-downs as they were planned, for `/debug/plans`, Events, `explain` and the demo.

Contract: bounded (the last `size` plans, the first `VICTIMS_KEPT` victims of each), in memory, of this replica only.
The places are shared out by namespace, so that a storm of scale-downs in one hides no plan of another.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from spillway.domain.model.names import NodeName, PodUid, Tier, Zone
from spillway.domain.model.remember import FairMemory
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.ranking import Victim
from spillway.domain.scale_down.reasons import VictimReason, explain
from spillway.domain.scale_down.told import told_victims
from spillway.state.signal import Signal, Unsubscribe

VICTIMS_KEPT: Final = 500


class PlannedVictim(msgspec.Struct, frozen=True, gc=False):
    """One pod to delete."""

    uid: PodUid
    name: str
    node: NodeName
    zone: Zone
    tier: Tier
    reason: VictimReason
    why: str
    written: bool
    """Whether its cost had to be written."""


class PlanEntry(msgspec.Struct, frozen=True):
    """One planned scale-down. `at` is in Unix seconds; `outcome` is as in `spillway_admission_outcomes_total`."""

    at: float
    namespace: str
    replicaset: str
    replicaset_uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    about: Mapping[str, str]
    """The reference to the workload, which Events about the scale-down name."""
    policy: str
    outcome: str
    old_replicas: int
    new_replicas: int
    mirror: bool
    victims: tuple[PlannedVictim, ...]
    planned: int
    writes: int
    hold_seconds: float
    settle_seconds: float
    let_go: str = ""
    """Why the request was allowed before the costs were in effect; empty if they were."""

    @property
    def summary(self) -> str:
        """One sentence for an Event: how many pods go, of which tier, and by which rule."""
        tiers = Counter(victim.tier.value for victim in self.victims)
        reasons = Counter(victim.reason.value for victim in self.victims)
        text = (
            f"{self.old_replicas} to {self.new_replicas} replicas: {self.planned} pods are deleted"
            f" ({_counts(tiers)}), by the rules {_counts(reasons)}"
        )
        if self.mirror:
            text += "; old ReplicaSet of a rollout"
        if self.outcome == "foreign-cost":
            text += "; another client writes deletion costs on these pods, so its costs decide"
        if self.let_go:
            text += f"; allowed before all deletion costs were written ({self.let_go}), so the earlier costs decide"
        return text

    def note(self, longest: int) -> str:
        """The summary, and as many of the victims as fit into an Event of at most `longest` characters."""
        named = [(victim.name, victim.reason) for victim in self.victims]
        return told_victims(self.summary, named, self.planned, longest)


def planned_victims(
    victims: Iterable[Victim], candidates: Mapping[PodUid, Candidate], writes: Mapping[PodUid, int]
) -> tuple[PlannedVictim, ...]:
    """The plan's victims with the details for a reader."""
    described = []
    for victim in victims:
        candidate = candidates[victim.uid]
        described.append(
            PlannedVictim(
                uid=victim.uid,
                name=candidate.name,
                node=candidate.node,
                zone=candidate.zone,
                tier=candidate.tier,
                reason=victim.reason,
                why=explain(victim.reason, candidate),
                written=victim.uid in writes,
            )
        )
        if len(described) == VICTIMS_KEPT:
            break
    return tuple(described)


class PlanLog:
    """The log of plans, newest last, with listeners for new ones."""

    def __init__(self, size: int = 200) -> None:
        self._entries: FairMemory[int, PlanEntry] = FairMemory(size)
        self._number = itertools.count()
        self._added: Signal[PlanEntry] = Signal("PlanEntry")

    @property
    def entries(self) -> tuple[PlanEntry, ...]:
        return tuple(self._entries.values())

    def add(self, entry: PlanEntry) -> None:
        self._entries.put(next(self._number), entry, share=entry.namespace)
        self._added.emit(entry)

    def subscribe(self, listener: Callable[[PlanEntry], None]) -> Unsubscribe:
        """Call `listener` with every plan from now on; it must not block."""
        return self._added.subscribe(listener)

    def as_json(self) -> bytes:
        """The answer of `/debug/plans`: a list of plans, oldest first."""
        return msgspec.json.encode(self.entries)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counter.most_common())
