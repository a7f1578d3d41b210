"""What `bench_balance` counts as a dip, and how it sums up samples."""

import random

from tests.bench.bench_balance import Sample, Watched, figures, profiles


def test_a_dip_is_a_fall_below_the_replicas_that_were_ready_and_asked_for() -> None:
    watched = Watched({"web": 2})
    for by in (1, 1):
        watched.change("web", by)
    assert watched.dips == 0
    watched.change("web", 1)  # the additional replica of a surge
    watched.change("web", -1)
    assert watched.dips == 0
    watched.change("web", -1)
    watched.change("web", 1)
    assert watched.dips == 1


def test_a_scale_down_is_no_dip_and_replicas_that_were_never_ready_neither() -> None:
    watched = Watched({"web": 2})
    for by in (1, 1):
        watched.change("web", by)
    watched.ask("web", 1)
    watched.change("web", -1)
    watched.ask("web", 4)
    watched.change("web", 1)
    assert watched.dips == 0
    watched.change("web", -1)
    assert watched.dips == 1


def test_the_figures_of_a_run() -> None:
    def sample(at: float, *percent: float, skew: int = 1) -> Sample:
        loads = dict(zip(("n1", "n2"), percent, strict=True))
        return Sample(at, loads, {"n1": 10.0, "n2": 30.0}, {"a": percent[0], "b": percent[1]}, skew)

    found = figures(
        [sample(0, 80, 20), sample(5, 90, 20, skew=3), sample(10, 60, 45), sample(15, 60, 50), sample(20, 60, 48)]
    )
    assert (found["node_imbalance_percent_before"], found["node_imbalance_percent_peak"]) == (60, 70)
    assert (found["node_imbalance_percent"], found["seconds_to_even_out"]) == (12, 10)
    assert (found["zone_skew_max"], found["zone_skew_peak"]) == (1, 3)
    assert found["memory_imbalance_percent"] == 20


def test_the_same_seed_gives_the_same_workloads() -> None:
    assert profiles(20, 6, random.Random(1)) == profiles(20, 6, random.Random(1)) != profiles(20, 6, random.Random(2))
