"""The part of an ElasticPolicy's status about forecasts: the list, and the conditions.

Contract: pure, except for the contributor that reads the values. The 64 workloads with most demand are listed.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.forecast import WorkloadForecast
from spillway.api.scalars import rfc3339
from spillway.controllers.forecast.controller import ForecastController, ForecastReport
from spillway.controllers.forecast.observe import asks
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.wording import largest
from spillway.domain.model.wording import first_names
from spillway.domain.scaling.demand import DemandForecast
from spillway.sources.prometheus import NoPrometheusError
from spillway.state.board import Board

STALE: Final = "ForecastStale"
UNUSABLE: Final = "DemandUnusable"


class ForecastContributor:
    """The contributor of forecasts."""

    def __init__(self, forecasts: ForecastController, board: Board) -> None:
        self._forecasts = forecasts
        self._board = board

    def part(self, model: ElasticPolicy, _current: ElasticPolicyStatus, now: datetime) -> StatusPart:
        """The part of one policy."""
        if not asks(model):
            return StatusPart({"forecasts": ()})
        return forecast_part(model.metadata.name, self._forecasts.report, self._board.forecasts, now)


def forecast_part(
    policy: str, report: ForecastReport, forecasts: Mapping[str, DemandForecast], now: datetime
) -> StatusPart:
    """The part of one policy that asks for forecasts. One that is too old to be used is not listed."""
    seconds = now.timestamp()
    listed = {
        workload: one
        for workload, one in forecasts.items()
        if report.policies.get(workload) == policy and not one.is_stale(seconds)
    }
    return StatusPart({"forecasts": _listed(listed)}, (_stale(report, seconds), _unusable(policy, report)))


def _listed(forecasts: Mapping[str, DemandForecast]) -> tuple[WorkloadForecast, ...]:
    return tuple(
        WorkloadForecast(
            workload=workload,
            present=f"{forecasts[workload].present:.1f}",
            highest=f"{forecasts[workload].highest:.1f}",
            predictable=forecasts[workload].predictable,
        )
        for workload in largest({name: one.highest for name, one in forecasts.items()})
    )


def _stale(current: ForecastReport, now: float) -> ObservedCondition:
    if current.trouble == NoPrometheusError.reason or current.stale(now):
        since = f"the last ones are of {_at(current.made)}" if current.made else "there were none before"
        message = (
            f"No forecasts: {current.message}; {since}. Recommended replicas follow only the schedules; workloads that "
            "no other metric scales keep at least their present replicas."
        )
        return ObservedCondition(STALE, holds=True, reason=current.trouble, message=message)
    if not current.made:
        return ObservedCondition(STALE, holds=False, reason="NoForecasts", message="There are no forecasts yet.")
    message = "The forecasts are up to date."
    if current.trouble:
        message = f"The forecasts of {_at(current.made)} are used; a refresh has failed: {current.message}."
    elif current.backlog:
        message = f"The forecasts are up to date; of {current.backlog} workloads older history is being read."
    return ObservedCondition(STALE, holds=False, reason="ForecastsAreFresh", message=message)


def _unusable(policy: str, report: ForecastReport) -> ObservedCondition:
    mine: Iterable[str] = (one for one in report.problems if report.policies.get(one) == policy)
    found = sorted(mine)
    if not found:
        message = "The demand of every workload can be forecast."
        return ObservedCondition(UNUSABLE, holds=False, reason="DemandIsUsable", message=message)
    first = report.problems[found[0]]
    message = f"There is no forecast for {first_names(found)}. {first.workload}: {first.message}."
    return ObservedCondition(UNUSABLE, holds=True, reason=first.reason, message=message)


def _at(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
