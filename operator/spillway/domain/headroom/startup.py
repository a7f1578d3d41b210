"""How long before replicas are created nodes are ordered for them.

Contract: pure.
"""

from typing import Final

from spillway.api.headroom import Headroom
from spillway.api.scaling import Forecast
from spillway.domain.model.units import DAY_SECONDS

DEFAULT_STARTUP_SECONDS: Final = 180.0
"""Of a node, where nothing names a start-up."""


def node_startup_seconds(headroom: Headroom, forecast: Forecast | None) -> float:
    """The start-up of an elastic node in seconds, at most a day, for a class with this forecast."""
    given = headroom.node_startup.seconds if headroom.node_startup is not None else 0
    of_replica = forecast.startup.seconds if forecast is not None else 0
    return min(float(given or of_replica or DEFAULT_STARTUP_SECONDS), float(DAY_SECONDS))
