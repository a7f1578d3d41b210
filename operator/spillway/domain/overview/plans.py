"""The plans that the statuses contain: recommended replicas, headroom and moves, each with its reason.

Contract: pure. The structs are the output of `spillway plan`, with camelCase keys, and
docs/reference/kubectl-spillway.md documents them: a key that exists keeps its meaning. An absent value is null. The
statuses are bounded: they have at most 64 workloads and 10 moves each.
"""

from collections.abc import Iterable

import msgspec

from spillway.api import ElasticPolicy, ZonalBalance


class ScalingRow(msgspec.Struct, frozen=True, rename="camel"):
    """The recommended replicas of one workload."""

    policy: str
    workload: str
    """Kind/namespace/name, for example Deployment/shop/cart."""
    replicas: int
    reason: str
    schedule: str | None
    """For the reason Schedule: the entry of `schedules` that gives the number."""
    forecast: int | None
    """The replicas that the forecast alone would give."""
    autoscaler: str | None
    """The HorizontalPodAutoscaler that scales the workload."""


class HeadroomRow(msgspec.Struct, frozen=True, rename="camel"):
    """The headroom of one policy."""

    policy: str
    pods: int
    """The placeholder pods that are needed."""
    ready: int
    """Of these, the pods that have a node."""
    nodes: int
    """The number of empty elastic nodes that would hold all of them."""
    cpu: str | None
    """The requests of one placeholder pod."""
    memory: str | None
    reason: str
    schedule: str | None
    forecast: int
    held_by: str | None
    """Balloons or CapacityBuffer; null in mode Recommend."""


class MovesRow(msgspec.Struct, frozen=True, rename="camel"):
    """The moves of one ZonalBalance, or of one policy that empties elastic nodes."""

    kind: str
    name: str
    mode: str
    purpose: str
    """EvenLoad or EmptyNodes."""
    next: tuple[str, ...]
    """The next moves."""
    in_progress: int
    """Workloads that run an additional replica now, so that a pod can move."""
    done: int
    """Pods moved since the present replica of the operator became the leader."""
    last_day: int
    """Pods moved in the last 24 hours."""
    left: tuple[str, ...]
    """Workloads that are left as they are, and why."""
    emptying: tuple[str, ...]
    """For EmptyNodes: the nodes that are being emptied."""
    imbalance_percent: int | None
    """For EvenLoad: points between the most and the least loaded node."""
    expected_imbalance_percent: int | None
    """For EvenLoad: the imbalance that the moves would leave."""


class ScalingPlan(msgspec.Struct, frozen=True, rename="camel"):
    """The recommended replicas of the workloads with the most."""

    scaling: tuple[ScalingRow, ...]


class HeadroomPlan(msgspec.Struct, frozen=True, rename="camel"):
    """The headroom of every policy that keeps some."""

    headroom: tuple[HeadroomRow, ...]


class MovesPlan(msgspec.Struct, frozen=True, rename="camel"):
    """The planned moves."""

    moves: tuple[MovesRow, ...]


def scaling_plan(policies: Iterable[ElasticPolicy]) -> ScalingPlan:
    """The recommended replicas, by policy and workload."""
    rows = [
        ScalingRow(
            policy=policy.metadata.name,
            workload=str(one.workload),
            replicas=one.replicas,
            reason=one.reason,
            schedule=one.schedule or None,
            forecast=one.forecast,
            autoscaler=one.autoscaler or None,
        )
        for policy in policies
        for one in policy.status.scaling
    ]
    return ScalingPlan(tuple(sorted(rows, key=lambda row: (row.policy, row.workload))))


def headroom_plan(policies: Iterable[ElasticPolicy]) -> HeadroomPlan:
    """The headroom, by policy."""
    rows: list[HeadroomRow] = []
    for policy in policies:
        one = policy.status.headroom
        if one is not None:
            unit = one.unit
            rows.append(
                HeadroomRow(
                    policy=policy.metadata.name,
                    pods=one.pods,
                    ready=one.ready,
                    nodes=one.nodes,
                    cpu=None if unit is None else str(unit.cpu),
                    memory=None if unit is None else str(unit.memory),
                    reason=one.reason,
                    schedule=one.schedule or None,
                    forecast=one.forecast,
                    held_by=one.held_by or None,
                )
            )
    return HeadroomPlan(tuple(sorted(rows, key=lambda row: row.policy)))


def moves_plan(policies: Iterable[ElasticPolicy], balances: Iterable[ZonalBalance]) -> MovesPlan:
    """The moves: those that even out load, then those that empty nodes."""
    rows = [*filter(None, map(_evening, balances)), *filter(None, map(_emptying, policies))]
    return MovesPlan(tuple(sorted(rows, key=lambda row: (row.purpose != "EvenLoad", row.name))))


def _evening(balance: ZonalBalance) -> MovesRow | None:
    moves, rebalance = balance.status.moves, balance.spec.rebalance
    if moves is None or rebalance is None:
        return None
    return MovesRow(
        kind=balance.kind,
        name=balance.metadata.name,
        mode=rebalance.mode,
        purpose="EvenLoad",
        next=tuple(moves.next),
        in_progress=moves.in_progress,
        done=moves.done,
        last_day=moves.last_day,
        left=tuple(moves.left),
        emptying=(),
        imbalance_percent=balance.status.imbalance_percent,
        expected_imbalance_percent=moves.expected_imbalance_percent,
    )


def _emptying(policy: ElasticPolicy) -> MovesRow | None:
    found, consolidation = policy.status.consolidation, policy.spec.consolidation
    if found is None or consolidation is None:
        return None
    return MovesRow(
        kind=policy.kind,
        name=policy.metadata.name,
        mode=consolidation.mode if policy.spec.enforced else policy.spec.mode.value,
        purpose="EmptyNodes",
        next=tuple(found.next),
        in_progress=found.in_progress,
        done=found.moved,
        last_day=found.moved_last_day,
        left=tuple(found.left),
        emptying=tuple(found.emptying),
        imbalance_percent=None,
        expected_imbalance_percent=None,
    )
