"""The forecaster: the highest demand that each of many workloads will reach within the span ahead.

Contract: pure, deterministic and without state. What is said at an origin follows from what was known there, and from
nothing later. `replay` answers for every origin of a history and `forecast` for the present one, by the same
computation. A row is one workload; rows do not influence each other. A history may begin with nan (a new workload),
have gaps, be constant or zero; its scale does not matter.

A forecast is served where it was cheaper than the present demand with headroom, or where it knows so much more of the
span that it has half the loss: a maximum that is sure to come, such as a spike on the hour, is not left out because it
is short. Else the present demand with the cheapest headroom is served: there is an answer from the first value on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from spillway.domain.forecast.calibration import hours_of, quantiles_of, sample_hours, sampled
from spillway.domain.forecast.candidate_weights import loss_stride, mixed, pinball, recent_losses, skilful, weights_of
from spillway.domain.forecast.candidates import LAST_VALUE, candidates_of
from spillway.domain.forecast.choice_by_cost import LOOK_BACK_HOURS, QUANTILES, cheapest
from spillway.domain.forecast.grid import filled, offset
from spillway.domain.forecast.growth import growth, present_growth
from spillway.domain.forecast.spec import HOUR_STEPS, WEEK_STEPS, Flags, Floats, ForecastSpec
from spillway.domain.forecast.window import maximum_ahead, mean_behind

_ROWS_AT_ONCE: Final = 8
"""The arrays of so many rows stay in the processor's cache."""
_MOST: Final = 4.0
"""A forecast is no more than so many times the highest demand that was ever seen."""


@dataclass(frozen=True, slots=True, eq=False)
class PresentForecast:
    """The present forecast, one value for each row."""

    served: Floats
    """The demand to provide for, at least the present one; nan for a row without any value."""
    predictable: Flags
    """Whether a forecast serves it, and not the present demand with headroom."""
    soon_after: Floats
    """What the demand is expected to reach until a quarter of an hour after the span; at least `served`."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The forecasts of every origin (row, origin); origin t knows steps 0 to t-1."""

    served: Floats
    predictable: Flags
    quantiles: Floats
    """The forecast of each of `QUANTILES` for the maximum of the span (row, quantile, origin)."""
    soon_after: Floats


def forecast(values: Floats, spec: ForecastSpec) -> PresentForecast:
    """The forecast at the end of these histories, shape (row, step), on the grid of five minutes from a whole hour."""
    parts = _parts(values, lambda rows: _present(rows, spec))
    return PresentForecast(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def replay(values: Floats, spec: ForecastSpec) -> Replay:
    """The forecast at every step of these histories, each by what was known at that step."""
    parts = _parts(values, lambda rows: _every(rows, spec))
    return Replay(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    """The candidates of a few rows, and the models of each hour that mix them."""

    whole: Floats
    seen: Flags
    small: Floats
    most: Floats
    logs: Floats
    shifts: Floats
    losses: Floats


def _models(values: Floats, spec: ForecastSpec) -> _Models:
    whole, seen = filled(values)
    rows = whole.shape[0]
    hours = hours_of(whole.shape[1])
    small = offset(mean_behind(whole, WEEK_STEPS))
    ahead = maximum_ahead(whole, spec.first, spec.end)
    logs = np.log(candidates_of(whole, ahead, small) + small)
    # A span with a filled gap teaches nothing.
    complete = maximum_ahead((~seen).astype(np.float64), spec.first, spec.end) == 0
    actual = np.where(complete, ahead + small, np.nan)
    log_actual = np.log(sampled(actual))
    shifts = np.stack([quantiles_of(log_actual - sampled(one), QUANTILES, hours, spec.end) for one in logs])
    stride = loss_stride(spec.end - spec.first)
    known = sampled(np.exp(logs), stride)
    calibrated = known[:, :, None] * np.take(np.exp(shifts), sample_hours(known.shape[2], stride), axis=-1)
    losses = pinball(sampled(actual, stride)[:, None], calibrated, np.asarray(QUANTILES)[:, None])
    most = np.full((rows, whole.shape[1] + 1), np.nan)
    np.fmax.accumulate(whole, axis=1, out=most[:, 1:])
    return _Models(whole, seen, small, _MOST * most, logs, shifts, recent_losses(losses, hours, spec.end, stride))


def _served(models: _Models, spec: ForecastSpec, since: int = 0) -> tuple[Floats, Flags, Floats]:
    """What is served from the hour `since` on, by the costs from then on, with the quantiles."""
    step = since * HOUR_STEPS
    small = models.small[:, None, step:]
    weights = weights_of(models.losses[..., since:])
    quantiles = np.exp(mixed(models.logs[..., step:], models.shifts[..., since:], weights)) - small
    np.clip(quantiles, 0.0, models.most[:, None, step:], out=quantiles)
    demand = np.where(models.seen, models.whole, np.nan)[:, step:]
    unknown = np.full((models.whole.shape[0], 1), np.nan)
    reactive = np.concatenate([unknown, models.whole], axis=1)[:, step:]
    capacity = np.maximum(quantiles, reactive[:, None])
    choice = cheapest(
        np.nan_to_num(capacity),
        np.nan_to_num(reactive),
        demand,
        first=spec.first,
        price=spec.price,
        hours=weights.shape[-1],
    )
    hour_of = np.arange(reactive.shape[1]) // HOUR_STEPS
    predictable = (choice.cheaper | skilful(models.losses[..., since:], LAST_VALUE))[:, hour_of]
    at = choice.quantile[:, hour_of]
    forecasts = np.take_along_axis(capacity, at[:, None], axis=1)[:, 0]
    served = np.where(predictable, forecasts, reactive * choice.headroom[:, hour_of])
    return served, predictable, quantiles


def _every(values: Floats, spec: ForecastSpec) -> tuple[Floats, Flags, Floats, Floats]:
    """Every origin."""
    models = _models(values, spec)
    served, predictable, quantiles = _served(models, spec)
    return served, predictable, quantiles, _soon_after(served, growth(models.whole, models.small, spec), models)


def _present(values: Floats, spec: ForecastSpec) -> tuple[Floats, Flags, Floats]:
    """The last origin alone, for which only the hours that the present choice looks at are served again."""
    models = _models(values, spec)
    in_force = -(-spec.first // HOUR_STEPS)
    since = max(models.losses.shape[-1] - 1 - LOOK_BACK_HOURS - in_force, 0)
    served, predictable, _ = _served(models, spec, since)
    grown = present_growth(models.whole, models.small, spec)[:, None]
    return served[:, -1], predictable[:, -1], _soon_after(served[:, -1:], grown, models)[:, 0]


def _soon_after(served: Floats, grown: Floats, models: _Models) -> Floats:
    """What is served at the last of these origins, grown; no more than a forecast may be."""
    small, most = models.small[:, -served.shape[1] :], models.most[:, -served.shape[1] :]
    return np.fmax(np.fmin((served + small) * grown - small, most), served)


Part = TypeVar("Part")


def _parts(values: Floats, work: Callable[[Floats], Part]) -> list[Part]:
    return [work(values[row : row + _ROWS_AT_ONCE]) for row in range(0, max(values.shape[0], 1), _ROWS_AT_ONCE)]
