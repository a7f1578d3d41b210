"""The open pools of virtual nodes: whether a pool takes pods at this moment, and the room under its limits.

Contract: nothing here awaits, so a caller that asks for room and reserves it in the same step never reserves it twice.
The pods webhook and the controllers use the same answer.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from spillway.api.virtualnodebudget import VirtualNodeBudgetSpec
from spillway.domain.budget.excess import Resident, beyond, passed
from spillway.domain.budget.limits import RESIZES_COUNT, LimitRoom, fits, room
from spillway.domain.budget.price import billed as billed_for
from spillway.domain.fit.neighbours import Incoming
from spillway.domain.fit.other_pods import COMPARED_MAX, refusal_by_other_pods
from spillway.domain.fit.requests import extended_requests
from spillway.domain.fit.volume_reach import VolumeReach, reaching
from spillway.domain.model.documents import Json
from spillway.domain.model.host_ports import HostPort, first_taken, host_ports
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.pod_terms import TERMS_MAX
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Labels
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.nodes.cordon import BudgetCordon
from spillway.domain.placement.pools import Pool, pool_fit
from spillway.domain.policies.governance import Governance
from spillway.domain.pools.verdict import HELD, RETRYING, takes_probe
from spillway.state.board import Board
from spillway.state.neighbours import PoolNeighbours
from spillway.state.nodes_left import comparing_takes_too_long, other_pods_matter
from spillway.state.usage import LiveUsage, PoolUse

_NOTHING_SPENT: Final = Decimal(0)


class PodToFit(NamedTuple):
    """A pod for which a place is looked for."""

    pod: Json
    namespace: str
    owner: OwnerUid
    used: Usage
    volumes: Sequence[VolumeReach] = ()
    """Those that it claims."""
    uid: PodUid = PodUid("")
    """Empty for a pod that is about to be created."""
    nodes: Sequence[NodeRecord] | None = None
    """The pool's nodes that may take it, as far as it and they alone decide; None if that is not worked out yet."""


class OpenPools:
    """The pools of all VirtualNodeBudgets, from the verdicts on the board, the budgets' specs and the live counts."""

    def __init__(self, usage: LiveUsage, board: Board, governance: Callable[[], Governance]) -> None:
        self.usage = usage
        self._state = usage.state
        self._board = board
        self._governance = governance
        self._pools: dict[str, tuple[tuple[object, ...], Pool]] = {}
        self._beyond: dict[str, tuple[tuple[object, ...], tuple[PodUid, ...]]] = {}
        """By pool: what the last answer of `beyond` followed from, and that answer."""
        self._for_namespaces: dict[tuple[str, str, int], tuple[Pool, Pool]] = {}
        """By pool, clause and step: the pool as pods of some namespaces see it, beside the pool itself."""

    def pool(self, name: str, namespace: str = "") -> Pool:
        """The pool of an existing VirtualNodeBudget, for pods of a namespace; the same object until it changes."""
        pool, verdict = self._for_all(name), self._board.verdict(name)
        clause, step = verdict.clause_for(namespace), verdict.step_for(namespace)
        if pool.closed or (not clause and step == pool.step):
            return pool
        known = self._for_namespaces.get((name, clause, step))
        if known is None or known[0] is not pool:
            known = self._for_namespaces[name, clause, step] = (pool, replace(pool, closed=clause, step=step))
        return known[1]

    def pools(self, policy: str, namespace: str) -> list[Pool]:
        """The pools that a policy lists, in its order, for pods of a namespace."""
        return [self.pool(name, namespace) for name in self._governance().pools_of(policy)]

    def takes_none(self, pools: Iterable[str], namespace: str) -> bool:
        """Whether none of these pools takes pods of a namespace that were sent there; deleted ones never do."""
        existing = (name for name in pools if name in self._governance().budgets)
        return all(self._board.verdict(name).closed_to(namespace) for name in existing)

    def _for_all(self, name: str) -> Pool:
        budget = self._governance().budgets[name]
        verdict = self._board.verdict(name)
        membership = self.usage.membership
        closed = HELD if BudgetCordon.of(budget).active(self._board.now()) else verdict.clause
        key = (budget.spec, membership.version(name), closed, verdict.step)
        known = self._pools.get(name)
        if known is not None and known[0][0] is budget.spec and known[0][1:] == key[1:]:
            return known[1]
        pool = Pool(name, budget.spec, tuple(membership.nodes(name)), closed, verdict.step)
        self._pools[name] = (key, pool)
        return pool

    def refusal_by_limits(self, pool: Pool, used: Usage, billed: Usage) -> str:
        """Why the pool has no room for one more pod with this use and bill; empty if it has."""
        # The verdict follows the informer, which does not show a burst yet.
        if self._board.verdict(pool.name).retrying and not takes_probe(self._coming(pool.name)):
            return RETRYING
        limits = pool.spec.limits
        if limits is None:
            return ""
        if pool.name not in self._board.spent and limits.cost_per_month is not None and pool.spec.price is not None:
            return "has a limit for the month whose cost is not known yet"
        use = self.usage.on(pool.name)
        broken = fits(self._room(pool.name, pool.spec, use), used.cpu_millis, used.memory_bytes, billed=billed)
        return f"is at its limit ({broken}){_resizing(use)}" if broken else ""

    def refusal_by_nodes(self, pod: PodToFit, pool: Pool) -> str:
        """Why no node that may take the pod has room, or why other pods leave none to it; empty if one is left."""
        spec: Json = pod.pod.get("spec") or {}
        nodes = pool_fit(spec, pool.tolerations).admitted(pool.open_nodes) if pod.nodes is None else pod.nodes
        nodes, unreached = reaching(pod.volumes, nodes)
        if unreached:
            return f"has no node {unreached}"
        labels: Labels = (pod.pod.get("metadata") or {}).get("labels") or {}
        by_others = other_pods_matter(self._state, spec, pod.namespace, labels)
        nodes, taken = self._offering(nodes, pool, spec)
        if taken:
            return taken
        nodes = self._with_room(nodes, pool, pod.used, every=by_others)
        if not nodes:
            return f"has no node with room for it{_resizing(self.usage.on(pool.name))}"
        if not by_others:
            return ""
        if comparing_takes_too_long(self._state, spec, pod.namespace):
            return f"can only be asked about {TERMS_MAX} terms on other pods, and {COMPARED_MAX} pods in all"
        spec = {**spec, "tolerations": [*(spec.get("tolerations") or ()), *pool.tolerations]}
        incoming = Incoming(spec, pod.namespace, labels)
        neighbours = PoolNeighbours(
            self._state,
            self.usage.membership,
            self.usage.reservations,
            pod=incoming,
            owner=pod.owner,
            pool=pool.name,
            itself=pod.uid,
        )
        clause = refusal_by_other_pods(incoming, nodes, pool.nodes, neighbours)
        return clause and f"has no node {clause}"

    def _offering(self, nodes: Sequence[NodeRecord], pool: Pool, spec: Json) -> tuple[Sequence[NodeRecord], str]:
        """The nodes of these on which what the pod takes beside CPU and memory is free; or why none.

        Resources are free if all pods that are promised to the pool get theirs.
        """
        for name, amount in extended_requests(spec).items():
            free = {node.name: max(self._state.node_usage.extended_free_on(node, name), 0) for node in nodes}
            nodes = [node for node in nodes if free[node.name] >= amount]
            if not nodes or sum(free.values()) < self.usage.promised(pool.name, name) + amount:
                return (), f"has no node with {amount} of {name} free, which the pod requests"
        return self._with_ports(nodes, host_ports(spec))

    def _with_ports(self, nodes: Sequence[NodeRecord], wanted: Sequence[HostPort]) -> tuple[Sequence[NodeRecord], str]:
        """The nodes of these on which the ports are free that the pod takes of its node; or why none."""
        if not wanted or not nodes:
            return nodes, ""
        usage = self._state.node_usage
        conflicts = [first_taken(wanted, usage.ports_on(node.name)) for node in nodes]
        found = [node for node, conflict in zip(nodes, conflicts, strict=True) if conflict is None]
        port = next((conflict.port for conflict in conflicts if conflict is not None), 0)
        return found, "" if found else f"has no node on which the port {port} is free, which the pod takes (hostPort)"

    def _with_room(self, nodes: Sequence[NodeRecord], pool: Pool, used: Usage, *, every: bool) -> Sequence[NodeRecord]:
        """The nodes of these that would hold one more such pod when all promised to the pool have their places.

        Without `every`, one is enough to know.
        """
        needed = self.usage.on(pool.name).unbound + used
        found: list[NodeRecord] = []
        free = NOTHING
        for node in nodes:
            left = self._state.node_usage.free_on(node)
            if left.covers(used):
                found.append(node)
            free += left.at_least(NOTHING)
            if found and not every and free.covers(needed):
                return found
        return found if free.covers(needed) else []

    def beyond(self, name: str, may_leave: Callable[[], Iterable[PodUid]]) -> tuple[PodUid, ...]:
        """Those of the pods that may leave this pool which have to, because they passed a limit of it.

        They are asked for only where one is passed, and once for each state. Reservations do not count, because a pod
        that has not appeared makes no other leave; nor do pods that are being deleted, which leave by themselves.
        """
        governance = self._governance()
        budget = governance.budgets.get(name)
        if budget is None or budget.spec.limits is None:
            return ()
        staying = self.usage.staying(name)
        left = self._room(name, budget.spec, staying)
        if not passed(left):
            return ()
        # What stays says whether another mark is believed since, which is no change of a record.
        follows_from = (self._state.revision, governance, staying)
        known = self._beyond.get(name)
        if known is None or known[0] != follows_from:
            known = self._beyond[name] = (follows_from, self._going(name, left, frozenset(may_leave())))
        return known[1]

    def _going(self, name: str, left: LimitRoom, leavers: Collection[PodUid]) -> tuple[PodUid, ...]:
        if not leavers:
            return ()
        ladder = self.usage.membership.ladder(name)
        return beyond(
            left,
            (
                Resident(
                    pod.uid,
                    pod.owner_uid,
                    self.usage.arrival(pod),
                    pod.requests,
                    billed_for(pod.requests, self.usage.membership.size_of(pod), ladder),
                    may_leave=pod.uid in leavers,
                )
                for pod in self.usage.pods_on(name)
            ),
        )

    def _room(self, name: str, spec: VirtualNodeBudgetSpec, use: PoolUse) -> LimitRoom:
        spent = self._board.spent.get(name, _NOTHING_SPENT)
        return room(spec.limits, spec.price, use.used, spent, billed=use.billed, waiting=use.waiting)

    def _coming(self, pool: str) -> int:
        """Pods that are reserved for, sent or bound to a pool and have not started."""
        self.usage.reservations.expire()
        return self.usage.unstarted(pool) + self.usage.reservations.by_pool()[pool]


def _resizing(use: PoolUse) -> str:
    """The addition to the reason why a pool has no room where resizes in place are a part of it."""
    return "" if use.resizing == NOTHING else f": {RESIZES_COUNT}"
