"""Scaling: the recommended replicas of a class of workloads, and how its autoscalers get them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from spillway.api.common import MOST_REPLICAS, Count, PromQl, RecurringTime
from spillway.api.forecast import ForecastOccasion
from spillway.api.scalars import Duration, Factor, PositiveFactor
from spillway.api.schema import NO_SERVER_DEFAULT, Model, cel, list_map, rules


class ScalingTarget(Model):
    """The target load of one replica: the utilisation of a resource, or a share of the value of a Prometheus query."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "(has(self.metric) && has(self.utilization) && !has(self.query) && !has(self.perReplica))"
                " || (has(self.query) && has(self.perReplica) && !has(self.metric) && !has(self.utilization))",
                'must be either {metric: cpu, utilization: 60} or {query: <PromQL>, perReplica: "200"}',
            )
        )
    )

    metric: Literal["cpu", "memory"] | None = None
    """The resource whose use is compared with its request: cpu or memory."""
    utilization: Annotated[int | None, Field(ge=1, le=1000, json_schema_extra={"format": "int32"})] = None
    """Percent of the request that a replica should use, for example 60."""
    query: PromQl | None = None
    """PromQL query for the demand of the whole workload, for example sum(rate(requests_total[2m])); several series are
    added. $(namespace) and $(workload) are replaced by those of the workload, $(matchers) by the label matchers of the
    operator's Prometheus."""
    per_replica: Factor | None = None
    """How much of the query's value one replica can serve, for example "200"."""


class ReplicaSchedule(RecurringTime):
    """A number of replicas at a recurring time."""

    replicas: Count
    """The minimum number of replicas during that time; with `scheduleOnly` the exact number. Where several entries
    overlap, the highest counts."""


class Forecast(Model):
    """Prediction of demand, so that replicas are ready before they are needed."""

    mode: Literal["Active", "Preview", "Disabled"] = "Active"
    """Active: counts for the recommended replicas. Preview: shown in status and metrics only. Disabled: not
    computed."""
    window: Duration = Duration("30m")
    """How far ahead demand is predicted, for example 30m. The highest demand within this time counts.
    With `maxScalingsPerHour`, at least `startup` and an hour divided by it."""
    history: Duration = Duration("14d")
    """How much history the prediction uses, for example 14d."""
    startup: Duration = Duration("3m")
    """How long a replica takes from its creation until it is ready, for example 3m."""
    price: PositiveFactor = PositiveFactor("10")
    """What a missing replica costs you, in units of the cost of an idle one; above 0, for example "30" for a service
    for which a shortage is worse than for others. The higher it is, the more replicas are kept in reserve for demand
    that may be higher than expected."""
    occasions: Annotated[tuple[ForecastOccasion, ...], Field(max_length=16, json_schema_extra=list_map("name"))] = ()
    """Holidays, sales and other days that are unlike the days before. If several overlap, the highest demand
    counts."""


def _scaling_rules() -> dict[str, Any]:
    return rules(
        cel(
            "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "must not be below minReplicas, for example {minReplicas: 2, maxReplicas: 50}",
            field=".maxReplicas",
        ),
        cel(
            "!has(self.scheduleOnly) || !self.scheduleOnly || (has(self.schedules) && size(self.schedules) > 0"
            " && has(self.minReplicas))",
            "needs schedules, and minReplicas as the number outside of them, for example {scheduleOnly: true, "
            'minReplicas: 2, schedules: [{name: evening, start: "0 18 * * *", duration: 5h, replicas: 40}]}',
            field=".scheduleOnly",
        ),
        cel(
            "!has(self.scheduleOnly) || !self.scheduleOnly || !has(self.forecast) || (has(self.forecast.mode)"
            " && self.forecast.mode != 'Active')",
            "must not be Active with scheduleOnly, for example {scheduleOnly: true, forecast: {mode: Preview}}",
            field=".forecast.mode",
        ),
        cel(
            "!has(self.scheduleOnly) || !self.scheduleOnly || !has(self.maxScalingsPerHour)",
            "must be left out with scheduleOnly, because the number is exactly that of the schedules whenever one "
            "begins or ends, for example {scheduleOnly: true, minReplicas: 2, schedules: [{name: evening, "
            'start: "0 18 * * *", duration: 5h, replicas: 40}]}',
            field=".maxScalingsPerHour",
        ),
        cel(
            "!has(self.hpa) || self.hpa != 'Managed' || (has(self.scheduleOnly) && self.scheduleOnly)"
            " || (has(self.maxReplicas) && has(self.target) && has(self.target.metric))",
            "must not be Managed without either scheduleOnly or both maxReplicas and a target of cpu or memory, for "
            "example {hpa: Managed, maxReplicas: 50, target: {metric: cpu, utilization: 60}}; for a query, create an "
            "HPA of your own that reads the external metric",
            field=".hpa",
        ),
        cel(
            "!has(self.hpa) || self.hpa != 'Managed' || !has(self.minReplicas) || self.minReplicas > 0",
            "must be at least 1 with hpa: Managed, because Kubernetes does not scale to zero by CPU or memory, for "
            "example {hpa: Managed, minReplicas: 1}",
            field=".minReplicas",
        ),
    )


class Scaling(Model):
    """The recommended number of replicas: the highest of schedules and forecast, as a metric for HPA and KEDA."""

    model_config = ConfigDict(json_schema_extra=_scaling_rules())

    target: ScalingTarget | None = None
    """The target load of one replica."""
    schedules: Annotated[tuple[ReplicaSchedule, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Numbers of replicas at recurring times."""
    forecast: Forecast | None = None
    """Prediction of demand, so that replicas are ready before they are needed. Without `target` it adds no
    replicas."""
    min_replicas: Count | None = None
    """The minimum of the recommended number; the HorizontalPodAutoscaler's own minimum applies as well. With
    `scheduleOnly`, the exact number outside of all schedules."""
    max_replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS, json_schema_extra={"format": "int32"})] | None = None
    """The maximum of the recommended number; the HorizontalPodAutoscaler's own maximum applies as well."""
    schedule_only: bool = False
    """For services that need an exact number of replicas: the recommended number is exactly that of the schedules, and
    `minReplicas` outside of them. No forecast counts, with `hpa: Managed` nothing else scales the workload, and its
    running pods are not moved: not brought back, and not moved by `consolidation` or a ZonalBalance's `rebalance`."""
    max_scalings_per_hour: Annotated[int, Field(ge=1, le=60, json_schema_extra={"format": "int32"})] | None = None
    """For services that each scaling disturbs, such as consumers of Kafka: how often the recommended number may change
    within any hour, 1 to 60. Each step up then covers every schedule that begins before the next step is possible, and
    the forecast looks ahead for at least an hour divided by this number. Left out: no limit. Not with
    `scheduleOnly`."""
    hpa: Annotated[Literal["Feed", "Managed"], Field(json_schema_extra={NO_SERVER_DEFAULT: True})] = "Feed"
    """Feed: Spillway serves the recommended number as a metric, for a HorizontalPodAutoscaler of yours or for KEDA.
    Managed: Spillway also creates a HorizontalPodAutoscaler on the resource of `target`, with the recommended number,
    at least 1, as its minReplicas. Spillway never changes a HorizontalPodAutoscaler that it did not create. Feed if not
    given."""

    @property
    def forecasts(self) -> bool:
        """Whether demand is forecast: a target says what it is, and the forecast is not disabled."""
        return self.target is not None and self.forecast is not None and self.forecast.mode != "Disabled"

    @property
    def acts_on_forecast(self) -> bool:
        """Whether the forecast demand has an effect: it is forecast, and not only shown."""
        return self.forecasts and self.forecast is not None and self.forecast.mode == "Active"
