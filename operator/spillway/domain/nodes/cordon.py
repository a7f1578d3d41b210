"""Cordons: which nodes of a held pool are closed, and which pods a drain evicts.

Contract: Spillway opens a node only while the node carries Spillway's mark (`CORDONED_BY`). A node that another client
closed gets no mark, so it stays closed when the hold ends. What a node needs is a function of the node and of the
budgets that hold now, so a restart or a change of leader in the middle continues with the remaining nodes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from spillway.api.virtualnodebudget import Cordon, VirtualNodeBudget
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import comes_with_node, has_successor
from spillway.domain.model.records import NodeRecord, PodRecord


@dataclass(frozen=True, slots=True)
class BudgetCordon:
    """The cordon that one budget asks for; `until` is Unix seconds, None for no end."""

    budget: str
    cordon: Cordon
    until: float | None = None

    @classmethod
    def of(cls, budget: VirtualNodeBudget) -> Self:
        """The cordon in the budget's spec."""
        until = budget.spec.cordon_until
        return cls(budget.metadata.name, budget.spec.cordon, None if until is None else until.timestamp())

    def active(self, now: float) -> bool:
        """Whether the pool is closed at `now`."""
        return self.cordon is not Cordon.NONE and (self.until is None or now < self.until)

    def drains(self, now: float) -> bool:
        """Whether the pool's pods are evicted at `now`."""
        return self.cordon is Cordon.HOLD_AND_DRAIN and self.active(now)


@dataclass(frozen=True, slots=True)
class CordonPlan:
    """The change of one node: `mark` is the budget to name in Spillway's mark, None to remove the mark.

    `unschedulable` is None if the field stays as it is.
    """

    node: NodeRecord
    unschedulable: bool | None
    mark: str | None


def plan_cordon(
    node: NodeRecord, budget: str | None, holds: Mapping[str, BudgetCordon], now: float
) -> CordonPlan | None:
    """The change that one node needs; `budget` is the pool to which the node belongs, None where it is in none.

    None if the node is already correct, was closed by another client, or is being deleted.
    """
    if node.deleting:
        return None
    hold = holds.get(budget) if budget is not None else None
    if hold is not None and hold.active(now):
        if not node.unschedulable:
            return CordonPlan(node=node, unschedulable=True, mark=hold.budget)
        if node.cordoned_by and node.cordoned_by != hold.budget:
            return CordonPlan(node=node, unschedulable=None, mark=hold.budget)
        return None
    if not node.cordoned_by:
        return None
    return CordonPlan(node=node, unschedulable=False if node.unschedulable else None, mark=None)


def next_opening(holds: Iterable[BudgetCordon], now: float) -> float | None:
    """When the first of the holds ends automatically (Unix seconds); None if none does."""
    ends = [hold.until for hold in holds if hold.until is not None and hold.active(now)]
    return min(ends, default=None)


def leaves_on_drain(pod: PodRecord) -> bool:
    """Whether a drain evicts this pod: it runs, and its owner creates another one in its place on another node.

    A pod without an owner would be lost, a DaemonSet's pods come back at once, and a mirror pod belongs to its kubelet.
    """
    return pod.active and has_successor(pod)


def is_spared(pod: PodRecord, without_retries: Collection[OwnerUid]) -> bool:
    """Whether a drain leaves this pod where it is, because it would be lost or its Job would have no retry left."""
    if not pod.active or comes_with_node(pod):
        return False
    return not pod.owner_uid or (pod.owner_kind == "Job" and pod.owner_uid in without_retries)


def plan_drain(pods: Iterable[PodRecord]) -> tuple[PodRecord, ...]:
    """The pods to evict, newest first."""
    return tuple(sorted(filter(leaves_on_drain, pods), key=lambda pod: (-pod.created, pod.uid)))
