"""The elastic nodes whose pods found no place on other nodes, so that they do not keep other nodes from being tried.

Contract: pure. A plan tries no further node after `MOST_FAILED` nodes have failed. While that bound is reached, the
nodes that failed are tried after all others in the next plans, those that failed last at the very end; otherwise the
order is that of the plan alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from spillway.domain.balance.consolidation import MOST_FAILED, ConsolidationPlan
from spillway.domain.model.names import NodeName


@dataclass(slots=True)
class FailedNodes:
    """What is remembered of the plans of one policy."""

    _plans: int = 0
    _last: dict[NodeName, int] = field(default_factory=dict)
    """The number of the plan in which a node failed last."""
    _bounded: bool = False
    """Whether the bound was reached, and no plan since then has tried all nodes without reaching it."""

    @property
    def names(self) -> Collection[NodeName]:
        """The nodes that failed when they were last tried."""
        return self._last.keys()

    @property
    def last(self) -> Mapping[NodeName, int]:
        """For the next plan, when each node failed; empty while all nodes can be tried."""
        return self._last if self._bounded else {}

    def note(self, plan: ConsolidationPlan, little_used: Collection[NodeName]) -> None:
        """Take a plan; `little_used` are the nodes that it may have tried."""
        self._plans += 1
        reached = len(plan.failed) == MOST_FAILED
        self._bounded = reached or (self._bounded and not plan.tried_all)
        kept = {} if plan.tried_all else {name: at for name, at in self._last.items() if name in little_used}
        for name in plan.nodes:
            kept.pop(name, None)
        self._last = kept | dict.fromkeys(plan.failed, self._plans)
