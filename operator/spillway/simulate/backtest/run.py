"""One backtest: all contenders of a case, with the same demand, nodes and prices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.domain.forecast.spec import DAY_STEPS
from spillway.simulate.autoscaler import CLUSTER_AUTOSCALER_DRAINS, AutoscalerRules
from spillway.simulate.backtest.bounds import clairvoyant, owned_for_the_peak
from spillway.simulate.backtest.case import LEARNING_STEPS, Case
from spillway.simulate.backtest.contender import Planned
from spillway.simulate.backtest.figures import ContenderResult, outcome_of
from spillway.simulate.backtest.forecasts import demand_forecasts
from spillway.simulate.backtest.recommended import recommended
from spillway.simulate.backtest.rises import headroom_rules
from spillway.simulate.backtest.scenario import scenario_of, whole_demand
from spillway.simulate.backtest.thresholds import Thresholds, thresholds
from spillway.simulate.contenders import Contender, Flat, Plain
from spillway.simulate.course import Course
from spillway.simulate.replay import replay
from spillway.simulate.scenario import Floats

PLAIN: Final = "plain"
FLAT: Final = "flat cost"
SPILLWAY: Final = "spillway"
HEADROOM: Final = "with headroom"
"""Spillway that also keeps headroom; only where there are elastic nodes to keep it on."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The result of a backtest."""

    case: Case
    outcomes: tuple[ContenderResult, ...]
    """Plain Kubernetes first, then flat cost, Spillway without and with headroom, nodes owned for the peak, and the
    clairvoyant."""
    thresholds: tuple[Thresholds, ...]
    demand_cores: Floats
    """CPU requests of the replicas that serve all of the demand at the target, at each counted step."""
    recommended_cores: Floats
    """CPU requests of the replicas that Spillway recommended."""

    def of(self, name: str) -> ContenderResult:
        """The outcome of a contender."""
        return next(one for one in self.outcomes if one.name == name)

    def saved_percent(self, name: str) -> float:
        """What Spillway saves against this contender, in percent of its cost; negative where Spillway costs more."""
        other = self.of(name).figures.cost
        return 100 * (1 - self.of(SPILLWAY).figures.cost / other) if other else 0.0


def run(
    case: Case, rules: AutoscalerRules = CLUSTER_AUTOSCALER_DRAINS, progress: Progress = lambda _what, _done, _of: None
) -> Result:
    """Replay a case."""
    scenario, steps = scenario_of(case), case.demand.shape[1]

    def counting(what: str, of: int) -> Callable[[], None]:
        done = 0

        def one_more() -> None:
            nonlocal done
            done += 1
            progress(what, done, of)

        progress(what, 0, of)
        return one_more

    forecasts = demand_forecasts(case, counting("forecasts", len(case.services)))
    replicas = recommended(case, forecasts, counting("recommended replicas", len(case.services)))
    days = -(-(steps - LEARNING_STEPS) // DAY_STEPS)
    planned = thresholds(case, counting("thresholds", days))
    contenders: dict[str, Contender] = {
        PLAIN: Plain(),
        FLAT: Flat(),
        SPILLWAY: Planned(thresholds=planned, replicas=replicas),
    }
    if case.setup.elastic_nodes:
        headroom = headroom_rules(case, forecasts, planned)
        contenders[HEADROOM] = Planned(thresholds=planned, replicas=replicas, headroom=headroom)
    outcomes = []
    for name, contender in contenders.items():
        course = Course(scenario, case.setup.target, counting(name, steps))
        replay(scenario, contender, rules, course)
        outcomes.append(outcome_of(name, case, course))
    cores = np.array([one.cores for one in case.services])
    return Result(
        case,
        (*outcomes, owned_for_the_peak(case), clairvoyant(case)),
        tuple(planned),
        cores @ np.ceil(whole_demand(case)[:, LEARNING_STEPS:]),
        cores @ replicas[:, LEARNING_STEPS:],
    )
