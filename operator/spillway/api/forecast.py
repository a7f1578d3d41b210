"""The forecast in the status of an ElasticPolicy."""

from typing import Annotated

from pydantic import Field

from spillway.api.schema import Model


class WorkloadForecast(Model):
    """The forecast demand of one workload, in replicas at its target load."""

    workload: Annotated[str, Field(max_length=512)]
    """Kind/namespace/name, for example Deployment/shop/cart."""
    present: Annotated[str, Field(max_length=32)]
    """The demand of the last five minutes, for example "12.4"."""
    highest: Annotated[str, Field(max_length=32)]
    """The highest demand to provide for from one start-up ahead until the end of the window, for example "31.0"."""
    predictable: bool = False
    """Whether a forecast tells it. False: it is the present demand with headroom, because no forecast was better."""
