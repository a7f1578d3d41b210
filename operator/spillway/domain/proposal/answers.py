"""What `spillway simulate` answers: what resources that are not applied yet would change.

Contract: the structs are the output of the command, with camelCase keys, and docs/reference/kubectl-spillway.md
documents them: a key that exists keeps its meaning. An absent value is null. Amounts are exact texts.
"""

import msgspec

from spillway.domain.doctor.findings import Finding


class ProposedWorkload(msgspec.Struct, frozen=True, rename="camel"):
    """A workload that the proposal treats differently; each pair of fields is the present and the proposed state."""

    workload: str
    replicas: int
    governed_now: str | None
    """Policy and class, for example online/default (Recommend)."""
    governed: str | None
    threshold_now: int | None
    """Replicas kept on physical nodes; null for all of them, or where no class places its pods."""
    threshold_reason_now: str | None
    """Where the number comes from, for example Manual; null where no class places its pods."""
    threshold: int | None
    threshold_reason: str | None
    virtual_now: int
    """Replicas that run on virtual nodes now."""
    virtual: int
    """Replicas that the proposal has for virtual nodes."""
    first_victim_now: str | None
    """The pod that the next scale-down would delete first."""
    first_victim: str | None
    next_pod: str | None
    """Where its next pod would go, and why; null beyond the largest workloads."""


class ProposedTier(msgspec.Struct, frozen=True, rename="camel"):
    """The nodes of one tier, as a policy sees them."""

    policy: str
    tier: str
    nodes_now: int | None
    """Null for a policy that does not exist yet."""
    nodes: int
    taint: str | None
    """The soft taint that the nodes of the tier would get; null without."""


class ProposedPool(msgspec.Struct, frozen=True, rename="camel"):
    """A pool that the proposal creates, changes or sends pods to."""

    pool: str
    nodes_now: int | None
    nodes: int
    closed_because: str | None
    """Why it would take no pods, as a clause."""
    pods_now: int
    pods_limit: int | None
    cost_per_hour: str | None
    """The present pods at the proposed price."""
    currency: str | None


class ProposedCost(msgspec.Struct, frozen=True, rename="camel"):
    """The pods on virtual nodes per hour, and what the plan of thresholds saves, in one currency."""

    currency: str
    virtual_per_hour_now: str | None
    virtual_per_hour: str | None
    """Once every replica runs where the proposal has it."""
    saving_per_hour: str | None
    """Compared with owning nodes for the peak; null without a history and prices."""


class ProposedMoves(msgspec.Struct, frozen=True, rename="camel"):
    """The pods that a ZonalBalance would move now."""

    balance: str
    imbalance_percent: int | None
    """Percentage points between the most and the least loaded node now; null where the load is not known."""
    expected_imbalance_percent: int | None
    """What the moves would leave; null without moves, and if they are not made for the load."""
    planned: int
    reason: str | None
    """What the moves are made for: Zones, Load, Requests or Classes; null without moves."""
    next: tuple[str, ...]
    """The first moves, as the status would list them."""
    left: tuple[str, ...]
    """Workloads whose pods would be moved and are not, and why."""
    problem: str | None
    """Why no moves could be planned; null if they were, or there are none."""


class Proposal(msgspec.Struct, frozen=True, rename="camel"):
    """What would change."""

    cluster: str
    resources: tuple[str, ...]
    """Kind/name, with `new` or `changed`."""
    enforced: bool
    """Whether a proposed policy is in Enforce; otherwise nothing of this would be done."""
    governed: int
    """Workloads that the proposed policies govern."""
    to_virtual: int
    """Replicas that would go to virtual nodes as pods are created."""
    to_physical: int
    """Replicas that would come back from virtual nodes."""
    costs_written: int
    """Pods that would get a deletion cost."""
    owned_nodes_advised: int | None
    workloads: tuple[ProposedWorkload, ...]
    """Those that change."""
    tiers: tuple[ProposedTier, ...]
    pools: tuple[ProposedPool, ...]
    costs: tuple[ProposedCost, ...]
    moves: tuple[ProposedMoves, ...]
    """One entry for each proposed ZonalBalance that plans moves."""
    risks: tuple[Finding, ...]
