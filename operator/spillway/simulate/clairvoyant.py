"""The fewest elastic nodes with which the pods of a replay could have run: a bound for whoever empties nodes.

Contract: pure. At each step all physical requests are packed without any waste, fixed nodes first, and pods move at no
cost; a node is there in the moment in which it is needed, and the autoscaler keeps it for its idle time afterwards.
Zones, the shapes of pods and the time to boot are left out, so no autoscaler can need fewer nodes.
"""

import math

from spillway.simulate.autoscaler import AutoscalerRules
from spillway.simulate.measure import Measures
from spillway.simulate.scenario import Scenario

_ROUNDING = 1e-6


def fewest_nodes(measures: Measures, scenario: Scenario, rules: AutoscalerRules) -> list[int]:
    """By step, the elastic nodes that are paid for; `measures` are of one replay of the scenario."""
    needed = [
        max(
            math.ceil(cpu / scenario.node_cpu - _ROUNDING) - scenario.fixed_nodes,
            math.ceil(memory / scenario.node_memory - _ROUNDING) - scenario.fixed_nodes,
            0,
        )
        for cpu, memory in measures.requested
    ]
    idle = scenario.steps_in(rules.idle_seconds)
    return [max(needed[max(step - idle, 0) : step + 1]) for step in range(len(needed))]
