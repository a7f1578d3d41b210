"""The soft taint of elastic nodes that are being emptied, and for how long an emptied node keeps it.

Contract: pure. An emptied node keeps the taint for a while, because the scheduler prefers empty nodes, and a node
autoscaler removes a node only after it was empty for some time. A node that was begun and can be emptied no longer
rests, so that its taint does not come and go. So does one without progress, because few nodes are emptied at once, and
the pods of one user would keep all others from it: no pod of it could be moved for long, or moves have ended for as
long and as many pods are left as before, because new ones come in their place. It rests twice as long each time, until
it is emptied or removed. A node whose moves take long, or that waits for the moves of other nodes, does not lack
progress. A node that a node autoscaler removes with pods on it counts as neither emptied nor given up. What a former
leader began is known by the taint, and goes on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.names import EMPTYING_TAINT, NodeName
from spillway.domain.model.records import Taint
from spillway.domain.nodes.taints import SOFT

EMPTY_SECONDS: Final = 1800.0
"""An emptied node keeps the taint for so long, unless a policy says otherwise."""
GIVEN_UP_SECONDS: Final = 600.0
"""A node that was given up rests for so long, unless a policy says otherwise."""
WAITING_SECONDS: Final = 1800.0
"""A node without progress is given up after so long, unless a policy says otherwise."""
LONGEST_REST_SECONDS: Final = 6 * 3600.0
"""A node that was given up for want of progress again and again rests for so long at most, or for a policy's rest."""
VAIN_MOVES: Final = 3
"""A node is without progress only if so many moves of its pods have ended and no fewer pods are left: a single one may
have been overtaken, after which the node waits for its next turn."""
MISSING_SECONDS: Final = 10.0
"""A node that plans no longer have is given up after so long: at the end of a move, the records of the pods and of
their ReplicaSets arrive one after the other, and a plan in between finds no place for a pod that is about to go."""


def emptying_taint(policy: str) -> Taint:
    """The taint of a node that this ElasticPolicy empties."""
    return Taint(key=EMPTYING_TAINT, effect=SOFT, value=policy)


@dataclass(frozen=True, slots=True)
class Emptied:
    """What has become of the nodes since the plan before."""

    emptied: tuple[NodeName, ...]
    """Those that have become empty."""
    given_up: tuple[NodeName, ...]
    """Those that are not emptied any more, and are not empty."""


@dataclass(slots=True)
class _Progress:
    """The fewest pods that were left on a node that is being emptied."""

    fewest: int
    since: float
    moves: int = 0
    """How many moves of its pods have ended since."""


@dataclass(slots=True)
class NodeMemory:
    """What is remembered of the nodes that one policy empties."""

    _emptying: frozenset[NodeName] = frozenset()
    _taken_over: bool = field(default=False, compare=False)
    """Whether the nodes that a former leader was emptying were taken over."""
    _empty: dict[NodeName, float] = field(default_factory=dict)
    """Since when nodes with the taint have been empty."""
    _resting: dict[NodeName, float] = field(default_factory=dict)
    """Until when a node that was given up is left alone."""
    _waiting: dict[NodeName, float] = field(default_factory=dict)
    """Since when no pod of a node could be moved."""
    _missing: dict[NodeName, float] = field(default_factory=dict)
    """Since when plans no longer have a node that is being emptied."""
    _progress: dict[NodeName, _Progress] = field(default_factory=dict)
    """The progress of the nodes that are being emptied."""
    _vain: Counter[NodeName] = field(default_factory=Counter)
    """How many times in a row a node was given up for want of progress, and was not empty since."""

    def rests(self, node: NodeName, now: float) -> bool:
        """Whether a node was given up a short time ago."""
        return self._resting.get(node, 0.0) > now

    def move_ended(self, node: NodeName) -> None:
        """Note that a move of a pod of this node has ended, however it did."""
        if node in self._progress:
            self._progress[node].moves += 1

    def follow(
        self,
        planned: Iterable[NodeName],
        *,
        tainted: Collection[NodeName],
        left: Callable[[NodeName], int | None],
        now: float,
        waiting: Collection[NodeName] = frozenset(),
        longest_wait: float = WAITING_SECONDS,
        rest: float = GIVEN_UP_SECONDS,
    ) -> Emptied:
        """Take a plan.

        `tainted` are the nodes with the taint, and `waiting` those of which no pod can be moved. `left` says how
        many pods have to leave a node, and None for one that is gone, later than the plan was made: a pod that was
        deleted in between makes its node an emptied one, not one that was given up. `longest_wait`, after which a node
        without progress is given up, and `rest`, how long a node that is given up is left alone, are in seconds.
        """
        planned = frozenset(planned)
        if not self._taken_over:
            self._emptying |= {name for name in tainted if left(name)}
            self._taken_over = True
        self._note_progress(self._emptying | planned, left, now)
        stuck = self._stuck(waiting, now, longest_wait)
        planned -= stuck
        begun = self._emptying | frozenset(tainted)
        now_empty = {name for name in begun if left(name) == 0}
        emptied = tuple(sorted((self._emptying & now_empty) - self._empty.keys()))
        self._empty = {name: self._empty.get(name, now) for name in now_empty if name in tainted or name in emptied}
        missing = (self._emptying & frozenset(tainted)) - planned - now_empty
        self._missing = {name: self._missing.get(name, now) for name in missing}
        given_up = tuple(
            sorted(name for name, since in self._missing.items() if name in stuck or now - since >= MISSING_SECONDS)
        )
        self._rest(given_up, stuck, now, rest)
        self._vain = Counter({name: times for name, times in self._vain.items() if left(name)})
        self._emptying = (planned | missing.difference(given_up)) - now_empty
        return Emptied(emptied, given_up)

    def _note_progress(self, nodes: Iterable[NodeName], left: Callable[[NodeName], int | None], now: float) -> None:
        before, self._progress = self._progress, {}
        for name in nodes:
            pods, known = left(name), before.get(name)
            if pods is not None:
                self._progress[name] = known if known is not None and known.fewest <= pods else _Progress(pods, now)

    def _stuck(self, waiting: Iterable[NodeName], now: float, longest_wait: float) -> frozenset[NodeName]:
        """The nodes without progress."""
        self._waiting = {name: self._waiting.get(name, now) for name in waiting}
        vain = {name: one.since for name, one in self._progress.items() if one.moves >= VAIN_MOVES}
        both = (*self._waiting.items(), *vain.items())
        return frozenset(name for name, since in both if now - since >= longest_wait)

    def _rest(self, given_up: Iterable[NodeName], stuck: Collection[NodeName], now: float, rest: float) -> None:
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        for name in given_up:
            seconds = rest
            if name in stuck:
                self._vain[name] += 1
                seconds = backoff_seconds(self._vain[name], first=rest, longest=max(LONGEST_REST_SECONDS, rest))
            self._resting[name] = now + seconds

    def goes(self, node: NodeName) -> bool:
        """Forget a node that is removed; whether it was being emptied, and no plan since has seen it empty."""
        begun = node in self._emptying
        self._emptying -= {node}
        self._empty.pop(node, None)
        return begun

    def tainted(self, now: float, *, keep: float = EMPTY_SECONDS) -> frozenset[NodeName]:
        """The nodes that are to carry the taint now; an emptied one keeps it for `keep` seconds."""
        return self._emptying | {name for name, since in self._empty.items() if now - since < keep}
