"""Shapes of pods and units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.headroom import Headroom
from spillway.domain.headroom.shape import COMMON_SHARE, Shape, common_unit, in_units, units_for
from spillway.domain.model.usage import Usage

SHAPES = st.builds(Shape, st.integers(0, 8000), st.integers(0, 1 << 36))
REQUESTS = st.dictionaries(SHAPES, st.integers(1, 500), max_size=12)


@pytest.mark.parametrize(
    ("shape", "into", "count"),
    [
        ((1000, 100), (3900, 1000), 3),
        ((1000, 400), (3900, 1000), 2),
        ((0, 400), (3900, 1000), 2),
        ((0, 0), (3900, 1000), 0),
        ((4000, 1), (3900, 1000), 0),
        ((1000, 100), (-5, 1000), 0),
    ],
)
def test_as_many_fit_as_the_scarcer_resource_allows(shape: tuple[int, int], into: tuple[int, int], count: int) -> None:
    assert Shape(*shape).fits(Shape(*into)) == count


def test_a_node_also_bounds_the_number_of_pods() -> None:
    assert Shape(100, 1).fits_free(Usage(7, 4000, 1000)) == 7
    assert Shape(100, 1).fits_free(Usage(-1, 4000, 1000)) == 0


def test_a_pod_larger_than_the_unit_takes_several() -> None:
    assert units_for(Shape(2500, 100), Shape(1000, 1000)) == 3
    assert units_for(Shape(500, 2001), Shape(1000, 1000)) == 3
    assert units_for(Shape(0, 0), Shape(1000, 1000)) == 1


def test_the_unit_is_the_largest_common_request_and_not_that_of_a_single_pod() -> None:
    requests = {Shape(500, 1000): 60, Shape(1000, 200): 39, Shape(32_000, 9000): 1}
    assert common_unit(requests) == Shape(1000, 1000)
    assert common_unit({Shape(0, 0): 5}) is None
    assert common_unit({}) is None


@given(REQUESTS)
def test_a_pod_of_every_common_request_fits_into_one_unit(requests: dict[Shape, int]) -> None:
    unit = common_unit(requests)
    known = {shape: replicas for shape, replicas in requests.items() if shape.known}
    if not known:
        assert unit is None
        return
    assert unit is not None
    total = sum(known.values())
    for shape, replicas in known.items():
        assert unit.covers(shape) or replicas < 0.05 * total


@given(REQUESTS, SHAPES)
def test_a_unit_is_kept_only_while_it_covers_what_is_common(requests: dict[Shape, int], before: Shape) -> None:
    fresh, kept = common_unit(requests), common_unit(requests, before)
    assert kept in {fresh, before}
    if fresh is not None and kept is not None:
        assert kept.covers(fresh)


def test_what_is_only_asked_for_or_fits_no_node_makes_no_unit() -> None:
    node, honest, asked, huge = Shape(8000, 8000), Shape(2000, 1000), Shape(4000, 4000), Shape(900_000, 1)
    assert common_unit({honest: 10, asked: 0, huge: 500}, node=node) == honest
    assert common_unit({honest: 50, huge: 500}) == Shape(900_000, 1000), "while the size of a node is not known"
    assert common_unit({honest: 0, asked: 0}, node=node) == asked, "nothing runs yet"
    assert common_unit({huge: 5}, node=node) == huge


def test_of_many_rare_requests_those_that_run_make_the_unit() -> None:
    rare = {Shape(100 + number, 10): 1 for number in range(40)}
    assert common_unit({**rare, Shape(5000, 5000): 0}) == Shape(139, 10)


def test_replicas_in_units_by_the_resource_of_which_each_takes_most() -> None:
    unit = Shape(1000, 1000)
    assert in_units({Shape(500, 100): 4, Shape(100, 2000): 3}, unit) == 8
    assert in_units({Shape(500, 100): 4}, Shape(0, 100)) == 4
    assert in_units({Shape(0, 0): 4}, unit) == 0


def test_the_field_says_which_share_of_the_replicas_has_the_size_of_a_unit() -> None:
    described = Headroom.model_json_schema(by_alias=True)["properties"]["unit"]["description"]
    assert f"at least {100 * COMMON_SHARE:g} % of the governed replicas" in " ".join(described.split())
