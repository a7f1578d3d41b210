"""The surges of one purpose: their start, their steps, and the marks that show them to the next leader.

Contract: a workload has at most one surge, whoever requests it (`SurgeScaler.busy`). A surge that another leader left
is found by its mark and continued by the runner whose purpose the mark names; a mark that cannot be read is removed by
that of bring-backs. A removed mark that the watch still shows starts nothing again. The mark stays until the chosen pod
is going, because the order of the scale-down follows from it. After a scale whose answer was lost, no further one is
sent while that one may still be carried out; then the number of replicas shows whether it was. A mark that Spillway did
not write is none (`SurgeScaler.is_proven`).
"""

from collections import deque
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from spillway.controllers.surge.scaler import SurgeScaler, Target, target_of
from spillway.domain.model.documents import Json
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import ReplicaSetRecord
from spillway.domain.surge.patience import patience_seconds
from spillway.domain.surge.readings import SurgeReading, reading_of
from spillway.domain.surge.steps import Progress, Purpose, Step, Surge, SurgeOutcome, next_step

STEP_SECONDS: Final = 1.0
"""Seconds until a surge is checked again if none of its pods changes before."""
GOING_SECONDS: Final = 30.0
"""Seconds after which the mark is removed although the chosen pod is not going."""
MARKS_KEPT: Final = 8
"""The number of removed marks to remember per workload; a watch is never behind by as many surges."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a surge ended; without progress, the workload was not read any more."""

    outcome: SurgeOutcome
    surge: Surge | None
    progress: Progress | None = None


class SurgeRunner:
    """The surges of some purposes. `ready_seconds` is the least that all replicas may take to become ready."""

    def __init__(
        self, scaler: SurgeScaler, purposes: Collection[Purpose], now: Callable[[], float], *, ready_seconds: float
    ) -> None:
        self._scaler = scaler
        self._purposes = purposes
        self._now = now
        self._ready_seconds = ready_seconds
        self._running: dict[OwnerUid, Surge] = {}
        self._shrunk: dict[OwnerUid, tuple[float, Ended]] = {}
        """The surges whose workload has been scaled back and whose chosen pod is not going yet, and until when."""
        self._ending: dict[OwnerUid, Ended] = {}
        """The surges whose scale-down was sent and not refused, and how each ends once the replicas show it."""
        self._readings: dict[OwnerUid, SurgeReading] = {}
        """What was last read of the workloads that surge."""
        self._unmarked: dict[OwnerUid, deque[str]] = {}

    @property
    def running(self) -> AbstractSet[OwnerUid]:
        """The ReplicaSets that surge."""
        return self._running.keys()

    def surge_of(self, replicaset: ReplicaSetRecord) -> Surge | None:
        """The surge that this ReplicaSet runs, or that its mark describes; None if there is none, or it is unclear."""
        return self._running.get(replicaset.uid) or Surge.parse(replicaset.surge)

    def concerns(self, replicaset: ReplicaSetRecord) -> bool:
        """Whether the ReplicaSet surges for these purposes, or carries such a mark that another leader left."""
        if replicaset.uid in self._running:
            return True
        mark = replicaset.surge
        if not mark or mark in self._unmarked.get(replicaset.uid, ()) or replicaset.uid in self._scaler.busy:
            return False
        if not self._scaler.is_proven(replicaset):
            return False
        surge = Surge.parse(mark)
        return (Purpose.BRING_BACK if surge is None else surge.purpose) in self._purposes

    async def begin(self, replicaset: ReplicaSetRecord, target: Target, surge: Surge) -> SurgeOutcome | None:
        """Request the additional replica; None once that is done, otherwise why not."""
        if not self._occupy(replicaset.uid, surge):
            return SurgeOutcome.OVERTAKEN
        return await self._scaler.begin(replicaset, target, surge)

    async def step(self, replicaset: ReplicaSetRecord, look: Callable[[Surge, Json], Progress]) -> Ended | None:
        """Take the next step; returns how the surge has ended, None while it has not.

        `look` gives the progress from the workload's object as it was last read. Nothing is done by an object that was
        not just read.
        """
        if replicaset.uid in self._shrunk:
            return await self._follow(replicaset)
        target, surge = target_of(replicaset), self.surge_of(replicaset)
        if surge is not None and self._waits(replicaset, surge, look):
            return None
        present = None if target is None else await self._scaler.workload(target)
        if surge is None or target is None or present is None or not self._occupy(replicaset.uid, surge):
            await self._scaler.forget(replicaset)
            return Ended(SurgeOutcome.WITHDRAWN if present is None else SurgeOutcome.FORGOTTEN, surge)
        progress, patience = look(surge, present), self._patience(present)
        self._note(replicaset, present, progress)
        step, ended = self._next_step(replicaset.uid, surge, progress, patience)
        if ended is None or (step is Step.SHRINK and not await self._shrink(replicaset, target, surge, ended)):
            return None
        if ended.outcome is SurgeOutcome.SUCCEEDED and self._scaler.stays(surge):
            self._shrunk[replicaset.uid] = self._now() + GOING_SECONDS, ended
            return None
        await self._scaler.forget(replicaset)
        return ended

    def _waits(self, replicaset: ReplicaSetRecord, surge: Surge, look: Callable[[Surge, Json], Progress]) -> bool:
        """Whether the workload need not be read: the surge goes on by what was read, and that still holds."""
        reading, now = self._readings.get(replicaset.uid), self._now()
        if reading is None:
            return False
        progress, patience = look(surge, reading.workload), self._patience(reading.workload)
        _, outcome = next_step(surge, progress, now, patience)
        return outcome is None and reading.holds(replicaset, progress, now)

    def _note(self, replicaset: ReplicaSetRecord, present: Json, progress: Progress) -> None:
        before = self._readings.get(replicaset.uid)
        self._readings[replicaset.uid] = reading_of(present, replicaset, progress, self._now(), before=before)

    def _patience(self, workload: Json) -> float:
        return patience_seconds(workload["spec"], self._ready_seconds)

    def _next_step(self, uid: OwnerUid, surge: Surge, progress: Progress, patience: float) -> tuple[Step, Ended | None]:
        """The next step of a surge, and how it ends by that; None while it has not ended."""
        if self._scaler.may_still_scale(uid, progress.asked):
            return Step.WAIT, None
        ending = self._ending.get(uid)
        if ending is not None and progress.asked == surge.replicas:
            return Step.FORGET, ending
        self._ending.pop(uid, None)
        step, outcome = next_step(surge, progress, self._now(), patience)
        if step is Step.FORGET and progress.asked == surge.replicas:
            outcome = self._scaler.not_added(uid) or outcome
        return step, None if outcome is None else Ended(outcome, surge, progress)

    async def _shrink(self, replicaset: ReplicaSetRecord, target: Target, surge: Surge, ends: Ended) -> bool:
        """Remove the replica; False if that has to be tried again."""
        if ends.outcome is SurgeOutcome.SUCCEEDED and not await self._scaler.choose(replicaset, surge):
            return False
        self._ending[replicaset.uid] = ends
        if await self._scaler.shrink(replicaset.uid, target, surge):
            return True
        del self._ending[replicaset.uid]
        return False

    async def _follow(self, replicaset: ReplicaSetRecord) -> Ended | None:
        """Remove the mark of a workload that has been scaled back, once the chosen pod is going.

        If it stays, another client has added a replica before it was deleted, or another pod was deleted instead.
        """
        until, ended = self._shrunk[replicaset.uid]
        stays = ended.surge is not None and self._scaler.stays(ended.surge)
        if stays and self._now() < until:
            return None
        await self._scaler.forget(replicaset)
        self._shrunk.pop(replicaset.uid, None)
        return replace(ended, outcome=SurgeOutcome.NOT_DELETED) if stays else ended

    def end(self, replicaset: ReplicaSetRecord) -> None:
        """Note that the surge of a ReplicaSet is over and its mark removed."""
        uid = replicaset.uid
        surge = self._running.pop(uid, None)
        if surge is not None:
            self._scaler.busy.discard(uid)
        self._ending.pop(uid, None)
        self._readings.pop(uid, None)
        # The watch may still show the mark of the previous surge.
        own = self._scaler.proven(replicaset, surge.mark) if surge is not None else ""
        marks = {replicaset.surge, own} - {""}
        self._unmarked.setdefault(uid, deque(maxlen=MARKS_KEPT)).extend(marks)

    def forget(self, uid: OwnerUid, *, gone: bool) -> None:
        """Forget the surge of a ReplicaSet; with `gone` also its removed marks, which the watch shows no more."""
        self._shrunk.pop(uid, None)
        self._ending.pop(uid, None)
        self._readings.pop(uid, None)
        if self._running.pop(uid, None) is not None:
            self._scaler.busy.discard(uid)
        if gone:
            self._unmarked.pop(uid, None)
            # A surge for another purpose goes on without its ReplicaSet, and needs what is known of its requests.
            if uid not in self._scaler.busy:
                self._scaler.drop(uid)

    def _occupy(self, uid: OwnerUid, surge: Surge) -> bool:
        if uid not in self._running and uid in self._scaler.busy:
            return False
        self._running[uid] = surge
        self._scaler.busy.add(uid)
        return True
