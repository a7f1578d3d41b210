"""When a node is hot, and which hot nodes carry the taint."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.hot_nodes import MOST_SHARE, HotPlan, HotRule, plan_hot
from spillway.domain.model.names import NodeName, Zone

NOW = 10_000.0
RULE = HotRule(above=80.0, seconds=300.0)
NAMES = [NodeName(f"n{index}") for index in range(9)]
ONE_ZONE = dict.fromkeys(NAMES, Zone("a"))


def plan(
    loads: Mapping[NodeName, float],
    *,
    since: Mapping[NodeName, float] | None = None,
    tainted: tuple[NodeName, ...] = (),
) -> HotPlan:
    return plan_hot(ONE_ZONE, loads, RULE, since=since or {}, tainted=tainted, taking=NAMES, now=NOW)


@pytest.mark.parametrize(
    ("load", "age", "tainted", "hot", "counting"),
    [
        pytest.param(90.0, None, False, False, True, id="has just risen"),
        pytest.param(90.0, 299, False, False, True, id="not for long enough"),
        pytest.param(90.0, 300, False, True, True, id="for long enough"),
        pytest.param(80.0, 299, False, False, False, id="at the limit is not above it"),
        pytest.param(75.0, 299, False, False, False, id="fell before it was hot"),
        pytest.param(75.0, 400, False, True, True, id="hot and not cooled"),
        pytest.param(70.0, 400, False, False, False, id="hot and cooled"),
        pytest.param(75.0, None, True, True, True, id="tainted by another leader and not cooled"),
        pytest.param(69.0, None, True, False, False, id="tainted by another leader and cooled"),
        pytest.param(None, 400, False, True, True, id="hot, and the load is not known"),
        pytest.param(None, None, True, True, True, id="tainted, and the load is not known"),
        pytest.param(None, 100, False, False, False, id="not hot yet, and the load is not known"),
    ],
)
def test_a_node(load: float | None, age: float | None, *, tainted: bool, hot: bool, counting: bool) -> None:
    found = plan(
        {} if load is None else {NAMES[0]: load},
        since={} if age is None else {NAMES[0]: NOW - age},
        tainted=(NAMES[0],) if tainted else (),
    )
    assert (found.hot == (NAMES[0],)) is hot
    assert (NAMES[0] in found.since) is counting


def test_the_hottest_of_a_zone_are_tainted_up_to_a_third() -> None:
    loads = {name: 81.0 + index for index, name in enumerate(NAMES)}
    found = plan(loads, since=dict.fromkeys(NAMES, 0.0))
    assert found.hot == tuple(reversed(NAMES))
    assert found.tainted == set(NAMES[-3:])


def test_a_taint_does_not_move_to_a_node_that_is_a_little_hotter() -> None:
    loads = {name: 81.0 + index for index, name in enumerate(NAMES)}
    found = plan(loads, since=dict.fromkeys(NAMES, 0.0), tainted=(NAMES[0], NAMES[8]))
    assert found.tainted == {NAMES[0], NAMES[8], NAMES[7]}


@pytest.mark.parametrize(("count", "tainted"), [(1, 0), (2, 1), (3, 1), (5, 1), (6, 2)])
def test_a_small_zone(count: int, tainted: int) -> None:
    zones = dict.fromkeys(NAMES[:count], Zone("a"))
    loads = dict.fromkeys(zones, 95.0)
    found = plan_hot(zones, loads, RULE, since=dict.fromkeys(zones, 0.0), tainted=(), taking=zones, now=NOW)
    assert len(found.tainted) == tainted


@pytest.mark.parametrize(
    ("taking", "tainted", "found"),
    [
        pytest.param("01", "", "0", id="one of two that take pods, whatever the zone had"),
        pytest.param("01", "01", "0", id="a taint of two that is one too many now"),
        pytest.param("0", "0", "", id="none of one"),
        pytest.param("0123", "5", "05", id="one that takes no pods keeps its taint, and counts for nothing"),
        pytest.param("0123", "", "0", id="one that takes no pods gets none"),
    ],
)
def test_the_nodes_that_take_no_pods_do_not_count(taking: str, tainted: str, found: str) -> None:
    zones = dict.fromkeys(NAMES[:6], Zone("a"))
    loads = {NAMES[0]: 95.0, NAMES[1]: 93.0, NAMES[5]: 99.0}
    plan = plan_hot(
        zones,
        loads,
        RULE,
        since=dict.fromkeys(loads, 0.0),
        tainted=[NAMES[int(one)] for one in tainted],
        taking=[NAMES[int(one)] for one in taking],
        now=NOW,
    )
    assert plan.tainted == {NAMES[int(one)] for one in found}


def test_a_low_limit_cools_at_its_half() -> None:
    assert HotRule(above=10.0, seconds=0.0).cooled == 5.0


@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["a", "b"]), min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 200)),
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, NOW)),
    st.sets(st.sampled_from(NAMES)),
    st.sets(st.sampled_from(NAMES)),
)
def test_the_share_of_a_zone_is_bounded_and_only_hot_nodes_are_tainted(
    zones: dict[NodeName, str],
    loads: dict[NodeName, float],
    since: dict[NodeName, float],
    tainted: set[NodeName],
    taking: set[NodeName],
) -> None:
    places = {name: Zone(zone) for name, zone in zones.items()}
    found = plan_hot(places, loads, RULE, since=since, tainted=tainted & set(places), taking=taking, now=NOW)
    assert found.tainted <= set(found.hot) <= set(places)
    for zone in set(places.values()):
        members = {name for name in taking if places.get(name) == zone}
        assert len(found.tainted & members) <= max(len(members) * MOST_SHARE, 1)
    assert found.tainted - taking <= tainted
    again = plan_hot(places, loads, RULE, since=found.since, tainted=found.tainted, taking=taking, now=NOW)
    assert (set(again.hot), again.tainted) == (set(found.hot), found.tainted)
