"""The parts of a status that follow from governance: problems of every resource, and the workloads of a policy.

Contract: pure, except for the contributors that read the values. Problems decide what `Ready` says before anything
else does, so the contributor of resources is the first of each kind.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from spillway.api import ElasticPolicy, Resource
from spillway.api.common import Status
from spillway.api.conditions import DEGRADED, NOT_IMPLEMENTED, READY, RECONCILING, STALLED
from spillway.api.elasticpolicy import ElasticPolicyStatus, GovernedWorkloads, TierCounts
from spillway.controllers.base import World
from spillway.controllers.status.node_summary import NodeSummary
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import PolicyCount, WorkloadCounts
from spillway.domain.model.names import Tier
from spillway.domain.model.wording import first_names
from spillway.domain.policies.conflicts import BUDGET_NOT_FOUND, ResourceProblem, distinct
from spillway.domain.policies.without_effect import fields_without_effect, plans_thresholds
from spillway.state.catalog import Kind


@dataclass(frozen=True, slots=True)
class ResourceState:
    """What is known about a resource of any kind."""

    problems: tuple[ResourceProblem, ...] = ()
    without_effect: tuple[str, ...] = ()
    """Fields that are set and have no effect in combination with the others."""
    rejected: str = ""
    """Why the newest version of the resource was refused; empty if it was not."""
    stale: str = ""
    """Which data is too old to act on; empty while all data is fresh."""


class ResourceContributor:
    """The contributor of problems, fields without effect and stale data, for every kind."""

    def __init__(self, world: World, counts: WorkloadCounts, nodes: NodeSummary) -> None:
        self._world = world
        self._counts = counts
        self._nodes = nodes

    def part(self, model: Resource, _current: Status, _now: datetime) -> StatusPart:
        """The part of one resource."""
        governance = self._world.governance
        kind, name = Kind(model.kind), model.metadata.name
        entry = self._world.catalog.entries(kind).get(name)
        problems = list(distinct(governance.problems, self._nodes.problems))
        if kind is Kind.ELASTIC_POLICY:
            problems += lost_workloads(name, self._counts.policy(name).lost)
        return resource_part(
            ResourceState(
                problems=tuple(one for one in problems if one.kind == kind and one.name == name),
                without_effect=fields_without_effect(model, planned=plans_thresholds(governance.policies.values())),
                rejected=entry.error if entry is not None else "",
                stale="" if self._world.fresh else "nothing has been received from the API server for too long",
            )
        )


class PolicyContributor:
    """The contributor of governed workloads and nodes."""

    def __init__(self, counts: WorkloadCounts, nodes: NodeSummary) -> None:
        self._counts = counts
        self._nodes = nodes

    def part(self, model: ElasticPolicy, _current: ElasticPolicyStatus, _now: datetime) -> StatusPart:
        """The part of one policy."""
        name = model.metadata.name
        return policy_part(model, self._counts.policy(name), self._nodes.tiers(name))


def resource_part(state: ResourceState) -> StatusPart:
    """The part of a resource of any kind."""
    return StatusPart(conditions=tuple(_resource_conditions(state)))


def policy_part(policy: ElasticPolicy, count: PolicyCount, nodes: Mapping[Tier, int]) -> StatusPart:
    """The part of a policy that governs these workloads, with these nodes in its tiers."""
    workloads = GovernedWorkloads(
        governed=len(count.workloads),
        on_fixed=count.tiers[Tier.FIXED],
        on_elastic=count.tiers[Tier.ELASTIC],
        on_virtual=count.tiers[Tier.VIRTUAL],
    )
    tiers = TierCounts(
        fixed=nodes.get(Tier.FIXED, 0), elastic=nodes.get(Tier.ELASTIC, 0), virtual=nodes.get(Tier.VIRTUAL, 0)
    )
    return StatusPart({"workloads": workloads, "nodes": tiers}, (_ready(policy, governed=workloads.governed),))


def lost_workloads(policy: str, lost: Iterable[tuple[str, str]]) -> tuple[ResourceProblem, ...]:
    """The problem of a policy that selects workloads of an older one, given as (workload, older policy)."""
    pairs = sorted(lost)
    if not pairs:
        return ()
    winners = ", ".join(sorted({winner for _, winner in pairs}))
    message = (
        f"The policy also selects {first_names([workload for workload, _ in pairs])}, and the older {winners} governs "
        "them. Change the match of one of the policies."
    )
    return (ResourceProblem("ElasticPolicy", policy, READY, "Conflict", message),)


def _ready(policy: ElasticPolicy, *, governed: int) -> ObservedCondition:
    if not governed:
        message = "The policy is in force and selects no workload that has pods; check its namespaces and workloads."
        return ObservedCondition(READY, holds=True, reason="NoWorkloads", message=message)
    if policy.spec.enforced:
        message = "The policy is enforced."
        return ObservedCondition(READY, holds=True, reason="Enforcing", message=message)
    message = "Spillway reports what it would do. It writes nothing on pods, nodes and workloads until mode is Enforce."
    return ObservedCondition(READY, holds=True, reason="Recommending", message=message)


def _resource_conditions(state: ResourceState) -> Iterable[ObservedCondition]:
    if state.rejected:
        message = (
            f"The newest version of the spec is not valid, so the last valid version stays in force: {state.rejected}"
        )
        yield ObservedCondition(READY, holds=False, reason="Invalid", message=message)
        yield ObservedCondition(STALLED, holds=True, reason="Invalid", message=message)
    elif state.problems:
        first, message = state.problems[0].reason, " ".join(problem.message for problem in state.problems)
        yield ObservedCondition(READY, holds=False, reason=first, message=message)
        # A missing budget may only not be applied yet; every other problem needs another spec.
        waits = all(problem.reason == BUDGET_NOT_FOUND for problem in state.problems)
        yield ObservedCondition(RECONCILING if waits else STALLED, holds=True, reason=first, message=message)
    yield _without_effect(state.without_effect)
    yield _degraded(state.stale)
    for kind in dict.fromkeys(problem.type for problem in state.problems if problem.type != READY):
        of_kind = [problem for problem in state.problems if problem.type == kind]
        message = " ".join(problem.message for problem in of_kind)
        yield ObservedCondition(kind, holds=True, reason=of_kind[0].reason, message=message)


def _without_effect(fields: tuple[str, ...]) -> ObservedCondition:
    if not fields:
        message = "Every field that is set has an effect."
        return ObservedCondition(NOT_IMPLEMENTED, holds=False, reason="AllFieldsImplemented", message=message)
    message = f"These fields have no effect in combination with the others: {', '.join(fields)}."
    return ObservedCondition(NOT_IMPLEMENTED, holds=True, reason="FieldsWithoutBehaviour", message=message)


def _degraded(stale: str) -> ObservedCondition:
    if stale:
        message = f"Nothing is changed until the data is fresh again: {stale}."
        return ObservedCondition(DEGRADED, holds=True, reason="StaleData", message=message)
    return ObservedCondition(DEGRADED, holds=False, reason="DataIsFresh", message="The data is up to date.")
