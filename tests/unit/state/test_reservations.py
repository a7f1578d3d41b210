"""Promised places: counted from the promise until the pod shows or the time is up."""

import pytest

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.usage import Usage
from spillway.state.reservations import (
    LONGEST_DISTRUST_SECONDS,
    REMEMBERED_OWNERS,
    SETTLE_SECONDS,
    UNFOLLOWED_MAX,
    Reservations,
)
from tests.support.fake_clock import FakeClock

OWNER, OTHER = OwnerUid("rs-1"), OwnerUid("rs-2")
POD = Usage(1, 500, 1 << 30)
BIGGER = Usage(1, 2000, 4 << 30)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(100.0)


@pytest.fixture
def reservations(clock: FakeClock) -> Reservations:
    return Reservations(clock, seconds=10.0)


def test_what_pods_that_are_not_seen_yet_have_grown_is_forgotten_with_them(reservations: Reservations) -> None:
    first = reservations.reserve(OWNER, pools=("a",), used=POD, measured=POD)
    second = reservations.reserve(OWNER, pools=("a",), used=POD + Usage(0, 100, 0), measured=POD)
    assert reservations.grown_of(OWNER) == Usage()
    unmeasured = reservations.reserve(OWNER, pools=("a",), used=POD)
    reservations.remeasure(unmeasured, used=BIGGER, billed=BIGGER)
    reservations.settle(unmeasured)
    reservations.remeasure(first, used=POD + Usage(0, 200, 0), billed=POD)
    reservations.remeasure(second, used=POD + Usage(0, 150, 0), billed=POD)
    assert reservations.grown_of(OWNER) == Usage(0, 200, 0)
    assert reservations.grown_of(OTHER) == Usage()
    settled = reservations.settle(first)
    assert settled is not None
    assert settled.measured == POD
    assert reservations.settle(first) is None
    reservations.settle(second)
    assert reservations.grown_of(OWNER) == Usage()


def test_a_promise_counts_on_every_pool_that_may_take_the_pod(reservations: Reservations) -> None:
    token = reservations.reserve(OWNER, pools=("a", "b"), used=POD, billed=BIGGER)
    reservations.reserve(OWNER, pools=("b",), used=POD)
    assert (reservations.used_of("a"), reservations.billed_of("a")) == (POD, BIGGER)
    assert reservations.used_of("b") == Usage(2, 1000, 2 << 30)
    assert (reservations.count_of(OWNER), reservations.physical_of(OWNER)) == (2, 0)
    reservations.settle(token)
    assert reservations.used_of("a") == Usage()
    assert reservations.used_of("b") == reservations.billed_of("b") == POD
    assert reservations.count_of(OWNER) == 1


def test_a_promise_of_physical_nodes_counts_for_its_owner_alone(reservations: Reservations) -> None:
    token = reservations.reserve(OWNER, used=POD)
    assert (reservations.count_of(OWNER), reservations.physical_of(OWNER)) == (1, 1)
    assert reservations.count_of(OTHER) == 0
    reservations.settle(token)
    reservations.settle(token)
    assert (reservations.count_of(OWNER), reservations.physical_of(OWNER)) == (0, 0)


def test_what_nobody_comes_for_is_let_go(reservations: Reservations, clock: FakeClock) -> None:
    reservations.reserve(OWNER, pools=("a",), used=POD)
    clock.forward(6)
    late = reservations.reserve(OWNER, used=POD)
    clock.forward(4)
    reservations.expire()
    assert reservations.used_of("a") == Usage()
    assert (reservations.count_of(OWNER), reservations.physical_of(OWNER)) == (1, 1)
    assert reservations.get(late) is not None


def test_while_the_watch_is_silent_no_promise_is_let_go(clock: FakeClock) -> None:
    heard = clock.now()
    reservations = Reservations(clock, known_until=lambda: heard, seconds=10.0)
    reservations.reserve(OWNER, pools=("a",), used=POD)
    for _ in range(45):
        clock.forward(1)
        reservations.expire()
    assert (reservations.used_of("a"), reservations.count_of(OWNER)) == (POD, 1)
    heard += 9
    reservations.expire()
    assert reservations.used_of("a") == POD, "heard, but not since its time was up"
    heard = clock.now()
    reservations.expire()
    assert reservations.used_of("a") == POD, "the watch has just come back and may tell of the pod next"
    clock.forward(1)
    reservations.expire()
    assert (reservations.used_of("a"), reservations.count_of(OWNER)) == (Usage(), 0)


def test_a_void_promise_leaves_its_owners_count_and_not_the_pools(reservations: Reservations, clock: FakeClock) -> None:
    first = reservations.reserve(OWNER, pools=("a",), used=POD)
    reservations.reserve(OWNER, used=POD)
    reservations.disown(OWNER, 1)
    assert (reservations.count_of(OWNER), reservations.physical_of(OWNER)) == (1, 1)
    assert reservations.used_of("a") == POD, "if the pod comes after all, its place is paid for"
    reservations.settle(first)
    assert reservations.used_of("a") == Usage()
    reservations.disown(OWNER, -3)
    reservations.disown(OTHER, 1)
    assert reservations.count_of(OWNER) == 1
    reservations.disown(OWNER, 5)
    assert reservations.count_of(OWNER) == 0
    clock.forward(11)
    reservations.expire()
    assert reservations.count_of(OWNER) == 0


def test_a_pod_that_grew_before_it_came_to_be_is_measured_again(reservations: Reservations) -> None:
    token = reservations.reserve(OWNER, pools=("a",), used=POD)
    reservations.remeasure(token, used=BIGGER, billed=BIGGER)
    assert reservations.used_of("a") == reservations.billed_of("a") == BIGGER
    reservations.settle(token)
    reservations.remeasure(token, used=BIGGER, billed=BIGGER)
    assert reservations.used_of("a") == Usage()


def test_an_owner_whose_pod_never_came_holds_no_pool_until_one_is_seen(
    reservations: Reservations, clock: FakeClock
) -> None:
    """A request that is repeated, whoever sends it, keeps no pool closed."""
    reservations.reserve(OWNER, pools=("a",), used=BIGGER)
    clock.forward(10)
    for _ in range(3):
        token = reservations.reserve(OWNER, pools=("a",), used=BIGGER)
        assert (reservations.used_of("a"), reservations.count_of(OWNER)) == (Usage(), 1)
        reservations.remeasure(token, used=POD, billed=POD)
        assert reservations.used_of("a") == Usage()
        clock.forward(10)
    reservations.reserve(OTHER, pools=("a",), used=POD, namespace="shop")
    assert reservations.used_of("a") == POD, "others hold theirs"
    reservations.settle(reservations.reserve(OWNER, pools=("a",), used=POD))
    reservations.reserve(OWNER, pools=("a",), used=POD, existing=POD)
    assert reservations.used_of("a") == Usage(2, 1000, 2 << 30)


def test_in_a_namespace_whose_pods_did_not_come_no_more_is_held_than_there_is(
    reservations: Reservations, clock: FakeClock
) -> None:
    """Whoever may create owners, or pods under an owner that has others, keeps no pool closed."""
    reservations.reserve(OWNER, pools=("a",), used=BIGGER, namespace="den")
    clock.forward(10)
    reservations.settle(reservations.reserve(OWNER, pools=("a",), used=POD, namespace="den"))
    for number in range(3):
        tried = reservations.reserve(OwnerUid(f"new-{number}"), pools=("a",), used=BIGGER, namespace="den")
        assert (reservations.used_of("a"), reservations.is_trying("den")) == (Usage(), True)
        reservations.settle(tried)
        assert not reservations.is_trying("den")
    assert not reservations.may_hold(OWNER, "den", BIGGER, POD), "one pod of its owner is much smaller"
    three = POD + POD + POD
    assert reservations.may_hold(OWNER, "den", POD, three)
    for _ in range(5):
        reservations.reserve(OWNER, pools=("a",), used=POD, namespace="den", existing=three)
    assert reservations.used_of("a") == three, "as much as exists"
    reservations.reserve(OWNER, pools=("a",), used=POD, namespace="den", existing=None)
    reservations.reserve(OTHER, pools=("a",), used=BIGGER, namespace="shop")
    assert reservations.used_of("a") == three + POD + BIGGER, (
        "a pod that exists holds its place, and others hold theirs"
    )


def test_the_distrust_of_a_namespace_ends_and_lasts_longer_each_time(
    reservations: Reservations, clock: FakeClock
) -> None:
    for seconds in (60, 120, 240):
        reservations.distrust("den")
        clock.forward(seconds - 1)
        reservations.distrust("den")
        assert not reservations.may_hold(OWNER, "den", POD, Usage())
        assert reservations.may_hold(OWNER, "shop", POD, Usage())
        clock.forward(1)
        assert reservations.may_hold(OWNER, "den", POD, Usage())
    clock.forward(LONGEST_DISTRUST_SECONDS + 1)
    reservations.distrust("den")
    clock.forward(60)
    assert reservations.may_hold(OWNER, "den", POD, Usage()), "what was long ago is forgotten"


def test_a_pod_that_was_created_without_its_marks_is_no_cause_of_distrust(
    reservations: Reservations, clock: FakeClock
) -> None:
    """The API server did not wait for the answer, as on a machine with too much to do."""
    reservations.created_unmarked(OWNER)
    for _ in range(2):
        reservations.reserve(OWNER, pools=("a",), used=POD, namespace="shop")
    reservations.created_unmarked(OWNER)
    reservations.created_unmarked(OWNER)
    clock.forward(10)
    assert reservations.may_hold(OWNER, "shop", POD, Usage())
    reservations.reserve(OWNER, pools=("a",), used=POD, namespace="shop")
    clock.forward(10)
    assert not reservations.may_hold(OWNER, "shop", POD, Usage()), "this one did not appear"


def test_a_refusal_that_the_owner_reports_is_no_cause_of_distrust(reservations: Reservations, clock: FakeClock) -> None:
    reservations.reserve(OWNER, pools=("a",), used=POD, namespace="den")
    reservations.refuse(OWNER)
    clock.forward(SETTLE_SECONDS)
    reservations.expire()
    assert reservations.may_hold(OWNER, "den", POD, Usage())


def test_only_the_newest_promises_of_an_owner_hold_pools(reservations: Reservations) -> None:
    first, *_ = [reservations.reserve(OWNER, pools=("a",), used=POD) for _ in range(5)]
    reservations.hold_to(OWNER, 2)
    assert reservations.used_of("a") == Usage(2, 1000, 2 << 30)
    assert reservations.count_of(OWNER) == 5
    reservations.settle(first)
    assert reservations.used_of("a").pods == 2
    reservations.disown(OWNER, 4)
    reservations.hold_to(OWNER, -1)
    assert (reservations.used_of("a"), reservations.count_of(OWNER)) == (Usage(), 0)
    reservations.expire()


def test_owners_that_are_not_followed_have_a_bounded_number_of_reservations(reservations: Reservations) -> None:
    honest = reservations.reserve(OTHER, pools=("a",), used=POD, namespace="shop", followed=False)
    followed = reservations.reserve(OTHER, used=POD)
    for number in range(UNFOLLOWED_MAX + 100):
        reservations.reserve(OwnerUid(f"invented-{number}"), used=POD, namespace="den", followed=False)
    held = [number for number in range(UNFOLLOWED_MAX + 100) if reservations.count_of(OwnerUid(f"invented-{number}"))]
    assert len(held) == UNFOLLOWED_MAX - 1
    assert held[-1] == UNFOLLOWED_MAX + 99, "the oldest of the namespace with most ended"
    assert reservations.get(honest)
    assert reservations.get(followed)
    assert reservations.used_of("a") == POD


def test_those_that_have_ended_make_room_for_others(reservations: Reservations) -> None:
    first = reservations.reserve(OTHER, used=POD, namespace="shop", followed=False)
    for _ in range(UNFOLLOWED_MAX):
        reservations.settle(reservations.reserve(OWNER, used=POD, namespace="shop", followed=False))
    assert reservations.get(first)


def test_a_refused_pod_counts_until_the_watch_has_caught_up(reservations: Reservations, clock: FakeClock) -> None:
    created, refused = reservations.reserve(OWNER, used=POD), reservations.reserve(OWNER, pools=("a",), used=POD)
    other = reservations.reserve(OTHER, used=POD)
    reservations.refuse(OWNER)
    assert reservations.unsettled_seconds(OWNER) == SETTLE_SECONDS
    assert reservations.unsettled_seconds(OTHER) == 0.0
    later = reservations.reserve(OWNER, used=POD)
    reservations.settle(created)
    clock.forward(SETTLE_SECONDS)
    reservations.expire()
    assert reservations.get(refused) is None
    assert (reservations.count_of(OWNER), reservations.physical_of(OWNER)) == (1, 1), "the next try counts"
    assert reservations.used_of("a") == Usage()
    assert reservations.get(other) is not None
    assert reservations.unsettled_seconds(OWNER) == 0.0
    reservations.settle(later)
    reservations.reserve(OWNER, pools=("a",), used=POD)
    assert reservations.used_of("a") == POD, "a refusal casts no doubt on its owner"


def test_what_ended_without_a_pod_is_told_with_its_cause(reservations: Reservations, clock: FakeClock) -> None:
    told: list[tuple[OwnerUid, list[tuple[str, ...]], bool]] = []
    reservations.lost.subscribe(lambda owner, lost, refused: told.append((owner, [one.pools for one in lost], refused)))
    reservations.reserve(OWNER, pools=("a",), used=POD)
    reservations.reserve(OWNER, used=POD)
    reservations.reserve(OTHER, pools=("b",), used=POD)
    seen = reservations.reserve(OTHER, used=POD)
    reservations.refuse(OWNER)
    reservations.settle(seen)
    clock.forward(10.0)
    reservations.expire()
    assert told == [(OWNER, [("a",), ()], True), (OTHER, [("b",)], False)]


def test_owners_without_pods_in_one_namespace_do_not_make_others_forgotten(
    reservations: Reservations, clock: FakeClock
) -> None:
    reservations.reserve(OWNER, pools=("a",), used=POD, namespace="den")
    for number in range(REMEMBERED_OWNERS):
        reservations.reserve(OwnerUid(f"hostile-{number}"), pools=("a",), used=POD, namespace="hostile")
    clock.forward(11)
    reservations.expire()
    reservations.reserve(OWNER, pools=("a",), used=POD, namespace="den")
    assert reservations.used_of("a") == Usage(), "its pod did not come, and that is remembered"
    reservations.reserve(OTHER, pools=("a",), used=POD, namespace="shop")
    assert reservations.used_of("a") == POD
