"""The three kinds as pydantic models: the one source of CRDs, reference pages and of what the operator reads."""

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.api.zonalbalance import ZonalBalance

Resource = ElasticPolicy | VirtualNodeBudget | ZonalBalance
KINDS: tuple[type[Resource], ...] = (ElasticPolicy, VirtualNodeBudget, ZonalBalance)

__all__ = ["KINDS", "ElasticPolicy", "Resource", "VirtualNodeBudget", "ZonalBalance"]
