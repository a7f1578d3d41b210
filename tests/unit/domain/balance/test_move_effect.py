"""Moves that do not help pause, longer each time in a row, until some help."""

from spillway.domain.balance.move_effect import EFFECT_SECONDS, LEAST_EFFECT, LONGEST_PAUSE_SECONDS, MoveEffect


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
