"""The balloons that leave: those of a headroom that shrinks, and those of a node that could go without them.

Contract: one object for each pass. A headroom that shrinks keeps its number until the balloons that are to go have the
lowest deletion cost. The nodes of a policy are looked at once, and only where balloons may leave. A request that fails
keeps back no other.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from spillway.controllers.base import World
from spillway.controllers.headroom.nodes import ElasticMemory, NodesNow, balloon_nodes
from spillway.controllers.headroom.objects import Found
from spillway.domain.headroom.leaving import MOVED_SECONDS, BalloonNode, leaving_costs, nodes_to_empty
from spillway.domain.headroom.manifests import Held
from spillway.domain.model.names import POD_DELETION_COST, NodeName
from spillway.domain.model.records import PodRecord
from spillway.kube import paths
from spillway.kube.errors import FailedRequests
from spillway.kube.protocols import ObjectWriter
from spillway.telemetry import headroom as metrics

log: Final = structlog.get_logger("spillway.controllers.headroom")


class LeavingBalloons:
    """The balloons that leave in one pass."""

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        wanted: Sequence[Held],
        *,
        balloons: Mapping[str, Sequence[PodRecord]],
        nodes: NodesNow,
        failed: FailedRequests,
    ) -> None:
        """`wanted` are the objects that hold headroom, and `balloons` are by the names of these."""
        self._world = world
        self._writer = writer
        self._wanted = wanted
        self._balloons = balloons
        self._nodes = nodes
        self._failed = failed
        self._looked_at: dict[str, Mapping[NodeName, BalloonNode]] = {}
        self._own: dict[str, list[PodRecord]] = defaultdict(list)
        for held in wanted:
            self._own[held.policy].extend(balloons.get(held.name, ()))
        self.unfinished = False
        """Whether another pass has to follow soon."""

    async def shrunk(self, found: Found) -> list[Held]:
        """The objects to write now: one that shrinks keeps its number until the right balloons have the lowest cost."""
        result: list[Held] = []
        for held in self._wanted:
            present = found.of(paths.DEPLOYMENTS, held.name)
            pods = self._balloons.get(held.name, ())
            shrinks = present is not None and (present.replicas or 0) > held.pods
            leaving = len(pods) - held.pods
            if shrinks and leaving > 0 and await self._mark(held, pods, leaving):
                self.unfinished = True
                result.append(replace(held, pods=len(pods)))
            else:
                result.append(held)
        return result

    async def _mark(self, held: Held, pods: Sequence[PodRecord], leaving: int) -> bool:
        """Whether the deletion cost of a balloon had to be changed."""
        costs = leaving_costs(pods, leaving, await self._nodes_of(held))
        changed = False
        for pod in pods:
            cost = costs.get(pod.uid)
            if cost is not None and pod.deletion_cost != cost:
                with self._failed.collected():
                    changed = await self._writer.annotate_pod(pod, {POD_DELETION_COST: str(cost)}) or changed
                    continue
                # Without its cost the wrong balloon would go.
                changed = True
        return changed

    async def compact(self, found: Found, memories: Mapping[str, ElasticMemory]) -> None:
        """Delete the balloons of nodes that could go without them; their Deployments create them elsewhere."""
        at = self._world.now()
        one_of = {held.policy: held for held in self._wanted}
        for policy, mine in self._own.items():
            if not mine or any(not pod.node for pod in mine) or len(mine) != found.replicas(policy):
                continue
            memory = memories[policy]
            memory.moved = {node: when for node, when in memory.moved.items() if at - when < MOVED_SECONDS}
            nodes = await self._nodes_of(one_of[policy])
            for node in nodes_to_empty(tuple(nodes.values()), one_of[policy].unit, memory.moved.keys()):
                memory.moved[node] = at
                metrics.MOVED.labels(policy).inc()
                log.info("balloons leave a node that holds nothing else", key=node, policy=policy)
                for pod in [pod for pod in mine if pod.node == node]:
                    path = paths.PODS.named(pod.name, namespace=pod.namespace)
                    with self._failed.collected():
                        await self._writer.delete("pods", path, uid=pod.uid)
                self.unfinished = True

    async def _nodes_of(self, held: Held) -> Mapping[NodeName, BalloonNode]:
        policy = held.policy
        if policy not in self._looked_at:
            elastic = self._nodes.elastic[policy].nodes
            self._looked_at[policy] = await balloon_nodes(self._world, policy, elastic, held.taints, self._own[policy])
        return self._looked_at[policy]
