"""The refresh of all forecasts from the demand in memory: what the forecasting process answers to a request.

Contract: a workload is forecast from its first sample on, and as long as its last one is not older than
`STALE_SECONDS`; afterwards it has a problem instead. A forecast is in replicas at the target load. Demand that no
number of replicas can serve is a problem as well. What a user says of days that are unlike others is applied here.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

import msgspec
import numpy as np
import structlog

from spillway.api.common import MOST_REPLICAS
from spillway.controllers.forecast.reading import Reading
from spillway.domain.forecast.demand_grid import Identity
from spillway.domain.forecast.forecaster import PresentForecast, forecast
from spillway.domain.forecast.growth import AFTER_SECONDS
from spillway.domain.forecast.occasions import Occasion, served_with, without
from spillway.domain.forecast.refresh import (
    NO_SAMPLES,
    DemandNeed,
    DemandProblem,
    Refreshed,
    RefreshProblem,
    RefreshRequest,
    WorkloadDemand,
)
from spillway.domain.forecast.spec import STEP_SECONDS, Flags, Floats, ForecastSpec
from spillway.domain.scaling.demand import STALE_SECONDS
from spillway.sources.prometheus import PrometheusError

log: Final = structlog.get_logger(__name__)
_STALE_STEPS: Final = int(STALE_SECONDS // STEP_SECONDS)
_ROWS_AT_ONCE: Final = 256
"""So many histories are 64-bit floats at a time."""


class Refresher:
    """The forecasts of all workloads of one Prometheus."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    async def refresh(self, request: RefreshRequest) -> Refreshed:
        """The forecasts of the workloads in the request.

        Raises:
            PrometheusError: Prometheus does not answer, so there is nothing new.
        """
        begun, reading = time.perf_counter(), self.reading
        requests = reading.requests
        needs = reading.prepare(request)
        await reading.read_new()
        trouble = None
        try:
            await reading.read_older(needs, request.seconds)
        except PrometheusError as error:
            log.warning("older history cannot be read yet", error=str(error))
            trouble = RefreshProblem(error.reason, str(error))
        forecasts, problems = self._forecasts(needs)
        return Refreshed(
            tuple(forecasts),
            tuple(problems),
            backlog=len(reading.missing(needs)),
            requests=reading.requests - requests,
            seconds=time.perf_counter() - begun,
            trouble=trouble,
        )

    def _forecasts(self, needs: Mapping[Identity, DemandNeed]) -> tuple[list[WorkloadDemand], list[DemandProblem]]:
        found: list[WorkloadDemand] = []
        problems = [row.problem for row in self.reading.rows.values() if row.problem is not None]
        failed = {one.workload for one in problems}
        ordered = sorted(needs.items(), key=lambda item: _alike(item[1]))
        for _, group in groupby(ordered, key=lambda item: _alike(item[1])):
            members = list(group)
            for first in range(0, len(members), _ROWS_AT_ONCE):
                for one in self._together(members[first : first + _ROWS_AT_ONCE]):
                    if isinstance(one, WorkloadDemand):
                        found.append(one)
                    elif one.workload not in failed:
                        problems.append(one)
        return found, problems

    def _together(self, members: Sequence[tuple[Identity, DemandNeed]]) -> Iterator[WorkloadDemand | DemandProblem]:
        """The forecasts of workloads that are alike."""
        grid, need = self.reading.grid, members[0][1]
        first, values = grid.history([identity for identity, _ in members], need.history_steps)
        seen = np.isfinite(values)
        last = np.where(seen.any(axis=1), values.shape[1] - 1 - seen[:, ::-1].argmax(axis=1), -1)
        current = last >= values.shape[1] - _STALE_STEPS
        start = first * float(STEP_SECONDS)
        found = _forecast(values[current], need.spec, need.occasions, start)
        later = _later(values[current], need, start, found.predictable)
        position = 0
        for row, (identity, one) in enumerate(members):
            if current[row]:
                present = float(values[row, last[row]])
                highest = max(float(found.served[position]), present)
                amounts = WorkloadDemand(
                    one.workload,
                    made=float((first + int(last[row]) + 1) * STEP_SECONDS),
                    present=present,
                    highest=highest,
                    predictable=bool(found.predictable[position]),
                    later=float(later[position]) if later is not None else 0.0,
                    soon_after=max(float(found.soon_after[position]), highest),
                )
                yield _in_replicas(one, amounts)
                position += 1
            elif grid.end - self.reading.rows[identity].added >= _STALE_STEPS:
                message = f"Prometheus has no sample of its demand within the last {STALE_SECONDS / 60:g} minutes"
                yield DemandProblem(one.workload, NO_SAMPLES, message)


def _alike(need: DemandNeed) -> tuple[float, float, float, float, int, tuple[tuple[float, float, int, float], ...]]:
    """What workloads have in common that can be forecast together."""
    occasions = tuple((one.begin, one.end, one.like_days_before, one.factor) for one in need.occasions)
    spans = need.startup_seconds, need.window_seconds, need.beyond_seconds
    return *spans, need.price, need.history_steps, occasions


def _later(values: Floats, need: DemandNeed, start: float, predictable: Flags) -> Floats | None:
    """What is to be provided within the second window; 0 where neither a forecast nor an occasion tells it.

    None without such a window.
    """
    spec = need.later_spec
    if spec is None:
        return None
    found = _ordinary(values, spec, need.occasions, start)
    told = np.where(predictable & found.predictable, found.served, np.nan)
    ahead = _ahead(values, spec, need.occasions, start)
    if ahead and values.shape[0]:
        told = served_with(told, values, ahead, spec, start=start)
    return np.where(np.isfinite(told), told, 0.0)


def _forecast(values: Floats, spec: ForecastSpec, occasions: Iterable[Occasion], start: float) -> PresentForecast:
    """The forecast of each row, with what the occasions bring."""
    found = _ordinary(values, spec, occasions, start)
    ahead = _ahead(values, spec, occasions, start)
    if not ahead or not values.shape[0]:
        return found
    # What ordinary days bring soon after the span says nothing of an occasion.
    served = served_with(found.served, values, ahead, spec, start=start)
    return replace(found, served=served, soon_after=served)


def _ordinary(values: Floats, spec: ForecastSpec, occasions: Iterable[Occasion], start: float) -> PresentForecast:
    """The forecast of each row from its ordinary days."""
    if not values.shape[0]:
        return PresentForecast(np.empty(0), np.empty(0, dtype=np.bool_), np.empty(0))
    over = [one for one in occasions if one.end <= _now(values, start)]
    return forecast(without(values, over, start=start) if over else values, spec)


def _ahead(values: Floats, spec: ForecastSpec, occasions: Iterable[Occasion], start: float) -> list[Occasion]:
    """The occasions within the span, or soon after it."""
    now = _now(values, start)
    return [one for one in occasions if now < one.end and one.begin < now + spec.window_seconds + AFTER_SECONDS]


def _now(values: Floats, start: float) -> float:
    """Unix seconds: the end of the last step."""
    return start + float(values.shape[1] * STEP_SECONDS)


def _in_replicas(need: DemandNeed, amounts: WorkloadDemand) -> WorkloadDemand | DemandProblem:
    """The demand, which is in the unit of its source, in replicas."""
    with np.errstate(over="ignore"):
        most = amounts.highest / need.per_replica
    if not most <= MOST_REPLICAS:
        return DemandProblem(need.workload, "InvalidDemand", f"its demand reaches {most:.4g} replicas")
    return msgspec.structs.replace(
        amounts,
        present=amounts.present / need.per_replica,
        highest=most,
        later=amounts.later / need.per_replica,
        soon_after=amounts.soon_after / need.per_replica,
    )
