"""The size of headroom, and its spread over zones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.headroom import Headroom, HeadroomSchedule
from spillway.domain.headroom.shape import Shape, units_for
from spillway.domain.headroom.size import (
    MOST_UNITS,
    FixedRooms,
    HeadroomNeeds,
    HeadroomReason,
    HeadroomSize,
    Replica,
    rise_units,
    size,
    spread,
)
from spillway.domain.model.names import Zone
from spillway.domain.model.usage import Usage

UNIT = Shape(1000, 1000)
NONE: Mapping[Shape, int] = {}
EVENING = HeadroomSchedule.model_validate({"name": "evening", "start": "0 18 * * *", "duration": "1h", "nodes": 2})
BLUE, RED = Replica(UNIT, "blue"), Replica(UNIT, "red")
UNKNOWN, NOT_COMPARED = Replica(UNIT, None), Replica(UNIT, "green")
SHAPES = st.builds(Shape, st.integers(1, 3000), st.integers(1, 3000))
RISING = st.dictionaries(SHAPES, st.integers(0, 60), max_size=8)
FEW = st.dictionaries(st.builds(Shape, st.integers(0, 1500), st.integers(0, 1500)), st.integers(0, 3), max_size=8)
FREE = st.lists(st.builds(Usage, st.integers(-1, 20), st.integers(-10, 5000), st.integers(-10, 5000)), max_size=5)


def _needs(spec: dict[str, Any] | None = None, rising: int = 0, **given: Any) -> HeadroomNeeds:
    return HeadroomNeeds(Headroom.model_validate(spec or {}), UNIT, rising={Replica(UNIT): rising}, **given)


def _size(needs: HeadroomNeeds) -> HeadroomSize:
    return size(needs, [0, *rise_units(needs)][-1])


def _units(rising: Mapping[Shape, int], free: Sequence[Usage] = (), waiting: Mapping[Shape, int] = NONE) -> int:
    return _units_of(_anywhere(rising), FixedRooms(free), _anywhere(waiting))


def _units_of(rising: Mapping[Replica, int], rooms: FixedRooms, waiting: Mapping[Replica, int] | None = None) -> int:
    needs = HeadroomNeeds(Headroom(), UNIT, rising=rising, fixed=rooms, waiting=waiting or {})
    return [0, *rise_units(needs)][-1]


def _anywhere(counts: Mapping[Shape, int]) -> dict[Replica, int]:
    """Replicas that may run on every node."""
    return {Replica(shape): count for shape, count in counts.items()}


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
    found = _size(needs)
    assert (found.pods, found.reason) == (pods, reason)


def test_a_schedule_is_named() -> None:
    assert _size(_needs(active=[EVENING])).schedule == "evening"


def test_free_room_on_fixed_nodes_is_taken_off_after_waiting_pods_are_served() -> None:
    fixed = FixedRooms([Usage(10, 2500, 9000), Usage(10, 1500, 9000)])
    assert _size(_needs(rising=5, fixed=fixed)).pods == 2
    waiting = {Replica(UNIT): 2}
    assert _size(_needs(rising=5, fixed=fixed, waiting=waiting)).pods == 4
    # They are not counted themselves: they get their nodes without headroom.
    assert _size(_needs(rising=0, waiting=waiting)).pods == 0


@pytest.mark.parametrize(
    ("rising", "waiting", "units"),
    [
        ({BLUE: 5}, {}, 3),
        ({RED: 5}, {}, 5),
        ({BLUE: 5, RED: 5}, {}, 8),
        ({Replica(UNIT): 5}, {}, 2),
        ({Replica(UNIT): 5}, {RED: 5}, 2),
        ({Replica(UNIT): 5}, {BLUE: 1}, 3),
        ({BLUE: 5}, {RED: 2}, 3),
        ({UNKNOWN: 5}, {}, 5),
        ({NOT_COMPARED: 5}, {}, 5),
        ({Replica(UNIT): 5}, {UNKNOWN: 5, NOT_COMPARED: 5}, 2),
    ],
    ids=str,
)
def test_only_room_on_nodes_on_which_a_replica_may_run_is_taken_off(
    rising: dict[Replica, int], waiting: dict[Replica, int], units: int
) -> None:
    rooms = FixedRooms([Usage(10, 2000, 9000), Usage(10, 1000, 9000)], {"blue": 0b01, "red": 0b00})
    assert _units_of(rising, rooms, waiting) == units


@given(
    st.dictionaries(st.sampled_from(["", "red", "blue"]), st.integers(0, 20)),
    st.lists(st.tuples(st.integers(-1, 5), st.sets(st.sampled_from(["red", "blue"]))), max_size=70),
)
def test_the_units_hold_those_that_find_no_room_on_their_nodes(
    rising: dict[str, int], nodes: list[tuple[int, set[str]]]
) -> None:
    rooms = FixedRooms(
        [Usage(10, 1000 * count, 9000) for count, _ in nodes],
        {one: sum((one not in closed) << index for index, (_, closed) in enumerate(nodes)) for one in ("red", "blue")},
    )
    units = _units_of({Replica(UNIT, rules): count for rules, count in rising.items()}, rooms)
    for rules, count in rising.items():
        mine = sum(max(0, room) for room, closed in nodes if rules not in closed)
        assert units >= count - mine
    assert units >= sum(rising.values()) - sum(max(0, room) for room, _ in nodes)
    alone = {rules: _units_of({Replica(UNIT, rules): count}, rooms) for rules, count in rising.items()}
    for rules, count in rising.items():
        assert alone[rules] == max(0, count - sum(max(0, room) for room, closed in nodes if rules not in closed))


def test_small_pods_share_a_unit_and_large_ones_take_several() -> None:
    small, large = Shape(250, 100), Shape(2500, 100)
    assert _units({small: 7}) == 2
    assert _units({large: 2}) == 6
    assert _units({Shape(700, 700): 1, Shape(300, 300): 1}) == 1


def test_there_is_a_pause_after_each_shape() -> None:
    rising = _anywhere({Shape(cpu, 100): 1 for cpu in (100, 200, 300)})
    needs = HeadroomNeeds(Headroom(), UNIT, rising=rising, waiting=_anywhere({Shape(400, 100): 1, UNIT: 1}))
    assert list(rise_units(needs)) == [0, 0, 1, 1, 1]
    assert list(rise_units(replace(needs, spec=Headroom.model_validate({"from": "Fixed"})))) == []


@given(RISING, FREE)
def test_the_units_hold_all_that_finds_no_room_elsewhere(rising: dict[Shape, int], free: list[Usage]) -> None:
    units = _units(rising, free)
    usable = [one for one in free if one.pods > 0]
    for resource, there in (("cpu_millis", UNIT.cpu_millis), ("memory_bytes", UNIT.memory_bytes)):
        wanted = sum(count * getattr(shape, resource) for shape, count in rising.items())
        elsewhere = sum(max(0, getattr(one, resource)) for one in usable)
        assert wanted - elsewhere <= units * there
    # One unit a pod, or as many as it is large, is always enough.
    assert units <= sum(count * 3 for count in rising.values())


@given(st.integers(0, 500), FREE)
def test_more_free_room_never_means_more_headroom_for_pods_of_one_shape(rising: int, free: list[Usage]) -> None:
    alike = {Shape(400, 300): rising}
    assert _units(alike, free) <= _units(alike)


@given(FEW, FEW, FREE)
def test_all_replicas_of_a_shape_at_a_time_give_what_one_after_another_gives(
    rising: dict[Shape, int], waiting: dict[Shape, int], free: list[Usage]
) -> None:
    assert _units(rising, free, waiting=waiting) == _one_after_another(rising, waiting, free)


def _one_after_another(rising: Mapping[Shape, int], waiting: Mapping[Shape, int], free: Sequence[Usage]) -> int:
    """The units, if each replica is placed by itself in the first room in which it fits."""
    rooms = list(free)
    started: list[Shape] = []
    units = 0
    for shape in _one_by_one(waiting):
        _placed(rooms, shape)
    before = None
    for shape in _one_by_one(rising):
        if shape != before:
            before, started = shape, sorted(started, reverse=True)
        if _placed(rooms, shape):
            continue
        if not UNIT.covers(shape):
            units += units_for(shape, UNIT)
            continue
        index = next((index for index, room in enumerate(started) if shape.fits(room)), None)
        if index is None:
            units += 1
            index = len(started)
            started.append(UNIT)
        room = started[index]
        started[index] = Shape(room.cpu_millis - shape.cpu_millis, room.memory_bytes - shape.memory_bytes)
    return units


def _one_by_one(counts: Mapping[Shape, int]) -> list[Shape]:
    return [shape for shape in sorted(counts, reverse=True) if shape.known for _ in range(counts[shape])]


def _placed(rooms: list[Usage], shape: Shape) -> bool:
    for index, room in enumerate(rooms):
        if shape.fits_free(room):
            rooms[index] = room - Usage(1, *shape)
            return True
    return False


@given(
    RISING,
    st.one_of(st.none(), st.integers(0, 50)),
    st.one_of(st.none(), st.integers(0, 50)),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_the_size_is_within_its_bounds(
    rising: dict[Shape, int], least: int | None, most: int | None, max_nodes: int | None
) -> None:
    bounds = {"min": {"pods": least}, "max": {"nodes": most}}
    given_bounds = {name: one for name, one in bounds.items() if None not in one.values()}
    spec = Headroom.model_validate(given_bounds)
    needs = HeadroomNeeds(spec, UNIT, rising=_anywhere(rising), node=Shape(3900, 9000), max_nodes=max_nodes)
    highest = min([MOST_UNITS, *(3 * one for one in (most, max_nodes) if one is not None)])
    assert highest >= _size(needs).pods >= min(least or 0, highest)


@given(st.integers(0, 200), st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6))
def test_every_zone_gets_as_many_as_any_other_or_one_more(pods: int, zones: list[str]) -> None:
    found = spread(pods, [Zone(zone) for zone in zones])
    assert sum(found.values()) == pods
    assert set(found) <= (set(zones) or {""})
    counts = [found.get(Zone(zone), 0) for zone in set(zones) or {""}]
    assert max(counts) - min(counts) <= 1
