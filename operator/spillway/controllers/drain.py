"""Asks the pods of a drained pool to leave, through the Eviction API: PodDisruptionBudgets decide, not we.

Contract: pods are asked one after another, as fast as the writer's bucket allows, so that a refusal is heard before the
next is asked. A pod that its budget protects is asked again later, for as long as the pool drains. Progress is what is
left, so it needs no memory and survives a restart.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import ClassVar, Final

from spillway.api.virtualnodebudget import DrainProgress
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.cordon import holds_of
from spillway.domain.cordon import STAYING_OWNERS, plan_drain
from spillway.domain.names import NodeName
from spillway.domain.records import Phase, PodRecord
from spillway.kube.catalog import Kind
from spillway.kube.writer import Eviction, Writer

PASS_PODS: Final = 50
"""Pods asked in one pass; then the plan is made anew."""
NEXT_PASS_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 3.0
"""When every pod that is left was asked, or protected by its budget."""


class DrainController(Controller):
    """One key a VirtualNodeBudget."""

    name: ClassVar = "drain"
    workers: ClassVar = 4

    def __init__(self, world: World, writer: Writer) -> None:
        super().__init__(world)
        self._writer = writer
        self.progress: dict[str, DrainProgress] = {}
        """By budget, for those that drain now: the status shows it."""
        self.on_progress: Callable[[], None] = lambda: None

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return [*self.world.governance.budgets, *self.progress]

    async def reconcile(self, key: str) -> float | None:
        hold = holds_of(self.world.governance).get(key)
        if hold is None or not hold.drains(self.world.now()):
            if self.progress.pop(key, None) is not None:
                self.on_progress()
            return None
        leaving = plan_drain(self._pods(key))
        before = self.progress.get(key) or self._remembered(key)
        asked = leaving[:PASS_PODS]
        evicted = [await self._ask(pod) for pod in asked].count(True)
        progress = before.model_copy(
            update={
                "evicted": before.evicted + evicted,
                # Those asked count until they are gone: a pod may take its whole grace period.
                "remaining": self._remaining(key),
                "blocked": len(asked) - evicted,
            }
        )
        if self.progress.get(key) != progress:
            self.progress[key] = progress
            self.log.info("drain", key=key, remaining=progress.remaining, blocked=progress.blocked)
            self.on_progress()
        return NEXT_PASS_SECONDS if len(leaving) > PASS_PODS else AGAIN_SECONDS

    def _remembered(self, budget: str) -> DrainProgress:
        """Where the drain stood when another leader had it, as the status tells; else a new beginning."""
        entry = self.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET).get(budget)
        if entry is not None and entry.status.get("drain"):
            return DrainProgress.model_validate(entry.status["drain"])
        return DrainProgress(started=datetime.fromtimestamp(int(self.world.now()), tz=UTC))

    def _pods(self, budget: str) -> Iterator[PodRecord]:
        """Pods on nodes of the pool that are closed: a node that is still open would only be filled again."""
        state, governance = self.world.state, self.world.governance
        for node in state.nodes.values():
            if node.unschedulable and governance.budget_of(node) == budget:
                yield from state.pods_on(NodeName(node.name))

    def _remaining(self, budget: str) -> int:
        return sum(stays_until_evicted(pod) for pod in self._pods(budget))

    async def _ask(self, pod: PodRecord) -> bool:
        """Whether the pod is on its way, or gone already."""
        return await self._writer.evict(pod) is not Eviction.BLOCKED


def stays_until_evicted(pod: PodRecord) -> bool:
    """Whether a drain has to wait for this pod, also while it terminates."""
    return pod.owner_kind not in STAYING_OWNERS and pod.phase not in (Phase.SUCCEEDED, Phase.FAILED)
