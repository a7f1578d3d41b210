"""The board: a redirect is used once, in order, while it lasts."""

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.pools.verdict import OPEN, PoolVerdict
from spillway.state.board import REDIRECT_SECONDS, Board
from tests.support.fake_clock import FakeClock

OWNER = OwnerUid("rs-1")


def test_a_redirect_is_used_once_and_in_order() -> None:
    board = Board(FakeClock())
    board.redirect(OWNER, physical=True)
    board.redirect(OWNER, avoid=frozenset({"eci-a"}))
    first, second = board.take_redirect(OWNER), board.take_redirect(OWNER)
    assert first is not None
    assert first.physical
    assert second is not None
    assert second.avoid == {"eci-a"}
    assert board.take_redirect(OWNER) is None


def test_a_redirect_that_nobody_used_in_time_is_void() -> None:
    clock = FakeClock()
    board = Board(clock)
    board.redirect(OWNER, physical=True, seconds=10)
    clock.forward(9)
    board.redirect(OWNER, virtual=True, seconds=10)
    clock.forward(1)
    found = board.take_redirect(OWNER)
    assert found is not None
    assert found.virtual


def test_redirects_of_owners_that_create_no_more_pods_are_forgotten() -> None:
    clock = FakeClock()
    board = Board(clock)
    for number in range(4096):
        board.redirect(OwnerUid(f"gone-{number}"), physical=True, seconds=10)
    clock.forward(20)
    board.redirect(OWNER, physical=True)
    assert not board.redirected(OwnerUid("gone-0"))
    assert board.redirected(OWNER)


def test_a_redirect_is_withdrawn_when_its_pod_was_not_deleted() -> None:
    board = Board(FakeClock())
    board.redirect(OWNER, physical=True)
    board.redirect(OWNER, virtual=True)
    board.withdraw_redirect(OWNER)
    board.withdraw_redirect(OwnerUid("another"))
    left = board.take_redirect(OWNER)
    assert left is not None
    assert left.physical
    assert board.take_redirect(OWNER) is None


def test_an_owners_pods_avoid_pool_after_pool_for_a_while() -> None:
    clock = FakeClock()
    board = Board(clock)
    board.avoid(OWNER, {"eci-a"}, 600.0, namespace="shop")
    clock.forward(599)
    board.avoid(OWNER, {"tke-b"}, 600.0, namespace="shop")
    board.avoid(OWNER, (), 9000.0, namespace="shop")
    clock.forward(599)
    assert board.avoided(OWNER) == {"eci-a", "tke-b"}, "the first is not forgotten while the next is tried"
    assert board.avoided(OwnerUid("another")) == frozenset()
    clock.forward(1)
    assert board.avoided(OWNER) == frozenset()
    board.avoid(OWNER, {"tke-b"}, 600.0, namespace="shop")
    assert board.avoided(OWNER) == {"tke-b"}


def test_a_pool_of_which_nothing_is_known_takes_pods() -> None:
    board = Board(FakeClock())
    assert board.verdict("eci-a") is OPEN
    board.verdicts = {"eci-a": PoolVerdict(takes=False, reason="OutOfStock")}
    assert not board.verdict("eci-a").takes


def test_no_namespace_makes_the_board_forget_what_owners_of_another_avoid() -> None:
    board = Board(FakeClock())
    board.avoid(OWNER, {"eci-a"}, 600.0, namespace="shop")
    for number in range(10_000):
        board.avoid(OwnerUid(f"hostile-{number}"), {"eci-a"}, 600.0, namespace="hostile")
    assert board.avoided(OWNER) == {"eci-a"}
    assert board.avoided(OwnerUid("hostile-0")) == frozenset()


def test_a_planned_node_is_taken_once_and_for_a_short_time_alone() -> None:
    clock = FakeClock()
    board = Board(clock)
    board.plan_node(OWNER, NodeName("n4"))
    assert board.plans_node(OWNER)
    assert board.take_planned_node(OwnerUid("another")) is None
    assert board.take_planned_node(OWNER) == "n4"
    assert not board.plans_node(OWNER)
    assert board.take_planned_node(OWNER) is None

    board.plan_node(OWNER, NodeName("n4"))
    clock.forward(REDIRECT_SECONDS)
    assert not board.plans_node(OWNER)
    assert board.take_planned_node(OWNER) is None

    board.plan_node(OWNER, NodeName("n4"))
    board.withdraw_planned_node(OWNER)
    assert board.take_planned_node(OWNER) is None
