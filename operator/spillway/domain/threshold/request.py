"""The request for a plan of thresholds, and the plan: plain values that go to another process and back.

Contract: a request holds everything except the history, which the planner reads from Prometheus itself; a plan holds
everything that status, metrics and the next plan need. Cores are real load unless a name says otherwise, and never less
than what the scheduler sets aside for it, at the target. Money is in the policy's currency.
"""

from enum import StrEnum
from typing import Final

import msgspec

from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.recent_peak import Sample

PAST_ENOUGH_SECONDS: Final = 2.0 * DAY_SECONDS
"""With less history than this a workload stays physical while its history is collected."""


class Stance(StrEnum):
    """The role of a workload in the joint plan."""

    AUTO = "Auto"
    """Its threshold is what is planned."""
    PINNED = "Pinned"
    """Its threshold is given by the policy or the annotation; its room on owned nodes is taken first."""
    PHYSICAL = "Physical"
    """It stays on physical nodes whatever its size."""
    VIRTUAL = "Virtual"
    """It runs on virtual nodes first and takes no room on owned nodes."""


class WorkloadNeed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One governed workload."""

    workload: str
    """The key of the workload: Kind/namespace/name."""
    policy: str
    stance: Stance
    replicas: int
    """The replicas that are requested now."""
    request_cores: float
    """CPU request of a replica."""
    request_gib: float
    """Memory request of a replica."""
    load: float
    """Real load of a needed replica as a share of its request, at its target."""
    pinned: int = 0
    minimum: int = 0
    maximum: int | None = None
    priority: int = 0
    history_seconds: float = 14.0 * DAY_SECONDS
    query: str = ""
    per_replica: float = 1.0


class PolicyNeed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One policy: its target, its prices (None where they are not given), its elastic nodes."""

    name: str
    target: float
    """Share of the owned nodes' cores that may be in use."""
    fixed_node_hour: float | None = None
    elastic_node_hour: float | None = None
    virtual_core_hour: float | None = None
    virtual_gib_hour: float | None = None
    currency: str = ""
    minimum_seconds: float = 0.0
    """The minimum billing time of a replica on virtual nodes."""
    startup_seconds: float = 0.0
    """The time from a replica's creation until it is ready: it is billed without being useful."""
    elastic_cores: float = 0.0
    """Allocatable on its elastic nodes, the most seen within a day."""
    elastic_node_cores: float = 0.0
    """The allocatable cores of one elastic node."""
    elastic_node_gib: float = 0.0
    elastic_max_nodes: int | None = None
    """The most elastic nodes that there can be; None for no limit."""
    acting: bool = True
    """Whether the policy is enforced; otherwise its pods stay where they are, and its thresholds are advice."""


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All policies together: they share the owned nodes."""

    now: float
    capacity_cores: float
    """Allocatable on owned nodes, less what pods request there that no policy governs."""
    node_cores: float
    """Allocatable of an owned node, on average; 0 where there is none."""
    capacity_gib: float = 0.0
    """Memory, as `capacity_cores`; 0 where it is not known: then replicas are counted by their cores alone."""
    node_gib: float = 0.0
    nodes: tuple[NodeGroup, ...] = ()
    """The room of each owned node; where none is given, the plan goes by the sums alone."""
    per_node_cores: float = 0.0
    """Requested on each owned node, on average, by pods that come with a node, as those of DaemonSets."""
    other_cores: float = 0.0
    """Requested on owned nodes by the other pods that no policy governs."""
    policies: tuple[PolicyNeed, ...]
    workloads: tuple[WorkloadNeed, ...]
    previous: dict[str, int] = {}
    """The thresholds in force, by workload."""
    previous_owned: dict[str, int] = {}
    """The part of these thresholds on owned nodes; the rest is on elastic ones."""
    fingerprint: str = ""
    """A fingerprint of the policies, so that a change of them is noticed."""


class PlannedWorkload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One workload in the plan."""

    workload: str
    policy: str
    threshold: int | None
    """For Auto: replicas on physical nodes; None while it learns."""
    kept: bool = False
    """Its history is gone, and the threshold is that of the previous plan."""
    owned: int
    """Replicas that are planned on owned nodes; a threshold above it counts on elastic ones."""
    peak: int
    """The most replicas that the coming cycle is expected to need."""
    history_seconds: float = 0.0
    request_cores: float = 0.0
    request_gib: float = 0.0
    """The requests of a replica when one was last seen."""
    confidence: int | None = None
    """The confidence in the plan, in percent."""
    basis: Basis | None = None
    """What the threshold is planned from; None where none is planned."""
    forecast_loss_percent: int | None = None
    """The loss of forecasts in percent of that of usual days; None where they were not compared."""
    saving_per_hour: float | None = None
    """Against owning nodes for its peak."""
    saving_per_hour_against_virtual: float | None = None
    """Against owning nodes for its valley and virtual nodes beyond it."""
    problem: str = ""
    """Why its history cannot be read, if it alone is the cause."""
    problem_reason: str = ""
    """The same as one word for a condition."""


class NodePoint(msgspec.Struct, frozen=True, gc=False):
    """One number of owned nodes, and the average cost per hour with it."""

    nodes: int
    cost_per_hour: float
    used_percent: float
    """The share of their cores that is planned to be used, on average over the cycle."""


class PlannedPolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One policy in the plan."""

    name: str
    auto: int
    """Workloads of mode Auto."""
    learning: int
    """Of these, without enough history."""
    acting: bool = True
    """Whether the policy is enforced; the sums of the whole plan are those of enforced policies, if there are any."""
    currency: str = ""
    saved_vs_owned: float | None = None
    """An hour, against owning nodes for every workload's peak; None without prices."""
    saved_vs_virtual: float | None = None
    """An hour, against owning nodes for the valley and virtual nodes beyond it."""
    owned_nodes_advised: int | None = None
    nodes: tuple[NodePoint, ...] = ()
    """What owning more or fewer nodes would cost; none without prices."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The last good plan."""

    made: float
    """Unix seconds."""
    fingerprint: str
    capacity_cores: float
    peak_cores: float
    """The highest load that the plan puts on owned nodes."""
    allowed_cores: float
    """Capacity times target: the load that it may put there."""
    excess_cores: float = 0.0
    """By how much the replicas that must stay on owned nodes exceed the allowed load at the fullest step; 0 if
    they fit."""
    unplaced_cores: float = 0.0
    """Of the replicas that must stay on owned nodes, the cores of those for which no single node has room."""
    unplaced: tuple[str, ...] = ()
    """Their workloads."""
    seconds: float
    """The time that it took, including reading the history."""
    policies: tuple[PlannedPolicy, ...] = ()
    workloads: tuple[PlannedWorkload, ...] = ()
    elastic_seen: dict[str, tuple[Sample, ...]] = {}
    """Cores of each policy's elastic nodes over the last day."""

    def owned(self) -> dict[str, int]:
        """The replicas on owned nodes that the next plan keeps if possible."""
        return {one.workload: one.owned for one in self.workloads if one.threshold is not None}

    def requests(self) -> dict[str, tuple[float, float]]:
        """Cores and GiB of a replica, for a workload that has none when the next plan is made."""
        known = {one.workload: (one.request_cores, one.request_gib) for one in self.workloads}
        return {workload: asked for workload, asked in known.items() if any(asked)}

    def thresholds(self) -> dict[str, int]:
        """The thresholds that admission uses."""
        return {one.workload: one.threshold for one in self.workloads if one.threshold is not None}
