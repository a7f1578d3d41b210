"""The case of a backtest: the recorded demand of services, the nodes that there are, and what they cost.

Contract: demand is in replicas at the target load, on the grid of five minutes from a whole hour; nan is a gap. The
first `LEARNING_STEPS` are replayed and are not counted: nothing can be planned from less than two days.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from spillway.api.scaling import Scaling
from spillway.domain.forecast.spec import (
    DAY_STEPS,
    DEFAULT_PRICE,
    HOUR_STEPS,
    LONGEST_WINDOW_SECONDS,
    STEP_SECONDS,
    Floats,
)

LEARNING_STEPS: Final = 2 * DAY_STEPS
LEAST_STEPS: Final = LEARNING_STEPS + HOUR_STEPS


class CaseError(ValueError):
    """The case cannot be replayed; the message says why."""


class HourlyPrices(msgspec.Struct, frozen=True, rename="camel"):
    """The prices of an hour, in one currency; a part of the output of `spillway backtest`."""

    owned_node: float
    elastic_node: float
    virtual_core: float
    virtual_gib: float = 0.0
    currency: str = ""


class Setup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The nodes, their prices, and how pods and nodes start; a part of the output of `spillway backtest`.

    Raises:
        CaseError: a forecast would look less far ahead than pods and nodes take to start.
    """

    nodes: int
    """The number of owned nodes."""
    node_cores: float
    """Allocatable cores of an owned or elastic node."""
    node_gib: float
    """Allocatable memory of one; 0 leaves memory out."""
    elastic_nodes: int
    """The most elastic nodes that there can be."""
    prices: HourlyPrices
    target: float = 0.65
    """The share of its request that a replica should use."""
    node_startup_seconds: float = 180.0
    pod_startup_seconds: float = 60.0
    window_seconds: float = 1800.0
    """How far a forecast looks ahead."""
    forecast_price: float = DEFAULT_PRICE
    """What a missing replica costs by the forecast, in units of the cost of an idle one."""

    def __post_init__(self) -> None:
        if not self.node_startup_seconds + self.pod_startup_seconds < self.window_seconds <= LONGEST_WINDOW_SECONDS:
            raise CaseError(
                "the window of a forecast must be longer than the start of a node and of a pod together, and at most "
                "24 hours"
            )


@dataclass(frozen=True, slots=True)
class Service:
    """One workload, as it requests and scales."""

    workload: str
    """The key of the workload: Kind/namespace/name."""
    cores: float
    """CPU request of a replica."""
    gib: float = 0.0
    """Memory request of a replica."""
    scaling: Scaling | None = None
    """How Spillway scales it; None for a forecast of its demand."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is replayed.

    Raises:
        CaseError: there is no service, or too little demand.
    """

    title: str
    setup: Setup
    services: tuple[Service, ...]
    start: float
    """Unix seconds of the first step, a whole hour."""
    demand: Floats
    """By service and step."""

    def __post_init__(self) -> None:
        if not self.services or self.demand.shape[0] != len(self.services):
            raise CaseError("there is no workload to replay")
        if self.demand.shape[1] < LEAST_STEPS:
            hours = self.demand.shape[1] / HOUR_STEPS
            raise CaseError(
                f"there are {hours:.1f} hours of demand; a backtest needs two days to learn from and an hour to replay"
            )

    @property
    def hours(self) -> float:
        """The hours that are counted."""
        return float((self.demand.shape[1] - LEARNING_STEPS) / HOUR_STEPS)

    @property
    def counted_from(self) -> float:
        """Unix seconds at which counting begins."""
        return self.start + LEARNING_STEPS * STEP_SECONDS
