"""Days of 60 workloads through the production planners, beside plain Kubernetes and flat costs, in a pure simulator.

Writes `build/bench/simulate.json`: for each contender the figures over all seeds with a node autoscaler that only takes
empty nodes away (cluster-autoscaler's timing), and nested the same with draining (`drain`) and with Karpenter's
`WhenEmpty` (`karpenter_when_empty`). Beside them, with cluster-autoscaler's timing: `plain_drain` (plain Kubernetes and
an autoscaler that drains), `spillway_moves` (surges empty elastic nodes, and the autoscaler only takes empty ones) and
`clairvoyant` (the fewest nodes with which the pods of `spillway_moves` could have run; under `by_zone`, if each of them
stays in its zone). What is modelled: docs/explanation/scale-down-order.md.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from spillway.domain.model.units import HOUR_SECONDS
from spillway.simulate.autoscaler import (
    CLUSTER_AUTOSCALER,
    CLUSTER_AUTOSCALER_DRAINS,
    KARPENTER_WHEN_EMPTY,
    AutoscalerRules,
)
from spillway.simulate.clairvoyant import fewest_nodes, fewest_nodes_by_zone
from spillway.simulate.contenders import Contender, Flat, Plain, Spillway
from spillway.simulate.measure import Measures
from spillway.simulate.moves import MoveRules
from spillway.simulate.replay import replay
from spillway.simulate.scenario import STEP_SECONDS, Scenario, two_peak_days

OUTPUT: Final = Path("build/bench/simulate.json")
MOVES: Final[dict[str, tuple[Contender, AutoscalerRules]]] = {
    "plain_drain": (Plain(), CLUSTER_AUTOSCALER_DRAINS),
    "spillway_moves": (Spillway(moves=MoveRules()), CLUSTER_AUTOSCALER),
}
CONTENDERS: Final[dict[str, Contender]] = {"plain": Plain(), "flat": Flat(), "spillway": Spillway()}
AUTOSCALERS: Final[dict[str, AutoscalerRules]] = {
    "no_drain": CLUSTER_AUTOSCALER,
    "drain": CLUSTER_AUTOSCALER_DRAINS,
    "karpenter_when_empty": KARPENTER_WHEN_EMPTY,
}


def main(
    *,
    days: Annotated[int, typer.Option(help="Days of each replay.")] = 3,
    seeds: Annotated[int, typer.Option(help="How many scenarios, from seed 1.")] = 5,
    workloads: Annotated[int, typer.Option(help="Workloads under HPA.")] = 60,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Replay and write the figures."""
    began = time.monotonic()
    scenarios = [two_peak_days(seed, days=days, workloads=workloads) for seed in range(1, seeds + 1)]
    by_autoscaler = {name: measure(scenarios, rules) for name, rules in AUTOSCALERS.items()}
    measured: dict[str, Any] = {}
    for contender in CONTENDERS:
        measured[contender] = dict(by_autoscaler["no_drain"][contender])
        measured[contender] |= {name: by_autoscaler[name][contender] for name in AUTOSCALERS if name != "no_drain"}
    for name, (one, rules) in MOVES.items():
        measured[name], replays = figures_of(scenarios, one, rules)
    measured["clairvoyant"] = bound(scenarios, replays, rules, fewest_nodes) | {
        "by_zone": bound(scenarios, replays, rules, fewest_nodes_by_zone)
    }
    measured["moves_ratios"] = {
        f"elastic_node_hours_vs_{other}": ratio(
            measured["spillway_moves"]["elastic_node_hours"], measured[other]["elastic_node_hours"]
        )
        for other in ("plain", "spillway", "plain_drain", "clairvoyant")
    } | {
        "elastic_node_hours_vs_clairvoyant_by_zone": ratio(
            measured["spillway_moves"]["elastic_node_hours"], measured["clairvoyant"]["by_zone"]["elastic_node_hours"]
        )
    }
    measured["ratios"] = {name: ratios(figures) for name, figures in by_autoscaler.items()}
    measured["ran"] = {
        "days": days,
        "seeds": seeds,
        "step_seconds": STEP_SECONDS,
        "scenarios": [describe(scenario) for scenario in scenarios],
        "seconds": round(time.monotonic() - began, 1),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(measured, indent=2) + "\n")
    typer.echo(json.dumps(measured["ratios"] | {"spillway_moves": measured["moves_ratios"]}, indent=2))
    typer.echo(f"figures: {output}")


def measure(scenarios: list[Scenario], rules: AutoscalerRules) -> dict[str, dict[str, Any]]:
    """Each contender's figures over all scenarios; sums, where not said otherwise by the name."""
    return {name: figures_of(scenarios, contender, rules)[0] for name, contender in CONTENDERS.items()}


def figures_of(
    scenarios: list[Scenario], contender: Contender, rules: AutoscalerRules
) -> tuple[dict[str, Any], list[Measures]]:
    """One contender's figures over all scenarios, and its replays."""
    replays = [replay(scenario, contender, rules) for scenario in scenarios]
    total, by_seed = Measures(), [one.summary() for one in replays]
    for one in replays:
        total.add(one)
    figures = total.summary() | {
        "by_seed": {
            key: [seed[key] for seed in by_seed]
            for key in ("elastic_node_hours", "virtual_pod_hours", "evictions", "zone_skew_max")
        }
    }
    return figures, replays


def bound(
    scenarios: list[Scenario],
    replays: list[Measures],
    rules: AutoscalerRules,
    fewest: Callable[[Measures, Scenario, AutoscalerRules], list[int]],
) -> dict[str, Any]:
    """The elastic node-hours of the fewest nodes with which these replays' pods could have run."""
    by_seed = [
        round(sum(fewest(one, scenario, rules)) * scenario.step_seconds / HOUR_SECONDS, 2)
        for scenario, one in zip(scenarios, replays, strict=True)
    ]
    return {"elastic_node_hours": round(sum(by_seed), 2), "by_seed": {"elastic_node_hours": by_seed}}


def ratio(mine: float, theirs: float) -> float | None:
    """The one divided by the other; None if the other is nothing."""
    return round(mine / theirs, 3) if theirs else None


def ratios(figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Spillway's elastic node-hours and virtual pod-hours beside the others', in all and by seed."""
    ours = figures["spillway"]
    return {
        f"{key}_vs_{other}": {
            "all": ratio(ours[key], figures[other][key]),
            "by_seed": by_seed,
            "mean": round(statistics.mean(known), 3) if known else None,
            "stdev": round(statistics.stdev(known), 3) if len(known) > 1 else 0.0,
        }
        for key in ("elastic_node_hours", "virtual_pod_hours")
        for other in ("plain", "flat")
        for by_seed in (
            [
                ratio(mine, theirs)
                for mine, theirs in zip(ours["by_seed"][key], figures[other]["by_seed"][key], strict=True)
            ],
        )
        for known in ([one for one in by_seed if one is not None],)
    }


def describe(scenario: Scenario) -> dict[str, int]:
    """A scenario's size."""
    return {
        "seed": scenario.seed,
        "workloads": len(scenario.workloads),
        "fixed_nodes": scenario.fixed_nodes,
        "elastic_nodes_max": scenario.elastic_max,
        "replicas_max": sum(workload.max_replicas for workload in scenario.workloads),
        "rollouts": sum(len(workload.rollouts) for workload in scenario.workloads),
    }


if __name__ == "__main__":
    typer.run(main)
