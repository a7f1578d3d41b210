"""The part of a resource's status that one feature contributes, and the interface through which it is collected.

Contract: a contributor reads and never writes. No two contributors of a kind set the same field. Several may observe
the condition `Ready`; the first one in the list counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus

M_contra = TypeVar("M_contra", contravariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class ObservedCondition:
    """A condition as a feature observes it now; its transition time is added when the parts are merged."""

    type: str
    holds: bool
    reason: str
    message: str
    announce: bool = False
    """Whether an Event is emitted even though the condition was True before as well."""


@dataclass(frozen=True, slots=True)
class StatusPart:
    """The fields and conditions that one feature contributes to the status of one resource."""

    fields: Mapping[str, object] = field(default_factory=dict)
    """Values by attribute of the status model; an attribute that no part names keeps its present value."""
    conditions: tuple[ObservedCondition, ...] = ()
    if_nothing_else_changed: Mapping[str, object] = field(default_factory=dict)
    """Values that take precedence over `fields` if the status then equals the present one, so nothing is written."""
    on_written: Callable[[], None] | None = None
    """Called once a status that contains this part has been written."""


class Contributor(Protocol[M_contra, S_contra]):
    """A feature that contributes to the status of a kind of resource."""

    def part(self, model: M_contra, current: S_contra, now: datetime, /) -> StatusPart:
        """This feature's part of the status of one resource, whose present status is `current`."""


@dataclass(frozen=True, slots=True)
class Contributors:
    """The contributors to each kind of resource, in the order in which they decide what `Ready` says."""

    policies: Sequence[Contributor[ElasticPolicy, ElasticPolicyStatus]]
    budgets: Sequence[Contributor[VirtualNodeBudget, VirtualNodeBudgetStatus]]
    balances: Sequence[Contributor[ZonalBalance, ZonalBalanceStatus]]
