"""The fields of a resource that have no effect in combination with the others.

Contract: a field is named only where the user has set it, by its path as a manifest writes it, and a list's entry by
its name. Such fields have an effect only together with others: they are named if those are missing.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from spillway.api import ElasticPolicy, Resource, ZonalBalance
from spillway.api.elasticpolicy import ElasticPolicySpec, Placement
from spillway.api.scaling import ScalingTarget
from spillway.api.zonalbalance import ZonalBalanceSpec

_FORECAST: Final = ("mode", "window", "history", "price")
"""Fields that mean something only with a target."""


def plans_thresholds(policies: Iterable[ElasticPolicy]) -> bool:
    """Whether thresholds are planned at all: some class is of mode Auto, and all others' demand counts in its plan."""
    classes = (one for policy in policies for one in policy.spec.workloads)
    return any(one.plans_threshold for one in classes)


def fields_without_effect(resource: Resource, *, planned: bool) -> tuple[str, ...]:
    """The fields under `spec` that the user has set and that have no effect; `planned` is `plans_thresholds`."""
    match resource:
        case ElasticPolicy():
            return tuple(_of_policy(resource.spec, planned=planned))
        case ZonalBalance():
            return tuple(_of_balance(resource.spec))
        case _:
            return ()


def _of_policy(spec: ElasticPolicySpec, *, planned: bool) -> Iterator[str]:
    headroom = spec.headroom
    if headroom is not None and headroom.min is None and not headroom.schedules and not _rises(spec):
        yield "spec.headroom"
    for one in spec.workloads:
        if one.scaling is None:
            continue
        here, scaling = f"spec.workloads[{one.name}].scaling", one.scaling
        if scaling.schedule_only and scaling.max_scalings_per_hour is not None:
            # The API server refuses both together; an object that was stored before that rule may have them.
            yield f"{here}.maxScalingsPerHour"
        if scaling.forecasts:
            continue
        target = None if scaling.hpa == "Managed" else scaling.target
        if target is not None and not (planned and _counts(target, one.effective_placement)):
            yield f"{here}.target"
        if scaling.forecast is not None and scaling.target is None:
            # A plan of thresholds counts the start-up all the same.
            given = [field for field in _FORECAST if field in scaling.forecast.model_fields_set]
            yield from (f"{here}.forecast.{field}" for field in given) if planned else (f"{here}.forecast",)


def _rises(spec: ElasticPolicySpec) -> bool:
    """Whether headroom follows a forecast."""
    active = any(one.scaling is not None and one.scaling.acts_on_forecast for one in spec.workloads)
    return active and spec.headroom is not None and spec.headroom.from_ == "Forecast"


def _of_balance(spec: ZonalBalanceSpec) -> Iterator[str]:
    # The status counts by it, and the load is read by it; a scale-down keeps the zones of all nodes.
    if (spec.node_selector.match_labels or spec.node_selector.match_expressions) and not spec.reads_load:
        yield "spec.nodeSelector"
    if spec.target is not None and not spec.plans_moves:
        yield "spec.target"


def _counts(target: ScalingTarget, placement: Placement) -> bool:
    """Whether a plan of thresholds looks at the target: by CPU or a query, of what may run on physical nodes."""
    return target.metric != "memory" and placement.virtual != "Always"
