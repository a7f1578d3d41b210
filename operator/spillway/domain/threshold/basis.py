"""What the threshold of a workload is planned from. Commands that tell it load this module, and no numpy with it."""

from enum import StrEnum


class Basis(StrEnum):
    """What a threshold is planned from, and why."""

    FORECAST = "Forecast"
    """The forecast of the coming day: it had the lower loss."""
    PAST_DAYS = "PastDays"
    """The usual day of the history: the forecast was no better."""
    SHORT_HISTORY = "ShortHistory"
    """The usual day: the history is too short to compare it with forecasts."""
    STALE_HISTORY = "StaleHistory"
    """The usual day: the history ended too long ago for a forecast."""
