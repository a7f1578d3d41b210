import pytest

from spillway.api.elasticpolicy import Threshold
from spillway.domain.threshold.effective import (
    AnnotationError,
    EffectiveThreshold,
    ThresholdReason,
    effective,
    parse_annotation,
)

MANUAL = Threshold(mode="Manual", replicas=12)
AUTO = Threshold()


@pytest.mark.parametrize(
    ("threshold", "annotation", "auto", "expected"),
    [
        (AUTO, "", 7, EffectiveThreshold(7, ThresholdReason.AUTO)),
        (AUTO, "", None, EffectiveThreshold(None, ThresholdReason.LEARNING_HISTORY)),
        (AUTO, "", 0, EffectiveThreshold(0, ThresholdReason.AUTO)),
        (Threshold(min=2, max=5), "", 7, EffectiveThreshold(5, ThresholdReason.AUTO)),
        (Threshold(min=2, max=5), "", 0, EffectiveThreshold(2, ThresholdReason.AUTO)),
        (Threshold(min=2, max=5), "", None, EffectiveThreshold(None, ThresholdReason.LEARNING_HISTORY)),
        (MANUAL, "", 7, EffectiveThreshold(12, ThresholdReason.MANUAL)),
        (MANUAL, "", None, EffectiveThreshold(12, ThresholdReason.MANUAL)),
        (Threshold(mode="Manual", replicas=12, max=10), "", None, EffectiveThreshold(10, ThresholdReason.MANUAL)),
        (Threshold(mode="Manual", replicas=0), "", 3, EffectiveThreshold(0, ThresholdReason.MANUAL)),
        (MANUAL, "30", 7, EffectiveThreshold(30, ThresholdReason.ANNOTATION)),
        (Threshold(min=2, max=5), "30", 7, EffectiveThreshold(30, ThresholdReason.ANNOTATION)),
        (AUTO, "0", 7, EffectiveThreshold(0, ThresholdReason.ANNOTATION)),
        (None, "3", 7, EffectiveThreshold(3, ThresholdReason.ANNOTATION)),
        (None, "", 7, EffectiveThreshold(None, ThresholdReason.NO_THRESHOLD)),
    ],
)
def test_the_annotation_comes_before_manual_and_manual_before_the_plan(
    threshold: Threshold | None, annotation: str, auto: int | None, expected: EffectiveThreshold
) -> None:
    assert effective(threshold, annotation, auto) == expected


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("1000000", 1_000_000), ("", None)])
def test_a_plain_whole_number_is_taken(text: str, number: int | None) -> None:
    assert parse_annotation(text) == number


@pytest.mark.parametrize(
    "text", ["-1", "+3", "012", "1e3", "3.0", " 3", "3\n", "1_000", "1000001", "9999999999", "auto", "٣", "None"]
)
def test_anything_else_is_refused_and_the_text_says_what_is_allowed(text: str) -> None:
    with pytest.raises(AnnotationError) as refused:
        parse_annotation(text)
    assert "spillway.dev/threshold" in str(refused.value)
    assert "whole number from 0 to 1000000" in str(refused.value)
    assert text[:64] in str(refused.value)


def test_a_bad_annotation_decides_nothing_and_is_told() -> None:
    choice = effective(MANUAL, "many", 7)
    assert (choice.replicas, choice.reason) == (12, ThresholdReason.MANUAL)
    assert '"many"' in choice.problem


def test_a_kind_that_is_never_planned_does_not_learn() -> None:
    assert effective(AUTO, "", None, planned=False) == EffectiveThreshold(None, ThresholdReason.NOT_PLANNED)
    assert effective(MANUAL, "", None, planned=False) == EffectiveThreshold(12, ThresholdReason.MANUAL)
