"""The index of pool membership: which VirtualNodeBudget each node and each pod belongs to, and the nodes of each pool.

Contract: a node is in the pool of the oldest VirtualNodeBudget that selects it, whichever policy asks. Kept by delta
from the events of nodes; a change of the budgets is noticed at the next question, and every node is looked at once. A
node that is gone keeps its pool while pods of it are known, since those go on to count there.
"""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from spillway.api.virtualnodebudget import PodSpecSize
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.places import remembered_place
from spillway.domain.model.proofs import proof_in, with_proof
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.policies.governance import Governance
from spillway.state.claims import placing_policies
from spillway.state.cluster import ClusterState
from spillway.state.mark_proof import MarkProof
from spillway.state.reservations import new_token
from spillway.state.signal import Signal

_GONE_AT_LEAST = 64
"""Nodes that are gone are looked through once there are so many, and twice as many as were kept the last time."""


class NodeChange(NamedTuple):
    """A node that came, changed or went, or that the budgets select differently now."""

    old: NodeRecord | None
    new: NodeRecord | None
    before: str
    """The pool in which it was; empty for none."""
    after: str
    """The pool in which it is."""

    @property
    def name(self) -> NodeName:
        node = self.new or self.old
        return NodeName("") if node is None else node.name


class PoolMembership:
    """The pools of nodes and pods. Without a proof, marks are judged by the policies alone."""

    def __init__(
        self, state: ClusterState, governance: Callable[[], Governance], *, proof: MarkProof | None = None
    ) -> None:
        self._state = state
        self.proof = proof
        self._governance = governance
        self._compiled: Governance | None = None
        self._pools: dict[NodeName, str] = {}
        self._nodes: dict[str, dict[NodeName, NodeRecord]] = {}
        self._versions: dict[str, int] = {}
        self._gone: dict[NodeName, NodeRecord] = {}
        """Nodes of pools that are gone while pods of them may be known."""
        self._gone_limit = _GONE_AT_LEAST
        self.changed: Signal[NodeChange] = Signal("PoolMembership", key=lambda change: change.name)
        """Emitted after every change of a node and of its pool, once the index has been asked for the first time."""
        self.policies_changed: Signal[()] = Signal("PoolMembership")
        """Emitted at the first question after the policies or budgets have changed, once the index follows them."""
        self._unsubscribe = state.subscribe(NodeRecord, self._node_changed)

    def close(self) -> None:
        """Stop following the state."""
        self._unsubscribe()

    def pool_of_node(self, name: NodeName) -> str:
        """The pool of a node of the cluster; empty where it is in none, or is not known."""
        self.refresh()
        return self._pools.get(name, "")

    def pool_of_pod(self, pod: PodRecord) -> str:
        """The pool of a pod's node; empty while it has no node, or where its node is in no pool."""
        if not pod.node:
            return ""
        self.refresh()
        pool = self._pools.get(pod.node)
        if pool is not None:
            return pool
        if pod.node in self._state.nodes:
            return ""
        gone = self._gone.get(pod.node)
        if gone is not None:
            return self._pool_by_budgets(gone)
        # The node is not seen yet, or went before this process began.
        return remembered_place(pod).pool

    def pools_of_pod(self, pod: PodRecord) -> tuple[str, ...]:
        """The pools on which a pod counts: that of its node or, while it has none, those to which it may go, in order.

        A pod of no pool is on physical nodes, or is decided physical.
        """
        if pod.node:
            pool = self.pool_of_pod(pod)
            return (pool,) if pool else ()
        return () if pod.terminating else self.named_pools(pod)

    def needs_pool(self, pod: PodRecord) -> bool:
        """Whether a pod without a node can start on a pool alone, because admission sent it there."""
        return not pod.node and pod.pending is not None and pod.pending.virtual and bool(self.named_pools(pod))

    def named_pools(self, pod: PodRecord) -> tuple[str, ...]:
        """The pools to which a pod without a node may go, as its mark names them, in order.

        Anybody can write the mark, so it counts for nothing where Spillway cannot have written it: without the proof in
        its token, on a pod without an owner, or of a workload that no policy with that pool places. What cannot be seen
        yet, the namespace or the owner, is not held against a pod.
        """
        pending = pod.pending
        if pending is None or not pending.pools or not pod.owner_uid:
            return ()
        named = pod.marked_pools
        if not self.is_proven(pod):
            return ()
        if pod.namespace not in self._state.namespaces:
            return named
        governance = self._governance()
        policies = placing_policies(self._state, governance, pod)
        allowed = {pool for policy in policies for pool in governance.pools_of(policy)}
        return tuple(pool for pool in named if pool in allowed)

    def token(self, namespace: str, owner: OwnerUid, pools: str) -> str:
        """A new token for the reservation of a pod whose mark names these pools, separated by commas.

        Without pools there is nothing to prove, and the token has no digest.
        """
        return new_token() if self.proof is None or not pools else self.proof.token(namespace, owner, pools)

    def is_proven(self, pod: PodRecord) -> bool:
        """Whether the mark of pools on a waiting pod is Spillway's own, as its token proves."""
        pending = pod.pending
        return pending is not None and (
            self.proof is None
            or self.proof.holds(pending.reservation, pod.namespace, pod.owner_uid, pending.pools, created=pod.created)
        )

    def size_mark(self, namespace: str, owner: OwnerUid, size: str) -> str:
        """The mark of a size that is requested from the provider for a pod of this owner, with its proof."""
        return size if self.proof is None else with_proof(size, self.proof.of_size(namespace, owner, size))

    def size_of(self, pod: PodRecord) -> str:
        """The size that a pod's mark names; empty without one, or where Spillway did not write it."""
        return self.size_in(pod.size, pod.namespace, pod.owner_uid, created=pod.created) if pod.size else ""

    def size_in(self, mark: str, namespace: str, owner: OwnerUid, *, created: float = 0.0) -> str:
        """The same of a mark on a pod of this owner."""
        size, proof = proof_in(mark)
        believed = self.proof is None or self.proof.proves_size(proof, namespace, owner, size, created=created)
        return size if believed else ""

    def ladder(self, *pools: str) -> tuple[PodSpecSize, ...]:
        """The sizes that may have been requested from the providers of these pools."""
        return self._governance().ladder(*pools)

    def nodes(self, pool: str) -> Collection[NodeRecord]:
        """The nodes of a pool: a live view."""
        self.refresh()
        return self._nodes.get(pool, {}).values()

    def nodes_in_pools(self) -> list[NodeRecord]:
        """Every node that is in some pool."""
        self.refresh()
        return [node for nodes in self._nodes.values() for node in nodes.values()]

    def every_node(self) -> Iterator[tuple[str, NodeRecord]]:
        """Every node of the cluster with its pool; empty for none."""
        self.refresh()
        return ((self._pools.get(name, ""), node) for name, node in self._state.nodes.items())

    def version(self, pool: str) -> int:
        """A number that is another whenever a node of the pool has changed."""
        self.refresh()
        return self._versions.get(pool, 0)

    def refresh(self) -> None:
        """Notice a change of the budgets: nodes join and leave pools."""
        compiled = self._governance()
        if compiled is self._compiled:
            return
        self._compiled = compiled
        for node in list(self._state.nodes.values()):
            before, after = self._pools.get(node.name, ""), self._pool_by_budgets(node)
            if before != after:
                self._move(node.name, node, before, after)
                self.changed.emit(NodeChange(node, node, before, after))
        self.policies_changed.emit()

    def _pool_by_budgets(self, node: NodeRecord) -> str:
        return ("" if self._compiled is None else self._compiled.budget_of(node)) or ""

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        node = new or old
        if node is None or self._compiled is None:
            return
        before = self._pools.get(node.name, "")
        after = "" if new is None else self._pool_by_budgets(new)
        self._move(node.name, new, before, after)
        if new is None:
            self._keep_gone(node)
        else:
            self._gone.pop(node.name, None)
        self.changed.emit(NodeChange(old, new, before, after))

    def _move(self, name: NodeName, node: NodeRecord | None, before: str, after: str) -> None:
        for pool in {before, after} - {""}:
            self._versions[pool] = self._versions.get(pool, 0) + 1
        if before and before != after:
            del self._nodes[before][name]
            if not self._nodes[before]:
                del self._nodes[before]
        if after and node is not None:
            self._pools[name] = after
            self._nodes.setdefault(after, {})[name] = node
        else:
            self._pools.pop(name, None)

    def _keep_gone(self, node: NodeRecord) -> None:
        self._gone[node.name] = node
        if len(self._gone) > self._gone_limit:
            self._gone = {name: one for name, one in self._gone.items() if self._state.pods_on(name)}
            self._gone_limit = max(_GONE_AT_LEAST, 2 * len(self._gone))
