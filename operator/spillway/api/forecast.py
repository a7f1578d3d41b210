"""Days that a user knows to be unlike the others, and the forecast in the status of an ElasticPolicy."""

from typing import Annotated, Literal

from pydantic import Field

from spillway.api.common import RecurringTime
from spillway.api.scalars import Factor
from spillway.api.schema import Model

Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


class ForecastOccasion(RecurringTime):
    """A period in which demand is unlike that of other days, for example a holiday or a sale.

    A forecast whose span includes the period uses the demand that is defined here. The demand of the period is left out
    of the history afterwards.
    """

    like: Weekday | None = None
    """The day of the week whose demand is used: the last such day before the period, for example Sunday for a holiday.
    Left out: the same day of the week before."""
    factor: Factor = Factor("1")
    """The factor by which that demand is multiplied, for example "2.5" for a sale."""


class WorkloadForecast(Model):
    """The forecast demand of one workload, in replicas at its target load."""

    workload: Annotated[str, Field(max_length=512)]
    """Kind/namespace/name, for example Deployment/shop/cart."""
    present: Annotated[str, Field(max_length=32)]
    """The demand of the last five minutes, for example "12.4"."""
    highest: Annotated[str, Field(max_length=32)]
    """The highest demand to provide for from one start-up ahead until the end of the window, for example "31.0"."""
    predictable: bool = False
    """Whether `highest` comes from a forecast. False: it is the present demand times a fixed factor, because no
    forecast was better."""
