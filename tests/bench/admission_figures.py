"""What `bench_admission` measured, summed up: latency of each kind of request, ratios, and CPU for each decision.

Contract: pure. A contender is judged by all requests of all of its slices.
"""

from itertools import chain
from statistics import fmean
from typing import Any, Final

from tests.bench.admission_contenders import CONTENDERS, Spent
from tests.bench.admission_load import Timings, quantile

KINDS: Final = {
    "creation": ("create_ms", "pods"),
    "binding": ("bind_ms", "bindings"),
    "scale_down": ("scale_ms", "replicasets"),
}
"""Each kind of request: where its times are, and the name of its webhook."""

Met = dict[str, list[tuple[Timings, Spent]]]
"""The slices of each contender."""


def figures(met: Met) -> dict[str, Any]:
    """The figures of all contenders, by the keys that docs/explanation/benchmarks.md explains."""
    return {
        "idle_percent": _idle(met["spillway"]),
        "idle_percent_by_contender": {name: _idle(slices) for name, slices in met.items()},
        **{kind: {name: _latency(slices, times) for name, slices in met.items()} for kind, (times, _) in KINDS.items()},
        "ratio": _ratios(met),
        **_cpu(met),
    }


def _idle(slices: list[tuple[Timings, Spent]]) -> float:
    return round(fmean(spent.idle_percent for _, spent in slices), 1)


def _latency(slices: list[tuple[Timings, Spent]], times: str) -> dict[str, Any]:
    """Quantiles over all requests of all slices, and the p99 of each slice as a measure of its spread."""
    by_slice = [getattr(timings, times) for timings, _ in slices]
    everything = list(chain.from_iterable(by_slice))
    return {
        "requests": len(everything),
        "p50_ms": quantile(everything, 0.5),
        "p99_ms": quantile(everything, 0.99),
        "p99_ms_of_each_slice": [quantile(values, 0.99) for values in by_slice],
    }


def _ratios(met: Met) -> dict[str, float | None]:
    """What Spillway adds, over what *noop* adds; None where *noop* added nothing that could be seen."""
    found: dict[str, float | None] = {}
    for kind, (times, _) in KINDS.items():
        latency = {name: _latency(slices, times) for name, slices in met.items()}
        for label in ("p50", "p99"):
            least, floor, ours = (latency[name][f"{label}_ms"] for name in CONTENDERS)
            found[f"{kind}_{label}"] = round((ours - least) / (floor - least), 2) if floor > least else None
    return found


def _cpu(met: Met) -> dict[str, Any]:
    """CPU of each process for a decision (a creation, a binding or a scale-down), in microseconds.

    `cpu_us_per_decision` is what all replicas of the operator spend while they answer, their informers and controllers
    included; `of_the_webhooks` is what of it the calls add, beside the slices without a webhook.
    """
    us: dict[str, dict[str, float]] = {}
    for name, slices in met.items():
        requests = sum(len(getattr(timings, times)) for timings, _ in slices for times, _ in KINDS.values())
        us[name] = {
            process: round(1e6 * sum(spent.by_process[process] for _, spent in slices) / max(requests, 1))
            for process in slices[0][1].by_process
        }
    replicas = [process for process in us["spillway"] if process.startswith(("leader", "follower"))]
    whole = sum(us["spillway"][process] for process in replicas)
    return {
        "cpu_us_per_decision": whole,
        "cpu_us_per_decision_of_the_webhooks": whole - sum(us["none"][process] for process in replicas),
        "cpu_us_per_request_by_process": us,
    }
