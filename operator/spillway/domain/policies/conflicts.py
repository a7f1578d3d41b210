"""Conflicts between resources that are each valid alone.

Contract: a problem belongs to one resource, the one that has to change; its message says what is wrong, which resource
wins and what would be right. From the resources alone only certain conflicts are reported; the others are found with
the nodes. Resources are given oldest first, and answers come in that order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

from spillway.api.conditions import READY
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Selector
from spillway.domain.policies.matching import Match

BUDGET_NOT_FOUND: Final = "BudgetNotFound"
CONFLICT: Final = "Conflict"
TIER_CONFLICT: Final = "TierConflict"


class ResourceProblem(NamedTuple):
    """One finding about the resource `name` of `kind`, for its condition `type` with this reason and message."""

    kind: str
    name: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SelectedWorkloads:
    """What one policy selects."""

    classes: Sequence[tuple[str, Match]]
    elastic: Selector | None
    budgets: Sequence[str]


class SelectedPool(NamedTuple):
    """The nodes that one budget selects."""

    name: str
    nodes: Selector


def static_problems(
    policies: Mapping[str, SelectedWorkloads], pools: Sequence[SelectedPool], balances: Mapping[str, Match]
) -> tuple[ResourceProblem, ...]:
    """The problems that the resources alone show."""
    return (
        *_missing_budgets(policies, {pool.name for pool in pools}),
        *_claimed_twice(policies),
        *_tier_conflicts(policies, pools),
        *_shared_pools(pools),
        *_covered_balances(balances),
    )


def node_conflicts(
    elastic: Mapping[str, Selector], pools: Sequence[SelectedPool], nodes: Iterable[NodeRecord]
) -> tuple[ResourceProblem, ...]:
    """The problems that the nodes show: one for each pair of resources, with a node as an example."""
    examples: dict[tuple[str, str, str], list[str]] = {}
    for node in nodes:
        virtual = [pool.name for pool in pools if pool.nodes.matches(node.labels)]
        if not virtual:
            continue
        for policy, selector in elastic.items():
            if selector.matches(node.labels):
                examples.setdefault(("ElasticPolicy", policy, virtual[0]), []).append(node.name)
        for younger in virtual[1:]:
            examples.setdefault(("VirtualNodeBudget", younger, virtual[0]), []).append(node.name)
    return tuple(
        _elastic_and_virtual(name, other, _among(found))
        if kind == "ElasticPolicy"
        else _in_two_pools(name, other, _among(found))
        for (kind, name, other), found in sorted(examples.items())
    )


def distinct(of_resources: Iterable[ResourceProblem], of_nodes: Sequence[ResourceProblem]) -> Iterator[ResourceProblem]:
    """All problems; where nodes show a conflict of a resource too, only what they show, which is more exact."""
    shown = {one[:4] for one in of_nodes}
    yield from (one for one in of_resources if one[:4] not in shown)
    yield from of_nodes


def _among(nodes: Sequence[str]) -> str:
    return f"{len(nodes)} nodes, among them {min(nodes)}," if len(nodes) > 1 else f"the node {nodes[0]}"


def _elastic_and_virtual(policy: str, budget: str, which: str) -> ResourceProblem:
    message = (
        f"tiers.elastic.nodeSelector and the VirtualNodeBudget {budget} both select {which}: where the policy lists "
        f"the budget they count as virtual. Give one of the two selectors a label that only its own nodes have."
    )
    return ResourceProblem("ElasticPolicy", policy, READY, TIER_CONFLICT, message)


def _in_two_pools(younger: str, older: str, which: str) -> ResourceProblem:
    message = (
        f"nodeSelector selects {which} which the older VirtualNodeBudget {older} selects too and keeps. "
        f"Give one of the two selectors a label that only its own nodes have."
    )
    return ResourceProblem("VirtualNodeBudget", younger, READY, CONFLICT, message)


def _missing_budgets(policies: Mapping[str, SelectedWorkloads], known: set[str]) -> Iterator[ResourceProblem]:
    for name, policy in policies.items():
        missing = [budget for budget in policy.budgets if budget not in known]
        if missing:
            message = (
                f"tiers.virtual.budgets names {', '.join(missing)}, and there is no such VirtualNodeBudget: the rest "
                f"of the policy works, its nodes count as fixed. Create it, or take it off the list."
            )
            yield ResourceProblem("ElasticPolicy", name, READY, BUDGET_NOT_FOUND, message)


def _claimed_twice(policies: Mapping[str, SelectedWorkloads]) -> Iterator[ResourceProblem]:
    for (older, winner), (younger, loser) in combinations(policies.items(), 2):
        lost = [name for name, match in loser.classes if any(match.within(claimed) for _, claimed in winner.classes)]
        if lost:
            message = (
                f"workloads {', '.join(lost)}: the older policy {older} selects all of these workloads too and governs "
                f"them. Narrow the match of one of the two, for example by namespace."
            )
            yield ResourceProblem("ElasticPolicy", younger, READY, CONFLICT, message)


def _tier_conflicts(
    policies: Mapping[str, SelectedWorkloads], pools: Sequence[SelectedPool]
) -> Iterator[ResourceProblem]:
    for name, policy in policies.items():
        for pool in pools:
            if policy.elastic is not None and (policy.elastic.within(pool.nodes) or pool.nodes.within(policy.elastic)):
                yield _elastic_and_virtual(name, pool.name, "the same nodes")


def _shared_pools(pools: Sequence[SelectedPool]) -> Iterator[ResourceProblem]:
    for older, younger in combinations(pools, 2):
        if younger.nodes.within(older.nodes) or older.nodes.within(younger.nodes):
            yield _in_two_pools(younger.name, older.name, "nodes")


def _covered_balances(balances: Mapping[str, Match]) -> Iterator[ResourceProblem]:
    for (older, winner), (younger, loser) in combinations(balances.items(), 2):
        if loser.within(winner):
            message = (
                f"the older ZonalBalance {older} selects all of its workloads too and counts for them. "
                f"Narrow the match of one of the two, for example by namespace."
            )
            yield ResourceProblem("ZonalBalance", younger, READY, CONFLICT, message)
