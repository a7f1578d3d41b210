"""The webhook on UPDATE of ReplicaSets: deletion costs are correct before the controller sees the smaller number.

Every scale-down (by HPA, KEDA, `kubectl scale` or a Deployment) updates the ReplicaSet or its `scale`, and so reaches
this webhook; a ReplicationController counts as a ReplicaSet. The webhook plans the victims, writes the costs that
differ, waits until its own watch has shown them and the controller's cache can be expected to have them, and allows the
update unchanged.

Contract: never denies, never changes the request. A dry run, a policy in Recommend, a foreign writer: plans at most,
and writes nothing. At the deadline the request is allowed with a counted reason; the costs written by then are the
first part of the plan, and the initial costs decide the rest. Requests for one ReplicaSet go one after another. The
scale-downs of one namespace, however many and large, leave others part of the writes and most of the time: what has to
wait for that until its deadline is let go. Where a ZonalBalance prefers zones by the load of the workload, only the
leader knows the loads: another replica forwards the request, and without an answer it plans as if all zones were equal
in the time that it kept for this.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec
import structlog

from spillway.admission.deadline import Clock, Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim, place_marks
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.foreign_writer import cost_annotations
from spillway.domain.scale_down.rollout import is_scale_in
from spillway.kube.decode import desired_replicas
from spillway.kube.errors import RequestError
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.kube.protocols import ObjectWriter
from spillway.kube.writer import Fenced
from spillway.state.board import Board
from spillway.state.claims import claim_of
from spillway.state.node_places import NodePlaces
from spillway.telemetry import scale_down as metrics
from spillway.webhooks.cache_wait import CacheWait
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.plan_log import PlanEntry, PlanLog, planned_victims
from spillway.webhooks.scale_down import ScaleDown, plan_request
from spillway.webhooks.scale_down_outcomes import FollowedPlan

log: Final = structlog.get_logger(__name__)

CONCURRENT_WRITES: Final = 16
"""The limit for this process; more would only slow down the API server for all clients."""
CONCURRENT_WRITES_OF_NAMESPACE: Final = 12
"""The limit for the scale-downs of one namespace."""
PLAN_SHARE: Final = 0.2
"""The part of this process' time that plans of one namespace may take; a plan of thousands of pods takes long."""
SHORT_PLAN_SECONDS: Final = 0.02
"""Plans that take no more time of the CPU are not counted: a thousand pods take less."""
CONCURRENT_WRITES_OF_ONE: Final = 8
"""The limit for one request, so that one large scale-down leaves room for the others."""
SETTLE_RESERVE_SECONDS: Final = 0.1
"""Writing stops this long before the deadline."""
FORWARDED: Final = "/forwarded/replicasets"
"""The path to which requests are forwarded."""
PLAN_RESERVE_SECONDS: Final = 0.6
"""What a replica that forwards keeps of the time, to plan itself if the leader does not answer."""
UNSEEN_SECONDS: Final = 10.0
"""How long a written cost is remembered that the watch has not shown."""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    uid: str = ""
    name: str = ""
    namespace: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] | None = None


class _Spec(msgspec.Struct, frozen=True):
    replicas: int | None = None


class _Scalable(msgspec.Struct, frozen=True):
    """A ReplicaSet, or the Scale of one: both name the ReplicaSet in their metadata."""

    metadata: _Metadata
    spec: _Spec = _Spec()


class _Question(NamedTuple):
    """A scale-down to plan."""

    replicaset: ReplicaSetRecord
    claim: Claim
    old_replicas: int
    new_replicas: int
    scale_in: bool
    """It scales the owner in; otherwise it may be the step of a rollout."""


class _Written(NamedTuple):
    hold_seconds: float
    settle_seconds: float
    let_go: str


_decoder: Final = msgspec.json.Decoder(_Scalable)
_KINDS: Final = {one.resource.plural: kind for kind, one in FOLLOWED_OWNERS.items()}


class ReplicaSetWebhook:
    """The webhook that plans each scale-down and makes Kubernetes choose the planned victims."""

    def __init__(
        self,
        places: NodePlaces,
        lookup: Lookup,
        writer: ObjectWriter,
        cache_wait: CacheWait,
        *,
        board: Board,
        plans: PlanLog,
        follow: Callable[[FollowedPlan], None],
        forward: Callable[[AdmissionRequest, Deadline], Awaitable[Answer]] | None = None,
        clock: Clock,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        cpu: Clock = time.thread_time,
    ) -> None:
        self._places = places
        self._lookup = lookup
        self._writer = writer
        self._cache_wait = cache_wait
        self._board = board
        self._forward = forward
        self._plans = plans
        self._follow = follow
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._cpu = cpu
        self._slots = asyncio.Semaphore(CONCURRENT_WRITES)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By namespace, its part of these."""
        self._next_plan: dict[str, float] = {}
        """By namespace, when its next plan may be made."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unseen: dict[PodUid, tuple[int, float]] = {}

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        """Answer the API server."""
        return await self._answer(request, deadline, forward=self._forward)

    async def forwarded(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        """Answer a request that another replica forwarded, only as the leader."""
        if not self._board.leading():
            raise LetGoError("not-leader")
        return await self._answer(request, deadline, forward=None)

    async def _answer(
        self,
        request: AdmissionRequest,
        deadline: Deadline,
        *,
        forward: Callable[[AdmissionRequest, Deadline], Awaitable[Answer]] | None,
    ) -> Answer:
        if not self._places.has_policy:
            return Answer("no-policy")
        old, new = _decoder.decode(request.old_object), _decoder.decode(request.object)
        default = 0 if request.sub_resource else 1
        old_replicas = default if old.spec.replicas is None else old.spec.replicas
        new_replicas = default if new.spec.replicas is None else new.spec.replicas
        if new.metadata.deletion_timestamp is not None or new_replicas >= old_replicas:
            return Answer("not-down")
        trivial = "all-go" if new_replicas == 0 else "dry-run" if request.dry_run else ""
        if trivial:
            return Answer(trivial)
        if self._places.state.stale():
            raise LetGoError("stale")
        uid = OwnerUid(new.metadata.uid or old.metadata.uid)
        kind = _KINDS.get(request.resource.resource, "ReplicaSet")
        replicaset = await self._lookup.replicaset(request.namespace, request.name, uid, deadline, kind=kind)
        if replicaset is None:
            raise LetGoError("unknown-replicaset")
        claim = claim_of(self._places.state, self._places.governance, replicaset)
        if claim is None:
            return Answer("ungoverned")
        for_leader = deadline.remaining - PLAN_RESERVE_SECONDS
        if forward is not None and for_leader > 0 and not self._board.leading() and self._prefers_zones(claim):
            try:
                return await forward(request, Deadline(self._clock, for_leader))
            except LetGoError as error:
                log.info("planned without the leader", key=replicaset.key, reason=error.reason)
        lock = self._locks.setdefault(replicaset.uid, asyncio.Lock())
        async with lock:
            # No controller uses `scale` for a rollout.
            scale_in = bool(request.sub_resource) or is_scale_in(
                replicaset, before=_desired(old, replicaset), after=_desired(new, replicaset)
            )
            return await self._scale_down(_Question(replicaset, claim, old_replicas, new_replicas, scale_in), deadline)

    def _prefers_zones(self, claim: Claim) -> bool:
        balance = self._places.governance.balances.get(claim.balance)
        return claim.enforced and balance is not None and balance.spec.zone_preference is not None

    async def _scale_down(self, question: _Question, deadline: Deadline) -> Answer:
        claim, namespace = question.claim, question.replicaset.namespace
        await self._turn(namespace, deadline)
        begun = self._cpu()
        plan = plan_request(
            self._places,
            claim,
            question.replicaset,
            old_replicas=question.old_replicas,
            new_replicas=question.new_replicas,
            scale_in=question.scale_in,
            unseen=self._still_unseen(),
            now=self._now(),
            zone_weights=self._board.zone_weights(claim.balance, namespace, workload_of(question.replicaset).name),
        )
        self._note_plan(namespace, self._cpu() - begun)
        if not plan.victims:
            return Answer("nothing-to-choose")
        writes = plan.writes if claim.enforced and not plan.foreign else {}
        if writes:
            written = await self._make_agree(question, plan, deadline)
        else:
            written = _Written(deadline.elapsed, 0.0, "")
        outcome = _outcome(claim, plan, written)
        self._record(question, plan, writes, written, outcome)
        if written.let_go:
            raise LetGoError(written.let_go)
        return Answer(outcome)

    async def _turn(self, namespace: str, deadline: Deadline) -> None:
        """Wait until a plan of this namespace may be made."""
        while (wait := self._next_plan.get(namespace, 0.0) - self._clock()) > 0:
            if wait >= deadline.remaining:
                raise LetGoError("namespace-busy")
            await self._sleep(wait)

    def _note_plan(self, namespace: str, took: float) -> None:
        now = self._clock()
        self._next_plan = {name: at for name, at in self._next_plan.items() if at > now}
        if took > SHORT_PLAN_SECONDS:
            self._next_plan[namespace] = now + took * (1 / PLAN_SHARE - 1)

    async def _make_agree(self, question: _Question, plan: ScaleDown, deadline: Deadline) -> _Written:
        """Write the costs, observe them and wait; the result says why it had to answer early."""
        expected = {uid: _shows(cost) for uid, cost in plan.writes.items()}
        # Watching starts before writing: another client may change a pod again before the last write is answered.
        seen = asyncio.ensure_future(self._places.state.wait_for(expected, deadline.remaining))
        try:
            until = deadline.remaining - SETTLE_RESERVE_SECONDS
            try:
                async with asyncio.timeout(max(0.0, until)):
                    failed = await self._write_all(question, plan)
            except TimeoutError:
                return _Written(deadline.elapsed, 0.0, "writes-unfinished")
            if failed:
                return _Written(deadline.elapsed, 0.0, "write-failed")
            answered = self._clock()
            if not await seen:
                return _Written(deadline.elapsed, 0.0, "not-seen")
        finally:
            seen.cancel()
        for uid in expected:
            self._unseen.pop(uid, None)
        lag = self._clock() - answered
        metrics.WATCH_LAG_SECONDS.observe(lag)
        settled, enough = await self._cache_wait.wait(lag, deadline)
        metrics.SETTLE_SECONDS.observe(settled)
        return _Written(deadline.elapsed, settled, "" if enough else "unsettled")

    async def _write_all(self, question: _Question, plan: ScaleDown) -> int:
        """Write in the plan's order, with bounded concurrency; returns how many failed."""
        pending = iter(plan.writes.items())
        share = self._shares.setdefault(
            question.replicaset.namespace, asyncio.Semaphore(CONCURRENT_WRITES_OF_NAMESPACE)
        )
        failed = 0

        async def work() -> None:
            nonlocal failed
            for uid, cost in pending:
                async with share, self._slots:
                    failed += not await self._write(plan.candidates[uid], cost, question.claim.policy)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONCURRENT_WRITES_OF_ONE, len(plan.writes))):
                group.create_task(work())
        return failed

    async def _write(self, candidate: Candidate, cost: int, policy: str) -> bool:
        """Write one cost; False if the write failed. A pod that is gone needs none."""
        pod = self._places.state.pods.get(candidate.uid)
        if pod is None:
            return True
        marks: dict[str, str | None] = {**cost_annotations(cost)}
        if pod.policy != policy:
            # It was bound without the webhook. A cost without its policy would be removed as an orphan.
            marks |= place_marks(policy, candidate.tier, candidate.pool)
        try:
            written = await self._writer.annotate_pod(pod, marks)
        except (RequestError, Fenced) as error:
            metrics.SCALE_DOWN_WRITES.labels("failed").inc()
            log.warning("deletion cost not written", key=pod.key, error=str(error))
            return False
        metrics.SCALE_DOWN_WRITES.labels("ok" if written else "gone").inc()
        if written:
            self._unseen[pod.uid] = (cost, self._clock() + UNSEEN_SECONDS)
        return True

    def _still_unseen(self) -> dict[PodUid, int]:
        """Written costs that the state does not show yet."""
        now = self._clock()
        pods = self._places.state.pods
        for uid, (cost, expires) in list(self._unseen.items()):
            pod = pods.get(uid)
            if expires <= now or pod is None or pod.deletion_cost == cost:
                del self._unseen[uid]
        return {uid: cost for uid, (cost, _) in self._unseen.items()}

    def _record(
        self, question: _Question, plan: ScaleDown, writes: Mapping[PodUid, int], written: _Written, outcome: str
    ) -> None:
        replicaset, claim, old_replicas, new_replicas, _ = question
        for victim in plan.victims:
            metrics.PLANNED_VICTIMS.labels(plan.candidates[victim.uid].tier.value, victim.reason.value).inc()
        entry = PlanEntry(
            at=self._now(),
            namespace=replicaset.namespace,
            replicaset=replicaset.name,
            replicaset_uid=replicaset.uid,
            owner_kind=replicaset.owner_kind,
            owner_name=replicaset.owner_name,
            owner_uid=replicaset.owner_uid,
            about=workload_of(replicaset).reference,
            policy=claim.policy,
            outcome=outcome,
            old_replicas=old_replicas,
            new_replicas=new_replicas,
            mirror=plan.mirror,
            victims=planned_victims(plan.victims, plan.candidates, writes),
            planned=len(plan.victims),
            writes=len(writes),
            hold_seconds=round(written.hold_seconds, 4),
            settle_seconds=round(written.settle_seconds, 4),
            let_go=written.let_go,
        )
        self._plans.add(entry)
        uids = tuple(victim.uid for victim in plan.victims)
        self._follow(FollowedPlan(replicaset.uid, claim.policy, entry.at, uids))
        log.info(
            "scale-down planned",
            key=replicaset.key,
            policy=claim.policy,
            outcome=outcome,
            plan=entry.summary,
            writes=entry.writes,
            hold_seconds=entry.hold_seconds,
            settle_seconds=entry.settle_seconds,
        )


def _outcome(claim: Claim, plan: ScaleDown, written: _Written) -> str:
    if not claim.enforced:
        return "recommend"
    if plan.foreign:
        return "foreign-cost"
    if written.let_go:
        return "let-go"
    return "written" if plan.writes else "as-stored"


def _desired(scaled: _Scalable, replicaset: ReplicaSetRecord) -> int | None:
    return desired_replicas(scaled.metadata.annotations or {}, replicaset.owner_kind)


def _shows(cost: int) -> Callable[[PodRecord | None], bool]:
    return lambda pod: pod is None or pod.terminating or pod.deletion_cost == cost
