"""The status of an ElasticPolicy: whether it works, whom it governs, and where their replicas run."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from spillway.api.conditions import FOREIGN_WRITER, READY, Condition
from spillway.api.elasticpolicy import (
    ElasticPolicy,
    ElasticPolicyStatus,
    GovernedWorkloads,
    PolicyMode,
    ScaleDownCounts,
    TierCounts,
)
from spillway.controllers.status.conditions import Findings, Unusual, conditions
from spillway.controllers.status.counts import PolicyCount
from spillway.controllers.threshold.status import ThresholdStatus
from spillway.domain.model.names import POD_DELETION_COST, Tier
from spillway.domain.policies.governance import Problem
from spillway.domain.scale_down.outcome import ScaleDowns

NO_THRESHOLDS = ThresholdStatus()
NO_SCALE_DOWNS = ScaleDowns()
NAMED = 5
"""Workloads that a message names; the others it counts."""


def policy_status(
    policy: ElasticPolicy,
    *,
    current: ElasticPolicyStatus,
    count: PolicyCount,
    nodes: Mapping[Tier, int],
    findings: Findings,
    now: datetime,
    thresholds: ThresholdStatus = NO_THRESHOLDS,
    scale_downs: ScaleDowns = NO_SCALE_DOWNS,
) -> ElasticPolicyStatus:
    """What the status should be; `scale_downs` are those that it does not count yet.

    `saving` stays absent without a plan: what owning for the peak would cost is not known before demand has been
    recorded, and a figure made up from prices alone would mislead.
    """
    return current.model_copy(
        update={
            "observed_generation": policy.metadata.generation,
            "workloads": GovernedWorkloads(
                governed=len(count.workloads),
                on_fixed=count.tiers[Tier.FIXED],
                on_elastic=count.tiers[Tier.ELASTIC],
                on_virtual=count.tiers[Tier.VIRTUAL],
            ),
            "nodes": TierCounts(
                fixed=nodes.get(Tier.FIXED, 0), elastic=nodes.get(Tier.ELASTIC, 0), virtual=nodes.get(Tier.VIRTUAL, 0)
            ),
            "scale_down": _scale_down(current.scale_down, scale_downs, now),
            "saving": thresholds.saving,
            "owned_nodes_advised": thresholds.owned_nodes_advised,
            "thresholds": thresholds.thresholds,
            "conditions": conditions(
                current.conditions,
                findings,
                _ready(policy, now),
                [_foreign(count), *thresholds.unusual],
                generation=policy.metadata.generation,
                now=now,
            ),
        }
    )


def lost_workloads(policy: str, lost: Iterable[tuple[str, str]]) -> tuple[Problem, ...]:
    """The problem of a policy that selects what an older one governs; none where there is no such workload."""
    pairs = sorted(lost)
    if not pairs:
        return ()
    winners = ", ".join(sorted({winner for _, winner in pairs}))
    message = (
        f"{_named([workload for workload, _ in pairs])} selected here as well, governed by the older {winners}; "
        "select disjoint workloads."
    )
    return (Problem("ElasticPolicy", policy, READY, "Conflict", message),)


def _scale_down(counted: ScaleDownCounts | None, more: ScaleDowns, now: datetime) -> ScaleDownCounts | None:
    if not more.victims:
        return counted
    before = counted or ScaleDownCounts(since=now)
    return before.model_copy(
        update={"victims": before.victims + more.victims, "as_planned": before.as_planned + more.as_planned}
    )


def _named(names: Sequence[str], of: int = 0) -> str:
    """The first names, and how many more there are `of` so many in all."""
    left = max(of, len(names)) - min(len(names), NAMED)
    more = f" and {left} more" if left else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _ready(policy: ElasticPolicy, now: datetime) -> Condition:
    if policy.spec.mode is PolicyMode.ENFORCE:
        message = "Taints, deletion costs and cordons are kept."
        return Condition.make(READY, holds=True, reason="Enforcing", message=message, now=now)
    message = "Plans and reports; nothing is written on pods, nodes or ReplicaSets until mode is Enforce."
    return Condition.make(READY, holds=True, reason="Recommending", message=message, now=now)


def _foreign(count: PolicyCount) -> Unusual:
    if not count.foreign:
        message = "Nobody else writes deletion costs on the governed pods."
        return Unusual(FOREIGN_WRITER, holds=False, reason="NoForeignWriter", message=message)
    pods = _named(sorted(count.foreign_pods), count.foreign.total())
    message = (
        f"Somebody else writes deletion costs in {_named(sorted(count.foreign))}; these workloads are left alone. "
        f"The pods are {pods}. Scale-down is exact again as soon as their annotation {POD_DELETION_COST} is removed. "
        "If it comes back, look for a pod template that sets it, for Karpenter's feature gate and for OpenKruise's "
        "WorkloadSpread, or exclude the workloads."
    )
    return Unusual(FOREIGN_WRITER, holds=True, reason="DeletionCostNotOurs", message=message)
