"""The joint allocation: which replicas of all workloads run on owned nodes.

Contract: maximise the owned core-hours in use, so that at no step of the cycle the planned load exceeds capacity x
target utilisation. Levels are nested, so the answer is one threshold a workload. Workloads of a higher priority are
served first, with what the minima of all leave; the others share what remains. Minima hold even where they alone are
more than the capacity bears: then `excess_cores` says by how much, and nothing else is added at those steps. The result
depends on the input alone, and not on the order of the demands, on chance or on a clock.

How: a price for each step of the cycle, raised where the owned nodes would be too full and lowered where they have
room (Polyak's subgradient step); each workload takes the threshold that is best at these prices. Every few rounds the
thresholds are made to fit and filled up, and the best of these plans is kept. Prices also bound what any plan could
reach, so a plan knows how good it is. Why this and not another: docs/designs/0002-threshold.md.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Final

import numpy as np

from spillway.domain.threshold.demand import SLACK, Demand, Series, by_priority, steps_of
from spillway.domain.threshold.levels import Counts, Levels
from spillway.domain.threshold.rounding import fill, fit

ROUNDS: Final = 160
"""How often prices are changed; after some hundred the bound hardly moves any more."""

_ROUND_EVERY: Final = 10
_GOOD_ENOUGH: Final = 1.0005
"""Bound over plan at which the search ends."""
_LARGE: Final = 2_000_000
"""Workloads x steps from which fewer rounds have to do, so that a week of 2,000 workloads stays within seconds."""
_FEW: Final = 2_000
_NEAR: Final = 1.05
"""Load over room up to which making more than a few replicas fit is worth the time."""
_ROUNDING: Final = 1e-13
"""The relative error of sums."""


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """The result: how many replicas of each workload to keep on owned nodes, and the load of these nodes."""

    thresholds: Mapping[str, int]
    """By workload."""
    owned_load: Series
    """Cores in use on owned nodes at each step."""
    usable_cores: float
    """Capacity x target utilisation: what the load has to stay within."""
    bound_core_steps: float
    """No plan for these demands could use more; core-steps, not below what this one uses."""
    excess_cores: float
    """By how much the minima alone exceed the usable cores at the worst step; 0 where they fit."""

    @property
    def used_core_steps(self) -> float:
        """Core-steps in use on owned nodes over the cycle."""
        return float(self.owned_load.sum())

    @property
    def quality(self) -> float:
        """What is used over the bound, 0 to 1: 0.99 means that no plan could use 1 % more."""
        return min(1.0, self.used_core_steps / self.bound_core_steps) if self.bound_core_steps > 0 else 1.0


def allocate(
    demands: Sequence[Demand], *, capacity_cores: float, target_utilization: float, rounds: int = ROUNDS
) -> Allocation:
    """Plan the thresholds of workloads that share owned nodes of `capacity_cores` in all.

    `target_utilization` is a share of the capacity, 0.65 for 65 percent. Fewer `rounds` are faster and less exact.

    Raises:
        ValueError: a capacity below 0, a utilisation outside 0 to 1, demands of different lengths, two of one workload.
    """
    if not (math.isfinite(capacity_cores) and capacity_cores >= 0):
        raise ValueError(f"the capacity must be 0 cores or more, not {capacity_cores}")
    if not 0 < target_utilization <= 1:
        raise ValueError(f"the target utilisation must be above 0 and at most 1, not {target_utilization}")
    usable = capacity_cores * target_utilization
    groups = by_priority(demands)
    ordered = list(chain.from_iterable(groups))
    if not steps_of(ordered):
        return Allocation(MappingProxyType({}), np.zeros(0), usable, 0.0, 0.0)
    minima = _load(ordered, {demand.workload: demand.minimum for demand in ordered})
    excess = max(0.0, float(minima.max()) - usable)
    slack = SLACK * usable + _ROUNDING * float(sum(demand.most * demand.cpu_cores for demand in ordered))
    room = np.maximum(usable - minima, 0.0)
    thresholds: dict[str, int] = {}
    bound = float(minima.sum())
    for members in groups:
        levels = Levels(
            np.array([np.clip(one.whole_replicas() - one.minimum, 0, one.most - one.minimum) for one in members]),
            np.array([one.cpu_cores for one in members]),
        )
        free, reachable = _share(levels, room, slack, rounds)
        bound += reachable
        room = np.maximum(room - levels.load(free), 0.0)
        thresholds |= {one.workload: one.minimum + int(extra) for one, extra in zip(members, free, strict=True)}
    return Allocation(
        MappingProxyType(thresholds),
        _load(ordered, thresholds),
        usable,
        bound,
        excess if excess > slack else 0.0,
    )


def _share(levels: Levels, room: Series, slack: float, rounds: int) -> tuple[Counts, float]:
    """The best plan found, and the core-steps that none can exceed."""
    wanted = levels.load(levels.most)
    if (wanted <= room + slack).all():
        return levels.most, float(wanted.sum())
    # Where the room is small nearly all of it is filled by what is needed always, and greedy by duty is hard to beat.
    nothing = np.zeros(levels.workloads, dtype=np.int64)
    starts = [fill(levels, nothing, room, slack, by_duty=by_duty) for by_duty in (False, True)]
    best = max(starts, key=lambda plan: float(levels.load(plan).sum()))
    used = float(levels.load(best).sum())
    if levels.workloads * levels.steps > _LARGE:
        rounds = max(rounds // 2, 1)
    bound = math.inf
    for thresholds, proven in _tried(levels, room, rounds):
        bound = proven
        plan = fill(levels, fit(levels, thresholds, room, slack), room, slack)
        reached = float(levels.load(plan).sum())
        if reached > used:
            best, used = plan, reached
        if bound <= used * _GOOD_ENOUGH:
            break
    return best, max(bound, used)


def _tried(levels: Levels, room: Series, rounds: int) -> Iterator[tuple[Counts, float]]:
    """Thresholds worth making fit, each with the lowest bound so far; they get better, the last are the best."""
    prices = np.zeros(levels.steps)
    bound, choice, average = math.inf, levels.most, np.zeros(levels.workloads)
    ambition, since = 0.05, 0
    for turn in range(rounds):
        thresholds, brings = levels.best(levels.worth(prices))
        value = brings + float(prices @ room)
        if value < bound:
            since = since + 1 if value > bound * (1 - 1e-6) else 0
            bound, choice = value, thresholds
        else:
            since += 1
        average += (thresholds - average) / min(turn + 1, _ROUND_EVERY)
        if since >= 5:
            ambition, since = ambition * 0.6, 0
        over = levels.load(thresholds) - room
        over[(prices <= 0) & (over < 0)] = 0.0
        size = float(over @ over)
        if turn % _ROUND_EVERY == _ROUND_EVERY - 1 or size <= 0:
            for tried in (choice, np.floor(average + 1e-6).astype(np.int64), thresholds):
                if levels.most.sum() <= _FEW or (levels.load(tried) <= room * _NEAR).all():
                    yield tried, bound
        if size <= 0:
            return
        # No level is needed for more steps than the cycle has: a price of that many keeps a step free of any.
        prices = np.clip(prices + (value - bound * (1 - ambition)) / size * over, 0.0, levels.steps)
    yield choice, bound


def _load(demands: Sequence[Demand], thresholds: Mapping[str, int]) -> Series:
    load = np.zeros(demands[0].replicas.size)
    for demand in demands:
        load += demand.owned_load(thresholds[demand.workload])
    return load
