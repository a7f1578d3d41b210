"""The size of headroom, and its spread over zones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.headroom import Headroom, HeadroomSchedule
from spillway.domain.fit.room import Free
from spillway.domain.headroom.shape import Shape
from spillway.domain.headroom.size import MOST_UNITS, HeadroomNeeds, HeadroomReason, Rising, size, spread, units_of
from spillway.domain.model.names import Zone

UNIT = Shape(1000, 1000)
EVENING = HeadroomSchedule.model_validate({"name": "evening", "start": "0 18 * * *", "duration": "1h", "nodes": 2})
SHAPES = st.builds(Shape, st.integers(1, 3000), st.integers(1, 3000))
RISING = st.lists(st.builds(Rising, st.text("ab", max_size=3), st.integers(0, 60), SHAPES), max_size=8)
FREE = st.lists(st.builds(Free, st.integers(-10, 5000), st.integers(-10, 5000), st.integers(-1, 20)), max_size=5)


def _needs(spec: dict[str, Any] | None = None, rising: int = 0, **given: Any) -> HeadroomNeeds:
    return HeadroomNeeds(
        Headroom.model_validate(spec or {}), UNIT, rising=[Rising("Deployment/shop/cart", rising, UNIT)], **given
    )


@pytest.mark.parametrize(
    ("needs", "pods", "reason"),
    [
        (_needs(), 0, HeadroomReason.NOTHING),
        (_needs(rising=4), 4, HeadroomReason.FORECAST),
        (_needs({"from": "Fixed"}, rising=4), 0, HeadroomReason.NOTHING),
        (_needs({"min": {"pods": 3}}), 3, HeadroomReason.MINIMUM),
        (_needs({"min": {"pods": 3}}, rising=4), 4, HeadroomReason.FORECAST),
        (_needs({"min": {"nodes": 2}}, node=Shape(3900, 9000)), 6, HeadroomReason.MINIMUM),
        (_needs({"min": {"nodes": 2}}), 2, HeadroomReason.MINIMUM),
        (_needs({"max": {"pods": 3}}, rising=9), 3, HeadroomReason.MAXIMUM),
        (_needs({"max": {"nodes": 1}}, rising=9, node=Shape(3900, 9000)), 3, HeadroomReason.MAXIMUM),
        (_needs(rising=9, max_nodes=2, node=Shape(3900, 9000)), 6, HeadroomReason.MAXIMUM),
        (_needs({"min": {"pods": 3}}, active=[EVENING], node=Shape(3900, 9000)), 6, HeadroomReason.SCHEDULE),
        (_needs({"from": "Fixed"}, active=[EVENING], node=Shape(3900, 9000)), 6, HeadroomReason.SCHEDULE),
        (_needs({"max": {"pods": 2}}, active=[EVENING], node=Shape(3900, 9000)), 2, HeadroomReason.MAXIMUM),
        (_needs(rising=MOST_UNITS * 2), MOST_UNITS, HeadroomReason.FORECAST),
    ],
    ids=str,
)
def test_the_size_is_the_most_that_something_asks_for_within_the_bounds(
    needs: HeadroomNeeds, pods: int, reason: HeadroomReason
) -> None:
    found = size(needs)
    assert (found.pods, found.reason) == (pods, reason)


def test_a_schedule_is_named() -> None:
    assert size(_needs(active=[EVENING])).schedule == "evening"


def test_free_room_on_fixed_nodes_is_taken_off_after_waiting_pods_are_served() -> None:
    free = [Free(2500, 9000, 10), Free(1500, 9000, 10)]
    assert size(_needs(rising=5, free_fixed=free)).pods == 2
    waiting = [Rising("Deployment/shop/pay", 2, UNIT)]
    assert size(_needs(rising=5, free_fixed=free, waiting=waiting)).pods == 4
    # They are not counted themselves: they get their nodes without headroom.
    assert size(_needs(rising=0, waiting=waiting)).pods == 0


def test_small_pods_share_a_unit_and_large_ones_take_several() -> None:
    small, large = Rising("a", 7, Shape(250, 100)), Rising("b", 2, Shape(2500, 100))
    assert units_of([small], UNIT, ()) == 2
    assert units_of([large], UNIT, ()) == 6
    assert units_of([Rising("c", 1, Shape(700, 700)), Rising("d", 1, Shape(300, 300))], UNIT, ()) == 1


@given(RISING, FREE)
def test_the_units_hold_all_that_finds_no_room_elsewhere(rising: list[Rising], free: list[Free]) -> None:
    units = units_of(rising, UNIT, free)
    usable = [one for one in free if one.pods > 0]
    for resource, there in (("cpu_millis", UNIT.cpu_millis), ("memory_bytes", UNIT.memory_bytes)):
        wanted = sum(one.replicas * getattr(one.shape, resource) for one in rising)
        elsewhere = sum(max(0, getattr(one, resource)) for one in usable)
        assert wanted - elsewhere <= units * there
    # One unit a pod, or as many as it is large, is always enough.
    assert units <= sum(one.replicas * 3 for one in rising)


@given(RISING, FREE)
def test_more_free_room_never_means_more_headroom_for_pods_of_one_shape(rising: list[Rising], free: list[Free]) -> None:
    alike = [Rising(one.workload, one.replicas, Shape(400, 300)) for one in rising]
    assert units_of(alike, UNIT, free) <= units_of(alike, UNIT, ())


@given(
    RISING,
    st.one_of(st.none(), st.integers(0, 50)),
    st.one_of(st.none(), st.integers(0, 50)),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_the_size_is_within_its_bounds(
    rising: list[Rising], least: int | None, most: int | None, max_nodes: int | None
) -> None:
    bounds = {"min": {"pods": least}, "max": {"nodes": most}}
    given_bounds = {name: one for name, one in bounds.items() if None not in one.values()}
    spec = Headroom.model_validate(given_bounds)
    needs = HeadroomNeeds(spec, UNIT, rising=rising, node=Shape(3900, 9000), max_nodes=max_nodes)
    highest = min([MOST_UNITS, *(3 * one for one in (most, max_nodes) if one is not None)])
    assert highest >= size(needs).pods >= min(least or 0, highest)


@given(st.integers(0, 200), st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6))
def test_every_zone_gets_as_many_as_any_other_or_one_more(pods: int, zones: list[str]) -> None:
    found = spread(pods, [Zone(zone) for zone in zones])
    assert sum(found.values()) == pods
    assert set(found) <= (set(zones) or {""})
    counts = [found.get(Zone(zone), 0) for zone in set(zones) or {""}]
    assert max(counts) - min(counts) <= 1
