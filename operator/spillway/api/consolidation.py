"""Consolidation: elastic nodes that are emptied by moves, so that a node autoscaler removes them."""

from typing import Annotated, Literal

from pydantic import Field

from spillway.api.common import Count, Percent
from spillway.api.scalars import Duration
from spillway.api.schema import Model, atomic_list

_LINES = Annotated[
    tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=10, json_schema_extra=atomic_list())
]


class Consolidation(Model):
    """Emptying elastic nodes that are little used, by moves of their pods without an eviction."""

    mode: Literal["Disabled", "DryRun", "Active"] = "DryRun"
    """Disabled: no moves are planned. DryRun: moves are planned and reported. Active: nodes are emptied, if the policy
    is in mode Enforce; in mode Recommend, Active is the same as DryRun."""
    below: Percent = 70
    """A node is emptied only if less than this percentage of its CPU and of its memory is requested, for example 70."""
    max_moves_per_minute: Annotated[int, Field(ge=1, le=600, json_schema_extra={"format": "int32"})] = 5
    """The maximum number of moves per minute, for example 5."""
    settle: Duration = Duration("1m")
    """How long a workload must not have been scaled up or rolled out, and a pod must have been ready, before it is
    moved, for example 1m. A scale-down does not count."""
    node_settle: Duration = Duration("10m")
    """How long a node must have existed, and how long ago its last pod must have become ready, before the node is
    emptied, for example 10m."""
    empty_for: Duration = Duration("30m")
    """For how long an emptied node must be expected to stay empty, so that the moves are worthwhile, for example 30m.
    The other nodes keep room for the requests that are expected within this time, and an emptied node keeps its taint
    for this time."""


class ConsolidationStatus(Model):
    """The elastic nodes that are being emptied. In mode DryRun or Recommend it is what would be done."""

    emptying: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=50, json_schema_extra=atomic_list())
    ] = ()
    """Names of the nodes that are being emptied, 50 at most."""
    next: _LINES = ()
    """The next moves, 10 at most, for example "shop/web-1: e1 to n4". Where the new pod goes is a prediction."""
    in_progress: Count = 0
    """Workloads that now run an additional replica, so that a pod can be moved."""
    left: _LINES = ()
    """Why nodes that are little used are not emptied: workloads whose pods cannot be moved, NodePools whose disruption
    budgets allow no further node, and then nodes with a pod for which other nodes have no room; 10 at most, for example
    "Deployment/shop/web: AutoscalerAtMaximum"."""
    moved: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Pods moved since the current replica of the operator became the leader."""
    moved_last_day: Count = 0
    """Pods moved in the last 24 hours, or since the current replica of the operator became the leader."""
    emptied: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """Nodes emptied since the current replica of the operator became the leader."""
