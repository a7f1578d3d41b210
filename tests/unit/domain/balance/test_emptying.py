"""For how long nodes that are being emptied carry the taint, and what became of them."""

import pytest

from spillway.domain.balance.emptying import (
    EMPTY_SECONDS,
    GIVEN_UP_SECONDS,
    LONGEST_REST_SECONDS,
    MISSING_SECONDS,
    VAIN_MOVES,
    WAITING_SECONDS,
    NodeMemory,
    emptying_taint,
)
from spillway.domain.model.names import EMPTYING_TAINT, NodeName

A, B = NodeName("a"), NodeName("b")
NOW = 10_000.0


def follow(
    memory: NodeMemory,
    planned: str,
    *,
    tainted: str = "",
    empty: str = "",
    waiting: str = "",
    now: float = NOW,
    pods: int = 1,
) -> tuple[str, str]:
    """The nodes that were emptied and given up; each node has a letter for a name, and `pods` unless it is empty."""
    found = memory.follow(
        map(NodeName, planned),
        tainted=set(map(NodeName, tainted)),
        left=lambda node: 0 if node in empty else pods,
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


def test_the_next_leader_gives_up_a_node_no_sooner_than_the_one_before() -> None:
    memory = NodeMemory()
    assert follow(memory, "b", tainted="ab") == ("", "")
    assert memory.tainted(NOW) == {A, B}
    late = NOW + MISSING_SECONDS
    assert follow(memory, "b", tainted="ab", now=late) == ("", "a")
    assert memory.tainted(late) == {B}
    assert follow(memory, "b", tainted="ab", now=late + 1) == ("", ""), "the taint is about to be removed"
    assert memory.tainted(late + 1) == {B}


def given_up_after(pods: list[int], *, moves: list[int], minutes: float) -> float | None:
    """After how many minutes a node is given up: so many pods are on it, and so many moves have ended, pass by pass.

    The last values of both stay as they are.
    """
    memory, now = NodeMemory(), NOW
    for index in range(200):
        if follow(memory, "a", tainted="a", pods=pods[min(index, len(pods) - 1)], now=now)[1]:
            return (now - NOW) / 60
        for _ in range(moves[min(index, len(moves) - 1)]):
            memory.move_ended(A)
        now += minutes * 60
    return None


HALF_AN_HOUR = WAITING_SECONDS / 60


@pytest.mark.parametrize(
    ("pods", "moves", "minutes", "after"),
    [
        pytest.param([9], [1], 1, HALF_AN_HOUR, id="each pod that is moved comes back"),
        pytest.param([9, 8], [1], 1, 1 + HALF_AN_HOUR, id="the pods alternate"),
        pytest.param([9, 12, 11, 10, 9], [1], 5, HALF_AN_HOUR, id="more pods come and only those are moved"),
        pytest.param([9], [1], 25, 75, id="each pod that is moved comes back after a long start-up"),
        pytest.param([9], [VAIN_MOVES, 0], 1, HALF_AN_HOUR, id="moves ended at its beginning and changed nothing"),
        pytest.param([9], [0], 1, None, id="it waits for the moves of other nodes"),
        pytest.param([9], [VAIN_MOVES - 1, 0], 1, None, id="some moves were overtaken, and others have their turn"),
        pytest.param(list(range(60, -1, -1)), [1], 25, None, id="its moves take 25 minutes each and succeed"),
        pytest.param(
            [pods for pods in range(60, -1, -1) for _ in range(3)], [0, 1, 1], 9, None, id="two of three are overtaken"
        ),
    ],
)
def test_a_node_without_progress_is_given_up_and_a_slow_one_is_not(
    pods: list[int], moves: list[int], minutes: float, after: float | None
) -> None:
    assert given_up_after(pods, moves=moves, minutes=minutes) == after


def test_a_node_that_is_given_up_for_want_of_progress_again_and_again_rests_for_longer() -> None:
    memory, now = NodeMemory(), NOW

    def give_up() -> float:
        nonlocal now
        follow(memory, "a", tainted="a", waiting="a", now=now)
        now += WAITING_SECONDS
        assert follow(memory, "a", tainted="a", waiting="a", now=now) == ("", "a")
        began = now
        while memory.rests(A, now):
            now += 60
            follow(memory, "", now=now)
        return now - began

    rests = [give_up() for _ in range(8)]
    assert rests[:4] == [GIVEN_UP_SECONDS * times for times in (1, 2, 4, 8)]
    assert rests[-1] == LONGEST_REST_SECONDS
    follow(memory, "", empty="a", now=now)
    assert give_up() == GIVEN_UP_SECONDS, "it was empty in between"


def test_a_node_that_is_given_up_for_another_reason_rests_for_the_same_time_each_time() -> None:
    memory, now = NodeMemory(), NOW
    for _ in range(3):
        follow(memory, "a", tainted="a", now=now)
        follow(memory, "", tainted="a", now=now)
        now += MISSING_SECONDS
        assert follow(memory, "", tainted="a", now=now) == ("", "a")
        assert not memory.rests(A, now + GIVEN_UP_SECONDS)


def test_a_rest_that_a_policy_makes_longer_than_the_longest_stays() -> None:
    memory, rest = NodeMemory(), 2 * LONGEST_REST_SECONDS
    for now in (NOW, NOW + WAITING_SECONDS):
        memory.follow([A], tainted={A}, left=lambda _: 1, now=now, waiting={A}, rest=rest)
    assert memory.rests(A, now + rest - 1)
    assert not memory.rests(A, now + rest)


def test_nothing_is_remembered_of_a_node_that_is_gone() -> None:
    memory = NodeMemory()
    for now in (NOW, NOW + WAITING_SECONDS):
        follow(memory, "a", tainted="a", waiting="a", now=now)
    later = now + LONGEST_REST_SECONDS
    memory.goes(A)
    memory.follow([], tainted=set(), left=lambda _: None, now=later)
    assert memory == NodeMemory()
