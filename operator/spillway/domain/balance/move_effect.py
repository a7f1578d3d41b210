"""Whether the moves for one reason helped, and how long the next ones for it wait if they did not.

Contract: no clock of its own. Moves are judged by what they were to lower; each time in a row that it has not fallen,
the pause doubles, up to `LONGEST_PAUSE_SECONDS`.
"""

from dataclasses import dataclass
from typing import Final

from spillway.domain.model.backoff import backoff_seconds

EFFECT_SECONDS: Final = 180.0
"""After so long the load shows what moves did."""
LONGEST_PAUSE_SECONDS: Final = 3600.0
LEAST_EFFECT: Final = 1.0
"""Percentage points by which moves must have lowered what they were made for, to count as a help."""


@dataclass(slots=True)
class MoveEffect:
    """What is remembered of the moves for one reason."""

    before: float = 0.0
    """What the last moves were to lower, before them."""
    judged: bool = True
    """Whether it was looked at what the last moves did."""
    failures: int = 0
    """How often in a row moves did not help."""
    paused_until: float = 0.0

    def judge(self, value: float, now: float) -> float:
        """Judge the last moves by the present value; the seconds for which the next ones wait, 0.0 if they helped."""
        self.judged = True
        if value <= self.before - LEAST_EFFECT:
            self.failures = 0
            return 0.0
        self.failures += 1
        pause = backoff_seconds(self.failures, first=EFFECT_SECONDS, longest=LONGEST_PAUSE_SECONDS)
        self.paused_until = now + pause
        return pause
