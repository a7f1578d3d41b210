"""Spillway as a contender of a backtest: its plans of scale-downs, thresholds, recommended replicas and headroom."""

from collections.abc import Sequence
from dataclasses import dataclass

from spillway.api.elasticpolicy import Placement
from spillway.domain.placement.decide import decide
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason
from spillway.simulate.backtest.thresholds import Thresholds, in_force
from spillway.simulate.contenders import Spillway
from spillway.simulate.hpa import Ints

_PLACEMENT = Placement()


@dataclass(frozen=True, slots=True)
class Planned(Spillway):
    """The plans are made beforehand, each from what was known at its time."""

    looks_after: bool = False
    thresholds: Sequence[Thresholds] = ()
    replicas: Ints | None = None
    """The recommended replicas by service and step."""

    def recommended(self, step: int) -> Ints | None:
        return None if self.replicas is None else self.replicas[:, step]

    def goes_virtual(self, workload: int, physical: int, step: int) -> bool:
        threshold = in_force(self.thresholds, step).replicas[workload]
        reason = ThresholdReason.LEARNING_HISTORY if threshold is None else ThresholdReason.AUTO
        return decide(_PLACEMENT, EffectiveThreshold(threshold, reason), physical).virtual
