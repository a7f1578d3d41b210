"""Headroom: spare capacity that an ElasticPolicy keeps on elastic nodes."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from spillway.api.common import Count, RecurringTime
from spillway.api.scalars import Cpu, Duration, Memory
from spillway.api.schema import Model, cel, list_map, rules


def _one_unit(example: str) -> dict[str, Any]:
    return rules(
        cel(
            "has(self.pods) != has(self.nodes)",
            f"must be given either in pods or in nodes, for example {example}",
        )
    )


_SHORT = Annotated[str, Field(max_length=64)]


class HeadroomUnit(Model):
    """The size of one placeholder pod, or of one elastic node."""

    cpu: Cpu
    """Its CPU, for example "2"."""
    memory: Memory
    """Its memory, for example 4Gi."""


class HeadroomAmount(Model):
    """An amount of headroom, in placeholder pods or in whole nodes."""

    model_config = ConfigDict(json_schema_extra=_one_unit("{pods: 10} or {nodes: 5}"))

    pods: Count | None = None
    """The amount in placeholder pods of the size of `unit`."""
    nodes: Count | None = None
    """The amount in elastic nodes."""


class HeadroomSchedule(RecurringTime):
    """An amount of headroom at a recurring time."""

    model_config = ConfigDict(
        json_schema_extra=_one_unit('{name: evening, start: "30 17 * * *", duration: 1h, nodes: 5}')
    )

    pods: Count | None = None
    """The minimum during that time, in placeholder pods of the size of `unit`."""
    nodes: Count | None = None
    """The minimum during that time, in elastic nodes."""


class Headroom(Model):
    """Capacity that is kept free on elastic nodes: pods find room at once, and node autoscalers act early."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.min) || !has(self.max) || !has(self.min.pods) || !has(self.max.pods)"
                " || self.min.pods <= self.max.pods",
                "must not be below min, for example {min: {pods: 2}, max: {pods: 20}}",
                field=".max",
            ),
            cel(
                "!has(self.min) || !has(self.max) || !has(self.min.nodes) || !has(self.max.nodes)"
                " || self.min.nodes <= self.max.nodes",
                "must not be below min, for example {min: {nodes: 1}, max: {nodes: 5}}",
                field=".max",
            ),
        )
    )

    min: HeadroomAmount | None = None
    """The minimum, for example {pods: 0}. With `from: Fixed` this is the headroom outside the schedules."""
    max: HeadroomAmount | None = None
    """The maximum, for example {nodes: 5}. `maxNodes` of the elastic tier, and 1000 placeholder pods, are limits in any
    case."""
    unit: HeadroomUnit | None = None
    """The size of one placeholder pod. Left out: the largest CPU request and the largest memory request that at least
    5 % of the governed replicas have."""
    from_: Annotated[Literal["Forecast", "Fixed"], Field(alias="from")] = "Forecast"
    """Forecast: `min`, the schedules, and the capacity that the forecast demand needs before new nodes are ready, of
    which the highest counts. Fixed: only `min` and the schedules."""
    node_startup: Duration | None = None
    """How long an elastic node takes from its order until pods can run on it, for example 6m. With `from: Forecast`,
    nodes are ordered this long before the replicas that need them are created. At most a day counts. Left out, or 0s:
    the `scaling.forecast.startup` of each class, and 3m where that is 0s."""
    schedules: Annotated[tuple[HeadroomSchedule, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Amounts at recurring times. `max` also bounds them."""


class HeadroomZone(Model):
    """The headroom of one zone."""

    zone: Annotated[str, Field(max_length=63)]
    """The zone; empty for headroom that is not bound to a zone."""
    pods: Count
    """The placeholder pods that are needed there."""
    ready: Count = 0
    """Of these, placeholder pods that have a node, so that their room can be used at once. With a CapacityBuffer: those
    that the free room of ready elastic nodes holds."""


class HeadroomStatus(Model):
    """The current headroom of a policy. In mode Recommend it is what would be kept."""

    pods: Count
    """The placeholder pods that are needed."""
    ready: Count = 0
    """Of these, placeholder pods that have a node, or with a CapacityBuffer, that the free room of ready elastic nodes
    holds."""
    nodes: Count = 0
    """The number of empty elastic nodes that would hold all of them."""
    unit: HeadroomUnit | None = None
    """The size of one placeholder pod; absent while the requests of the governed workloads are not known."""
    node: HeadroomUnit | None = None
    """What the most frequent size of elastic nodes has for pods. It stays while there is no elastic node, for the next
    leader too; absent while none was seen, and a node counts as one placeholder pod until then."""
    reason: _SHORT = ""
    """The source of the number: Forecast, ForecastStale, Minimum, Schedule, Maximum, Held or NoRise."""
    schedule: Annotated[str, Field(max_length=63)] = ""
    """For Schedule: the entry of `schedules` that gives the number."""
    forecast: Count = 0
    """The placeholder pods that the forecast alone would need."""
    held_by: _SHORT = ""
    """What holds it: Balloons (placeholder pods of Deployments in the operator's namespace) or CapacityBuffer; empty in
    mode Recommend."""
    zones: Annotated[tuple[HeadroomZone, ...], Field(max_length=16, json_schema_extra=list_map("zone"))] = ()
    """The headroom of each zone, 16 at most."""
