"""The disruption budgets of Karpenter's NodePools, as they are now.

Contract: the NodePools are read only if a node belongs to one. Without Karpenter's kinds in the cluster nothing bounds
any node.
"""

from collections.abc import Collection, Mapping

from spillway.domain.balance.disruption_budgets import DisruptionBudget, disruption_budgets
from spillway.domain.model.names import NODE_POOL_LABEL, NodeName
from spillway.domain.model.records import NodeRecord
from spillway.kube import paths
from spillway.kube.errors import ApiError
from spillway.kube.protocols import Reader


class NodePools:
    """The NodePools of the cluster."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def budgets(
        self, nodes: Collection[NodeRecord], taken: Collection[NodeName], now: float
    ) -> Mapping[str, DisruptionBudget]:
        """The budgets by NodePool, counted over these nodes; `taken` are empty, or another policy empties them.

        Raises:
            RequestError: the NodePools could not be read.
        """
        if not any(NODE_POOL_LABEL in node.labels for node in nodes):
            return {}
        try:
            found = await self._reader.get_json(paths.NODE_POOLS.everywhere)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        return disruption_budgets(found.get("items") or (), nodes, taken, now)
