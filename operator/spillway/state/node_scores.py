"""The scores of nodes for new pods, by the last readings of their load and the pods that have come since.

Contract: used from the event loop's thread alone. A score is computed when it is asked for and kept until a new reading
comes, or a pod comes to the node or leaves it, so that thousands of nodes are scored within a few milliseconds. Where
several readings have a node, the first counts. A node that no reading has gets the score of the mean load. A node of a
pool, and one that Spillway or a node autoscaler empties, has the score 0. Without a current reading there are no
scores.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from statistics import fmean

from spillway.domain.balance.load import COUNTED_SECONDS, load_points
from spillway.domain.balance.node_scores import NodeLoads, node_score, not_shown
from spillway.domain.model.names import NodeName, PodUid
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import Usage
from spillway.state.cluster import ClusterState
from spillway.state.pod_passage import passage_of


class NodeScores:
    """The scores of the nodes of one cluster. `now` gives Unix seconds."""

    def __init__(self, state: ClusterState, now: Callable[[], float], *, in_pool: Callable[[NodeRecord], bool]) -> None:
        self._in_pool = in_pool
        self._state = state
        self._now = now
        self._readings: tuple[NodeLoads, ...] = ()
        self._current: tuple[NodeLoads, ...] = ()
        """Those of the readings by which the known scores were computed."""
        self._known: dict[NodeName, int] = {}
        self._others = 0
        """The score of a node that no reading has."""
        self._came: dict[NodeName, dict[PodUid, tuple[float, Usage]]] = {}
        """The pods that came to each node lately: when, and what they request."""
        self._forgot_at = now()
        self._unsubscribe = (
            state.subscribe(PodRecord, self._pod_changed),
            state.subscribe(NodeRecord, self._node_changed),
        )

    def close(self) -> None:
        """Stop following the state."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def use(self, readings: Iterable[NodeLoads]) -> None:
        """Score by these readings from now on; of two that have a node, the first counts."""
        self._readings = tuple(readings)
        self._current = ()
        self._known.clear()
        self._forget()

    def of(self, names: Sequence[NodeName]) -> list[int] | None:
        """The scores of these nodes, in their order; None while no load is known."""
        now = self._now()
        current = tuple(one for one in self._readings if one.is_current(now))
        if len(current) != len(self._current):
            self._known.clear()
            self._others = _mean_score(current)
        self._current = current
        if not current:
            return None
        known = self._known
        for name in names:
            if name not in known:
                known[name] = self._score(name)
        return [known[name] for name in names]

    def _score(self, name: NodeName) -> int:
        node = self._state.nodes.get(name)
        if node is not None and (node.avoided or self._in_pool(node)):
            return 0
        for reading in self._current:
            percent = reading.percent.get(name)
            if percent is not None:
                return node_score(percent + self._added(name, reading), reading.target)
        return self._others

    def _added(self, name: NodeName, reading: NodeLoads) -> float:
        """What pods add to the load that the reading does not show yet, in percentage points."""
        pods, node = self._came.get(name), self._state.nodes.get(name)
        if not pods or node is None or not node.cpu_millis or not node.memory_bytes:
            return 0.0
        first = reading.first.get(name, -math.inf)
        parts = [(not_shown(at, reading.at, first), usage) for at, usage in pods.values()]
        cpu_millis = sum(part * usage.cpu_millis for part, usage in parts)
        memory_bytes = sum(part * usage.memory_bytes for part, usage in parts)
        return load_points(cpu_millis, memory_bytes, node.allocatable, reading.weights)

    def _forget(self) -> None:
        """Forget the pods that every reading shows."""
        self._forgot_at = self._now()
        current = (one.at for one in self._readings if one.is_current(self._forgot_at))
        since = min(current, default=self._forgot_at) - COUNTED_SECONDS
        for node, pods in list(self._came.items()):
            late = {uid: pod for uid, pod in pods.items() if pod[0] > since}
            if late:
                self._came[node] = late
            else:
                del self._came[node]

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if old is None or new is None or (old.labels, old.taints) != (new.labels, new.taints):
            for node in (old, new):
                if node is not None:
                    self._known.pop(node.name, None)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        now = self._now()
        change = passage_of(old, new, now)
        if change is None:
            return
        if old is not None and change.before:
            self._known.pop(change.before, None)
            self._came.get(change.before, {}).pop(old.uid, None)
        if new is not None and change.after:
            if now - change.came_at < COUNTED_SECONDS:
                self._known.pop(change.after, None)
                self._came.setdefault(change.after, {})[new.uid] = (change.came_at, new.requests)
            if now - self._forgot_at > COUNTED_SECONDS:
                self._forget()


def _mean_score(readings: Sequence[NodeLoads]) -> int:
    loads = list(chain.from_iterable(one.percent.values() for one in readings))
    return node_score(fmean(loads), readings[0].target) if loads else 0
