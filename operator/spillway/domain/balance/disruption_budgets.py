"""The disruption budgets of Karpenter's NodePools: how many nodes of each may be emptied at once.

Contract: pure; a NodePool is the JSON of the API server. Budgets are read as Karpenter reads them (`nodepool.go` of
karpenter.sh/v1): the least of those that hold now counts, a percentage is rounded up, and a budget that cannot be
understood allows no node. Emptying a node counts as the reason `Underutilized`, and so do the nodes that Karpenter is
removing, those that are not ready, the empty ones, which it removes next, and those that other ElasticPolicies empty:
together they stay within what the user allows. A node of a NodePool that does not exist is not emptied.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from math import ceil
from typing import Any, Final

from spillway.domain.model.documents import Json
from spillway.domain.model.names import NODE_POOL_LABEL, NodeName
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.recurring import CronError, Recurrence, check_cron

REASON: Final = "Underutilized"
_DEFAULT: Final = ({"nodes": "10%"},)
_INITIALIZED: Final = "karpenter.sh/initialized"
_NODES: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<percent>%)?", re.ASCII)
_DURATION: Final = re.compile(r"(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m)?(?:0s)?", re.ASCII)
_MACROS: Final = {
    "@annually": "0 0 1 1 *",
    "@yearly": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """How many nodes of one NodePool may be disrupted at once, and how many are already."""

    allowed: int | None
    """None where nothing bounds them."""
    disrupted: int

    def takes(self, begun: int, *, emptying: bool) -> bool:
        """Whether one more node may be emptied beside those that are `begun`.

        What was begun is finished as long as the budget itself allows as many.
        """
        if self.allowed is None:
            return True
        return begun < (self.allowed if emptying else self.allowed - self.disrupted)


def disruption_budgets(
    pools: Iterable[Json], nodes: Iterable[NodeRecord], taken: Iterable[NodeName], now: float
) -> Mapping[str, DisruptionBudget]:
    """The budgets of the NodePools of these nodes, by the name of the NodePool.

    `taken` are the nodes without pods, and those that other policies empty.
    """
    specs: Mapping[str, Any] = {pool["metadata"]["name"]: pool.get("spec") or {} for pool in pools}
    others = frozenset(taken)
    count: dict[str, int] = {}
    disrupted: dict[str, int] = {}
    for node in nodes:
        name = node.labels.get(NODE_POOL_LABEL)
        if name is None:
            continue
        count.setdefault(name, 0)
        if node.labels.get(_INITIALIZED) == "true":
            count[name] += 1
            if node.leaves or node.deleting or not node.ready or node.name in others:
                disrupted[name] = disrupted.get(name, 0) + 1
    return {
        name: DisruptionBudget(allowed_nodes(specs[name], total, now) if name in specs else 0, disrupted.get(name, 0))
        for name, total in count.items()
    }


def allowed_nodes(spec: Json, total: int, now: float) -> int | None:
    """How many of `total` nodes the spec of a NodePool allows to be disrupted at once; None where none bounds them."""
    budgets = (spec.get("disruption") or {}).get("budgets")
    found: list[int] = []
    for budget in _DEFAULT if budgets is None else budgets:
        concerned = not budget.get("reasons") or REASON in budget["reasons"]
        try:
            holds = _holds(budget, now)
            nodes = _nodes(str(budget.get("nodes", "10%")), total)
        except ValueError:
            return 0
        if concerned and holds:
            found.append(nodes)
    return min(found, default=None)


def _nodes(text: str, total: int) -> int:
    match = _NODES.fullmatch(text)
    if match is None:
        raise ValueError(text)
    number = int(match["number"])
    return ceil(total * number / 100) if match["percent"] else number


def _holds(budget: Json, now: float) -> bool:
    """Whether a budget holds now; its schedule is in UTC.

    Raises:
        ValueError: its schedule or its duration cannot be understood.
    """
    schedule, duration = budget.get("schedule"), budget.get("duration")
    if schedule is None and duration is None:
        return True
    match = _DURATION.fullmatch(str(duration or ""))
    if match is None or schedule is None:
        raise ValueError(duration)
    seconds = 3600 * int(match["h"] or 0) + 60 * int(match["m"] or 0)
    try:
        expression = check_cron(_MACROS.get(str(schedule), str(schedule)))
    except CronError as error:
        raise ValueError(schedule) from error
    return Recurrence(expression, float(seconds), UTC).at(now)[0]
