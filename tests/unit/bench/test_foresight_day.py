"""The whole day of the foresight bench, in the simulator."""

import pytest

from tests.bench.foresight_day import modelled_day, owned_nodes
from tests.bench.foresight_demand import DailyDemand, ForeseenService

START = 1_800_000_000.0


def _demand(*services: tuple[float, float], days: int = 4) -> DailyDemand:
    named = tuple(
        ForeseenService(f"svc-{index}", valley=valley, peak=peak, late_seconds=0.0)
        for index, (valley, peak) in enumerate(services)
    )
    return DailyDemand(START, 40.0, days, 1, named)


@pytest.mark.parametrize(
    ("services", "nodes"),
    [([(2.4, 12.0)], 1), ([(9.5, 9.5)], 3), ([(9.5, 40.0)], 3), ([(2.4, 12.0), (9.5, 40.0)], 4)],
    ids=["a small valley", "no peak", "a high peak of nine hours", "both together"],
)
def test_an_owned_node_is_one_that_is_needed_for_most_of_the_day(
    services: list[tuple[float, float]], nodes: int
) -> None:
    assert owned_nodes(_demand(*services, days=14)) == nodes


def test_the_contenders_of_a_modelled_day_differ_as_the_bench_measures() -> None:
    demand = _demand((2.4, 12.0), (3.3, 15.0))
    found = modelled_day(demand, 2, startup_seconds=240.0, window_seconds=600.0, node_startup_seconds=180.0)
    reactive, floor, spillway = (found[name] for name in ("reactive", "floor", "spillway"))
    for one in found.values():
        assert 0 < one["mean_cpu_percent"] < 80
        assert one["elastic_node_hours"] > one["played"]["elastic_node_hours"] > 0
        assert one["needless_scale_downs"] <= one["scale_downs"]
    assert reactive["unmet_percent"] > floor["unmet_percent"]
    assert reactive["unmet_percent"] > spillway["unmet_percent"]
    assert floor["played"]["waiting_pod_minutes"] > spillway["played"]["waiting_pod_minutes"]
    assert floor["played"]["elastic_node_hours"] > reactive["played"]["elastic_node_hours"]
