"""Unstarted pods: the pods that are sent or bound to a pool and have not started, since when, and why not.

Contract: kept from the events of pods; `changed` and `started` tell of each change. A pod is followed while it is
pending and may go to virtual nodes (admission sent it there, or it has spilled), or is bound to a node of a pool. The
time of a binding is when this process saw it, so that time starts again after a change of leader. Pods that were
replaced because they did not start on a pool count as its start failures for a while, until a pod starts there. Only
this class changes what it holds; others call its methods.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord
from spillway.domain.model.remember import remember
from spillway.domain.pools.start_failures import REMEMBERED_SECONDS, StartFailure, counted_workload
from spillway.domain.pools.unstarted import stuck
from spillway.state.signal import Signal

NEW_FAILURE_SECONDS: Final = 60.0
"""The maximum age of a pod that counts as just failed when it is seen for the first time."""
_REMEMBERED: Final = 64
"""Start failures to remember for each namespace on each pool."""


@dataclass(slots=True)
class UnstartedPod:
    """One pod that has not started."""

    pod: PodRecord
    pool: str = ""
    """Of its node; empty while it is on none."""
    bound_at: float = 0.0
    """When it was seen on that node (Unix seconds)."""
    workload: str = ""
    """The key of the workload for which it counts, once it is on a node of a pool."""
    out_of_stock: bool = False
    """Whether its provider reported a stock-out."""
    named: tuple[str, ...] = ()
    """The pools that its mark names, where the mark is believed."""
    given_up: bool = False
    """It is being replaced because it does not start there, and already counts as a start failure."""

    @property
    def pending(self) -> Pending:
        return self.pod.pending or Pending()

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools to which it may still go: its node's, or those that its mark names while it is on none."""
        if self.pool or self.pod.node:
            return (self.pool,) if self.pool else ()
        return self.named


class UnstartedPods:
    """All pods that have not started on virtual nodes, from `subscribe` on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pods: dict[PodUid, UnstartedPod] = {}
        self._last_start: dict[str, float] = {}
        self._given_up: dict[str, dict[str, OrderedDict[PodUid, StartFailure]]] = {}
        """The replaced pods by pool and namespace."""
        self.changed: Signal[UnstartedPod] = Signal("UnstartedPod", key=lambda one: one.pod.key)
        """Emitted with a pod that has not started and has changed."""
        self.started: Signal[str] = Signal("UnstartedPods", key=str)
        """Emitted with a pool on which a pod has started, or which one fewer pod will reach."""
        self.failed: Signal[UnstartedPod] = Signal("FailedPod", key=lambda one: one.pod.key)
        """Emitted once with a pod that failed on a pool before it started."""

    @property
    def pods(self) -> Mapping[PodUid, UnstartedPod]:
        return self._pods

    def last_start(self, pool: str) -> float:
        """When a pod was last seen to start on the pool (Unix seconds); 0.0 for never."""
        return self._last_start.get(pool, 0.0)

    def start_failures(self, pool: str, start_after: float) -> tuple[StartFailure, ...]:
        """The pods that did not start on the pool since one started last, or will not have `start_after` seconds later.

        Each counts for `REMEMBERED_SECONDS` only: one that waits on and on may be its own problem.
        """
        now, last_start = self._world.now(), self.last_start(pool)
        given_up = (one for own in self._given_up.get(pool, {}).values() for one in own.values())
        found = [one for one in given_up if now < one.due + REMEMBERED_SECONDS]
        for one in self.on_pool(pool):
            node = self._working_node(one)
            if node is None or one.given_up or not stuck(one.pod, out_of_stock=one.out_of_stock):
                continue
            if now < one.bound_at + start_after + REMEMBERED_SECONDS:
                due = max(one.bound_at, last_start) + start_after
                found.append(StartFailure(due, one.pod.namespace, one.workload, node.name))
        return tuple(found)

    def forget_failures(self, pool: str, namespace: str = "") -> None:
        """Pods that were replaced before no longer count against the pool; with a namespace, only its pods."""
        if namespace:
            self._given_up.get(pool, {}).pop(namespace, None)
        else:
            self._given_up.pop(pool, None)

    def forget_pool(self, pool: str) -> None:
        """Forget a pool whose VirtualNodeBudget is gone."""
        self._last_start.pop(pool, None)
        self._given_up.pop(pool, None)

    def mark_out_of_stock(self, one: UnstartedPod) -> None:
        """Record that the provider reported a stock-out for this pod."""
        one.out_of_stock = True

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow the pods from now on; `changed` is emitted for each that has not started."""
        yield self._world.state.subscribe(PodRecord, self._changed)
        yield self._world.catalog.subscribe(self._marks_believed)
        if self._world.membership.proof is not None:
            yield self._world.membership.proof.changed.subscribe(self._marks_believed)
        for pod in list(self._world.state.pods.values()):
            if pod.pending is not None:
                self._changed(None, pod)

    def on_pool(self, pool: str) -> Iterator[UnstartedPod]:
        """Those bound to the pool's nodes."""
        return (one for one in self._pods.values() if one.pool == pool)

    def give_up(self, one: UnstartedPod) -> None:
        """Record that this pod is being replaced, because it does not start where it is bound."""
        one.given_up = True
        node = self._working_node(one)
        if node is None:
            return
        namespace = one.pod.namespace
        failure = StartFailure(self._world.now(), namespace, one.workload, node.name)
        own = self._given_up.setdefault(one.pool, {}).setdefault(namespace, OrderedDict())
        remember(own, one.pod.uid, failure, most=_REMEMBERED)

    def _working_node(self, one: UnstartedPod) -> NodeRecord | None:
        """The node of a pod; None while it is down: no pod starts there, which does not count against the pool."""
        node = self._world.state.nodes.get(one.pod.node)
        return node if node is not None and node.ready else None

    def _changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if new is not None and new.pending is not None and new.active:
            self._wait(new)
            return
        pod = new or old
        one = self._pods.pop(pod.uid, None) if pod is not None else None
        if new is not None and new.failure is not None and (old is None or not old.finished):
            self._report_failure(old, new, one)
        if one is None:
            return
        if new is not None and new.phase is Phase.RUNNING and one.pool:
            self._last_start[one.pool] = self._world.now()
            self._given_up.pop(one.pool, None)
        self._report_start(one.pools)

    def _marks_believed(self) -> None:
        """Other pools may be believed of the marks now."""
        for one in list(self._pods.values()):
            if not one.pod.node and one.named != self._world.membership.named_pools(one.pod):
                self._wait(one.pod)

    def _report_failure(self, old: PodRecord | None, pod: PodRecord, known: UnstartedPod | None) -> None:
        # Failed pods stay for days, and a new leader sees all of them for the first time.
        if old is None and self._world.now() - pod.created > NEW_FAILURE_SECONDS:
            return
        pool = self._world.membership.pool_of_pod(pod)
        if pool:
            out_of_stock = known is not None and known.out_of_stock
            self.failed.emit(UnstartedPod(pod, pool, out_of_stock=out_of_stock))

    def _wait(self, pod: PodRecord) -> None:
        known = self._pods.get(pod.uid)
        pool = self._world.membership.pool_of_pod(pod)
        if known is None:
            if not pool and not pod.marked_pools:
                return
            known = self._pods[pod.uid] = UnstartedPod(pod)
        before = known.pools
        known.pod, known.named = pod, self._world.membership.named_pools(pod)
        if pool and not known.pool:
            # A pod that is seen to be bound was pending and unbound before, even if this is its first event.
            known.pool, known.bound_at = pool, self._world.now()
            known.workload = counted_workload(self._world.owner_of(pod))
        self.changed.emit(known)
        self._report_start(one for one in before if one not in known.pools)

    def _report_start(self, pools: Iterable[str]) -> None:
        for pool in pools:
            self.started.emit(pool)
