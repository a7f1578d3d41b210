"""Replacement of pods that never started on their pool, and redirection of their successors.

Contract: one key per waiting pod. A pod is deleted only in the version that was read and only if none of its containers
has run. Its successor is redirected first, away from the pools that did not start the pod, which its owner's pods then
avoid for a while: the next pool is tried, then the one after it, and physical nodes at the end. After a stock-out its
successor goes to the same pool if that pool now requests another size. A Job counts a deleted pod as failed, so the
number of replaced pods of a Job is limited by its `backoffLimit`. In Recommend the replacements are counted.

A pod that its provider sets to Failed, because it has no stock, is not deleted: its owner creates the next one. Where
that costs a retry, as with Jobs, the next ones avoid the pool whatever sizes it has, and the last try avoids all pools.
"""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar, Final

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.placement.job_retries import is_last_try
from spillway.controllers.placement.placement_class import GovernedPlacement, governed
from spillway.controllers.placement.replacement import Replacement
from spillway.controllers.pools.controller import PoolsController, times_of
from spillway.controllers.pools.recommended import RecommendedReplacements
from spillway.controllers.pools.unstarted import UnstartedPod, UnstartedPods
from spillway.domain.model import event_reasons
from spillway.domain.model.names import PodUid
from spillway.domain.model.owners import has_successor
from spillway.domain.model.records import Phase
from spillway.domain.placement.decide import NodeKind
from spillway.domain.placement.job_retries import Retries
from spillway.domain.pools.unstarted import Cause, cause_of, next_look, pools_to_avoid
from spillway.kube.protocols import ObjectWriter, Reader, Recorder
from spillway.state.open_pools import OpenPools
from spillway.telemetry import pools as metrics

SLACK_SECONDS: Final = 0.01

_SENTENCES: Final = {
    Cause.STOCK_OUT: "{pool} is out of stock for them",
    Cause.POOLS_CLOSED: "{pool} no longer takes pods",
    Cause.NOT_STARTED: "they did not start on {pool} in time",
    Cause.OVER_LIMIT: "a limit of {pool} is exceeded",
}


class ReplaceUnstartedController(Controller):
    """The controller that replaces pods that never started."""

    name: ClassVar = "replace-unstarted"
    workers: ClassVar = 8

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        events: Recorder,
        reader: Reader,
        *,
        pools: PoolsController,
        open_pools: OpenPools,
        unstarted: UnstartedPods,
        retries: Retries,
        recommended: RecommendedReplacements,
    ) -> None:
        super().__init__(world)
        self._reader = reader
        self._events = events
        self._pools = pools
        self._open_pools = open_pools
        self._unstarted = unstarted
        self._retries = retries
        self._recommended = recommended
        self._replacement = Replacement(world, writer, reader, retries)
        self._failed: dict[PodUid, UnstartedPod] = {}
        """Pods of Jobs that failed for want of stock, until their Job was read."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self._unstarted.changed.subscribe(self._look_at)
        yield self._pools.stock_outs.found.subscribe(self._look_at)
        yield self._pools.stock_outs.failed.subscribe(self._avoid_next)
        yield self._pools.changed.subscribe(self.add_all)
        # A replacement that was only recommended is done once its policy is enforced; a limit may be lower now.
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return list(self._unstarted.pods)

    async def reconcile(self, key: str) -> float | None:
        failed = self._failed.get(PodUid(key))
        if failed is not None:
            await self._spare_last_retry(failed)
            return None
        one = self._unstarted.pods.get(PodUid(key))
        if one is None:
            return None
        who = governed(self.world, one.pod)
        if who is None or not _is_placed(one):
            return None
        closed, start_after, now = self._closed(one), self._start_after(one), self.world.now()
        cause = cause_of(
            one.pod,
            bound_at=one.bound_at,
            out_of_stock=one.out_of_stock,
            closed=closed,
            start_after=start_after,
            now=now,
        )
        if cause is not None:
            return await self._replace(one, who, cause, one.pools)
        if passed := self._leaves(one):
            return await self._replace(one, who, Cause.OVER_LIMIT, passed)
        due = next_look(one.pod, bound_at=one.bound_at, closed=closed, start_after=start_after, now=now)
        # A pod that stays although it is due (for example because of its own configuration) is checked again when it
        # changes.
        return due + SLACK_SECONDS if due else None

    def _look_at(self, waiting: UnstartedPod) -> None:
        self.queue.add(waiting.pod.uid)

    def _avoid_next(self, one: UnstartedPod) -> None:
        """Let the next pods of a failed pod's owner avoid the pool, in the step in which its failure is seen."""
        pod, who = one.pod, governed(self.world, one.pod)
        if who is None or not has_successor(pod):
            return
        if not who.enforced:
            self._recommended.count(pod, who.policy, Cause.STOCK_OUT.value)
            return
        another = pod.owner_kind != "Job" and self._pools.has_another_size(one.pool, pod)
        pools = pools_to_avoid(Cause.STOCK_OUT, (one.pool,), another_size=another)
        self._replacement.avoid(pod, pools, who.spill_after)
        self.log.info("pod failed for want of stock", key=pod.key, pool=one.pool, avoid=sorted(pools))
        following = "request a larger size" if another else "go elsewhere"
        message = f"Pods failed on {one.pool}, because it is out of stock for them; the next ones {following}."
        self._events.record(self.world.owner_of(pod).reference, "Normal", event_reasons.PODS_FAILED, message)
        if pod.owner_kind == "Job":
            self._failed[pod.uid] = one
            self._look_at(one)

    async def _spare_last_retry(self, one: UnstartedPod) -> None:
        """Keep a Job's last try off all pools: where it cannot be read, the next one might be the last."""
        pod = one.pod
        failed = sum(pod.phase is Phase.FAILED for pod in self.world.state.pods_of(pod.owner_uid))
        last = await is_last_try(self._reader, self._retries, pod, failed=failed)
        who = governed(self.world, pod)
        self._failed.pop(pod.uid, None)
        if who is not None and last:
            pools = frozenset(self.world.governance.pools_of(who.policy))
            self._replacement.avoid(pod, pools, who.spill_after)

    def _closed(self, one: UnstartedPod) -> bool:
        """Whether the pod cannot start where it is: its pool has failed, or none of its pools takes pods."""
        namespace = one.pod.namespace
        if one.pool:
            verdict = self.world.board.verdict(one.pool)
            return verdict.reason == "Unhealthy" or namespace in verdict.kept_out
        # Where all of them were deleted the pod is replaced as one whose pools are withdrawn, a little later.
        some_exist = any(pool in self.world.governance.budgets for pool in one.pools)
        return some_exist and self._open_pools.takes_none(one.pools, namespace)

    def _start_after(self, one: UnstartedPod) -> float:
        """How long the pod may take to start on its pool, in seconds; 0.0 while it is on no pool."""
        budget = self.world.governance.budgets.get(one.pool)
        return 0.0 if budget is None else times_of(budget).start_after

    def _leaves(self, one: UnstartedPod) -> tuple[str, ...]:
        """The pools that the pod has to leave because a limit is passed; others that have to are queued."""
        passed = []
        for pool in one.pools:
            going = self._open_pools.beyond(pool, partial(self._may_leave, pool))
            if one.pod.uid in going:
                passed.append(pool)
            else:
                for uid in going:
                    self.queue.add(uid)
        return tuple(passed)

    def _may_leave(self, pool: str) -> Iterable[PodUid]:
        for one in self._unstarted.pods.values():
            if pool in one.pools and _is_placed(one) and not one.pod.started and has_successor(one.pod):
                who = governed(self.world, one.pod)
                if who is not None and who.enforced:
                    yield one.pod.uid

    async def _replace(
        self, one: UnstartedPod, who: GovernedPlacement, cause: Cause, pools: tuple[str, ...]
    ) -> float | None:
        """Replace a pod because of these pools."""
        pod = one.pod
        if not has_successor(pod):
            return None
        if not who.enforced:
            self._recommended.count(pod, who.policy, cause.value)
            return None
        another = cause is Cause.STOCK_OUT and self._pools.has_another_size(one.pool, pod)
        failed = pools_to_avoid(cause, pools, another_size=another)
        result = await self._replacement.replace(pod, nodes=NodeKind.VIRTUAL, avoid=failed)
        if (again := result.again_seconds) is not None:
            return again
        if cause is not Cause.OVER_LIMIT:
            # The pool takes others of the owner once there is room again.
            self._replacement.avoid(pod, failed, max(who.spill_after, self._start_after(one)))
        if cause is Cause.NOT_STARTED:
            self._unstarted.give_up(one)
        metrics.REPLACED.labels(pools[0], cause.value).inc()
        self.log.info("unstarted pod replaced", key=pod.key, pool=pools[0], cause=cause.value, avoid=sorted(failed))
        message = f"Pods that never started are replaced: {_SENTENCES[cause].format(pool=', '.join(pools))}."
        self._events.record(self.world.owner_of(pod).reference, "Normal", event_reasons.PODS_REPLACED, message)
        return None


def _is_placed(one: UnstartedPod) -> bool:
    """Whether Spillway placed it; not so a physical pod that may spill and has no node yet."""
    return bool(one.pools) and bool(one.pending.placement if one.pool else one.pending.virtual)
