"""The fewest elastic nodes with which the pods of a replay could have run: bounds for whoever empties nodes.

Contract: pure. At each step all physical requests are packed without any waste, fixed nodes first, and pods move at no
cost; a node is there in the moment in which it is needed, and the autoscaler keeps it for its idle time afterwards.
The shapes of pods and the time to boot are left out, so no autoscaler can need fewer nodes.
"""

import math
from collections.abc import Sequence
from typing import Final

from spillway.simulate.autoscaler import AutoscalerRules
from spillway.simulate.measure import Measures, Requested
from spillway.simulate.scenario import ZONES, Scenario

_ROUNDING: Final = 1e-6


def fewest_nodes(measures: Measures, scenario: Scenario, rules: AutoscalerRules) -> list[int]:
    """By step, the elastic nodes that are paid for if pods may be in any zone; `measures` are of one replay."""
    return _kept(
        [_needed(_sum(zones), scenario, scenario.fixed_nodes) for zones in measures.requested], scenario, rules
    )


def fewest_nodes_by_zone(measures: Measures, scenario: Scenario, rules: AutoscalerRules) -> list[int]:
    """The same if each pod stays in its zone, so that the replicas of each workload are as even as in the replay."""
    fixed = [len(range(zone, scenario.fixed_nodes, len(ZONES))) for zone in range(len(ZONES))]
    by_zone = [
        _kept([_needed(zones[zone], scenario, fixed[zone]) for zones in measures.requested], scenario, rules)
        for zone in range(len(ZONES))
    ]
    return [sum(zones) for zones in zip(*by_zone, strict=True)]


def _sum(zones: Sequence[Requested]) -> Requested:
    return sum(cpu for cpu, _ in zones), sum(memory for _, memory in zones)


def _needed(requested: Requested, scenario: Scenario, fixed: int) -> int:
    """The elastic nodes beside so many fixed ones."""
    cpu, memory = requested[0] / scenario.node_cpu, requested[1] / scenario.node_memory
    return max(math.ceil(max(cpu, memory) - _ROUNDING) - fixed, 0)


def _kept(needed: Sequence[int], scenario: Scenario, rules: AutoscalerRules) -> list[int]:
    """Each node is paid for until it has been empty for the idle time."""
    idle = scenario.steps_in(rules.idle_seconds)
    return [max(needed[max(step - idle, 0) : step + 1]) for step in range(len(needed))]
