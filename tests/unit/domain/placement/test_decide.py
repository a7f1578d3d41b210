"""The tier of one more pod, by its class, its threshold and the replicas that stand."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.elasticpolicy import Placement, WorkloadClass
from spillway.domain.placement.decide import NodeKind, PlacementReason, decide
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason

NEVER, OVERFLOW, ALWAYS = (Placement(virtual=mode) for mode in ("Never", "Overflow", "Always"))
LEARNING = EffectiveThreshold(None, ThresholdReason.LEARNING_HISTORY)
NONE = EffectiveThreshold(None, ThresholdReason.NO_THRESHOLD)


def _manual(replicas: int) -> EffectiveThreshold:
    return EffectiveThreshold(replicas, ThresholdReason.MANUAL)


@pytest.mark.parametrize(
    ("placement", "threshold", "physical", "redirect", "expected"),
    [
        (OVERFLOW, _manual(3), 0, "", ("physical", PlacementReason.BELOW_THRESHOLD)),
        (OVERFLOW, _manual(3), 2, "", ("physical", PlacementReason.BELOW_THRESHOLD)),
        (OVERFLOW, _manual(3), 3, "", ("virtual", PlacementReason.BEYOND_THRESHOLD)),
        (WorkloadClass(name="x").effective_placement, _manual(3), 3, "", ("virtual", PlacementReason.BEYOND_THRESHOLD)),
        (OVERFLOW, _manual(0), 0, "", ("virtual", PlacementReason.BEYOND_THRESHOLD)),
        (OVERFLOW, LEARNING, 500, "", ("physical", PlacementReason.LEARNING_HISTORY)),
        (OVERFLOW, NONE, 500, "", ("physical", PlacementReason.NO_THRESHOLD)),
        (ALWAYS, NONE, 0, "", ("virtual", PlacementReason.ALWAYS)),
        (ALWAYS, _manual(3), 0, "", ("virtual", PlacementReason.ALWAYS)),
        (NEVER, _manual(0), 9, "", ("physical", PlacementReason.NEVER)),
        (OVERFLOW, _manual(3), 9, "physical", ("physical", PlacementReason.REPLACED)),
        (OVERFLOW, _manual(3), 0, "virtual", ("virtual", PlacementReason.REPLACED)),
        (ALWAYS, NONE, 0, "physical", ("physical", PlacementReason.REPLACED)),
        (NEVER, NONE, 0, "virtual", ("physical", PlacementReason.NEVER)),
    ],
)
def test_the_tier_follows_from_class_threshold_and_count(
    placement: Placement,
    threshold: EffectiveThreshold,
    physical: int,
    redirect: Literal["", "physical", "virtual"],
    expected: tuple[str, PlacementReason],
) -> None:
    wish = decide(placement, threshold, physical, redirect=redirect)
    assert (wish.nodes.value, wish.reason) == expected


@given(threshold=st.integers(0, 50), pods=st.integers(0, 100))
def test_pods_that_come_one_after_the_other_land_exactly_as_the_threshold_says(threshold: int, pods: int) -> None:
    physical = 0
    for _ in range(pods):
        physical += decide(OVERFLOW, _manual(threshold), physical).nodes is NodeKind.PHYSICAL
    assert physical == min(threshold, pods)
