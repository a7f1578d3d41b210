"""For how long nodes that are being emptied carry the taint, and what became of them."""

from spillway.domain.balance.emptying import (
    EMPTY_SECONDS,
    GIVEN_UP_SECONDS,
    MISSING_SECONDS,
    WAITING_SECONDS,
    NodeMemory,
    emptying_taint,
)
from spillway.domain.model.names import EMPTYING_TAINT, NodeName

A, B = NodeName("a"), NodeName("b")
NOW = 10_000.0


def follow(
    memory: NodeMemory, planned: str, *, tainted: str = "", empty: str = "", waiting: str = "", now: float = NOW
) -> tuple[str, str]:
    """The nodes that were emptied and given up; each node has a letter for a name."""
    found = memory.follow(
        map(NodeName, planned),
        tainted=set(map(NodeName, tainted)),
        is_empty=set(map(NodeName, empty)).__contains__,
        now=now,
        waiting=set(map(NodeName, waiting)),
    )
    return "".join(found.emptied), "".join(found.given_up)


def test_the_taint_names_the_policy_and_repels_softly() -> None:
    taint = emptying_taint("online")
    assert (taint.key, taint.effect, taint.value) == (EMPTYING_TAINT, "PreferNoSchedule", "online")


def test_an_emptied_node_keeps_the_taint_for_a_while() -> None:
    memory = NodeMemory()
    assert follow(memory, "a") == ("", "")
    assert memory.tainted(NOW) == {A}
    assert follow(memory, "", tainted="a", empty="a", now=NOW + 60) == ("a", "")
    assert memory.tainted(NOW + 60) == {A}
    assert follow(memory, "", tainted="a", empty="a", now=NOW + 90) == ("", "")
    assert memory.tainted(NOW + 60 + EMPTY_SECONDS) == frozenset()


def test_a_planned_node_whose_last_pod_has_just_gone_counts_once() -> None:
    memory = NodeMemory()
    follow(memory, "a")
    assert follow(memory, "a", tainted="a", empty="a") == ("a", "")
    assert memory.tainted(NOW) == {A}
    assert not memory.goes(A)


def test_a_node_that_is_left_with_pods_is_given_up_and_rests() -> None:
    memory = NodeMemory()
    follow(memory, "ab")
    assert follow(memory, "b", tainted="ab") == ("", "")
    late = NOW + MISSING_SECONDS
    assert follow(memory, "b", tainted="ab", now=late) == ("", "a")
    assert memory.tainted(late) == {B}
    assert memory.rests(A, late + GIVEN_UP_SECONDS - 1)
    assert not memory.rests(A, late + GIVEN_UP_SECONDS)
    assert not memory.rests(B, late)


def test_a_node_that_one_plan_does_not_have_is_not_given_up() -> None:
    memory = NodeMemory()
    follow(memory, "ab")
    assert follow(memory, "", tainted="ab") == ("", "")
    assert memory.tainted(NOW) == {A, B}
    assert follow(memory, "a", tainted="ab", empty="b", now=NOW + 1) == ("b", "")
    late = NOW + MISSING_SECONDS
    assert follow(memory, "", tainted="ab", empty="b", now=late) == ("", ""), "its time begins again"
    assert memory.tainted(late) == {A, B}


def test_a_node_of_which_no_pod_can_be_moved_for_long_is_given_up_and_rests() -> None:
    memory = NodeMemory()
    follow(memory, "ab", tainted="ab", waiting="a")
    late = NOW + WAITING_SECONDS
    assert follow(memory, "ab", tainted="ab", waiting="a", now=late - 1) == ("", "")
    assert follow(memory, "ab", tainted="ab", waiting="a", now=late) == ("", "a")
    assert memory.tainted(late) == {B}
    assert memory.rests(A, late + GIVEN_UP_SECONDS - 1)


def test_a_move_in_between_begins_the_wait_again() -> None:
    memory = NodeMemory()
    follow(memory, "a", tainted="a", waiting="a")
    follow(memory, "a", tainted="a", now=NOW + WAITING_SECONDS - 1)
    assert follow(memory, "a", tainted="a", waiting="a", now=NOW + WAITING_SECONDS) == ("", "")


def test_an_emptied_node_that_got_a_pod_loses_the_taint_unless_it_is_planned_again() -> None:
    memory = NodeMemory()
    follow(memory, "a")
    follow(memory, "", tainted="a", empty="a")
    follow(memory, "", tainted="a")
    assert memory.tainted(NOW) == frozenset()


def test_a_node_that_is_removed_is_told_once() -> None:
    memory = NodeMemory()
    follow(memory, "ab")
    assert memory.goes(A)
    assert not memory.goes(A)
    assert memory.tainted(NOW) == {B}
    assert follow(memory, "", tainted="b", empty="b") == ("b", "")
    assert not memory.goes(B), "it was seen empty"


def test_the_next_leader_keeps_the_taint_of_an_empty_node() -> None:
    memory = NodeMemory()
    assert follow(memory, "", tainted="a", empty="a") == ("", "")
    assert memory.tainted(NOW) == {A}
    assert memory.tainted(NOW + EMPTY_SECONDS) == frozenset()
