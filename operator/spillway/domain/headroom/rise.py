"""The rise of one workload: the replicas that it is expected to start while a node starts.

Contract: pure. A forecast gives the highest demand within its window, which a floor for autoscalers follows at once,
and the highest until one start-up later: that is the floor for which nodes must be ordered now. The replicas that
exist have their room, so they are taken off. A forecast that is flat, falls, is stale or is not known gives 0; what
headroom does while forecasts are stale is the rule of `domain.headroom.past`.
"""

from spillway.domain.scaling.demand import DemandForecast, replicas_for


def rise_of(forecast: DemandForecast | None, *, replicas: int, most: int | None, now: float) -> int:
    """The replicas to start.

    `replicas` is what the workload requests now, `most` the highest number of its replicas that may run on physical
    nodes (None: no bound).
    """
    if forecast is None or forecast.is_stale(now):
        return 0
    expected = replicas_for(max(forecast.highest, forecast.present, forecast.later))
    if most is not None:
        expected = min(expected, most)
    return max(0, expected - replicas)
