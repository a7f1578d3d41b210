"""The past of a cluster from the metrics that the operator exports.

Contract: one query for each series of a `ClusterHistory`, over steps of which the last ends at the present minute.
Counters are summed over replicas, since only the leader counts; gauges are those of whichever replica led.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import numpy as np

from spillway.domain.forecast.spec import Floats
from spillway.domain.model.units import DAY_SECONDS, GIB, HOUR_SECONDS
from spillway.domain.overview.history import ClusterHistory
from spillway.sources.connection import Connection
from spillway.sources.queries import Queries

SAVING_STEP_SECONDS: Final = 300
# The second query of each is for the time before an upgrade: earlier operators export only that metric.
_NODES: Final = (
    "max by (tier) (avg_over_time(spillway_nodes{@}[#])) or max by (tier) (avg_over_time(spillway_policy_nodes{@}[#]))"
)
_OWNED_CORES: Final = (
    'max(avg_over_time(spillway_node_cores{tier="fixed",@}[#]))'
    ' or max(avg_over_time(spillway_threshold_owned_cores{what="capacity",@}[#]))'
)
_QUERIES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "cores": (("{tier}", "sum by (tier) (rate(spillway_consumed_cpu_seconds_total{@}[#]))"),),
    "gib": (("{tier}", f"sum by (tier) (rate(spillway_consumed_memory_byte_seconds_total{{@}}[#])) / {GIB}"),),
    "nodes": (("{tier}", _NODES),),
    "owned_cores": (("", _OWNED_CORES),),
    "charged": (("{currency}", "sum by (currency) (increase(spillway_consumed_cost_total{@}[#]))"),),
    "victims": (("{reason}", "sum by (reason) (increase(spillway_scale_down_planned_victims_total{@}[#]))"),),
    "moves": (
        ("to even out load: {result}", "sum by (result) (increase(spillway_balance_moves_total{@}[#]))"),
        ("to empty elastic nodes: {result}", "sum by (result) (increase(spillway_consolidation_moves_total{@}[#]))"),
        ("back from virtual nodes: {outcome}", "sum by (outcome) (increase(spillway_bring_backs_total{@}[#]))"),
    ),
    "imbalance": (("{balance}", "max by (balance) (avg_over_time(spillway_balance_node_imbalance_ratio{@}[#]))"),),
    "limits": (("{pool}: {limit}", "max by (pool, limit) (max_over_time(spillway_pool_limit_used_ratio{@}[#]))"),),
}
"""Queries by the field of the history, each with the name of its series; @ stands for the matchers, # for a step."""
_REPLICAS: Final = "max by (namespace, kind, workload) (max_over_time(spillway_workload_replicas{@}[#]))"
_SAVING: Final = (
    "sum by (currency) (sum_over_time((max by (policy, currency) "
    f'(spillway_policy_saving_per_hour{{against="owned",@}}))[#:{SAVING_STEP_SECONDS}s]))'
)


def queries() -> list[str]:
    """Every query, for the test that compares them with the metrics that exist."""
    return [query for found in _QUERIES.values() for _, query in found] + [_REPLICAS, _SAVING]


def step_of(seconds: float) -> float:
    """The length of a step for a history of so many seconds: an hour, and less if there would be few of them."""
    return HOUR_SECONDS if seconds > 2 * DAY_SECONDS else SAVING_STEP_SECONDS


async def read_history(prometheus: Queries, *, now: float, seconds: float) -> ClusterHistory:
    """The last `seconds`.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    step = step_of(seconds)
    end = now // 60 * 60
    times = np.arange(end - (seconds // step - 1) * step, end + 1, step)
    found: dict[str, dict[str, Floats]] = {}
    for name, asked in _QUERIES.items():
        found[name] = {}
        for form, query in asked:
            for one in await prometheus.range(_filled(query, prometheus.connection, step), times[0], times[-1], step):
                values = np.full(times.size, np.nan)
                index = np.round((one.times - times[0]) / step).astype(int)
                values[index] = one.values
                found[name][_named(form, one.labels)] = values
    [owned] = found.pop("owned_cores").values() or [None]
    return ClusterHistory(times, step, owned_cores=owned, **found)


async def highest_replicas(prometheus: Queries, *, now: float, seconds: float) -> Mapping[str, float]:
    """The highest number of replicas of each workload in the last `seconds`, by Kind/namespace/name.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    found = await prometheus.instant(_filled(_REPLICAS, prometheus.connection, seconds), now)
    return {_named("{kind}/{namespace}/{workload}", one.labels): float(one.values[-1]) for one in found}


async def saved(prometheus: Queries, *, now: float, seconds: float) -> Mapping[str, float]:
    """What was saved in the last `seconds`, by currency, compared with owning nodes for the peak.

    The currency is empty where none of the prices names one.
    It is the saving per hour of the plans that were in force, summed over the time.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    query = _filled(_SAVING, prometheus.connection, max(seconds, SAVING_STEP_SECONDS))
    hours = SAVING_STEP_SECONDS / HOUR_SECONDS
    return {
        _named("{currency}", one.labels): float(one.values[-1]) * hours for one in await prometheus.instant(query, now)
    }


def _named(form: str, labels: Mapping[str, str]) -> str:
    """The name of a series; Prometheus leaves out labels that are empty."""
    return form.format_map(defaultdict(str, labels))


def _filled(query: str, connection: Connection, seconds: float) -> str:
    return query.replace("@", connection.selected).replace("#", f"{seconds:.0f}s")
