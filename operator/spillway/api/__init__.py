"""The three kinds as pydantic models: the one source of the CRDs, the reference pages and the operator's input.

They are imported with the first use of one: the modules beside them, such as `quantity`, do not need them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spillway.api.kinds import KINDS, ElasticPolicy, Resource, VirtualNodeBudget, ZonalBalance

__all__ = ["KINDS", "ElasticPolicy", "Resource", "VirtualNodeBudget", "ZonalBalance"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class, or a tuple of them
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from spillway.api import kinds  # noqa: PLC0415

    return getattr(kinds, name)
