"""When `bench_zones` counts a zone as overloaded, and how the traffic of a zone is shared."""

import random
from collections import Counter

import pytest

from tests.bench.bench_zones import Sample, Service, figures, load_percent, services

WEB = Service("web", 2, "zone-b")


def sample(at: float, growth: float, a: int, b: int, c: int) -> Sample:
    return Sample(at, growth, {"web": Counter({"zone-a": a, "zone-b": b, "zone-c": c})})


def test_replicas_share_the_traffic_of_their_own_zone() -> None:
    counts = {"zone-a": 2, "zone-b": 4, "zone-c": 0}
    assert load_percent(WEB, counts, "zone-a", 2.0) == pytest.approx(55.0)
    assert load_percent(WEB, counts, "zone-b", 1.0) == pytest.approx(27.5)
    assert load_percent(WEB, counts, "zone-b", 2.0) == pytest.approx(55.0)
    assert load_percent(WEB, counts, "zone-c", 2.0) == float("inf")


def test_a_zone_is_overloaded_while_it_has_more_load_than_the_hpa_tolerates() -> None:
    run = [sample(0, 1.0, 2, 2, 2), sample(60, 1.5, 2, 2, 2), sample(120, 2.0, 2, 3, 3), sample(180, 2.0, 2, 4, 3)]
    found = figures(run, [WEB])
    assert (found["services_relieved_at_the_end"], found["seconds_overloaded_mean"]) == (1, 120)
    assert (found["new_replicas"], found["new_replicas_in_the_busy_zone_percent"]) == (3, 66.7)
    assert found["busy_zone_load_percent_peak_mean"] == 82.5
    assert found["busy_zone_load_percent_at_the_end_mean"] == 55.0
    assert (found["zone_skew_at_the_beginning"], found["zone_skew_max"]) == (0, 2)
    assert figures(run[:3], [WEB])["services_relieved_at_the_end"] == 0


def test_the_same_seed_gives_the_same_services() -> None:
    assert services(6, random.Random(1)) == services(6, random.Random(1))
    assert {one.busy for one in services(3, random.Random(2))} == {"zone-a", "zone-b", "zone-c"}
