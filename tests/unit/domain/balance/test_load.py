"""When a reading of the load counts, and how it is smoothed."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.load import (
    COUNTED_SECONDS,
    LEAST_SHARE,
    SMOOTHING_SECONDS,
    LoadProblem,
    Loads,
    NodeShare,
    Weights,
    checked,
    evenness,
    following,
)
from spillway.domain.model.names import NodeName

NOW = 1_000_000.0
WEIGHTS = Weights()
TEN = [NodeName(f"n{index}") for index in range(10)]


def shares_of(
    cpu: float, count: int = 10, *, age: float = 10.0, memory: float | None = 0.5
) -> dict[NodeName, NodeShare]:
    return {name: NodeShare(cpu, NOW - age, memory) for name in TEN[:count]}


def with_value(count: int, share: NodeShare) -> dict[NodeName, NodeShare]:
    return {**shares_of(0.5), **dict.fromkeys(TEN[:count], share)}


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        pytest.param(shares_of(0.5), "", id="all"),
        pytest.param(shares_of(0.5, 8), "", id="just enough"),
        pytest.param(shares_of(0.5, 7), "PartialLoad", id="partial"),
        pytest.param({}, "PartialLoad", id="none"),
        pytest.param(shares_of(0.5, age=181.0), "OldLoad", id="old"),
        pytest.param(with_value(2, NodeShare(math.nan, NOW, 0.5)), "", id="two are no number"),
        pytest.param(with_value(3, NodeShare(math.nan, NOW, 0.5)), "AbsurdLoad", id="three are no number"),
        pytest.param(with_value(3, NodeShare(-0.1, NOW, 0.5)), "AbsurdLoad", id="negative"),
        pytest.param(with_value(3, NodeShare(0.5, NOW, math.inf)), "AbsurdLoad", id="infinite memory"),
        pytest.param(with_value(3, NodeShare(2.01, NOW, 0.5)), "AbsurdLoad", id="twice what there is"),
        pytest.param(with_value(10, NodeShare(1.2, NOW, None)), "", id="a little more than there is, without memory"),
    ],
)
def test_a_reading_counts_with_most_of_the_nodes(shares: Mapping[NodeName, NodeShare], reason: str) -> None:
    found = checked(shares, TEN, now=NOW, stale_after=180.0)
    if reason:
        assert isinstance(found, LoadProblem)
        assert found.reason == reason
        assert f"of {len(TEN)} nodes" in found.message
    else:
        assert not isinstance(found, LoadProblem)
        assert len(found) >= LEAST_SHARE * len(TEN)


def test_without_nodes_nothing_is_known() -> None:
    found = checked(shares_of(0.5), [], now=NOW, stale_after=180.0)
    assert isinstance(found, LoadProblem)
    assert found.reason == "NoNodes"


def test_nodes_that_are_not_wanted_do_not_count() -> None:
    found = checked(shares_of(0.5), TEN[:3], now=NOW, stale_after=180.0)
    assert not isinstance(found, LoadProblem)
    assert set(found) == set(TEN[:3])


@pytest.mark.parametrize(
    ("share", "percent"),
    [
        pytest.param(NodeShare(1.0, NOW, 0.0), 70.0, id="CPU"),
        pytest.param(NodeShare(0.0, NOW, 1.0), 30.0, id="memory"),
        pytest.param(NodeShare(0.4, NOW, 0.4), 40.0, id="both"),
        pytest.param(NodeShare(0.8, NOW, None), 80.0, id="CPU is all that is read"),
    ],
)
def test_the_weights(share: NodeShare, percent: float) -> None:
    assert following(Loads(), {TEN[0]: share}, WEIGHTS, now=NOW).percent[TEN[0]] == pytest.approx(percent)


def test_a_change_shows_to_two_thirds_after_the_smoothing_time() -> None:
    before = following(Loads(), shares_of(0.0, memory=None), WEIGHTS, now=NOW)
    after = following(before, shares_of(0.9, memory=None), WEIGHTS, now=NOW + SMOOTHING_SECONDS)
    assert after.percent[TEN[0]] == pytest.approx(90 * (1 - math.exp(-1)))


def test_a_new_node_is_not_smoothed_and_one_that_left_is_forgotten() -> None:
    before = following(Loads(), shares_of(0.0, 1, memory=None), WEIGHTS, now=NOW)
    after = following(before, {TEN[1]: NodeShare(0.9, NOW, None)}, WEIGHTS, now=NOW + 1)
    assert after.percent == {TEN[1]: pytest.approx(90.0)}


def test_the_first_measurement_of_a_node_is_known_as_long_as_it_matters() -> None:
    loads = following(Loads(), shares_of(0.5, 1), WEIGHTS, now=NOW)
    assert loads.first == {TEN[0]: NOW - 10.0}
    later = following(loads, shares_of(0.5, 2, age=-30.0), WEIGHTS, now=NOW + 60.0)
    assert later.first == {TEN[0]: NOW - 10.0, TEN[1]: NOW + 30.0}
    assert following(later, shares_of(0.5, 2), WEIGHTS, now=NOW + COUNTED_SECONDS).first == {TEN[1]: NOW + 30.0}


@pytest.mark.parametrize(("age", "known"), [(180.0, True), (180.1, False)])
def test_old_loads_are_not_used(age: float, *, known: bool) -> None:
    loads = following(Loads(), shares_of(0.5), WEIGHTS, now=NOW)
    assert bool(loads.current(NOW + age, 180.0)) is known


def test_loads_that_were_never_read_are_not_known() -> None:
    assert not Loads().current(0.0, 180.0)


def test_evenness_is_by_zone_and_over_all_nodes() -> None:
    even = evenness({TEN[0]: 90.0, TEN[1]: 50.0, TEN[2]: 20.0}, {TEN[0]: "a", TEN[1]: "a", TEN[2]: "b", TEN[3]: "c"})
    assert even.zones == {"a": 70.0, "b": 20.0}
    assert even.imbalance == 70.0


SHARE = st.floats(0, 2).map(lambda cpu: NodeShare(cpu, NOW, None))


@given(st.lists(st.dictionaries(st.sampled_from(TEN), SHARE, min_size=1), min_size=1, max_size=6), st.floats(1, 600))
def test_a_smoothed_load_lies_between_the_readings(readings: list[dict[NodeName, NodeShare]], step: float) -> None:
    loads = Loads()
    seen: dict[NodeName, list[float]] = {}
    for index, reading in enumerate(readings):
        loads = following(loads, reading, WEIGHTS, now=NOW + index * step)
        for name, share in reading.items():
            seen.setdefault(name, []).append(100 * share.cpu)
        assert set(loads.percent) == set(reading)
    assert all(min(seen[name]) - 1e-6 <= load <= max(seen[name]) + 1e-6 for name, load in loads.percent.items())
