"""The hold of a headroom that is to shrink."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.headroom.hold import Hold


def test_it_grows_at_once_and_shrinks_once_less_was_enough_for_long_enough() -> None:
    hold = Hold().then(2, 0.0, seconds=600)
    hold = hold.then(8, 60.0, seconds=600)
    assert hold.pods(100) == 8
    hold = hold.then(3, 120.0, seconds=600)
    assert hold.pods(100) == 8
    hold = hold.then(3, 659.0, seconds=600)
    assert hold.pods(100) == 8
    assert hold.shrinks_at(600) == 660.0
    hold = hold.then(1, 661.0, seconds=600)
    assert hold.pods(100) == 3


def test_what_the_workloads_have_taken_of_it_is_not_kept() -> None:
    hold = Hold().then(8, 0.0, seconds=600, replicas=20)
    # Six of the eight were for these replicas.
    hold = hold.then(0, 60.0, seconds=600, replicas=26)
    assert hold.pods(100) == 2
    # A spike that is over gives them back, and no more than there was.
    hold = hold.then(0, 120.0, seconds=600, replicas=20)
    assert hold.pods(100) == 8
    hold = hold.then(0, 180.0, seconds=600, replicas=4)
    assert hold.pods(100) == 8
    hold = hold.then(1, 240.0, seconds=600, replicas=40)
    assert hold.pods(100) == 1


def test_a_lower_bound_counts_at_once() -> None:
    assert Hold().then(8, 0.0, seconds=600).pods(5) == 5


@given(st.lists(st.tuples(st.floats(0, 900), st.integers(0, 50)), min_size=1, max_size=30))
def test_it_is_the_most_that_was_wanted_within_the_time(steps: list[tuple[float, int]]) -> None:
    hold, now, seen = Hold(), 0.0, list[tuple[float, int]]()
    for pause, pods in steps:
        now += pause
        seen.append((now, pods))
        hold = hold.then(pods, now, seconds=600)
        expected = max([pods, *(wanted for at, wanted in seen if now - at < 600)])
        assert hold.pods(1000) == expected
        assert len(hold.wanted) <= 51
