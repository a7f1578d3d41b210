"""The history of one workload folded into one day, the coming day, or the reason why nothing can be planned from it.

Contract: pure. A value of `MOST_REPLICAS` or more is no demand, because no threshold can be so high; neither is one
that is negative or no finite number. A few of them, as from a division by nearly zero, are gaps. Where more are too
high than a plan leaves out of the days that it looks at, the query or its `perReplica` is wrong: nothing is planned
from it, so that it takes no room from other workloads. Each workload fails alone.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.api.common import MOST_REPLICAS
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.coming_day import ComingDay, coming_day
from spillway.domain.threshold.cycle import QUANTILE, Cycle, cycle_of
from spillway.domain.threshold.history import STEP_SECONDS, Floats, History, HistoryProblem

REPRESENTATIVE_SECONDS: Final = 7.0 * DAY_SECONDS
"""With less than a week of history not every day of the week has been seen."""
INVALID: Final = "InvalidDemand"
_TOO_HIGH_SHARE: Final = 1 - QUANTILE
"""The share of the highest values that a plan leaves out."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The folded history of one workload: a day of replicas, and how it was derived."""

    cycle: Cycle | None = None
    """The usual day; None with less than two days of history, or with a problem."""
    highest: float = 0.0
    """The highest demand ever seen, without what is too high to be true."""
    seconds: float = 0.0
    """The time that the history covers."""
    problem: HistoryProblem | None = None
    coming: ComingDay | None = None
    """The demand that is assumed of the coming day; None for the usual day."""


NO_PAST: Final = Past()
WITHOUT_SCALE: Final = Past(
    problem=HistoryProblem(
        INVALID, 'perReplica is 0, so the value of the query gives no number of replicas: give more than "0"'
    )
)
"""The past of a workload whose query cannot be turned into replicas."""


def past_of(history: History, wanted_seconds: float = REPRESENTATIVE_SECONDS, *, now: float | None = None) -> Past:
    """The history folded into one day; the plan's confidence needs a week of it, or what is wanted if that is less.

    `now` is the time of the plan in Unix seconds, None for the end of the history.
    """
    replicas = history.replicas
    known = np.isfinite(replicas) & (np.nan_to_num(replicas) >= 0) & (np.nan_to_num(replicas) < MOST_REPLICAS)
    cycle = cycle_of(
        history.times[known],
        replicas[known],
        step_seconds=int(STEP_SECONDS),
        representative_seconds=min(wanted_seconds, REPRESENTATIVE_SECONDS),
    )
    problem = history.problem or _problem(replicas, cycle)
    if problem is not None:
        cycle = None
    return Past(
        cycle,
        float(replicas[known].max(initial=0.0)),
        history.seconds,
        problem,
        coming_day(cycle.values, history.times[known], replicas[known], now=now) if cycle is not None else None,
    )


def _problem(replicas: Floats, cycle: Cycle | None) -> HistoryProblem | None:
    """The reason why these values are no demand."""
    finite = replicas[np.isfinite(replicas)]
    too_high = int((finite >= MOST_REPLICAS).sum())
    if too_high and (cycle is None or too_high > _TOO_HIGH_SHARE * replicas.size):
        return HistoryProblem(
            INVALID,
            f"its demand reaches {finite.max():.3g} replicas, and no threshold is above {MOST_REPLICAS}: check the "
            "query and its perReplica",
        )
    bad = int(replicas.size - finite.size + (finite < 0).sum())
    if cycle is None and bad:
        return HistoryProblem(
            INVALID, f"{bad} of {replicas.size} values of its demand are negative or no finite number"
        )
    return None
