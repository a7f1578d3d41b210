"""Sizes as `cpu-GiB`; times in seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.virtualnodebudget import PodSpecSize
from spillway.domain.pools.size_ladder import BOTTOM, Position, another_size, decayed, seconds_to_decay, stocked_out
from spillway.domain.pools.sizes import Size, sizes_from

GIB = 1 << 30
FORGET = 1800.0


def spec(text: str) -> PodSpecSize:
    cpu, gib = text.split("-")
    return PodSpecSize.model_validate({"cpu": cpu, "memory": f"{gib}Gi"})


def size(text: str) -> Size:
    return Size.of(spec(text))


LADDER = (spec("2-4"), spec("4-8"), spec("8-16"))


@pytest.mark.parametrize(
    ("before", "asked", "created", "listed", "step"),
    [
        pytest.param(Position(), "1-2", 50, False, 1, id="what the pod asks for itself is out"),
        pytest.param(Position(), "2-4", 50, False, 2, id="a size that is known to be out is skipped"),
        pytest.param(Position(), "3-6", 50, False, 1, id="a bigger one that is out says nothing of smaller ones"),
        pytest.param(Position(), "16-64", 50, False, 0, id="no size is big enough for it"),
        pytest.param(Position(1, 40.0), "2-4", 50, False, 2, id="the present size is out"),
        pytest.param(Position(1, 40.0), "2-4", 39, False, 1, id="made before the last move: old news"),
        pytest.param(Position(1, 40.5), "2-4", 40, False, 2, id="in the same second: creation times are whole seconds"),
        pytest.param(Position(1, 40.0), "4-8", 50, False, 3, id="a bigger pod's size is out: beyond that"),
        pytest.param(Position(1, 40.0), "3-6", 50, False, 1, id="no size of the ladder: it was not asked for here"),
        pytest.param(Position(2, 40.0), "2-4", 50, False, 2, id="a size that has been left"),
        pytest.param(Position(1, 40.0), "4-8", 50, True, 1, id="a bigger pod's list says nothing of smaller sizes"),
        pytest.param(Position(3, 40.0), "8-16", 50, False, 4, id="the last size is out: out of stock"),
        pytest.param(Position(1, 40.0), "2-4", 50, True, 4, id="a list failed as a whole"),
        pytest.param(Position(0, 0.0), "1-2", 50, True, 1, id="at the bottom there is no list"),
        pytest.param(Position(4, 40.0), "8-16", 50, False, 4, id="there is nothing beyond"),
    ],
)
def test_a_stock_out_of_the_present_size_moves_up(
    before: Position,
    asked: str,
    created: float,
    step: int,
    *,
    listed: bool,
) -> None:
    after = stocked_out(before, LADDER, size(asked), created=created, listed=listed, now=60.0)
    assert after.step == step
    assert after.since == (60.0 if step != before.step else before.since)
    assert after.out_of_stock(LADDER) is (step == 4)


def test_the_position_is_forgotten() -> None:
    position = Position(2, 100.0)
    assert seconds_to_decay(position, FORGET, 1000.0) == 900.0
    assert decayed(position, FORGET, 1899.9) is position
    assert decayed(position, FORGET, 1900.0) is BOTTOM
    assert seconds_to_decay(BOTTOM, FORGET, 5.0) is None


@pytest.mark.parametrize(
    ("step", "asked", "expected"),
    [(0, "1-2", False), (1, "1-2", True), (1, "2-4", False), (2, "2-4", True), (3, "9-9", False), (4, "1-2", False)],
)
def test_a_pod_that_failed_is_asked_for_again_only_with_another_size(
    step: int,
    asked: str,
    *,
    expected: bool,
) -> None:
    assert another_size(Position(step, 1.0), LADDER, size(asked)) is expected


amounts = st.integers(1, 20)


@given(st.builds("{}-{}".format, amounts, amounts))
def test_each_size_that_is_big_enough_is_tried_before_the_pool_is_out_of_stock(pod: str) -> None:
    """Alone on the pool, and no size is there."""
    position, now, asked = BOTTOM, 1000.0, size(pod)
    tried = []
    while (sizes := sizes_from(LADDER, position.step, size(pod))) or position == BOTTOM:
        asked = sizes[0] if sizes else asked
        tried.append(asked)
        now += 10.0
        after = stocked_out(position, LADDER, asked, created=now - 5.0, listed=False, now=now)
        if after == position:
            break
        position = after
    enough = [one for one in map(Size.of, LADDER) if one.covers(size(pod))]
    assert list(dict.fromkeys(tried)) == list(dict.fromkeys([size(pod), *enough]))
    assert position.out_of_stock(LADDER) is bool(enough)


moves = st.lists(
    st.tuples(st.floats(0.1, 400.0), st.sampled_from(["1-2", "2-4", "4-8", "8-16", "3-3", "32-1"]), st.floats(0, 600)),
    max_size=60,
)


@given(failures=moves, listed=st.booleans())
def test_it_climbs_each_size_once_and_never_down_but_by_time(
    failures: list[tuple[float, str, float]],
    *,
    listed: bool,
) -> None:
    position, now = BOTTOM, 1000.0
    climbed: list[int] = []
    for pause, asked, age in failures:
        now += pause
        before = decayed(position, FORGET, now)
        assert before in {position, BOTTOM}
        if before is not position:
            climbed = []
        position = stocked_out(before, LADDER, size(asked), created=now - age, listed=listed, now=now)
        assert before.step <= position.step <= len(LADDER) + 1
        if position != before:
            climbed.append(position.step)
    assert len(climbed) == len(set(climbed)) <= len(LADDER) + 1


@given(st.lists(st.sampled_from(["1-2", "2-4", "1-1"]), min_size=1, max_size=10))
def test_a_mass_of_pods_that_failed_with_one_size_is_one_step(burst: list[str]) -> None:
    position = Position(1, 100.0)
    for _ in burst:
        position = stocked_out(position, LADDER, size("2-4"), created=101.0, listed=False, now=130.0)
    assert position == Position(2, 130.0)
