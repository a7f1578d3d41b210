"""The rise of one workload: the replicas that it is expected to start while a node starts.

Contract: pure. A forecast gives the highest demand within its window; what it rose by during the last start-up time is
expected of it once more, because replicas that follow the forecast (a floor for autoscalers) start when it rises. The
replicas that exist have their room, so they are taken off. A forecast that is flat, falls, is stale or is not known
gives 0.
"""

from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast
from spillway.domain.scaling.recommend import replicas_for


def rise_of(
    forecast: DemandForecast | None,
    before: DemandForecast | None,
    *,
    replicas: int,
    most: int | None,
    startup_seconds: float,
    now: float,
) -> int:
    """The replicas to start.

    `before` is the forecast that came before this one, `replicas` what the workload requests now, `most` the highest
    number of its replicas that may run on physical nodes (None: no bound).
    """
    if forecast is None or forecast.is_stale(now):
        return 0
    expected = replicas_for(max(forecast.highest, forecast.present) + _slope(forecast, before, startup_seconds))
    if most is not None:
        expected = min(expected, most)
    return max(0, expected - replicas)


def _slope(forecast: DemandForecast, before: DemandForecast | None, startup_seconds: float) -> float:
    """What the forecast rose by within the last start-up time."""
    if before is None or not 0.0 < forecast.made - before.made <= STALE_SECONDS:
        return 0.0
    step = forecast.made - before.made
    return max(0.0, forecast.highest - before.highest) * min(startup_seconds / step, 1.0)
