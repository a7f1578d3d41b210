"""A report with data in every chart: fourteen days of a made-up cluster."""

from datetime import UTC, datetime

import numpy as np

from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.app.report.reading import ClusterReport
from spillway.domain.overview.history import ClusterHistory, cost_by_day
from spillway.domain.overview.status import OperatorState, Overview, overview
from spillway.domain.threshold.request import PolicyNeed

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOURS = 14 * 24
PRICES = PolicyNeed(
    name="online",
    target=0.65,
    fixed_node_hour=20.0,
    elastic_node_hour=8.0,
    virtual_core_hour=2.0,
    virtual_gib_hour=0.0,
    currency="CNY",
)
CHAPTERS = [
    "Demand and capacity by tier",
    "Cost of each day",
    "Thresholds",
    "Victims by reason",
    "Imbalance",
    "Moves",
    "Limits of pools",
]


def empty() -> Overview:
    operator = OperatorState("spillway-1", None, None, None)
    return overview([], [], [], operator=operator, cluster="https://here", now=NOW)


def history() -> ClusterHistory:
    times = np.float64(NOW.timestamp()) - 3600.0 * np.arange(HOURS, dtype=np.float64)[::-1]
    hour = (times % 86_400) / 3600
    wave = np.exp(-(((hour - 19) / 3) ** 2))
    nothing = np.zeros(HOURS)
    gap = np.where(np.arange(HOURS) == 100, np.nan, 1.0)
    return ClusterHistory(
        times,
        3600.0,
        cores={"fixed": (30 + 20 * wave) * gap, "elastic": 10 * wave * gap, "virtual": 6 * wave * gap},
        gib={"fixed": nothing, "elastic": nothing, "virtual": nothing},
        nodes={"fixed": nothing + 3, "elastic": np.ceil(wave), "virtual": nothing + 2},
        owned_cores=nothing + 60.0,
        charged={"CNY": 12 * wave},
        victims={"Virtual": 4 * wave, "NodeEmpties": 2 * wave},
        moves={"to even out load: evicted": wave, "to empty elastic nodes: moved": 2 * wave},
        imbalance={"shop": 0.2 + 0.1 * wave},
        limits={"eci-a: pods": 0.2 + 0.7 * wave, "eci-a: costPerMonth": np.linspace(0, 0.8, HOURS)},
    )


def report() -> ClusterReport:
    past = history()
    names = [f"Deployment/shop/{name}" for name in ("cart", "search", "checkout-with-a-rather-long-name")]
    thresholds = [WorkloadThreshold(workload=one, replicas=8 - index, reason="Auto") for index, one in enumerate(names)]
    highest = dict(zip(names, (24.0, 12.0, 9.0), strict=True))
    return ClusterReport(empty(), thresholds, past, highest, PRICES, cost_by_day(past, PRICES))
