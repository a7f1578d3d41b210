"""The overview of an installation, from the resources and their statuses: what `spillway status` shows.

Contract: pure. The structs are the output of the command, with camelCase keys, and docs/reference/kubectl-spillway.md
documents them: a key that exists keeps its meaning. Amounts of money are texts, exact, in the currency beside them. An
absent value is null.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.api.conditions import ACCEPTING, READY, Condition, ConditionStatus, find
from spillway.api.scalars import rfc3339
from spillway.domain.budget.price import shown
from spillway.domain.model.names import LEADER_ADDRESS
from spillway.domain.overview.attention import Attention, Severity, attention


class OperatorState(msgspec.Struct, frozen=True, rename="camel"):
    """The operator, as its Lease shows it."""

    leader: str | None
    """The replica that leads; null if none does."""
    address: str | None
    """The address at which the other replicas reach the leader."""
    renewed_at: str | None
    """When the leader renewed the Lease last, RFC 3339."""
    problem: str | None
    """Why no replica leads, or why that is not known; null while one leads."""


class PolicyRow(msgspec.Struct, frozen=True, rename="camel"):
    """One ElasticPolicy."""

    name: str
    mode: str
    ready: bool
    reason: str | None
    """The reason of the condition Ready."""
    workloads: int | None
    """Governed workloads."""
    on_fixed: int | None
    """Replicas on fixed nodes; the next two likewise."""
    on_elastic: int | None
    on_virtual: int | None
    fixed_nodes: int | None
    elastic_nodes: int | None
    virtual_nodes: int | None
    saving_per_hour: str | None
    """The average saving of the planned day, compared with owning nodes for the peak."""
    saving_per_hour_against_virtual: str | None
    currency: str | None
    owned_nodes_advised: int | None
    victims: int | None
    """Replicas that were deleted in planned scale-downs."""
    as_planned: int | None
    """Of these, the replicas that the plan had named."""


class PoolRow(msgspec.Struct, frozen=True, rename="camel"):
    """One VirtualNodeBudget."""

    name: str
    cordon: str
    cordon_until: str | None
    accepting: bool
    reason: str | None
    """The reason of the condition Accepting."""
    nodes: int | None
    nodes_ready: int | None
    pods: int | None
    pods_limit: int | None
    cpu: str | None
    cpu_limit: str | None
    memory: str | None
    memory_limit: str | None
    cost_per_hour: str | None
    cost_per_hour_limit: str | None
    cost_this_month: str | None
    cost_per_month_limit: str | None
    currency: str | None


class ZoneRow(msgspec.Struct, frozen=True, rename="camel"):
    """One zone of a ZonalBalance."""

    balance: str
    zone: str
    """The name of the zone; empty for nodes without the label."""
    nodes: int
    pods: int
    load_percent: int | None


class BalanceRow(msgspec.Struct, frozen=True, rename="camel"):
    """One ZonalBalance."""

    name: str
    ready: bool
    workloads: int | None
    uneven_workloads: int | None
    max_skew: int
    """The allowed difference between two zones of one workload."""
    largest_skew: int | None
    """The largest present one."""
    imbalance_percent: int | None
    hot_nodes: int
    rebalance: str | None
    moves_planned: int | None
    moves_done: int | None


class SavingRow(msgspec.Struct, frozen=True, rename="camel"):
    """The sums of all policies and pools in one currency."""

    currency: str
    saving_per_hour: str | None
    """Compared with owning nodes for the peak."""
    saving_per_hour_against_virtual: str | None
    """Compared with owning nodes for the lowest demand only, and using virtual nodes for the rest."""
    virtual_cost_per_hour: str | None
    virtual_cost_this_month: str | None
    saved_today: str | None = None
    """Since midnight UTC, compared with owning nodes for the peak; null without Prometheus."""
    saved_this_month: str | None = None
    """The same since the first of the month."""


@dataclass(frozen=True, slots=True)
class SavedAmounts:
    """What was saved, by currency, compared with owning nodes for the peak."""

    today: Mapping[str, float]
    this_month: Mapping[str, float]


class Overview(msgspec.Struct, frozen=True, rename="camel"):
    """Everything on the one screen."""

    cluster: str
    """The API server and the context of the kubeconfig."""
    at: str
    """When it was read, RFC 3339."""
    operator: OperatorState
    policies: tuple[PolicyRow, ...]
    pools: tuple[PoolRow, ...]
    zones: tuple[ZoneRow, ...]
    balances: tuple[BalanceRow, ...]
    savings: tuple[SavingRow, ...]
    attention: tuple[Attention, ...]


_NO_LEADER: Final = "NoLeader"


def overview(
    policies: Sequence[ElasticPolicy],
    budgets: Sequence[VirtualNodeBudget],
    balances: Sequence[ZonalBalance],
    *,
    operator: OperatorState,
    cluster: str,
    now: datetime,
    saved: SavedAmounts | None = None,
) -> Overview:
    """The overview of these resources; `saved` is what Prometheus knows."""
    found = attention([*policies, *budgets, *balances])
    if operator.problem is not None:
        found = (Attention(Severity.ERROR, "Lease", "", _NO_LEADER, _NO_LEADER, operator.problem), *found)
    policy_rows = tuple(_policy(one) for one in _sorted(policies))
    pool_rows = tuple(_pool(one) for one in _sorted(budgets))
    return Overview(
        cluster=cluster,
        at=rfc3339(now),
        operator=operator,
        policies=policy_rows,
        pools=pool_rows,
        zones=tuple(zone for one in _sorted(balances) for zone in _zones(one)),
        balances=tuple(_balance(one) for one in _sorted(balances)),
        savings=_savings(policy_rows, pool_rows, saved),
        attention=found,
    )


def operator_state(lease: Mapping[str, Any] | None, now: datetime) -> OperatorState:
    """The operator by its Lease; None where there is no Lease."""
    if lease is None:
        return OperatorState(None, None, None, "there is no Lease: the operator does not run in this namespace")
    spec = lease.get("spec") or {}
    address = ((lease.get("metadata") or {}).get("annotations") or {}).get(LEADER_ADDRESS)
    holder = spec.get("holderIdentity") or None
    renewed = moment(spec.get("renewTime"))
    at = None if renewed is None else rfc3339(renewed)
    problem = None
    if holder is None:
        problem = "no replica holds the Lease: none has started, or the last one was stopped"
    elif renewed is None or (now - renewed).total_seconds() > float(spec.get("leaseDurationSeconds") or 0):
        problem = f"the Lease of {holder} has expired (it was renewed at {at or 'no known time'}): no replica leads"
    return OperatorState(None if problem else holder, address, at, problem)


def moment(text: object) -> datetime | None:
    """An RFC 3339 time; None for everything else."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _sorted(resources: Iterable[Any]) -> list[Any]:
    return sorted(resources, key=lambda one: one.metadata.name)


def _is_true(condition: Condition | None) -> bool:
    return condition is not None and condition.status is ConditionStatus.TRUE


def _policy(policy: ElasticPolicy) -> PolicyRow:
    status = policy.status
    ready = find(status.conditions, READY)
    workloads, nodes, saving, downs = status.workloads, status.nodes, status.saving, status.scale_down
    return PolicyRow(
        name=policy.metadata.name,
        mode=policy.spec.mode.value,
        ready=_is_true(ready),
        reason=None if ready is None else ready.reason,
        workloads=None if workloads is None else workloads.governed,
        on_fixed=None if workloads is None else workloads.on_fixed,
        on_elastic=None if workloads is None else workloads.on_elastic,
        on_virtual=None if workloads is None else workloads.on_virtual,
        fixed_nodes=None if nodes is None else nodes.fixed,
        elastic_nodes=None if nodes is None else nodes.elastic,
        virtual_nodes=None if nodes is None else nodes.virtual,
        saving_per_hour=None if saving is None else saving.per_hour,
        saving_per_hour_against_virtual=None if saving is None else saving.per_hour_against_virtual,
        currency=None if saving is None else saving.currency,
        owned_nodes_advised=status.owned_nodes_advised,
        victims=None if downs is None else downs.victims,
        as_planned=None if downs is None else downs.as_planned,
    )


def _pool(budget: VirtualNodeBudget) -> PoolRow:
    spec, status = budget.spec, budget.status
    accepting = find(status.conditions, ACCEPTING)
    used, limits = status.used, spec.limits
    return PoolRow(
        name=budget.metadata.name,
        cordon=spec.cordon.value,
        cordon_until=None if spec.cordon_until is None else rfc3339(spec.cordon_until),
        accepting=_is_true(accepting),
        reason=None if accepting is None else accepting.reason,
        nodes=status.nodes,
        nodes_ready=status.nodes_ready,
        pods=None if used is None else used.pods,
        pods_limit=None if limits is None else limits.pods,
        cpu=None if used is None else _text(used.cpu),
        cpu_limit=None if limits is None else _text(limits.cpu),
        memory=None if used is None else _text(used.memory),
        memory_limit=None if limits is None else _text(limits.memory),
        cost_per_hour=None if used is None else _text(used.cost_per_hour),
        cost_per_hour_limit=None if limits is None else _text(limits.cost_per_hour),
        cost_this_month=None if used is None else _text(used.cost_this_month),
        cost_per_month_limit=None if limits is None else _text(limits.cost_per_month),
        currency=None if spec.price is None else spec.price.currency,
    )


def _zones(balance: ZonalBalance) -> Iterable[ZoneRow]:
    for zone in balance.status.zones:
        yield ZoneRow(balance.metadata.name, zone.name, zone.nodes, zone.pods, zone.load_percent)


def _balance(balance: ZonalBalance) -> BalanceRow:
    spec, status = balance.spec, balance.status
    return BalanceRow(
        name=balance.metadata.name,
        ready=_is_true(find(status.conditions, READY)),
        workloads=status.workloads,
        uneven_workloads=status.uneven_workloads,
        max_skew=spec.max_skew,
        largest_skew=status.max_skew,
        imbalance_percent=status.imbalance_percent,
        hot_nodes=len(status.hot_nodes),
        rebalance=None if spec.rebalance is None else spec.rebalance.mode,
        moves_planned=None if status.moves is None else status.moves.planned,
        moves_done=None if status.moves is None else status.moves.done,
    )


def _savings(
    policies: Iterable[PolicyRow], pools: Iterable[PoolRow], saved: SavedAmounts | None
) -> tuple[SavingRow, ...]:
    sums: dict[str, dict[str, Decimal]] = defaultdict(dict)

    def add(currency: str | None, **amounts: str | None) -> None:
        for key, text in amounts.items():
            amount = _amount(text)
            # Amounts without a currency cannot be added up, and the status of a policy has none either.
            if currency and amount is not None:
                sums[currency][key] = sums[currency].get(key, Decimal(0)) + amount

    for policy in policies:
        add(
            policy.currency,
            saving_per_hour=policy.saving_per_hour,
            saving_per_hour_against_virtual=policy.saving_per_hour_against_virtual,
        )
    for pool in pools:
        add(pool.currency, virtual_cost_per_hour=pool.cost_per_hour, virtual_cost_this_month=pool.cost_this_month)
    if saved is not None:
        for currency, amount in saved.today.items():
            add(currency, saved_today=f"{amount:.6f}")
        for currency, amount in saved.this_month.items():
            add(currency, saved_this_month=f"{amount:.6f}")
    return tuple(
        SavingRow(currency, *(_shown(found.get(key)) for key in SavingRow.__struct_fields__[1:]))
        for currency, found in sorted(sums.items())
    )


def _text(scalar: str | None) -> str | None:
    """A scalar of a manifest as a plain text."""
    return None if scalar is None else str(scalar)


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _shown(amount: Decimal | None) -> str | None:
    return None if amount is None else shown(amount)
