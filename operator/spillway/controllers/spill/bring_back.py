"""The bring-back controller: it brings virtual replicas back to physical nodes, one at a time, by a surge.

Every few seconds it checks the workloads with pods on virtual nodes, and remembers since when one of the pods could be
brought back. After `hold_seconds` the workload surges: one additional replica on physical nodes; once all are ready,
one replica less, and the order of scale-downs deletes a virtual one.

Contract: at most one surge per workload and `at_once` in all; the workload that has been due for the longest has the
next turn. Its template is read once, because only nodes on which its pods may run are room for it. A surge that another
leader left is found by its mark and ended. A policy in Recommend plans and counts. For stable workloads nothing is read
or written otherwise, and while nothing changes and no workload's time has come, nothing is computed.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from spillway.api.elasticpolicy import PolicyMode
from spillway.controllers.base import Unsubscribe, World
from spillway.controllers.spill.bring_back_room import BringBackRoom
from spillway.controllers.spill.bring_back_words import SAID, TOLD, outcome_label
from spillway.controllers.spill.virtual_replicas import (
    SpilledWorkload,
    brings_back,
    without_surge,
    workload,
    workloads,
)
from spillway.controllers.surge.base import SurgeController
from spillway.controllers.surge.runner import STEP_SECONDS
from spillway.controllers.surge.scaler import SurgeScaler, target_of
from spillway.domain.model import event_reasons
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ZONE_LABEL, OwnerUid, PodUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.foreign_writer import foreign_pods
from spillway.domain.spill.bring_back import BringBackMemory, DueSurge, in_turn
from spillway.domain.surge.hindrance import Left, all_ready, available_replicas, cannot_surge
from spillway.domain.surge.steps import Progress, Purpose, Surge, SurgeOutcome
from spillway.kube.protocols import Recorder
from spillway.telemetry import spill as metrics

ALL: Final = "*"
"""The key of a check of all workloads; any other key is the uid of a ReplicaSet that surges, or is about to."""
LOOK_SECONDS: Final = 5.0
JUDGED_SECONDS: Final = 60.0
"""Seconds after a success until it is checked whether a virtual replica has gone."""


class _Hoped(NamedTuple):
    """The expected result of a success."""

    virtual: int
    replicas: int
    until: float


class BringBackController(SurgeController):
    """The bring-back controller, with one key for all workloads and one per surging ReplicaSet."""

    name: ClassVar = "bring-back"
    workers: ClassVar = 4

    def __init__(
        self,
        world: World,
        scaler: SurgeScaler,
        events: Recorder,
        *,
        hold_seconds: float,
        at_once: int,
        ready_seconds: float,
    ) -> None:
        super().__init__(world, scaler, {Purpose.BRING_BACK}, ready_seconds=ready_seconds)
        self._events = events
        self._hold_seconds = hold_seconds
        self._look_seconds = min(LOOK_SECONDS, max(hold_seconds / 4, 0.2))
        self._at_once = at_once
        self._memories: dict[OwnerUid, BringBackMemory] = {}
        self._begins: set[OwnerUid] = set()
        """The ReplicaSets that may surge at their next reconcile."""
        self._hoped: dict[OwnerUid, _Hoped] = {}
        self._left: dict[OwnerUid, Left] = {}
        self._planned: dict[OwnerUid, int] = {}
        self._room = BringBackRoom(world)
        self._without_node: set[PodUid] = set()
        self._seen: tuple[object, ...] = ()
        """What the last look found: the state's revision, the policies and the plan of thresholds."""
        self._look_from = 0.0
        """From when a look may have another result although nothing of that has changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        self._without_node = {pod.uid for pod in self.world.state.pods.values() if not pod.node}
        yield from super().subscribe()

    def all_keys(self) -> Iterable[str]:
        return [ALL, *super().all_keys()]

    async def reconcile(self, key: str) -> float | None:
        if key == ALL:
            present = (self.world.state.revision, self.world.governance, self.world.board.thresholds)
            if self.world.now() >= self._look_from or present != self._seen:
                self._seen, self._look_from = (), math.inf
                due = await self._look()
                # What another worker did meanwhile asks for one more look.
                self._seen, self._look_from = present, min(self._look_from, due)
            return self._look_seconds
        self._look_from = 0.0
        return await super().reconcile(key)

    async def reconcile_resting(self, replicaset: ReplicaSetRecord) -> float | None:
        uid = replicaset.uid
        if uid in self._begins:
            try:
                return await self._begin(replicaset)
            finally:
                # Until now it counts as one that surges, or another could take its turn while this one is read.
                self._begins.discard(uid)
        if uid in self._room.unread:
            await self._read(replicaset)
        return None

    # Looking

    async def _look(self) -> float:
        """Check all workloads; returns from when time alone may change the result."""
        now = self.world.now()
        found = {one.uid: one async for one in workloads(self.world)}
        others = await without_surge(self.world)
        left = Counter({(policy, Left.CANNOT_SURGE): replicas for policy, replicas in others.items()})
        pods = self.world.state.pods
        without_node = [pods[uid] for uid in self._without_node if uid in pods]
        movable = [one for one in found.values() if one.split.missing and self._kind_of_refusal(one) is None]
        await self._room.refresh(movable, without_node)
        for uid in self._room.unread:
            self.queue.add(uid)
        # From here on there is no await: a surge that started in the meantime is not considered.
        resting = [one for one in found.values() if one.uid not in self.runner.running]
        for one in resting:
            self._observe(one, now)
        turns = self._turns(resting, now)
        for one in resting:
            if one.uid in turns:
                self._begins.add(one.uid)
                self.queue.add(one.uid)
            elif one.split.missing and (reason := self._reason(one, now)) is not None:
                left[one.claim.policy, reason] += one.split.missing
                self._say(one.replicaset, reason)
        metrics.BRING_BACK_LEFT.clear()
        for (policy, why), replicas in left.items():
            metrics.BRING_BACK_LEFT.labels(policy, why.value).set(replicas)
        self._prune(found, now)
        return self._due_next(now)

    def _due_next(self, now: float) -> float:
        if self.runner.running or self._begins or self._room.unread:
            return now
        dues = [one.until for one in self._hoped.values()]
        for memory in self._memories.values():
            dues.append(memory.not_before)
            dues.append(memory.due_from(self._hold_seconds) or 0.0)
        return min((due for due in dues if due > now), default=math.inf)

    def _turns(self, resting: Iterable[SpilledWorkload], now: float) -> Collection[OwnerUid]:
        """The workloads that surge next."""
        hindered = self._hoped.keys() | self._begins
        due = [
            DueSurge(one.uid, one.replicaset.namespace, at)
            for one in resting
            if (at := self._memories[one.uid].due_from(self._hold_seconds)) is not None
            and at <= now
            and one.claim.enforced
            and one.uid not in hindered
            and self._kind_of_refusal(one) is None
            and self._refusal_by_pods(one) is None
        ]
        running = self.runner.running | self._begins
        known = self.world.state.replicasets
        namespaces = (known[uid].namespace for uid in running if uid in known)
        return in_turn(due, now, self._at_once - len(running), running=namespaces)

    def _observe(self, one: SpilledWorkload, now: float) -> None:
        memory = self._memories.get(one.uid, BringBackMemory())
        if self._disappointed(one, now):
            memory = memory.ended(SurgeOutcome.NO_GAIN, now, self._hold_seconds)
            metrics.BRING_BACKS.labels(one.claim.policy, SurgeOutcome.NO_GAIN.value).inc()
        if one.uid not in self._hoped:
            memory = memory.observed(one.split, room=self._room.holds(one.uid), now=now)
        # Otherwise the controller's own scale-down may not show yet, and would look like a rise of demand.
        self._memories[one.uid] = memory

    def _disappointed(self, one: SpilledWorkload, now: float) -> bool:
        """Whether a successful surge left as many virtual replicas as before."""
        hoped = self._hoped.get(one.uid)
        if hoped is None:
            return False
        if now > hoped.until:
            del self._hoped[one.uid]
            return False
        if one.replicaset.replicas > hoped.replicas or len(one.pods) > one.replicaset.replicas:
            return False
        del self._hoped[one.uid]
        return one.split.virtual > hoped.virtual

    def _reason(self, one: SpilledWorkload, now: float) -> Left | None:
        """Why a workload that has no turn now stays as it is; None if its policy only recommends to move it."""
        memory, refusal = self._memories[one.uid], self._kind_of_refusal(one)
        if refusal is not None:
            return refusal
        if memory.since is None and one.uid not in self._hoped:
            return Left.NO_ROOM
        if memory.hindrances and now < memory.not_before:
            return self._left.get(one.uid, Left.SETTLING)
        if one.uid in self._hoped or not memory.due(now, self._hold_seconds):
            return Left.SETTLING
        refusal = self._refusal_by_pods(one)
        if refusal is not None or one.claim.enforced:
            return refusal or Left.SETTLING
        self._plan(one)
        return None

    def _kind_of_refusal(self, one: SpilledWorkload) -> Left | None:
        """The reason against a surge that has nothing to do with its pods."""
        if target_of(one.replicaset) is None:
            return Left.CANNOT_SURGE
        if self.world.governance.is_exact(one.claim):
            return Left.EXACT_REPLICAS
        return Left.ROLLOUT if self.world.is_outgoing(one.replicaset) else None

    def _refusal_by_pods(self, one: SpilledWorkload) -> Left | None:
        """The reason against a surge that its pods give."""
        if foreign_pods(one.pods):
            return Left.FOREIGN_WRITER
        return None if all_ready(one.replicaset, one.pods) else Left.NOT_READY

    def _plan(self, one: SpilledWorkload) -> None:
        """Count once what a policy in Recommend would do."""
        missing = one.split.missing
        metrics.BRING_BACKS_RECOMMENDED.labels(one.claim.policy).inc(max(0, missing - self._planned.get(one.uid, 0)))
        self._planned[one.uid] = missing

    # Surging

    async def _begin(self, replicaset: ReplicaSetRecord) -> float | None:
        uid, target, claim = replicaset.uid, target_of(replicaset), self.world.claim_of(replicaset)
        if target is None or claim is None or not claim.enforced:
            return None
        # Whatever goes wrong from here on, also an error of the API server, it has had its turn.
        memory = self._memories.get(uid, BringBackMemory())
        self._memories[uid] = memory.hindered(self.world.now(), self._hold_seconds)
        present = await self.scaler.workload(target)
        if present is None:
            return None
        autoscalers = await self.scaler.autoscalers(replicaset.namespace)
        one = workload(self.world, replicaset, claim)
        reason = self._hindrance(one, present, autoscalers)
        if reason is not None:
            self._say(replicaset, reason)
            return None
        surge = Surge(replicaset.replicas, one.ready_physical, float(int(self.world.now())))
        outcome = await self.runner.begin(replicaset, target, surge)
        if outcome is not None:
            self._end(replicaset, claim.policy, outcome)
            return None
        metrics.BRING_BACK_SURGES.set(len(self.runner.running))
        self.log.info("surge begun", key=replicaset.key, policy=claim.policy, replicas=surge.replicas)
        return STEP_SECONDS

    def _hindrance(
        self, one: SpilledWorkload, present: Mapping[str, Any], autoscalers: Iterable[Mapping[str, Any]]
    ) -> Left | None:
        """The reason in the workload's own object against a surge; otherwise its room is reserved."""
        reason = cannot_surge(present, autoscalers)
        if reason is not None:
            return reason
        if present["spec"].get("replicas", 1) != one.replicaset.replicas:
            return Left.ROLLOUT
        if not one.split.missing:
            return Left.SETTLING
        self._room.learn(one.uid, present)
        return None if self._room.take(one) else Left.NO_ROOM

    async def step(self, replicaset: ReplicaSetRecord) -> float | None:
        uid, claim = replicaset.uid, self.world.claim_of(replicaset) or _NOBODY

        def look(_: Surge, present: Json) -> Progress:
            one, asked = workload(self.world, replicaset, claim), present["spec"].get("replicas", 1)
            wanted, available = self._wanted(replicaset, claim), available_replicas(present)
            return one.progress(asked, self.world.now(), wanted=wanted, available=available)

        ended = await self.runner.step(replicaset, look)
        metrics.BRING_BACK_SURGES.set(len(self.runner.running))
        if ended is None:
            return STEP_SECONDS
        progress, surge = ended.progress, ended.surge
        if progress is not None and surge is not None:
            if ended.outcome is SurgeOutcome.SUCCEEDED:
                virtual = progress.active - progress.placed - 1
                self._hoped[uid] = _Hoped(virtual, surge.replicas, self.world.now() + JUDGED_SECONDS)
            self._report(replicaset, ended.outcome, progress.placed)
        self._end(replicaset, claim.policy, ended.outcome)
        return None

    async def _read(self, replicaset: ReplicaSetRecord) -> None:
        """Read where the pods of a ReplicaSet may run."""
        target = target_of(replicaset)
        present = None if target is None else await self.scaler.workload(target)
        if present is not None and replicaset.uid in self._room.unread:
            self._room.learn(replicaset.uid, present)

    def _wanted(self, replicaset: ReplicaSetRecord, claim: Claim) -> bool:
        asked = brings_back(self.world.governance.placing_class(claim))
        present = replicaset.uid in self.world.state.replicasets
        return asked and present and claim.enforced and not self.world.is_outgoing(replicaset)

    def _end(self, replicaset: ReplicaSetRecord, policy: str, outcome: SurgeOutcome) -> None:
        uid, now = replicaset.uid, self.world.now()
        self.runner.end(replicaset)
        self._begins.discard(uid)
        self._memories[uid] = self._memories.get(uid, BringBackMemory()).ended(outcome, now, self._hold_seconds)
        metrics.BRING_BACKS.labels(policy, outcome_label(outcome)).inc()
        metrics.BRING_BACK_SURGES.set(len(self.runner.running))
        self.log.info("surge ended", key=replicaset.key, policy=policy, outcome=outcome_label(outcome))
        self.queue.add(ALL)

    def _report(self, replicaset: ReplicaSetRecord, outcome: SurgeOutcome, physical: int) -> None:
        reference = workload_of(replicaset).reference
        if outcome is SurgeOutcome.SUCCEEDED:
            message = f"one replica came back from a virtual node: {physical} are on physical nodes now"
            self._events.record(reference, "Normal", event_reasons.BROUGHT_BACK, message)
        elif outcome in TOLD:
            message = f"a replica was not brought back from a virtual node: {TOLD[outcome]}; tried again later"
            self._events.record(reference, "Normal", event_reasons.BRING_BACK_FAILED, message)

    def _say(self, replicaset: ReplicaSetRecord, reason: Left) -> None:
        """Emit an Event once, and only for a reason that does not pass without action."""
        known = self._left.get(replicaset.uid)
        self._left[replicaset.uid] = reason
        if reason is known or reason not in SAID:
            return
        message = f"its replicas on virtual nodes are not brought back: {SAID[reason]}"
        self._events.record(workload_of(replicaset).reference, "Normal", event_reasons.BRING_BACK_LEFT, message)

    # Changes, and forgetting

    def pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        super().pod_changed(old, new)
        pod = new or old
        if pod is None:
            return
        if new is not None and not new.node:
            self._without_node.add(new.uid)
        else:
            self._without_node.discard(pod.uid)

    def _prune(self, present: Iterable[OwnerUid], now: float) -> None:
        """Keep, for a workload without virtual replicas, only the time before which it may not be tried."""
        for uid in self._memories.keys() - set(present) - set(self.runner.running):
            if self._memories[uid].not_before <= now:
                self._lay_down(uid)

    def forget(self, uid: OwnerUid) -> None:
        super().forget(uid)
        self._lay_down(uid)

    def _lay_down(self, uid: OwnerUid) -> None:
        """Forget everything except removed marks, which the watch may show while the ReplicaSet exists."""
        self._begins.discard(uid)
        self.runner.forget(uid, gone=False)
        for kept in (self._memories, self._hoped, self._left, self._planned):
            kept.pop(uid, None)
        self._room.forget(uid)
        self.queue.forget(uid)


_NOBODY: Final = Claim(policy="", workload_class="", mode=PolicyMode.RECOMMEND, max_skew=1, zone_key=ZONE_LABEL)
