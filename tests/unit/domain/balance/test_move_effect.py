"""Moves that do not help pause, longer each time in a row, until some help."""

from collections.abc import Mapping

import pytest

from spillway.domain.balance.move_effect import (
    EFFECT_SECONDS,
    LEAST_EFFECT,
    LONGEST_PAUSE_SECONDS,
    NO_LOADS,
    MoveEffect,
)
from spillway.domain.model.names import NodeName


def test_moves_that_lowered_the_value_are_followed_by_others_at_once() -> None:
    effect = MoveEffect(before=30.0, judged=False)
    assert effect.judge(30.0 - LEAST_EFFECT, 100.0) == 0.0
    assert (effect.judged, effect.paused_until) == (True, 0.0)


def test_each_failure_in_a_row_doubles_the_pause_up_to_the_longest() -> None:
    effect = MoveEffect(before=30.0)
    pauses = [effect.judge(29.5, 1000.0) for _ in range(8)]
    assert pauses[:3] == [EFFECT_SECONDS, 2 * EFFECT_SECONDS, 4 * EFFECT_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert effect.paused_until == 1000.0 + LONGEST_PAUSE_SECONDS
    assert effect.judge(10.0, 2000.0) == 0.0
    assert effect.judge(30.0, 2000.0) == EFFECT_SECONDS, "the count starts again"


BEFORE = {NodeName("a"): 80.0, NodeName("b"): 70.0, NodeName("cold"): 30.0, NodeName("far"): 20.0}


@pytest.mark.parametrize(
    ("now", "helped"),
    [
        pytest.param({"a": 70.0, "cold": 40.0}, True, id="the busier node is less loaded"),
        pytest.param({"a": 80.0, "cold": 40.0}, False, id="the load does not follow the pod"),
        pytest.param({"a": 70.0, "cold": 80.0}, False, id="the other one is as busy as the first was"),
        pytest.param({"a": 60.0, "cold": 30.0, "b": 70.0, "far": 80.0}, True, id="by more than the next one harms"),
        pytest.param({"a": 70.0, "cold": 40.0, "b": 90.0, "far": 20.0}, False, id="by less than the next one harms"),
        pytest.param({"a": 70.0}, False, id="a node has no reading"),
        pytest.param({}, False, id="no reading"),
    ],
)
def test_moves_for_the_load_help_where_they_relieve_nodes_whatever_happens_elsewhere(
    now: Mapping[str, float], *, helped: bool
) -> None:
    effect = MoveEffect()
    effect.begun(60.0, BEFORE)
    effect.moved(NodeName("a"), NodeName("cold"))
    if "b" in now:
        effect.moved(NodeName("b"), NodeName("far"))
    assert not effect.judged
    pause = effect.judge(65.0, 1000.0, {NodeName(name): load for name, load in now.items()})
    assert (pause == 0.0) is helped


@pytest.mark.parametrize(("loads", "to"), [(NO_LOADS, "cold"), (BEFORE, "")], ids=["another reason", "not known where"])
def test_moves_whose_nodes_do_not_count_are_judged_by_the_value_alone(loads: Mapping[NodeName, float], to: str) -> None:
    effect = MoveEffect()
    effect.begun(60.0, loads)
    effect.moved(NodeName("a"), NodeName(to))
    assert effect.judge(60.0, 1000.0, {NodeName("a"): 10.0, NodeName("cold"): 10.0}) == EFFECT_SECONDS


def test_the_next_moves_are_judged_by_their_own_nodes() -> None:
    effect = MoveEffect()
    effect.begun(60.0, BEFORE)
    effect.moved(NodeName("a"), NodeName("cold"))
    effect.begun(60.0, {**BEFORE, NodeName("a"): 20.0})
    effect.moved(NodeName("b"), NodeName("far"))
    assert effect.judge(60.0, 1000.0, {**BEFORE, NodeName("a"): 20.0}) == EFFECT_SECONDS


def test_a_pause_is_no_longer_than_the_longest_one_if_the_clock_is_set_back() -> None:
    effect, now = MoveEffect(), 10_000.0
    effect.begun(60.0)
    effect.judge(60.0, now)
    assert [effect.pauses(now + later) for later in (0.0, EFFECT_SECONDS - 1, EFFECT_SECONDS)] == [True, True, False]
    assert effect.pauses(now + EFFECT_SECONDS - LONGEST_PAUSE_SECONDS)
    assert not effect.pauses(now - LONGEST_PAUSE_SECONDS)
