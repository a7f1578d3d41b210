"""Pods that are on their way to a pool of virtual nodes and have not started: which, since when, and what keeps them.

Contract: follows the state; whoever asked is told of each pod that changed. A pod is followed while it is pending and
may go to virtual nodes (admission sent it there, or it has spilled), or is bound to a node of a pool. Since when it is
bound is what we have seen, so after a change of leader the time counts anew. Pods that were made anew because they did
not start on a pool go on to speak against it until one starts there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import Pending, Phase, PodRecord


@dataclass(slots=True)
class Waiting:
    """One pod that has not started."""

    pod: PodRecord
    pool: str = ""
    """Of its node; empty while it is on none."""
    bound_at: float = 0.0
    """When it was seen on that node (Unix seconds)."""
    out_of_stock: bool = False
    """Its provider has said that there is no stock."""
    given_up: bool = False
    """It is made anew because it does not start there; it counts among those."""
    recommended: bool = False
    """What would be done with it was counted, where nothing may be done."""

    @property
    def pending(self) -> Pending:
        return self.pod.pending or Pending()

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools to which it may still go: its node's, or those that its mark names while it is on none."""
        if self.pool or self.pod.node:
            return (self.pool,) if self.pool else ()
        return tuple(filter(None, self.pending.pools.split(",")))


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Pods that were made anew because they did not start on a pool."""

    pods: int
    since: float
    """When the first of them was bound (Unix seconds)."""
    last: float
    """When the last of them was given up."""


@dataclass(slots=True)
class Unstarted:
    """All of them. `subscribe` first."""

    world: World
    waiting: dict[PodUid, Waiting] = field(default_factory=dict)
    last_start: dict[str, float] = field(default_factory=dict)
    """When a pod was last seen to start, by pool (Unix seconds)."""
    given_up: dict[str, GivenUp] = field(default_factory=dict)
    """By pool, since a pod started there last."""
    on_change: list[Callable[[Waiting], None]] = field(default_factory=list)
    """Told of one that waits and has changed."""
    on_start: list[Callable[[str], None]] = field(default_factory=list)
    """Told of a pool on which a pod has started, or from whose way one has gone."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow from now on; everybody is told of every pod that waits."""
        yield self.world.state.subscribe(PodRecord, self._changed)
        for pod in list(self.world.state.pods.values()):
            if pod.pending is not None:
                self._changed(None, pod)

    def on_pool(self, pool: str) -> Iterator[Waiting]:
        """Those bound to the pool's nodes."""
        return (one for one in self.waiting.values() if one.pool == pool)

    def on_their_way(self, pool: str) -> int:
        """How many are sent there, or bound, and have not started."""
        return sum(pool in one.pools for one in self.waiting.values())

    def give_up(self, one: Waiting) -> None:
        """This one is made anew, because it does not start where it is bound."""
        one.given_up = True
        node = self.world.state.nodes.get(one.pod.node)
        if node is None or not node.ready:
            # On a node that is down nothing starts: that is the node's matter.
            return
        now = self.world.now()
        known = self.given_up.get(one.pool, GivenUp(0, one.bound_at, now))
        self.given_up[one.pool] = GivenUp(known.pods + 1, min(known.since, one.bound_at), now)

    def pool_of(self, pod: PodRecord) -> str:
        """The pool of a pod's node; empty where it is on none of a pool."""
        node = self.world.state.nodes.get(pod.node)
        return pod.pool if node is None else self.world.governance.budget_of(node) or ""

    def _changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if new is not None and new.pending is not None and new.active:
            self._wait(new)
            return
        pod = new or old
        one = self.waiting.pop(pod.uid, None) if pod is not None else None
        if one is None:
            return
        if new is not None and new.phase is Phase.RUNNING and one.pool:
            self.last_start[one.pool] = self.world.now()
            self.given_up.pop(one.pool, None)
        self._tell_of_start(one.pools)

    def _wait(self, pod: PodRecord) -> None:
        known = self.waiting.get(pod.uid)
        pool = self.pool_of(pod) if pod.node else ""
        if known is None:
            pending = pod.pending or Pending()
            if not pool and not pending.virtual and not pending.pools:
                return
            known = self.waiting[pod.uid] = Waiting(pod)
        before = known.pools
        known.pod = pod
        if pool and not known.pool:
            # A pod that is seen to be bound was pending and unbound before: also where this is the first that we see.
            known.pool, known.bound_at = pool, self.world.now()
        for callback in self.on_change:
            callback(known)
        self._tell_of_start(one for one in before if one not in known.pools)

    def _tell_of_start(self, pools: Iterable[str]) -> None:
        for pool in pools:
            for callback in self.on_start:
                callback(pool)
