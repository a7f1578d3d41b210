"""The health and size of a pool that outlive a restart or a change of leader, to and from the status of its budget.

Contract: pure. Times are Unix seconds here and whole seconds in the status. A status that cannot be parsed counts as
the status of a pool that never failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Self

from pydantic import ValidationError

from spillway.api.virtualnodebudget import (
    NAMESPACES_IN_STATUS,
    NamespaceHealth,
    NamespaceLadder,
    PoolHealth,
    VirtualNodeBudgetStatus,
)
from spillway.domain.pools.health import Health, HealthReason, State
from spillway.domain.pools.namespace_ladders import EVERYONE, NO_LADDERS, NamespaceLadders
from spillway.domain.pools.size_ladder import Position

NEVER_FAILED: Final = Health()


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """What one pool remembers."""

    health: Health = NEVER_FAILED
    ladders: NamespaceLadders = NO_LADDERS
    namespaces: Mapping[str, Health] = field(default_factory=lambda: MappingProxyType({}))
    """The health for the pods of one namespace, where pods of it failed to start."""

    @property
    def kept_out(self) -> frozenset[str]:
        """The namespaces whose pods the pool does not take."""
        return frozenset(name for name, health in self.namespaces.items() if health.state is State.FAILED)

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Self:
        """The memory that a status contains."""
        try:
            return cls.of_status(VirtualNodeBudgetStatus.model_validate(status))
        except ValidationError:
            return cls()

    @classmethod
    def of_status(cls, found: VirtualNodeBudgetStatus) -> Self:
        """The same of a status that is parsed."""
        ladders = {
            one.namespace: Position(one.step, one.since.timestamp())
            for one in found.namespace_ladders
            if one.step and one.since is not None
        }
        if not ladders and found.ladder_step and found.ladder_since is not None:
            ladders = {EVERYONE: Position(found.ladder_step, found.ladder_since.timestamp())}
        namespaces = {one.namespace: _health(one) for one in found.namespace_health}
        return cls(_health(found.health), NamespaceLadders(ladders), namespaces)

    def status(self) -> dict[str, Any]:
        """The fields of the status that contain it."""
        most_pressing = sorted(self.namespaces.items(), key=lambda one: (one[1].state is not State.FAILED, one[0]))
        return {
            "health": None if self.health == NEVER_FAILED else PoolHealth(**_fields(self.health)),
            "namespace_health": tuple(
                NamespaceHealth(namespace=name, **_fields(health))
                for name, health in most_pressing[:NAMESPACES_IN_STATUS]
            ),
            "ladder_step": self.ladders.highest.step,
            "ladder_since": _moment(self.ladders.highest.since),
            "namespace_ladders": tuple(
                NamespaceLadder(namespace=name, step=one.step, since=_moment(one.since))
                for name, one in sorted(self.ladders.positions.items(), key=lambda one: (-one[1].step, one[0]))
                if name != EVERYONE
            )[:NAMESPACES_IN_STATUS],
        }


def _fields(health: Health) -> dict[str, Any]:
    return {
        "state": health.state.value,
        "failures": health.failures,
        "since": _moment(health.since),
        "retry_at": _moment(health.retry_at),
        "reason": health.reason and health.reason.value,
    }


def _health(found: PoolHealth | None) -> Health:
    if found is None or found.state not in set(State):
        return NEVER_FAILED
    return Health(
        State(found.state),
        found.failures,
        found.since.timestamp() if found.since else 0.0,
        found.retry_at.timestamp() if found.retry_at else 0.0,
        HealthReason(found.reason) if found.reason in set(HealthReason) else None,
    )


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else None
