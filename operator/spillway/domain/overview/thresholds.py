"""A plan of thresholds, as `spillway plan thresholds` shows it.

Contract: pure. The structs are the output of the command, with camelCase keys, and docs/reference/kubectl-spillway.md
documents them: a key that exists keeps its meaning. Amounts are estimates, numbers in the currency of their policy. An
absent value is null.
"""

import msgspec

from spillway.domain.threshold.request import Plan, PlannedPolicy, PlannedWorkload


class ThresholdRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The threshold of one workload."""

    workload: str
    """Kind/namespace/name, for example Deployment/shop/cart."""
    policy: str
    threshold: int | None
    """Null while there is too little history: all replicas stay on physical nodes."""
    owned: int
    """Replicas that are planned on owned nodes; a threshold above it counts on elastic ones."""
    peak: int
    """The most replicas that the coming cycle is expected to need."""
    history_seconds: float
    confidence: int | None
    """In percent."""
    basis: str | None
    """What the plan assumes of the coming day, and why: Forecast, PastDays, ShortHistory or StaleHistory; null where no
    threshold is planned."""
    forecast_loss_percent: int | None
    """The loss of forecasts on the last days in percent of that of the usual day; null where they were not compared."""
    saving_per_hour: float | None
    """Compared with owning nodes for its peak."""
    saving_per_hour_against_virtual: float | None
    """Compared with owning nodes for its lowest demand only, and using virtual nodes for the rest."""
    problem: str | None
    """Why its history cannot be used."""
    problem_reason: str | None
    """The same as one word."""


class NodesRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One number of owned nodes."""

    nodes: int
    cost_per_hour: float
    """The average cost per hour of everything, with that many owned nodes."""
    used_percent: float
    """The share of their cores that is planned to be used, on average."""


class PolicyThresholds(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The sums of one policy."""

    name: str
    enforced: bool
    currency: str | None
    auto: int
    """Workloads of mode Auto."""
    learning: int
    """Of these, without enough history."""
    saved_vs_owned: float | None
    """Per hour, compared with owning nodes for every workload's peak; null without prices."""
    saved_vs_virtual: float | None
    """Per hour, compared with owning nodes for the lowest demand only, and using virtual nodes for the rest."""
    owned_nodes_advised: int | None
    """The cheapest number of owned nodes."""
    nodes: tuple[NodesRow, ...]
    """What owning more or fewer nodes would cost; empty without prices."""


class JointPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The plan of all policies together, which share the owned nodes."""

    made: float
    """Unix seconds."""
    capacity_cores: float
    """Allocatable on owned nodes, less what pods request there that no policy governs."""
    allowed_cores: float
    """What the target allows to be in use of it."""
    peak_cores: float
    """The highest load that the plan puts there."""
    excess_cores: float
    """By how much the replicas that must stay on owned nodes exceed what is allowed."""
    unplaced_cores: float
    """Of these replicas, the cores of those for which no single node has room."""
    unplaced: tuple[str, ...]
    """Their workloads."""
    policies: tuple[PolicyThresholds, ...]
    workloads: tuple[ThresholdRow, ...]

    @property
    def enforced(self) -> bool:
        """Whether a policy is enforced: then the sums of the plan are those of enforced policies."""
        return any(one.enforced for one in self.policies)


class ThresholdsPlan(msgspec.Struct, frozen=True, rename="camel"):
    """The plan, and the policy whose part of it is shown to people."""

    policy: str
    plan: JointPlan


def thresholds_plan(policy: str, plan: Plan) -> ThresholdsPlan:
    """A plan without what only the operator's next plan needs."""
    return ThresholdsPlan(
        policy,
        JointPlan(
            made=plan.made,
            capacity_cores=plan.capacity_cores,
            allowed_cores=plan.allowed_cores,
            peak_cores=plan.peak_cores,
            excess_cores=plan.excess_cores,
            unplaced_cores=plan.unplaced_cores,
            unplaced=plan.unplaced,
            policies=tuple(map(_policy, plan.policies)),
            workloads=tuple(map(_workload, plan.workloads)),
        ),
    )


def _policy(one: PlannedPolicy) -> PolicyThresholds:
    return PolicyThresholds(
        name=one.name,
        enforced=one.acting,
        currency=one.currency or None,
        auto=one.auto,
        learning=one.learning,
        saved_vs_owned=one.saved_vs_owned,
        saved_vs_virtual=one.saved_vs_virtual,
        owned_nodes_advised=one.owned_nodes_advised,
        nodes=tuple(
            NodesRow(nodes=point.nodes, cost_per_hour=point.cost_per_hour, used_percent=point.used_percent)
            for point in one.nodes
        ),
    )


def _workload(one: PlannedWorkload) -> ThresholdRow:
    return ThresholdRow(
        workload=one.workload,
        policy=one.policy,
        threshold=one.threshold,
        owned=one.owned,
        peak=one.peak,
        history_seconds=one.history_seconds,
        confidence=one.confidence,
        basis=None if one.basis is None else one.basis.value,
        forecast_loss_percent=one.forecast_loss_percent,
        saving_per_hour=one.saving_per_hour,
        saving_per_hour_against_virtual=one.saving_per_hour_against_virtual,
        problem=one.problem or None,
        problem_reason=one.problem_reason or None,
    )
