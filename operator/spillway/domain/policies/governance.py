"""All policies, budgets and balances compiled together: which policy governs a workload, and the place of a node.

Contract: compiled once from the resources, immutable for its callers, and a function of the resources alone: their
order does not matter. If two claim the same object, the older wins (creation time, then name), and the younger reports
a problem. Answers are cached by the values of the labels that the resources select on, so a query costs a dictionary
look-up and may be made at every admission.

A node's tier is a policy's view. Virtual: a budget that the policy lists selects it (the first that does). Else
elastic: the policy's `tiers.elastic` selects it. Else fixed. So a node that both select is virtual. What counts or
charges each node of the cluster once uses `tier_of`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple, Self, TypeVar

from spillway.api import ElasticPolicy, Resource, VirtualNodeBudget, ZonalBalance
from spillway.api.elasticpolicy import PolicyMode, WorkloadClass
from spillway.api.virtualnodebudget import PodSpecSize
from spillway.domain.model.names import CLASS, ZONE_LABEL, Tier, Zone
from spillway.domain.model.owners import LIKE_REPLICASETS
from spillway.domain.model.places import Claim, NodePlace
from spillway.domain.model.records import NamespaceRecord, NodeRecord
from spillway.domain.model.remember import FairMemory, remember
from spillway.domain.model.selectors import Labels, Selector
from spillway.domain.policies.conflicts import (
    ResourceProblem,
    SelectedPool,
    SelectedWorkloads,
    node_conflicts,
    static_problems,
)
from spillway.domain.policies.matching import Match

__all__ = ["OWN_NAMESPACE", "ElasticOwner", "Governance"]

OWN_NAMESPACE: Final = "spillway-system"
"""The default namespace of the operator; no workload in it is ever governed."""

_REMEMBERED: Final = 65_536
"""Maximum cached answers of each query, so that arbitrary labels cannot fill the memory."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_R = TypeVar("_R", ElasticPolicy, VirtualNodeBudget, ZonalBalance)
_Answer = TypeVar("_Answer")


class ElasticOwner(NamedTuple):
    """The policy for which a node is elastic."""

    policy: str
    mode: PolicyMode
    soft_taint: bool


@dataclass(frozen=True, slots=True)
class _Policy:
    name: str
    mode: PolicyMode
    classes: tuple[tuple[str, Match], ...]
    elastic: Selector | None
    soft_taint: bool
    pools: tuple[tuple[str, Selector], ...]
    """Of the budgets that exist, in the policy's order of preference."""
    price_rank: Mapping[str, int]

    def class_of(self, namespace: NamespaceRecord, kind: str, labels: Labels) -> str | None:
        """The class of a workload; None where the policy does not select it."""
        asked = labels.get(CLASS)
        for name, match in self.classes:
            if name == asked and match.namespaces.matches(namespace.labels):
                return name
        return next((name for name, match in self.classes if match.matches(namespace.labels, kind, labels)), None)

    def pool_of(self, labels: Labels) -> str | None:
        return next((pool for pool, selector in self.pools if selector.matches(labels)), None)

    def tier_of(self, labels: Labels) -> tuple[Tier, str]:
        pool = self.pool_of(labels)
        if pool is not None:
            return Tier.VIRTUAL, pool
        elastic = self.elastic is not None and self.elastic.matches(labels)
        return (Tier.ELASTIC if elastic else Tier.FIXED), ""


@dataclass(frozen=True, slots=True)
class _Balance:
    name: str
    match: Match
    max_skew: int
    zone_key: str


class Governance:
    """The compiled resources. Create it with `compile`, and use it from one thread."""

    def __init__(
        self,
        policies: Sequence[ElasticPolicy],
        budgets: Sequence[VirtualNodeBudget],
        balances: Sequence[ZonalBalance],
        own_namespace: str,
    ) -> None:
        """The resources, oldest first."""
        self.policies: Mapping[str, ElasticPolicy] = _by_name(policies)
        self.budgets: Mapping[str, VirtualNodeBudget] = _by_name(budgets)
        self.balances: Mapping[str, ZonalBalance] = _by_name(balances)
        self._own_namespace = own_namespace
        self._pools = tuple((budget.metadata.name, Selector.of(budget.spec.node_selector)) for budget in budgets)
        self._policies = {policy.metadata.name: _compiled(policy, self.budgets) for policy in policies}
        self._balances = tuple(
            _Balance(one.metadata.name, Match.of(one.spec.match), one.spec.max_skew, one.spec.zone_key)
            for one in balances
        )
        matches = [match for policy in self._policies.values() for _, match in policy.classes]
        matches += [balance.match for balance in self._balances]
        self._namespace_keys = _keys(match.namespaces for match in matches)
        self._label_keys = (CLASS, *_keys(match.labels for match in matches))
        elastic = (policy.elastic for policy in self._policies.values() if policy.elastic is not None)
        self._hot = tuple(
            (one.metadata.name, Selector.of(one.spec.node_selector))
            for one in balances
            if one.spec.hot_nodes is not None
        )
        self._node_keys = _keys((*elastic, *(selector for _, selector in (*self._pools, *self._hot))))
        self._claims: FairMemory[object, tuple[Claim | None]] = FairMemory(_REMEMBERED)
        self._places: OrderedDict[object, NodePlace] = OrderedDict()
        self._owners: OrderedDict[object, ElasticOwner | None] = OrderedDict()
        self._budgets: OrderedDict[object, str | None] = OrderedDict()
        self._hot_balances: OrderedDict[object, str | None] = OrderedDict()
        self.problems: tuple[ResourceProblem, ...] = static_problems(
            {
                name: SelectedWorkloads(policy.classes, policy.elastic, _listed(self.policies[name]))
                for name, policy in self._policies.items()
            },
            tuple(SelectedPool(*pool) for pool in self._pools),
            {balance.name: balance.match for balance in self._balances},
        )
        """The problems that the resources alone show; ordered, without repetition."""

    @classmethod
    def compile(
        cls,
        policies: Iterable[ElasticPolicy],
        budgets: Iterable[VirtualNodeBudget],
        balances: Iterable[ZonalBalance],
        *,
        own_namespace: str = OWN_NAMESPACE,
    ) -> Self:
        """Compile the resources; those that are being deleted no longer govern anything."""
        return cls(_oldest_first(policies), _oldest_first(budgets), _oldest_first(balances), own_namespace)

    def claim(self, namespace: NamespaceRecord | None, kind: str, labels: Labels) -> Claim | None:
        """The claim on a workload of this kind whose pod template has these labels; None if no policy governs it.

        `kind` is the top owner's ("Deployment" for its ReplicaSets). An unknown namespace, `kube-*` and the operator's
        own namespace are never governed.
        """
        if namespace is None or self._excluded(namespace.name):
            return None
        key = (self._namespace_key(namespace), kind, self._label_key(labels))
        known = self._claims.get(key)
        if known is None:
            known = (self._claim(namespace, kind, labels),)
            self._claims.put(key, known, share=namespace.name)
        return known[0]

    def claimants(self, namespace: NamespaceRecord | None, kind: str, labels: Labels) -> tuple[str, ...]:
        """Every policy that selects the workload; the first governs it."""
        if namespace is None or self._excluded(namespace.name):
            return ()
        return tuple(
            policy.name for policy in self._policies.values() if policy.class_of(namespace, kind, labels) is not None
        )

    def class_of(self, claim: Claim) -> WorkloadClass | None:
        """The class of the policy that has the claim; None if the policy no longer exists."""
        policy = self.policies.get(claim.policy)
        classes = () if policy is None else policy.spec.workloads
        return next((one for one in classes if one.name == claim.workload_class), None)

    def is_exact(self, claim: Claim | None) -> bool:
        """Whether the claim's class lets nothing but its schedules change the number of replicas."""
        found = None if claim is None else self.class_of(claim)
        return found is not None and found.scaling is not None and found.scaling.schedule_only

    @cached_property
    def places_pods(self) -> bool:
        """Whether some class places pods."""
        return any(one.places_pods for policy in self.policies.values() for one in policy.spec.workloads)

    @cached_property
    def balances_new_pods(self) -> bool:
        """Whether some ZonalBalance adds something to new pods."""
        return any(one.spec.changes_pods for one in self.balances.values())

    @cached_property
    def moves_pods(self) -> bool:
        """Whether some resource asks for moves by surge."""
        return any(one.spec.moves_by_surge for one in self.balances.values()) or any(
            one.spec.consolidates for one in self.policies.values()
        )

    def placing_class(self, claim: Claim | None) -> WorkloadClass | None:
        """The class that places the pods of a claim; None without a claim, or where the class places none."""
        found = None if claim is None else self.class_of(claim)
        return found if found is not None and found.places_pods else None

    def pools_of(self, policy: str) -> tuple[str, ...]:
        """The VirtualNodeBudgets that the policy lists and that exist, in its order of preference."""
        compiled = self._policies.get(policy)
        return () if compiled is None else tuple(name for name, _ in compiled.pools)

    def policies_for(self, namespace: NamespaceRecord, kind: str) -> frozenset[str]:
        """The policies with a class that places pods of such owners in the namespace, whatever their labels.

        A ReplicaSet or ReplicationController may be of any kind of workload.
        """
        if self._excluded(namespace.name):
            return frozenset()
        any_kind = kind in LIKE_REPLICASETS
        return frozenset(
            name
            for name, policy in self._policies.items()
            for (_, match), workload_class in zip(policy.classes, self.policies[name].spec.workloads, strict=True)
            if workload_class.places_pods
            and match.namespaces.matches(namespace.labels)
            and (any_kind or not match.kinds or kind in match.kinds)
        )

    def ladder(self, *pools: str) -> tuple[PodSpecSize, ...]:
        """The sizes that may be asked of these pools' providers."""
        budgets = (self.budgets[name] for name in pools if name in self.budgets)
        found = (budget.spec.stock_out.ladder for budget in budgets if budget.spec.stock_out is not None)
        return tuple(size for ladder in found for size in ladder)

    def balance_of(self, namespace: NamespaceRecord | None, kind: str, labels: Labels) -> str | None:
        """The oldest ZonalBalance that selects the workload, governed or not."""
        found = self._balance_of(namespace, kind, labels)
        return None if found is None else found.name

    def place(self, policy: str, node: NodeRecord, *, zone_key: str = ZONE_LABEL) -> NodePlace:
        """The place of the node for this policy; for a policy that no longer exists every node is fixed."""
        key = (policy, zone_key, node.labels.get(zone_key), self._node_key(node))
        return _remembered(self._places, key, lambda: self._place(policy, node.labels, zone_key))

    def elastic_owner(self, node: NodeRecord) -> ElasticOwner | None:
        """The policy for which the node is elastic: of several the oldest that enforces, else the oldest."""
        return _remembered(self._owners, self._node_key(node), lambda: self._owner(node.labels))

    def budget_of(self, node: NodeRecord) -> str | None:
        """The oldest VirtualNodeBudget that selects the node, whether a policy lists it or not."""
        return _remembered(
            self._budgets,
            self._node_key(node),
            lambda: next((name for name, selector in self._pools if selector.matches(node.labels)), None),
        )

    def tier_of(self, node: NodeRecord) -> Tier:
        """The tier of the node for the whole cluster: virtual in any pool, else elastic for any policy, else fixed."""
        if self.budget_of(node) is not None:
            return Tier.VIRTUAL
        return Tier.FIXED if self.elastic_owner(node) is None else Tier.ELASTIC

    def hot_balance_of(self, node: NodeRecord) -> str | None:
        """The oldest ZonalBalance with `hotNodes` that selects the node; None if none does, and for a virtual node."""
        if self.budget_of(node) is not None:
            return None
        return _remembered(
            self._hot_balances,
            self._node_key(node),
            lambda: next((name for name, selector in self._hot if selector.matches(node.labels)), None),
        )

    def node_problems(self, nodes: Iterable[NodeRecord]) -> tuple[ResourceProblem, ...]:
        """The problems that only the nodes show: a node elastic in a policy and in a budget, or in two budgets."""
        elastic = {policy.name: policy.elastic for policy in self._policies.values() if policy.elastic is not None}
        return node_conflicts(elastic, tuple(SelectedPool(*pool) for pool in self._pools), nodes)

    def _excluded(self, namespace: str) -> bool:
        return namespace.startswith("kube-") or namespace == self._own_namespace

    def _claim(self, namespace: NamespaceRecord, kind: str, labels: Labels) -> Claim | None:
        for policy in self._policies.values():
            workload_class = policy.class_of(namespace, kind, labels)
            if workload_class is not None:
                balance = self._balance_of(namespace, kind, labels)
                return Claim(
                    policy=policy.name,
                    workload_class=workload_class,
                    mode=policy.mode,
                    max_skew=1 if balance is None else balance.max_skew,
                    zone_key=ZONE_LABEL if balance is None else balance.zone_key,
                    balance="" if balance is None else balance.name,
                )
        return None

    def _balance_of(self, namespace: NamespaceRecord | None, kind: str, labels: Labels) -> _Balance | None:
        if namespace is None or self._excluded(namespace.name):
            return None
        return next((one for one in self._balances if one.match.matches(namespace.labels, kind, labels)), None)

    def _place(self, name: str, labels: Labels, zone_key: str) -> NodePlace:
        zone = Zone(labels.get(zone_key, ""))
        policy = self._policies.get(name)
        if policy is None:
            return NodePlace(tier=Tier.FIXED, zone=zone)
        tier, pool = policy.tier_of(labels)
        return NodePlace(tier=tier, zone=zone, pool=pool, price_rank=policy.price_rank.get(pool, 0))

    def _owner(self, labels: Labels) -> ElasticOwner | None:
        owners = [policy for policy in self._policies.values() if policy.tier_of(labels)[0] is Tier.ELASTIC]
        enforcing = next((policy for policy in owners if policy.mode is PolicyMode.ENFORCE), None)
        owner = enforcing or (owners[0] if owners else None)
        return None if owner is None else ElasticOwner(owner.name, owner.mode, owner.soft_taint)

    def _namespace_key(self, namespace: NamespaceRecord) -> tuple[str | None, ...]:
        return tuple([namespace.labels.get(key) for key in self._namespace_keys])

    def _label_key(self, labels: Labels) -> tuple[str | None, ...]:
        return tuple([labels.get(key) for key in self._label_keys])

    def _node_key(self, node: NodeRecord) -> tuple[str | None, ...]:
        return tuple([node.labels.get(key) for key in self._node_keys])


def _compiled(policy: ElasticPolicy, budgets: Mapping[str, VirtualNodeBudget]) -> _Policy:
    listed = [budgets[name] for name in _listed(policy) if name in budgets]
    elastic = policy.spec.tiers.elastic
    return _Policy(
        name=policy.metadata.name,
        mode=policy.spec.mode,
        classes=tuple((one.name, Match.of(one.match)) for one in policy.spec.workloads),
        elastic=None if elastic is None else Selector.of(elastic.node_selector),
        soft_taint=elastic is not None and elastic.soft_taint,
        pools=tuple((budget.metadata.name, Selector.of(budget.spec.node_selector)) for budget in listed),
        price_rank=_price_ranks(listed),
    )


def _listed(policy: ElasticPolicy) -> tuple[str, ...]:
    return () if policy.spec.tiers.virtual is None else policy.spec.tiers.virtual.budgets


def _price_ranks(listed: Sequence[VirtualNodeBudget]) -> Mapping[str, int]:
    """0 for the pool to be emptied last: by price where all have one in one currency, else in the policy's order."""
    prices = [budget.spec.price for budget in listed]
    names = [budget.metadata.name for budget in listed]
    compared = [price.compared for price in prices if price is not None]
    if len(compared) == len(prices) and len({price.currency for price in prices if price is not None}) == 1:
        names = [name for _, name in sorted(zip(compared, names, strict=True), key=lambda pair: pair[0])]
    return {name: rank for rank, name in enumerate(names)}


def _age(resource: Resource) -> tuple[datetime, str]:
    return resource.metadata.creation_timestamp or _NEVER, resource.metadata.name


def _oldest_first(resources: Iterable[_R]) -> list[_R]:
    return sorted((one for one in resources if one.metadata.deletion_timestamp is None), key=_age)


def _by_name(resources: Iterable[_R]) -> Mapping[str, _R]:
    return MappingProxyType({one.metadata.name: one for one in resources})


def _keys(selectors: Iterable[Selector]) -> tuple[str, ...]:
    return tuple(sorted({key for selector in selectors for key in selector.keys}))


def _remembered(memory: OrderedDict[object, _Answer], key: object, answer: Callable[[], _Answer]) -> _Answer:
    try:
        return memory[key]
    except KeyError:
        found = answer()
        remember(memory, key, found, most=_REMEMBERED)
        return found
