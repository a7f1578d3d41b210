"""Failover: deletion of the pods that are lost with the nodes of a pool, so that their owners replace them elsewhere.

Contract: one key per pool. Only for a budget that sets `failover`; only pods that a policy in Enforce places, and only
those that are not ready on nodes that have not been ready for `unhealthyAfter`; as fast as the writer's bucket allows;
and never on data that is not fresh, nor while most of the other nodes look dead as well. All of that is checked again
before each deletion. Admission decides where the successors go: by then the pool, or at least its dead nodes, take no
pods.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.placement.placement_class import governed
from spillway.controllers.pools.controller import times_of
from spillway.controllers.pools.nodes import PoolNodes
from spillway.controllers.pools.recommended import RecommendedReplacements
from spillway.domain.model import event_reasons
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.pools.failover import dead_nodes, lost, mostly_dead
from spillway.kube import paths
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.telemetry import pools as metrics

AGAIN_SECONDS: Final = 2.0
"""Seconds between passes while nodes are dead, because their pods may become not ready later."""
SUSPENDED_SECONDS: Final = 5.0
REASON: Final = "NodeDown"


class FailoverController(Controller):
    """The failover controller, with one key per pool."""

    name: ClassVar = "failover"
    workers: ClassVar = 2

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        events: Recorder,
        nodes: PoolNodes,
        recommended: RecommendedReplacements,
    ) -> None:
        super().__init__(world)
        self._writer = writer
        self._events = events
        self._nodes = nodes
        self._recommended = recommended
        self._suspended: set[str] = set()

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self._recommended.subscribe()
        yield self._nodes.changed.subscribe(self.queue.add)
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return list(self.world.governance.budgets)

    async def reconcile(self, key: str) -> float | None:
        budget = self.world.governance.budgets.get(key)
        if budget is None or budget.spec.failover is None:
            self._suspend(key, suspended=False)
            return None
        after, now = times_of(budget).unhealthy_after, self.world.now()
        dead = dead_nodes(self._nodes.nodes(key), self._nodes.unready_since, after, now)
        if not dead:
            self._suspend(key, suspended=False)
            return self._next_death(key, after, now)
        if mostly_dead(key, self._nodes.everywhere()):
            self._suspend(key, suspended=True)
            return SUSPENDED_SECONDS
        self._suspend(key, suspended=False)
        for node in dead:
            for pod in [pod for pod in self.world.state.pods_on(node.name) if lost(pod)]:
                if not self._still(key, node.name):
                    return AGAIN_SECONDS
                await self._replace(budget, node, pod)
        return AGAIN_SECONDS

    def _next_death(self, pool: str, after: float, now: float) -> float | None:
        dues = [
            self._nodes.unready_since.get(node.name, now) + after for node in self._nodes.nodes(pool) if not node.ready
        ]
        return max(0.0, min(dues) - now) if dues else None

    def _still(self, pool: str, name: NodeName) -> bool:
        """A pass lasts some seconds: stop once the node is back, or the data is too old."""
        node = self.world.state.nodes.get(name)
        return (
            node is not None and not node.ready and self.world.fresh and not mostly_dead(pool, self._nodes.everywhere())
        )

    async def _replace(self, budget: VirtualNodeBudget, node: NodeRecord, pod: PodRecord) -> None:
        present = self.world.state.pods.get(pod.uid)
        who = governed(self.world, pod)
        if present is None or not lost(present) or present.node != node.name or who is None:
            return
        pool = budget.metadata.name
        if not who.enforced:
            self._recommended.count(pod, who.policy, REASON)
            return
        path = paths.PODS.named(pod.name, namespace=pod.namespace)
        try:
            deleted = await self._writer.delete("pods", path, uid=pod.uid)
        except RequestError as error:
            self.log.warning("pod not deleted, retrying later", key=pool, pod=pod.key, error=str(error))
            return
        if deleted:
            metrics.REPLACED.labels(pool, REASON).inc()
            self.log.info("pod lost with its node", key=pool, pod=pod.key, node=node.name)
            after = (budget.spec.failover and budget.spec.failover.unhealthy_after) or ""
            message = f"Pods on nodes of {pool} that have not been ready for {after} are replaced elsewhere."
            owner = self.world.owner_of(pod)
            self._events.record(owner.reference, "Warning", event_reasons.PODS_REPLACED, message)

    def _suspend(self, pool: str, *, suspended: bool) -> None:
        if suspended and pool not in self._suspended:
            self.log.warning("most other nodes look dead as well, no pod is deleted", key=pool)
        (self._suspended.add if suspended else self._suspended.discard)(pool)
        metrics.SUSPENDED.set(bool(self._suspended))
