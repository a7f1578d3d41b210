"""The comparison of the present resources with proposed ones: what they select, what would move, costs and risks.

Contract: both snapshots are of the same pods, nodes and owners, and differ in Spillway's resources alone. Claims,
thresholds, the order of a scale-down, the place of the next pod and prices come from the planners that the operator
uses; how many replicas move is estimated from these (`replicas_for_virtual`).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spillway.api.elasticpolicy import Threshold
from spillway.app.doctor.examine import of_configuration
from spillway.app.explain.pods import price_of, threshold_of
from spillway.app.explain.ranking import ranking
from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.workloads import NextTemplate, next_pod
from spillway.domain.budget.price import per_hour, shown
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.names import ELASTIC_TAINT, Tier
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import OwnerRecord, PodRecord
from spillway.domain.model.usage import Usage
from spillway.domain.overview.attention import ORDER, Severity
from spillway.domain.placement.decide import PlacementReason
from spillway.domain.policies.conflicts import distinct
from spillway.domain.proposal.answers import (
    Proposal,
    ProposedCost,
    ProposedPool,
    ProposedTier,
    ProposedWorkload,
)
from spillway.domain.proposal.virtual_replicas import replicas_for_virtual
from spillway.domain.threshold.request import Plan

_REMEDY: Final = "Change the resource before you apply it."
_NO_VIRTUAL: Final = frozenset({PlacementReason.UNSUITABLE.value, PlacementReason.NEVER.value})


@dataclass(frozen=True, slots=True)
class Proposed:
    """The proposed resources: their names by kind, and which of them exist already."""

    policies: frozenset[str]
    budgets: frozenset[str]
    balances: frozenset[str]
    present: frozenset[str]
    """Kind/name of those that exist."""

    def names(self) -> Iterator[str]:
        """Kind/name of each."""
        kinds = (("ElasticPolicy", self.policies), ("VirtualNodeBudget", self.budgets), ("ZonalBalance", self.balances))
        for kind, names in kinds:
            yield from (f"{kind}/{name}" for name in sorted(names))


class Comparison:
    """One comparison; `workloads` groups the owners of each workload, the newest first."""

    def __init__(self, now: Snapshot, after: Snapshot, proposed: Proposed) -> None:
        self._now = now
        self._after = after
        self._proposed = proposed
        self.workloads = _workloads(after)

    def governed(self) -> list[str]:
        """The workloads that the proposed policies govern, the largest first."""
        found = [key for key, owners in self.workloads.items() if self._is_proposed(self._after, owners[0])]
        return sorted(found, key=lambda key: (-_replicas(self.workloads[key]), key))

    def proposal(self, cluster: str, templates: Mapping[str, NextTemplate], plan: Plan | None) -> Proposal:
        """What would change. `templates` has the next pods of the largest workloads."""
        governed = self.governed()
        touched = {key for key, owners in self.workloads.items() if self._is_proposed(self._now, owners[0])}
        every = [self._workload(key, templates.get(key)) for key in sorted({*governed, *touched})]
        changed = sorted((one for one in every if _differs(one)), key=lambda one: (-one.replicas, one.workload))
        policies = self._after.world.governance.policies
        enforced = any(policies[name].spec.enforced for name in self._proposed.policies if name in policies)
        advised = (
            [one.owned_nodes_advised for one in plan.policies if one.name in self._proposed.policies] if plan else []
        )
        pools = tuple(self._pools())
        return Proposal(
            cluster=cluster,
            resources=tuple(
                f"{name} ({'changed' if name in self._proposed.present else 'new'})" for name in self._proposed.names()
            ),
            enforced=enforced,
            governed=len(governed),
            to_virtual=sum(max(0, one.virtual - one.virtual_now) for one in every),
            to_physical=sum(max(0, one.virtual_now - one.virtual) for one in every),
            costs_written=sum(self._costs_written(self.workloads[key]) for key in governed),
            owned_nodes_advised=next((number for number in advised if number is not None), None),
            workloads=tuple(changed),
            tiers=tuple(self._tiers()),
            pools=pools,
            costs=tuple(self._costs({one.workload: one for one in every}, plan)),
            moves=(),
            risks=tuple(self._risks(every, pools)),
        )

    def _is_proposed(self, snapshot: Snapshot, owner: OwnerRecord) -> bool:
        claim = snapshot.world.claim_of(owner)
        if claim is None:
            return False
        pools = snapshot.world.governance.pools_of(claim.policy)
        return (
            claim.policy in self._proposed.policies
            or not self._proposed.budgets.isdisjoint(pools)
            or claim.balance in self._proposed.balances
        )

    def _workload(self, key: str, template: NextTemplate | None) -> ProposedWorkload:
        owners = self.workloads[key]
        newest, replicas = owners[0], _replicas(owners)
        claim_now, claim = self._now.world.claim_of(newest), self._after.world.claim_of(newest)
        threshold_now = None if claim_now is None else threshold_of(self._now, newest, claim_now)
        threshold = None if claim is None else threshold_of(self._after, newest, claim)
        coming = None
        if template is not None and claim is not None:
            coming = next_pod(self._after, newest, claim, template)
        virtual_now = sum(self._is_virtual(pod) for owner in owners for pod in self._pods(owner))
        reason = "" if coming is None else coming.reason
        virtual = virtual_now if claim is None else self._for_virtual(newest, claim, replicas, virtual_now, reason)
        return ProposedWorkload(
            workload=key,
            replicas=replicas,
            governed_now=_governed(claim_now),
            governed=_governed(claim),
            threshold_now=None if threshold_now is None else threshold_now.replicas,
            threshold_reason_now=None if threshold_now is None else threshold_now.reason.value,
            threshold=None if threshold is None else threshold.replicas,
            threshold_reason=None if threshold is None else threshold.reason.value,
            virtual_now=virtual_now,
            virtual=virtual,
            first_victim_now=_first_victim(self._now, newest),
            first_victim=_first_victim(self._after, newest),
            next_pod=None if coming is None else f"{coming.nodes}: {coming.because}",
        )

    def _for_virtual(self, owner: OwnerRecord, claim: Claim, replicas: int, present: int, reason: str) -> int:
        """How many of a workload's replicas belong on virtual nodes."""
        governance = self._after.world.governance
        placing = governance.placing_class(claim)
        if placing is None:
            return present
        threshold = threshold_of(self._after, owner, claim)
        return replicas_for_virtual(
            placing.effective_placement,
            replicas,
            None if threshold is None else threshold.replicas,
            present=present,
            suitable=reason not in _NO_VIRTUAL,
            pool_open=self._open_pool(claim) is not None,
        )

    def _open_pool(self, claim: Claim) -> str | None:
        """The first pool of the claim's policy that takes pods."""
        pools = self._after.world.governance.pools_of(claim.policy)
        return next((name for name in pools if not self._closed(name)), None)

    def _closed(self, pool: str) -> str:
        found = self._after.open_pools.pool(pool)
        return found.refusal or self._after.open_pools.refusal_by_limits(found, Usage(1), Usage(1))

    def _pods(self, owner: OwnerRecord) -> Collection[PodRecord]:
        return self._after.world.state.active_pods_of(owner.uid)

    def _is_virtual(self, pod: PodRecord) -> bool:
        return bool(pod.node) and any(one.world.membership.pool_of_node(pod.node) for one in (self._now, self._after))

    def _costs_written(self, owners: Sequence[OwnerRecord]) -> int:
        found = 0
        for owner in owners:
            claim_now, claim = self._now.world.claim_of(owner), self._after.world.claim_of(owner)
            if claim is not None and claim.enforced and not (claim_now is not None and claim_now.enforced):
                found += len(self._pods(owner))
        return found

    def _tiers(self) -> Iterator[ProposedTier]:
        governance = self._after.world.governance
        for policy in sorted(self._proposed.policies & governance.policies.keys()):
            elastic = governance.policies[policy].spec.tiers.elastic
            tainted = elastic is not None and elastic.soft_taint and governance.policies[policy].spec.enforced
            now, after = (_tier_counts(one, policy) for one in (self._now, self._after))
            for tier in Tier:
                taint = f"{ELASTIC_TAINT}={policy}:PreferNoSchedule" if tainted and tier is Tier.ELASTIC else None
                before = None if now is None else now[tier]
                yield ProposedTier(policy, tier.value, before, 0 if after is None else after[tier], taint)

    def _pools(self) -> Iterator[ProposedPool]:
        now, after = self._now.world, self._after.world
        listed = {pool for policy in self._proposed.policies for pool in after.governance.pools_of(policy)}
        for name in sorted((self._proposed.budgets | listed) & after.governance.budgets.keys()):
            spec, use = after.governance.budgets[name].spec, self._after.usage.on(name)
            price, limits = spec.price, spec.limits
            cost = None if price is None else per_hour(price, use.billed.cpu_millis, use.billed.memory_bytes)
            yield ProposedPool(
                pool=name,
                nodes_now=len(now.membership.nodes(name)) if name in now.governance.budgets else None,
                nodes=len(after.membership.nodes(name)),
                closed_because=self._closed(name) or None,
                pods_now=use.used.pods,
                pods_limit=None if limits is None else limits.pods,
                cost_per_hour=None if cost is None else shown(cost),
                currency=None if price is None else price.currency,
            )

    def _costs(self, workloads: Mapping[str, ProposedWorkload], plan: Plan | None) -> Iterator[ProposedCost]:
        now: dict[str, Decimal] = defaultdict(Decimal)
        after: dict[str, Decimal] = defaultdict(Decimal)
        for key, owners in self.workloads.items():
            changed = workloads.get(key)
            for owner in owners:
                for pod in self._pods(owner):
                    self._add(now, self._now, pod)
                    if changed is None:
                        self._add(after, self._after, pod)
            if changed is not None and changed.virtual:
                self._add_replicas(after, owners, changed.virtual)
        saved: dict[str, Decimal] = {}
        for policy in plan.policies if plan is not None else ():
            if policy.name in self._proposed.policies and policy.saved_vs_owned is not None:
                saved[policy.currency] = saved.get(policy.currency, Decimal(0)) + Decimal(policy.saved_vs_owned)
        for currency in sorted({*now, *after, *saved}):
            yield ProposedCost(
                currency=currency,
                virtual_per_hour_now=shown(now[currency]),
                virtual_per_hour=shown(after[currency]),
                saving_per_hour=shown(saved[currency]) if currency in saved else None,
            )

    def _add(self, sums: dict[str, Decimal], snapshot: Snapshot, pod: PodRecord) -> None:
        node = snapshot.world.state.nodes.get(pod.node)
        if node is None:
            return
        claim = snapshot.claim_of(pod)
        place = snapshot.place_of(node, claim)
        price = price_of(snapshot, pod, node, place, claim) if place.tier is Tier.VIRTUAL else None
        if price is not None:
            sums[price.currency or ""] += Decimal(price.per_hour)

    def _add_replicas(self, sums: dict[str, Decimal], owners: Sequence[OwnerRecord], count: int) -> None:
        """The price of so many replicas on the pool that their policy fills first."""
        claim = self._after.world.claim_of(owners[0])
        pods = [pod for owner in owners for pod in self._pods(owner)]
        if claim is None or not pods:
            return
        pools = self._after.world.governance.pools_of(claim.policy)
        pool = self._open_pool(claim) or next(iter(pools), None)
        price = None if pool is None else self._after.world.governance.budgets[pool].spec.price
        if price is not None:
            requests = pods[0].requests
            sums[price.currency] += count * per_hour(price, requests.cpu_millis, requests.memory_bytes)

    def _risks(self, workloads: Sequence[ProposedWorkload], pools: Sequence[ProposedPool]) -> Iterator[Finding]:
        found = [*self._configuration(), *self._problems(), *self._limits(workloads, pools)]
        yield from sorted(found, key=lambda one: (ORDER.index(one.severity), one.object, one.message))

    def _configuration(self) -> Iterator[Finding]:
        known = {(one.object, one.message) for one in of_configuration(self._now.world)}
        for one in of_configuration(self._after.world):
            if (one.object, one.message) not in known:
                yield one

    def _problems(self) -> Iterator[Finding]:
        def of(snapshot: Snapshot) -> list[tuple[str, str]]:
            governance, nodes = snapshot.world.governance, snapshot.world.state.nodes.values()
            problems = distinct(governance.problems, governance.node_problems(nodes))
            return [(f"{one.kind}/{one.name}", one.message) for one in problems]

        known = set(of(self._now))
        for about, message in of(self._after):
            if (about, message) not in known:
                yield Finding(Severity.ERROR, Check.SELECTORS, about, message, _REMEDY)

    def _limits(self, workloads: Sequence[ProposedWorkload], pools: Sequence[ProposedPool]) -> Iterator[Finding]:
        more: Counter[str] = Counter()
        governance = self._after.world.governance
        for one in workloads:
            claim = self._after.world.claim_of(self.workloads[one.workload][0])
            names = () if claim is None else governance.pools_of(claim.policy)
            if claim is not None and one.virtual > one.virtual_now:
                more[claim.policy] += one.virtual - one.virtual_now
            placing = governance.placing_class(claim)
            if placing is not None and placing.effective_placement.virtual == "Always" and not names:
                yield Finding(
                    Severity.WARNING,
                    Check.SELECTORS,
                    one.workload,
                    "its class goes to virtual nodes first, and its policy has no pool",
                    "List a VirtualNodeBudget in tiers.virtual.budgets.",
                )
        for policy, count in sorted(more.items()):
            names = governance.pools_of(policy)
            limited = [one for one in pools if one.pool in names]
            room = [None if one.pods_limit is None else max(0, one.pods_limit - one.pods_now) for one in limited]
            if limited and None not in room and count > sum(number or 0 for number in room):
                yield Finding(
                    Severity.WARNING,
                    Check.SELECTORS,
                    f"ElasticPolicy/{policy}",
                    f"{count} more replicas are for virtual nodes, and limits.pods of its pools leave room for "
                    f"{sum(number or 0 for number in room)}; the others stay on physical nodes",
                    "Raise limits.pods, or the thresholds.",
                )
        for pool in pools:
            if pool.closed_because:
                message = f"it would take no pods: it {pool.closed_because}"
                yield Finding(
                    Severity.WARNING,
                    Check.SELECTORS,
                    f"VirtualNodeBudget/{pool.pool}",
                    message,
                    f"See `kubectl spillway explain pool {pool.pool}` once it is applied.",
                )


def auto_classes(snapshot: Snapshot, policies: Collection[str]) -> bool:
    """Whether one of these policies has thresholds of mode Auto, which need a history."""
    found = snapshot.world.governance.policies
    thresholds: Iterator[Threshold | None] = (
        one.threshold for name in policies if name in found for one in found[name].spec.workloads
    )
    return any(one is not None and one.mode == "Auto" for one in thresholds)


def _workloads(snapshot: Snapshot) -> Mapping[str, list[OwnerRecord]]:
    found: dict[str, list[OwnerRecord]] = defaultdict(list)
    state = snapshot.world.state
    for owner in state.owners():
        if owner.replicas or state.pods_of(owner.uid):
            found[workload_of(owner).key].append(owner)
    for owners in found.values():
        owners.sort(key=lambda one: (-getattr(one, "revision", 0), one.name))
    return found


def _replicas(owners: Sequence[OwnerRecord]) -> int:
    return sum(owner.replicas for owner in owners)


def _governed(claim: Claim | None) -> str | None:
    return None if claim is None else f"{claim.policy}/{claim.workload_class} ({claim.mode.value})"


def _first_victim(snapshot: Snapshot, owner: OwnerRecord) -> str | None:
    ranked = ranking(snapshot, owner)
    return ranked[0].pod if len(ranked) > 1 else None


def _tier_counts(snapshot: Snapshot, policy: str) -> Counter[Tier] | None:
    if policy not in snapshot.world.governance.policies:
        return None
    return Counter(snapshot.world.places.place(policy, node).tier for node in snapshot.world.state.nodes.values())


def _differs(one: ProposedWorkload) -> bool:
    return (
        one.governed != one.governed_now
        or one.threshold != one.threshold_now
        or one.virtual != one.virtual_now
        or one.first_victim != one.first_victim_now
    )
