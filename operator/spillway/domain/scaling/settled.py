"""The replicas that a forecast asks for, settled: noise of the demand is no reason to scale down.

Contract: pure. A rise counts at once. The number falls only when a tenth more demand would fit as well, which is the
tolerance of a HorizontalPodAutoscaler for its own metrics, and when the demand is not expected to need the present
number again within a quarter of an hour after the window. Then it falls to what the forecast asks for.
"""

from typing import Final

from spillway.domain.scaling.demand import DemandForecast, replicas_for

TOLERANCE: Final = 0.1


def settled(forecast: DemandForecast, before: int) -> int:
    """The replicas to request.

    `before` is the number requested until now, or the replicas that exist where there was none.
    """
    wanted = replicas_for(forecast.highest)
    if wanted >= before:
        return wanted
    foreseen = max(forecast.highest, forecast.soon_after)
    return wanted if replicas_for(foreseen * (1 + TOLERANCE)) < before else before
