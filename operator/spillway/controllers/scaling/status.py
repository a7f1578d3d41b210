"""The part of an ElasticPolicy's status about scaling: the recommended replicas, and the conditions.

Contract: pure, except for the contributor that reads the values. The 64 workloads with the most recommended replicas
are listed.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from spillway.api.common import MOST_REPLICAS
from spillway.api.conditions import METRIC_NOT_SERVED
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus, WorkloadScaling
from spillway.controllers.scaling.controller import ScalingController, ScalingNow, ScalingReport
from spillway.controllers.scaling.managed import ManagedAutoscalersController
from spillway.controllers.scaling.registration import RegistrationController, RegistrationProblem
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.wording import ignored, largest
from spillway.domain.model.wording import first_names
from spillway.domain.scaling.autoscalers import METRIC

INVALID: Final = "InvalidSchedule"
NO_AUTOSCALER: Final = "NoAutoscaler"
NOT_EXACT: Final = "NotExact"
FOREIGN: Final = "ForeignAutoscaler"


class ScalingContributor:
    """The contributor of recommended replicas."""

    def __init__(
        self,
        scaling: ScalingController,
        registration: RegistrationController,
        managed: ManagedAutoscalersController,
    ) -> None:
        self._scaling = scaling
        self._managed = managed
        self._registration = registration

    def part(self, model: ElasticPolicy, _current: ElasticPolicyStatus, _now: datetime) -> StatusPart:
        """The part of one policy."""
        trouble, foreign = self._registration.trouble, self._managed.plan.foreign
        return scaling_part(model.metadata.name, self._scaling.report, trouble, foreign)


def scaling_part(
    policy: str,
    report: ScalingReport,
    trouble: RegistrationProblem | None = None,
    foreign: Mapping[str, str] = MappingProxyType({}),
) -> StatusPart:
    """The part of one policy.

    `trouble` is why the metric is not served; `foreign` are autoscalers of the user's where Spillway was to create one,
    by workload.
    """
    found = {workload: one for workload, one in report.workloads.items() if one.claim.policy == policy}
    conditions = (*_conditions(policy, found, report), _served(found, trouble), _foreign(found, foreign))
    return StatusPart({"scaling": _listed(found)}, conditions)


def _served(found: Mapping[str, ScalingNow], trouble: RegistrationProblem | None) -> ObservedCondition:
    if not found or trouble is None:
        message = "The external metrics API is served, or not enabled."
        return ObservedCondition(METRIC_NOT_SERVED, holds=False, reason="Served", message=message)
    message = f"Autoscalers cannot read the recommended replicas as an external metric: {trouble.message}."
    return ObservedCondition(METRIC_NOT_SERVED, holds=True, reason=trouble.reason, message=message)


def _foreign(found: Mapping[str, ScalingNow], foreign: Mapping[str, str]) -> ObservedCondition:
    kept = sorted(f"{workload} ({name})" for workload, name in foreign.items() if workload in found)
    if not kept:
        message = "No other autoscaler targets a workload with hpa: Managed."
        return ObservedCondition(FOREIGN, holds=False, reason="NoOtherAutoscaler", message=message)
    message = (
        f"An autoscaler that Spillway did not create targets {first_names(kept)}, so Spillway creates none there. "
        "Delete it, or set hpa: Feed."
    )
    return ObservedCondition(FOREIGN, holds=True, reason="NotOurs", message=message)


def _listed(found: Mapping[str, ScalingNow]) -> tuple[WorkloadScaling, ...]:
    return tuple(
        WorkloadScaling(
            workload=workload,
            replicas=min(one.recommendation.replicas, MOST_REPLICAS),
            reason=one.recommendation.reason.value,
            schedule=one.recommendation.schedule,
            forecast=_at_most(one.recommendation.forecast),
            autoscaler=one.autoscaler,
        )
        for workload in largest({name: one.recommendation.replicas for name, one in found.items()})
        for one in (found[workload],)
    )


def _at_most(replicas: int | None) -> int | None:
    return None if replicas is None else min(replicas, MOST_REPLICAS)


def _conditions(policy: str, found: Mapping[str, ScalingNow], report: ScalingReport) -> Iterable[ObservedCondition]:
    if invalid := report.invalid.get(policy, ()):
        message = ignored(invalid)
        yield ObservedCondition(INVALID, holds=True, reason="BadSchedule", message=message)
    else:
        message = "Every schedule is valid."
        yield ObservedCondition(INVALID, holds=False, reason="SchedulesAreGood", message=message)
    alone = sorted(workload for workload, one in found.items() if not one.autoscaler)
    if alone and report.autoscalers_known:
        message = (
            f"No HorizontalPodAutoscaler scales {first_names(alone)}, so the recommended replicas are only reported. "
            f"Create one that reads the external metric {METRIC}, or set hpa: Managed."
        )
        yield ObservedCondition(NO_AUTOSCALER, holds=True, reason="NoAutoscaler", message=message)
    else:
        message = "Every workload with a recommended number has an autoscaler."
        yield ObservedCondition(NO_AUTOSCALER, holds=False, reason="AutoscalersFound", message=message)
    moved = sorted(workload for workload, one in found.items() if one.moved_by_others)
    if moved:
        message = (
            f"The HorizontalPodAutoscaler of {first_names(moved)} also uses other metrics, so the number is not "
            "exactly that of the schedules. Remove them, or set hpa: Managed."
        )
        yield ObservedCondition(NOT_EXACT, holds=True, reason="OtherMetrics", message=message)
    else:
        message = (
            "Nothing but the schedules scales the workloads of classes with scheduleOnly, and none of their pods is "
            "moved."
        )
        yield ObservedCondition(NOT_EXACT, holds=False, reason="SchedulesOnly", message=message)
