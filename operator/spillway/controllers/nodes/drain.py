"""The controller of drains: it evicts the pods of a drained pool, as PodDisruptionBudgets allow.

Contract: pods are evicted one after another, as fast as the writer's bucket allows, so that a refusal is known before
the next request. No pod is tried twice before all were tried once, so pods that their budgets protect, or that cannot
be evicted, do not delay others; they are tried again for as long as the pool drains. Whether a pod has to leave is
looked at again immediately before each request; whether enough replicas are ready is left to PodDisruptionBudgets,
because on a pool that fails they are not. Pods that no owner replaces are never evicted. A Job counts an evicted pod as
failed, so a retry is taken first, and pods of a Job with one retry left stay; the Job is read again every
`JOB_SECONDS`. Progress is the number of pods left in the whole pool, so it needs no memory and survives a restart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final

from spillway.api.virtualnodebudget import DrainProgress
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.nodes.cordon import holds_of
from spillway.controllers.placement.job_retries import JOB_SECONDS, retry_taken
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.owners import comes_with_node
from spillway.domain.model.records import PodRecord
from spillway.domain.nodes.cordon import is_spared, leaves_on_drain, plan_drain
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Reader
from spillway.kube.writer import Eviction
from spillway.state.catalog import Kind
from spillway.state.signal import Signal

PASS_PODS: Final = 50
"""Pods tried in one pass, after which the plan is made again."""
NEXT_PASS_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 3.0
"""Seconds until the next pass, once every remaining pod was tried or is protected by its budget."""
SPARED_NAMES: Final = 10
"""Spared pods that the status names."""


@dataclass(slots=True)
class _Turn:
    """The pods tried in the current round, the pods whose eviction was refused, and the Jobs without retries."""

    asked: set[PodUid] = field(default_factory=set)
    refused: set[PodUid] = field(default_factory=set)
    evicted: set[PodUid] = field(default_factory=set)
    """Evicted pods; the watch may not show yet that they terminate."""
    no_retry: dict[OwnerUid, float] = field(default_factory=dict)
    """When each Job without retries is read again (Unix seconds)."""

    def may_leave(self, leaving: Iterable[PodRecord], now: float) -> list[PodRecord]:
        """The pods without those of Jobs that are known to have no retry; Jobs without pods here are forgotten."""
        leaving = list(leaving)
        owners = {pod.owner_uid for pod in leaving}
        self.no_retry = {owner: at for owner, at in self.no_retry.items() if owner in owners}
        return [pod for pod in leaving if self.no_retry.get(pod.owner_uid, now) <= now]

    def waiting(self, leaving: Iterable[PodRecord]) -> list[PodRecord]:
        """The pods that are not tried yet in this round; a new round starts when all were tried."""
        leaving = list(leaving)
        left = {pod.uid for pod in leaving}
        self.asked &= left
        self.refused &= left
        if self.asked == left:
            self.asked.clear()
        return [pod for pod in leaving if pod.uid not in self.asked]

    def answered(self, pod: PodRecord, *, leaves: bool) -> bool:
        """Record the answer for one pod, and return it."""
        self.asked.add(pod.uid)
        (self.refused.discard if leaves else self.refused.add)(pod.uid)
        return leaves

    def blocked(self, leaving: Iterable[PodRecord]) -> int:
        """How many of these pods were refused the last time."""
        return sum(pod.uid in self.refused for pod in leaving)


class DrainController(Controller):
    """The controller of drains, with one key per VirtualNodeBudget."""

    name: ClassVar = "drain"
    workers: ClassVar = 4

    def __init__(self, world: World, writer: ObjectWriter, reader: Reader, retries: Retries) -> None:
        super().__init__(world)
        self._writer = writer
        self._reader = reader
        self._retries = retries
        self.progress: dict[str, DrainProgress] = {}
        """The progress by budget, for those that drain now; the status shows it."""
        self._turns: dict[str, _Turn] = {}
        self.progress_changed: Signal[()] = Signal("DrainProgress")

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return [*self.world.governance.budgets, *self.progress]

    async def reconcile(self, key: str) -> float | None:
        if not self._drains(key):
            self._turns.pop(key, None)
            if self.progress.pop(key, None) is not None:
                self.progress_changed.emit()
            return None
        before = self.progress.get(key) or self._remembered(key)
        turn = self._turns.setdefault(key, _Turn())
        leaving = turn.may_leave(plan_drain(self._pods(key, closed=True)), self.world.now())
        waiting = turn.waiting(leaving)
        self._publish(key, before, leaving, evicted=0)
        evicted = 0
        for pod in waiting[:PASS_PODS]:
            # A pass lasts some seconds.
            if self._wanted(key, pod):
                evicted += await self._evict(key, turn, pod)
        self._publish(key, before, leaving, evicted=evicted)
        return NEXT_PASS_SECONDS if len(waiting) > PASS_PODS or self._still_open(key) else AGAIN_SECONDS

    def _drains(self, budget: str) -> bool:
        hold = holds_of(self.world.governance).get(budget)
        return hold is not None and hold.drains(self.world.now())

    def _wanted(self, budget: str, pod: PodRecord) -> bool:
        """Whether a pod still has to leave: the hold, the pool, its node and the pod may have changed."""
        if not (self.world.fresh and self._drains(budget)):
            return False
        present = self.world.state.pods.get(pod.uid)
        node = None if present is None else self.world.state.nodes.get(present.node)
        if present is None or node is None or not leaves_on_drain(present):
            return False
        return node.unschedulable and self.world.membership.pool_of_node(node.name) == budget

    def _publish(self, budget: str, before: DrainProgress, leaving: Iterable[PodRecord], *, evicted: int) -> None:
        turn, pods = self._turns[budget], list(self._pods(budget))
        turn.evicted &= {pod.uid for pod in pods}
        spared = [pod for pod in pods if pod.uid not in turn.evicted and is_spared(pod, turn.no_retry)]
        stay = {pod.uid for pod in spared}
        progress = before.model_copy(
            update={
                "evicted": before.evicted + evicted,
                # Evicted pods count until they are gone: a pod may take its whole grace period.
                "remaining": sum(stays_until_evicted(pod) and pod.uid not in stay for pod in pods),
                "blocked": turn.blocked(pod for pod in leaving if pod.uid not in stay),
                "spared": len(spared),
                "spared_pods": tuple(sorted(pod.key for pod in spared)[:SPARED_NAMES]),
            }
        )
        if self.progress.get(budget) != progress:
            self.progress[budget] = progress
            self.log.info("drain", key=budget, remaining=progress.remaining, blocked=progress.blocked)
            self.progress_changed.emit()

    def _remembered(self, budget: str) -> DrainProgress:
        """The progress of an earlier leader from the status, else a new start."""
        entry = self.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET).get(budget)
        if entry is not None and entry.status.get("drain"):
            return DrainProgress.model_validate(entry.status["drain"])
        return DrainProgress(started=datetime.fromtimestamp(int(self.world.now()), tz=UTC))

    def _still_open(self, budget: str) -> bool:
        return any(not node.unschedulable for node in self.world.membership.nodes(budget))

    def _pods(self, budget: str, *, closed: bool = False) -> Iterator[PodRecord]:
        """The pods of the pool; with `closed`, those on its closed nodes, since an open node would be refilled."""
        for node in self.world.membership.nodes(budget):
            if node.unschedulable or not closed:
                yield from self.world.state.pods_on(node.name)

    async def _evict(self, budget: str, turn: _Turn, pod: PodRecord) -> bool:
        """Evict one pod; whether it is terminating or gone. Pods of a Job without retries stay for a while."""
        now, of_job = self.world.now(), pod.owner_kind == "Job"
        if of_job and (pod.uid in turn.evicted or turn.no_retry.get(pod.owner_uid, now) > now):
            return False
        async with retry_taken(self._reader, self._retries, pod) as deletion:
            if not deletion.allowed:
                turn.no_retry[pod.owner_uid] = now + JOB_SECONDS
                return False
            turn.no_retry.pop(pod.owner_uid, None)
            result = await self._ask(budget, pod)
            deletion.done = result is Eviction.EVICTED
        if result is Eviction.WITHDRAWN:
            return False
        if result is Eviction.EVICTED:
            turn.evicted.add(pod.uid)
        return turn.answered(pod, leaves=result in {Eviction.EVICTED, Eviction.GONE})

    async def _ask(self, budget: str, pod: PodRecord) -> Eviction | None:
        """The answer to the eviction of one pod; None after an error."""
        try:
            # The writer may wait for its rate, or try again.
            return await self._writer.evict(pod, wanted=lambda: self._wanted(budget, pod))
        except RequestError as error:
            # Two budgets over one pod (500), a webhook that protects it, a namespace that ends: matters of this pod.
            self.log.warning("eviction failed, retrying later", key=budget, pod=pod.key, error=str(error))
            return None


def stays_until_evicted(pod: PodRecord) -> bool:
    """Whether a drain has to wait for this pod, including while it terminates."""
    return not comes_with_node(pod) and not pod.finished
