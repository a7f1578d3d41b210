"""What `bench_zones` counts as relieved, and how the traffic of a zone is shared."""

import random
from collections import Counter

import pytest

from tests.bench.bench_zones import Service, Watched, load_percent, services

WEB = Service("web", 2, "zone-b")


def replicas(a: int, b: int, c: int) -> dict[str, Counter[str]]:
    return {"web": Counter({"zone-a": a, "zone-b": b, "zone-c": c})}


def test_replicas_share_the_traffic_of_their_own_zone() -> None:
    counts = replicas(2, 4, 0)["web"]
    assert load_percent(WEB, counts, "zone-a", grown=True) == pytest.approx(55.0)
    assert load_percent(WEB, counts, "zone-b", grown=False) == pytest.approx(27.5)
    assert load_percent(WEB, counts, "zone-b", grown=True) == pytest.approx(55.0)
    assert load_percent(WEB, counts, "zone-c", grown=True) == float("inf")


def test_a_zone_is_relieved_when_it_stays_within_the_tolerance_of_the_hpa() -> None:
    watched = Watched([(0.0, replicas(2, 2, 2)), (60.0, replicas(2, 4, 2)), (120.0, replicas(2, 3, 3))])
    assert watched.figures([WEB])["services_relieved"] == 0
    watched.samples.append((180.0, replicas(2, 4, 3)))
    watched.samples.append((240.0, replicas(2, 4, 3)))
    found = watched.figures([WEB])
    assert (found["services_relieved"], found["seconds_until_relieved_median"]) == (1, 180)
    assert (found["new_replicas"], found["new_replicas_in_the_busy_zone_percent"]) == (3, 66.7)
    assert found["busy_zone_load_percent_at_growth"] == 110.0
    assert found["busy_zone_load_percent_at_the_end"] == 55.0
    assert found["zone_skew_max"] == 2


def test_the_same_seed_gives_the_same_services() -> None:
    assert services(6, random.Random(1)) == services(6, random.Random(1))
    assert {one.busy for one in services(3, random.Random(2))} == {"zone-a", "zone-b", "zone-c"}
