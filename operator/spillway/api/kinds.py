"""The kinds, all of them."""

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.api.zonalbalance import ZonalBalance

Resource = ElasticPolicy | VirtualNodeBudget | ZonalBalance
KINDS: tuple[type[Resource], ...] = (ElasticPolicy, VirtualNodeBudget, ZonalBalance)

__all__ = ["KINDS", "ElasticPolicy", "Resource", "VirtualNodeBudget", "ZonalBalance"]
