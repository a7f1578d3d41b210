"""The examples of a backtest: cases that need no data.

`evening-peak` is the arithmetic of an owned cluster that is full for four hours a day: with C for an hour of all owned
nodes, owning everything costs 24 C a day; 70 % owned and the rest on virtual nodes at 1.5 C for these four hours costs
24 x 0.7 C + 1.5 x 4 x 0.3 C = 18.6 C, which is 22.5 % less.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from spillway.api.scalars import Duration
from spillway.api.scaling import ReplicaSchedule, Scaling
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS
from spillway.simulate.backtest.case import LEARNING_STEPS, Case, HourlyPrices, Service, Setup

_MONDAY: Final = 1_767_571_200.0
"""The Unix time of 2026-01-05T00:00:00Z."""


def evening_peak() -> Case:
    """One service under a schedule: 70 replicas, and 100 from 17:00 to 21:00; one counted day."""
    demand = np.full(LEARNING_STEPS + DAY_STEPS, 70.0)
    hour = np.arange(demand.size) // HOUR_STEPS % 24
    demand[(hour >= 17) & (hour < 21)] = 100.0
    schedule = ReplicaSchedule(name="evening", start="0 17 * * *", duration=Duration("4h"), replicas=100)
    return Case(
        title="An evening peak of four hours: 70 % owned, the rest on virtual nodes at 1.5 times the price",
        setup=Setup(
            nodes=7,
            node_cores=10.0,
            node_gib=0.0,
            elastic_nodes=0,
            target=1.0,
            prices=HourlyPrices(owned_node=0.1, elastic_node=0.0, virtual_core=0.015, currency="C"),
        ),
        services=(
            Service(
                "Deployment/school/lessons",
                1.0,
                scaling=Scaling(schedule_only=True, min_replicas=70, schedules=(schedule,)),
            ),
        ),
        start=_MONDAY,
        demand=demand[None],
    )


def two_peaks(count: int = 20, days: int = 9) -> Case:
    """So many services with a peak at noon and one in the evening, with forecasts and all three tiers."""
    random = np.random.default_rng(7)
    hour = np.arange(days * DAY_STEPS) / HOUR_STEPS
    rows, services = [], []
    for index in range(count):
        peak = float(np.clip(random.lognormal(np.log(20), 0.5), 5, 80))
        noon, evening = random.normal(11.5, 1.0), random.normal(20.0, 1.0)
        width, valley = random.uniform(1.2, 2.2), random.uniform(0.1, 0.2)
        waves = np.maximum(
            random.uniform(0.4, 0.9) * np.exp(-(((hour % 24 - noon) / width) ** 2) / 2),
            np.exp(-(((hour % 24 - evening) / width) ** 2) / 2),
        )
        levels = np.repeat(random.normal(1.0, 0.06, days), DAY_STEPS)
        noise = 1 + random.normal(0.0, 0.02, hour.size)
        rows.append((valley + (1 - valley) * waves) * levels * noise * peak)
        services.append(Service(f"Deployment/shop/service-{index + 1:02}", float(random.choice([0.5, 1.0, 1.5])), 2.0))
    demand = np.array(rows)
    needed = float((np.array([one.cores for one in services]) @ np.ceil(demand)).max())
    return Case(
        title="Services with two peaks a day",
        setup=Setup(
            nodes=round(needed * 0.5 / 16),
            node_cores=16.0,
            node_gib=64.0,
            elastic_nodes=round(needed * 0.5 / 16),
            prices=HourlyPrices(
                owned_node=0.48, elastic_node=0.77, virtual_core=0.0405, virtual_gib=0.0045, currency="USD"
            ),
        ),
        services=tuple(services),
        start=_MONDAY,
        demand=demand,
    )


EXAMPLES: Final[dict[str, Callable[[], Case]]] = {"evening-peak": evening_peak, "two-peaks": two_peaks}
