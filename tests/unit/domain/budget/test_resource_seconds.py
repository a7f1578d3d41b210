"""Who used what: exact between any looks, and told under few names that do not come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.budget.resource_seconds import Consumed, Meter

pods = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 100), st.integers(1, 50), st.integers(0, 4000), st.integers(0, 99)),
    max_size=10,
)


@given(pods, st.sets(st.integers(0, 150)))
def test_what_is_collected_is_the_sum_over_the_pods(
    lives: list[tuple[str, int, int, int, int]], looks: set[int]
) -> None:
    meter = Meter[str]()
    total: dict[str, Consumed] = {}

    def collect(now: int) -> None:
        if meter.unchanged:
            seconds = meter.pass_time(now)
            found = {key: Consumed(one[0] * seconds, one[1] * seconds) for key, one in meter.present().items()}
        else:
            found = dict(meter.collect(now))
        for key, more in found.items():
            before = total.get(key, Consumed())
            total[key] = Consumed(before[0] + more[0], before[1] + more[1])

    for moment in range(151):
        for key, start, runs, cpu, memory in lives:
            if moment == start:
                meter.add(key, cpu, memory, now=moment)
            if moment == start + runs:
                meter.remove(key, cpu, memory, now=moment)
        if moment in looks:
            collect(moment)
    collect(151)
    for key in "ab":
        expected = Consumed(
            sum(life[2] * life[3] for life in lives if life[0] == key),
            sum(life[2] * life[4] for life in lives if life[0] == key),
        )
        assert total.get(key, Consumed()) == expected
    meter.collect(151)
    assert not meter.present()


def test_each_second_is_collected_once() -> None:
    meter = Meter[str]()
    meter.add("a", 1000, 5, now=0)
    assert meter.collect(10) == {"a": Consumed(10_000, 50)}
    assert meter.collect(12) == {"a": Consumed(2000, 10)}
    assert meter.collect(12) == {}


def test_time_passes_only_over_a_meter_that_has_not_changed() -> None:
    meter = Meter[str]()
    meter.add("a", 1000, 5, now=0)
    with pytest.raises(ValueError, match="changed"):
        meter.pass_time(10)
    meter.collect(10)
    assert meter.pass_time(14) == 4
    assert meter.pass_time(12) == 0, "the clock went back"
    meter.add("b", 1000, 5, now=15)
    assert not meter.unchanged
    assert meter.collect(16) == {"a": Consumed(2000, 10), "b": Consumed(1000, 5)}


def test_a_clock_that_goes_back_consumes_nothing() -> None:
    meter = Meter[str]()
    meter.add("a", 1000, 5, now=100)
    assert meter.collect(50) == {}
    assert meter.collect(101) == {"a": Consumed(1000, 5)}
