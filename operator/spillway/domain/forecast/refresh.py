"""What is asked of the forecasting process, and what it answers: plain values that pass from one process to another.

Contract: a request names every workload that is to be forecast; one that is left out is forgotten. Amounts are in the
unit of the source: cores, bytes, or that of the query. A forecast is in replicas at the target load, which is
the amount divided by what one replica carries. So a workload whose request changes keeps its history.
"""

from enum import StrEnum

import msgspec

from spillway.domain.forecast.occasions import Occasion
from spillway.domain.forecast.spec import DAY_STEPS, DEFAULT_PRICE, STEP_SECONDS, ForecastSpec
from spillway.domain.model.units import DAY_SECONDS

LONGEST_HISTORY_SECONDS = 28 * DAY_SECONDS
"""What the forecaster can use: its profiles of the week look back four weeks."""
NO_SAMPLES = "NoSamples"
"""The reason of the problem that Prometheus has had no recent sample."""


class DemandSource(StrEnum):
    """Where the demand of a workload is read."""

    CPU = "cpu"
    MEMORY = "memory"
    QUERY = "query"


class DemandNeed(msgspec.Struct, frozen=True):
    """One workload whose demand is to be forecast."""

    workload: str
    """Its key, Kind/namespace/name."""
    source: DemandSource
    per_replica: float
    """What one replica carries at its target load; above 0."""
    query: str = ""
    """PromQL with $(namespace) and $(workload) filled in, for the source QUERY."""
    history_seconds: float = 14.0 * DAY_SECONDS
    window_seconds: float = 1800.0
    startup_seconds: float = 180.0
    beyond_seconds: float = 0.0
    """How much further a second window ends, for headroom; 0 where there is none."""
    price: float = DEFAULT_PRICE
    """What a missing replica costs, in units of the cost of an idle one; above 0."""
    occasions: tuple[Occasion, ...] = ()
    """In order of their begin."""

    @property
    def spec(self) -> ForecastSpec:
        """What to forecast; a window that a replica's start would outlast ends a step after it."""
        window = min(max(self.window_seconds, self.startup_seconds + STEP_SECONDS), float(DAY_SECONDS))
        return ForecastSpec(min(self.startup_seconds, window - STEP_SECONDS), window, self.price)

    @property
    def later_spec(self) -> ForecastSpec | None:
        """The second span, whose window ends `beyond_seconds` later; None where it is not another one."""
        spec = self.spec
        later = spec.beyond(self.beyond_seconds)
        return later if later.end > spec.end else None

    @property
    def history_steps(self) -> int:
        """The length of the history: from a day to four weeks."""
        return max(int(min(self.history_seconds, LONGEST_HISTORY_SECONDS) // STEP_SECONDS), DAY_STEPS)


class RefreshRequest(msgspec.Struct, frozen=True):
    """A request for the forecasts of all these workloads."""

    now: float
    """Unix seconds. Steps that end later are not known, whatever Prometheus says of them."""
    needs: tuple[DemandNeed, ...]
    seconds: float = 120.0
    """The time for reading older history, after what is new has been read."""


class WorkloadDemand(msgspec.Struct, frozen=True):
    """The forecast of one workload, in replicas at its target load."""

    workload: str
    made: float
    """Unix seconds: the end of the last step with a sample."""
    present: float
    highest: float
    predictable: bool
    later: float = 0.0
    """The highest demand until the end of the second window, where a forecast or an occasion tells it; else 0."""
    soon_after: float = 0.0
    """What the demand is expected to reach until a quarter of an hour after the window; at least `highest`, or 0 where
    nothing is known of it."""


class DemandProblem(msgspec.Struct, frozen=True):
    """Why one workload has no forecast, or one that ages."""

    workload: str
    reason: str
    """One CamelCase word for a condition."""
    message: str


class RefreshProblem(msgspec.Struct, frozen=True):
    """Why nothing could be read."""

    reason: str
    message: str


class Refreshed(msgspec.Struct, frozen=True):
    """The answer to a request."""

    forecasts: tuple[WorkloadDemand, ...] = ()
    problems: tuple[DemandProblem, ...] = ()
    backlog: int = 0
    """The workloads whose history has not been read completely: their forecasts become better."""
    requests: int = 0
    """The batches that were read."""
    seconds: float = 0.0
    trouble: RefreshProblem | None = None
    """Prometheus has failed; with forecasts, only older history is missing for it."""
