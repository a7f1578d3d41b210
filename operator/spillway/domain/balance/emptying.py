"""The soft taint of elastic nodes that are being emptied, and for how long an emptied node keeps it.

Contract: pure. An emptied node keeps the taint for a while, because the scheduler prefers empty nodes, and a node
autoscaler removes a node only after it was empty for some time. A node that was begun and can be emptied no longer
rests, so that its taint does not come and go; as does one of which no pod could be moved for long, because few nodes
are emptied at once, and the pods of one user would keep all others from it. A node that a node autoscaler removes with
pods on it counts as neither.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.names import EMPTYING_TAINT, NodeName
from spillway.domain.model.records import Taint
from spillway.domain.nodes.taints import SOFT

EMPTY_SECONDS: Final = 1800.0
"""An emptied node keeps the taint for so long, unless a policy says otherwise."""
GIVEN_UP_SECONDS: Final = 600.0
"""A node that was given up rests for so long, unless a policy says otherwise."""
WAITING_SECONDS: Final = 1800.0
"""A node of which no pod can be moved is given up after so long, unless a policy says otherwise."""
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
class NodeMemory:
    """What is remembered of the nodes that one policy empties."""

    _emptying: frozenset[NodeName] = frozenset()
    _empty: dict[NodeName, float] = field(default_factory=dict)
    """Since when nodes with the taint have been empty."""
    _resting: dict[NodeName, float] = field(default_factory=dict)
    """Until when a node that was given up is left alone."""
    _waiting: dict[NodeName, float] = field(default_factory=dict)
    """Since when no pod of a node could be moved."""
    _missing: dict[NodeName, float] = field(default_factory=dict)
    """Since when plans no longer have a node that is being emptied."""

    def rests(self, node: NodeName, now: float) -> bool:
        """Whether a node was given up a short time ago."""
        return self._resting.get(node, 0.0) > now

    def follow(
        self,
        planned: Iterable[NodeName],
        *,
        tainted: Collection[NodeName],
        is_empty: Callable[[NodeName], bool],
        now: float,
        waiting: Collection[NodeName] = frozenset(),
        longest_wait: float = WAITING_SECONDS,
        rest: float = GIVEN_UP_SECONDS,
    ) -> Emptied:
        """Take a plan.

        `tainted` are the nodes with the taint, and `waiting` those of which no pod can be moved now. `is_empty` says
        whether a node is without pods now, later than what the plan was made from: a pod that was deleted in between
        makes its node an emptied one, not one that was given up. `longest_wait` and `rest`, how long a node that is
        given up is left alone, are in seconds.
        """
        self._waiting = {name: self._waiting.get(name, now) for name in waiting}
        stuck = frozenset(name for name, since in self._waiting.items() if now - since >= longest_wait)
        planned = frozenset(planned) - stuck
        begun = self._emptying | frozenset(tainted)
        now_empty = set(filter(is_empty, begun))
        emptied = tuple(sorted((self._emptying & now_empty) - self._empty.keys()))
        self._empty = {name: self._empty.get(name, now) for name in now_empty if name in tainted or name in emptied}
        missing = (self._emptying & frozenset(tainted)) - planned - now_empty
        self._missing = {name: self._missing.get(name, now) for name in missing}
        given_up = tuple(
            sorted(name for name, since in self._missing.items() if name in stuck or now - since >= MISSING_SECONDS)
        )
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        self._resting.update(dict.fromkeys(given_up, now + rest))
        self._emptying = (planned | missing.difference(given_up)) - now_empty
        return Emptied(emptied, given_up)

    def goes(self, node: NodeName) -> bool:
        """Forget a node that is removed; whether it was being emptied, and no plan since has seen it empty."""
        begun = node in self._emptying
        self._emptying -= {node}
        self._empty.pop(node, None)
        return begun

    def tainted(self, now: float, *, keep: float = EMPTY_SECONDS) -> frozenset[NodeName]:
        """The nodes that are to carry the taint now; an emptied one keeps it for `keep` seconds."""
        return self._emptying | {name for name, since in self._empty.items() if now - since < keep}
