"""The nodes whose pods found no place, and when they are tried again."""

from spillway.domain.balance.consolidation import MOST_FAILED, ConsolidationPlan
from spillway.domain.balance.failed_nodes import FailedNodes
from spillway.domain.model.names import NodeName

NODES = [NodeName(f"n{index:03}") for index in range(MOST_FAILED + 20)]


def plan_of(memory: FailedNodes, nodes: list[NodeName], *, emptied: tuple[NodeName, ...] = ()) -> tuple[NodeName, ...]:
    """The nodes that fail in the next plan, if all but the emptied ones do."""
    turns = sorted((name for name in nodes if name not in emptied), key=lambda name: (memory.last.get(name, 0), name))
    failed = tuple(turns[:MOST_FAILED])
    plan = ConsolidationPlan(emptied, (), failed=failed, tried_all=len(turns) <= MOST_FAILED)
    memory.note(plan, nodes)
    return failed


def test_while_the_bound_is_reached_those_that_failed_come_after_the_others() -> None:
    memory = FailedNodes()
    assert plan_of(memory, NODES) == tuple(NODES[:MOST_FAILED])
    assert plan_of(memory, NODES) == (*NODES[MOST_FAILED:], *NODES[: MOST_FAILED - 20])
    assert plan_of(memory, NODES)[:20] == tuple(NODES[MOST_FAILED - 20 : MOST_FAILED])
    assert set(memory.names) == set(NODES)


def test_the_order_is_that_of_the_plan_while_all_can_be_tried() -> None:
    memory = FailedNodes()
    plan_of(memory, NODES[:2])
    assert (set(memory.names), memory.last) == (set(NODES[:2]), {})
    plan_of(memory, NODES)
    assert memory.last
    plan_of(memory, NODES[: MOST_FAILED - 1])
    assert memory.last == {}


def test_the_bound_counts_until_a_plan_has_tried_all_nodes() -> None:
    memory = FailedNodes()
    plan_of(memory, NODES)
    memory.note(ConsolidationPlan((NODES[0],), (), tried_all=False), NODES[:3])
    assert memory.last == {NODES[1]: 1, NODES[2]: 1}, "the first can be emptied, and most others are gone"
    memory.note(ConsolidationPlan((), ()), NODES[:3])
    assert (memory.last, set(memory.names)) == ({}, set())
