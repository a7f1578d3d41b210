"""The part of an ElasticPolicy's status about thresholds: the list, the saving, the advice and the conditions.

Contract: pure, except for the contributor that reads the values. The 64 largest workloads are listed as they are now;
sums are those of the plan in force. What is not known (prices, history) is absent: for a workload without enough
history, this includes its threshold.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import shorten
from typing import Final

from spillway.api.common import MOST_REPLICAS
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus, Saving, WorkloadThreshold
from spillway.api.scalars import rfc3339
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.wording import largest
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.controllers.threshold.controller import (
    ThresholdController,
    ThresholdNow,
    ThresholdReport,
)
from spillway.domain.model.owners import WITH_REPLICASETS, WITHOUT_REPLICAS, WorkloadKey
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.model.wording import first_names
from spillway.domain.threshold.effective import ThresholdReason
from spillway.domain.threshold.request import PAST_ENOUGH_SECONDS, Plan, PlannedPolicy
from spillway.sources.prometheus import NoPrometheusError

LEARNING: Final = "Learning"
STALE_PLAN: Final = "StalePlan"
INVALID: Final = "InvalidThreshold"
OVER_TARGET: Final = "OverTarget"
NOT_PLANNED: Final = "NotPlanned"
SAID_CHARACTERS: Final = 300
"""The length of what is quoted of one error."""


class ThresholdContributor:
    """The contributor of thresholds."""

    def __init__(self, counts: WorkloadCounts, thresholds: ThresholdController) -> None:
        self._counts = counts
        self._thresholds = thresholds

    def part(self, model: ElasticPolicy, _current: ElasticPolicyStatus, _now: datetime) -> StatusPart:
        """The part of one policy."""
        name, report = model.metadata.name, self._thresholds.report
        return threshold_part(name, report, not_planned(model, self._counts.policy(name).workloads, report))


def threshold_part(policy: str, report: ThresholdReport, *more: ObservedCondition) -> StatusPart:
    """The part of one policy, with `more` conditions.

    `saving` stays absent without a plan: what owning nodes for the peak would cost is not known before demand has been
    recorded, and a figure from prices alone would mislead.
    """
    current = [one for one in report.of_policy(policy) if one.choice.reason is not ThresholdReason.NO_THRESHOLD]
    plan = report.plan
    planned = next((one for one in plan.policies if one.name == policy), None) if plan is not None else None
    fields = {
        "thresholds": _listed(current),
        "saving": _saving(planned),
        "owned_nodes_advised": planned.owned_nodes_advised if planned is not None else None,
    }
    return StatusPart(fields, (*_conditions(current, report), *more))


def not_planned(policy: ElasticPolicy, workloads: Iterable[str], report: ThresholdReport) -> ObservedCondition:
    """The governed workloads that mode Auto cannot plan.

    Of a workload that is neither a StatefulSet nor has ReplicaSets only the kind is known, and not the class: it is
    named if a class of mode Auto may select it.
    """
    auto = [one.match for one in policy.spec.workloads if one.plans_threshold]

    def void(workload: str) -> bool:
        kind, known = WorkloadKey.parse(workload).kind, report.workloads.get(workload)
        if known is not None:
            return known.choice.reason is ThresholdReason.NOT_PLANNED
        meant = any(match is None or not match.kinds or kind in match.kinds for match in auto)
        return meant and kind not in WITH_REPLICASETS and kind not in WITHOUT_REPLICAS

    found = sorted(filter(void, workloads))
    if not found:
        return ObservedCondition(
            NOT_PLANNED, holds=False, reason="KindsArePlanned", message="Mode Auto plans every kind in use."
        )
    message = (
        f"{_named(found)} no ReplicaSets, so mode Auto plans no threshold for them: in a class of mode Auto all "
        "replicas stay on physical nodes. Give such kinds a class of mode Manual."
    )
    return ObservedCondition(NOT_PLANNED, holds=True, reason="NoReplicaSets", message=message)


def _listed(current: Iterable[ThresholdNow]) -> tuple[WorkloadThreshold, ...]:
    def amounts(one: ThresholdNow) -> tuple[str | None, str | None]:
        if one.planned is None or one.choice.replicas is None:
            return None, None
        return _money(one.planned.saving_per_hour), _money(one.planned.saving_per_hour_against_virtual)

    def assumed(one: ThresholdNow) -> tuple[str, int | None]:
        if one.planned is None or one.planned.basis is None or not _is_auto(one):
            return "", None
        return one.planned.basis.value, one.planned.forecast_loss_percent

    by_name = {one.observed.workload: one for one in current}
    return tuple(
        WorkloadThreshold(
            workload=one.observed.workload,
            replicas=min(one.choice.replicas, MOST_REPLICAS) if one.choice.replicas is not None else None,
            reason=one.choice.reason.value,
            confidence=one.planned.confidence if one.planned is not None and _is_auto(one) else None,
            basis=assumed(one)[0],
            forecast_loss_percent=assumed(one)[1],
            saving_per_hour=amounts(one)[0],
            saving_per_hour_against_virtual=amounts(one)[1],
        )
        for one in map(by_name.__getitem__, largest({name: one.observed.replicas for name, one in by_name.items()}))
    )


def _is_auto(one: ThresholdNow) -> bool:
    return one.choice.reason is ThresholdReason.AUTO


def _saving(planned: PlannedPolicy | None) -> Saving | None:
    saved = _money(planned.saved_vs_owned) if planned is not None else None
    if planned is None or saved is None or not planned.currency:
        return None
    against_virtual = _money(planned.saved_vs_virtual)
    return Saving(per_hour=saved, per_hour_against_virtual=against_virtual, currency=planned.currency)


def _money(amount: float | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


def _conditions(current: Sequence[ThresholdNow], report: ThresholdReport) -> Iterable[ObservedCondition]:
    learning = sorted(one.observed.workload for one in current if one.choice.reason is ThresholdReason.LEARNING_HISTORY)
    if learning and report.trouble == NoPrometheusError.reason:
        message = f"{_named(learning)} no threshold, because {report.message}: all replicas stay on physical nodes."
        yield ObservedCondition(LEARNING, holds=True, reason=report.trouble, message=message)
    elif learning:
        days = PAST_ENOUGH_SECONDS / DAY_SECONDS
        message = (
            f"{_named(learning)} less than {days:g} days of history: all replicas stay on physical nodes until there "
            "is enough."
        )
        young = [one for one in current if one.choice.reason is ThresholdReason.LEARNING_HISTORY]
        reason, why = _by_reason(young, otherwise="LearningHistory")
        yield ObservedCondition(LEARNING, holds=True, reason=reason, message=message + why)
    else:
        message = "Every threshold of mode Auto is based on enough history."
        yield ObservedCondition(LEARNING, holds=False, reason="HistoryIsEnough", message=message)
    yield _stale(current, report)
    yield _over_target(report.plan)
    bad = sorted(one.observed.workload for one in current if one.choice.problem)
    if bad:
        message = f"The annotation spillway.dev/threshold of {_named(bad, verb=False)} is not a number and is not used."
        yield ObservedCondition(INVALID, holds=True, reason="BadAnnotation", message=message)
    else:
        message = "Every annotation spillway.dev/threshold is a number."
        yield ObservedCondition(INVALID, holds=False, reason="AnnotationsAreGood", message=message)


def _over_target(plan: Plan | None) -> ObservedCondition:
    if plan is None or not (plan.excess_cores > 0 or plan.unplaced_cores > 0):
        message = "What must stay on owned nodes fits there within the target."
        return ObservedCondition(OVER_TARGET, holds=False, reason="MinimaFit", message=message)
    reason = "MinimaFindNoNode"
    told: list[str] = []
    if plan.excess_cores > 0:
        reason = "MinimaExceedTarget"
        told.append(
            f"What must stay on owned nodes (min, numbers given by hand, workloads that learn or have no threshold) is "
            f"{plan.excess_cores:.4g} cores more than the {plan.allowed_cores:.4g} that the target allows. It stays "
            "there all the same, and nothing else is planned there at those hours."
        )
    if plan.unplaced_cores > 0:
        told.append(
            f"No single owned node has room for {plan.unplaced_cores:.4g} cores of the replicas of "
            f"{first_names(plan.unplaced)} that must stay on owned nodes, whatever the sum of all nodes is: they wait "
            "for larger nodes, or for a lower min."
        )
    return ObservedCondition(OVER_TARGET, holds=True, reason=reason, message=" ".join(told))


def _by_reason(ones: Iterable[ThresholdNow], *, otherwise: str) -> tuple[str, str]:
    """The most frequent reason, and a sentence for each: how many workloads it concerns, and the first of them.

    `otherwise` is the reason of those whose history can be read; it comes last, and alone it needs no sentence.
    """
    found: dict[str, dict[str, str]] = {}
    readable = 0
    for one in ones:
        if one.planned is not None and one.planned.problem:
            reason = one.planned.problem_reason or otherwise
            found.setdefault(reason, {})[one.planned.workload] = one.planned.problem
        else:
            readable += 1
    if not found:
        return otherwise, ""
    reasons = sorted(found, key=lambda reason: (-len(found[reason]), reason))
    told = [_unreadable(reason, found[reason]) for reason in reasons]
    if readable:
        told.append(f" {otherwise} ({readable}): the history of the others can be read.")
    return reasons[0], "".join(told)


def _unreadable(reason: str, problems: Mapping[str, str]) -> str:
    names = sorted(problems)
    said = shorten(problems[names[0]], SAID_CHARACTERS, placeholder=" …")
    end = "" if said.endswith((".", "…")) else "."
    return f" {reason} ({len(names)}): the history of {first_names(names)} cannot be read: {said}{end}"


def _stale(current: Sequence[ThresholdNow], report: ThresholdReport) -> ObservedCondition:
    if report.plan is None and report.trouble in {"", NoPrometheusError.reason}:
        return ObservedCondition(STALE_PLAN, holds=False, reason="NoPlan", message="There is no plan yet.")
    if not report.trouble:
        kept = [one for one in current if _is_auto(one) and one.planned is not None and one.planned.kept]
        if kept:
            days = PAST_ENOUGH_SECONDS / DAY_SECONDS
            message = (
                f"{_named(sorted(one.observed.workload for one in kept))} less than {days:g} days of history now, and "
                "had more: the threshold of the plan before stays in force until there is enough."
            )
            reason, why = _by_reason(kept, otherwise="HistoryLost")
            return ObservedCondition(STALE_PLAN, holds=True, reason=reason, message=message + why)
        return ObservedCondition(STALE_PLAN, holds=False, reason="PlanIsFresh", message="The plan is up to date.")
    since = (
        f"the plan of {rfc3339(datetime.fromtimestamp(report.plan.made, UTC))} stays in force"
        if report.plan is not None
        else "there is none yet, so everything stays on physical nodes"
    )
    return ObservedCondition(
        STALE_PLAN, holds=True, reason=report.trouble, message=f"No new plan: {report.message}; {since}."
    )


def _named(names: Sequence[str], *, verb: bool = True) -> str:
    has = " have" if len(names) > 1 else " has"
    return f"{first_names(names)}{has if verb else ''}"
