"""The verdict on a pool from its budget and its memory, for the controller and for `spillway explain`."""

from collections.abc import Iterable

from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.controllers.pools.memory import PoolMemory
from spillway.domain.model.records import NodeRecord
from spillway.domain.nodes.cordon import BudgetCordon
from spillway.domain.pools.verdict import PoolVerdict, pool_verdict


def verdict_of(
    budget: VirtualNodeBudget, memory: PoolMemory, nodes: Iterable[NodeRecord], *, coming: int, now: float
) -> PoolVerdict:
    """The verdict on a pool by what it remembers; `coming` only matters while it is tried again."""
    ladder = () if budget.spec.stock_out is None else budget.spec.stock_out.ladder
    common, ahead = memory.ladders.for_all, memory.ladders.ahead
    return pool_verdict(
        nodes,
        memory.health,
        held=BudgetCordon.of(budget).active(now),
        step=common.step,
        out_of_stock=common.out_of_stock(ladder),
        steps={name: one.step for name, one in ahead.items()},
        out_of_stock_for=frozenset(name for name, one in ahead.items() if one.out_of_stock(ladder)),
        coming=coming,
        kept_out=memory.kept_out,
    )
