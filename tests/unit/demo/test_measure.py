from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from demo.contenders import Contender
from demo.driver import usage_millis
from demo.measure import (
    Lifetime,
    PodWait,
    Sample,
    Writes,
    exactness,
    node_hours,
    percentile,
    pod_hours,
    served,
    skew_figures,
)
from demo.plans import Verdict
from demo.results import misses
from demo.scaledowns import ScaleDown, Victim
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone


def victim(name: str = "v", **changes: object) -> Victim:
    made: dict[str, Any] = {
        "uid": PodUid(name),
        "name": name,
        "node": NodeName("n"),
        "tier": Tier.FIXED,
        "zone": Zone("a"),
        "ready": True,
        "cost": 0,
        "planned": True,
        "virtual_survived": False,
        "reason": "Fixed",
    }
    return Victim(**(made | changes))


def down(*victims: Victim, skew: int = 1, possible: int = 1) -> ScaleDown:
    return ScaleDown(
        contender=Contender.PLAIN,
        namespace="day-plain",
        workload="svc",
        replicaset="svc-1",
        uid=OwnerUid("rs"),
        began=1.0,
        ended=2.0,
        before=5,
        after=5 - len(victims),
        victims=victims,
        missed=(),
        missed_unready=0,
        skew=skew,
        skew_possible=possible,
    )


def sample(at: float, *, virtual: int = 0, skews: tuple[int, ...] = ()) -> Sample:
    pods = {"fixed": 1, "elastic": 0, "virtual": virtual, "unassigned": 0}
    return Sample(at=at, hour=0.0, pods=pods, elastic_nodes=0, skews=skews, load_cores=0.0)


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        pytest.param([], 0.99, 0.0, id="nothing"),
        pytest.param([3.0], 0.99, 3.0, id="one"),
        pytest.param(list(range(1, 101)), 0.99, 99.0, id="the 99th of a hundred"),
        pytest.param(list(range(1, 101)), 0.5, 50.0, id="the median"),
    ],
)
def test_percentile(values: list[float], fraction: float, expected: float) -> None:
    assert percentile(values, fraction) == expected


@pytest.mark.parametrize(
    ("created", "gone", "hours"),
    [
        pytest.param(100.0, 120.0, 1.0, id="came and went"),
        pytest.param(-50.0, 20.0, 1.0, id="what stood before the day does not count"),
        pytest.param(80.0, None, 1.0, id="still there at the end"),
        pytest.param(150.0, None, 0.0, id="came after the end"),
        pytest.param(90.0, 400.0, 0.5, id="went after the end"),
    ],
)
def test_node_hours_count_only_the_day(created: float, gone: float | None, hours: float) -> None:
    life = Lifetime("n", "a", created, gone)
    assert node_hours([life], until=100.0 if created < 100 else 120.0, seconds_per_hour=20.0) == hours


def test_exactness_judges_only_ready_victims() -> None:
    figures = exactness([down(victim("a"), victim("b", planned=False), victim("c", ready=False, planned=False))])
    assert figures["victims"] == 3
    assert figures["victims_ready"] == 2
    assert figures["planned_victims_deleted"] == figures["planned_ready_deleted"] == 1
    assert figures["planned_ratio"] == 0.5


def test_a_physical_pod_deleted_while_a_virtual_one_stays_breaks_the_order() -> None:
    figures = exactness(
        [
            down(
                victim("physical", virtual_survived=True),
                victim("virtual", tier=Tier.VIRTUAL, virtual_survived=True),
                victim("unready", ready=False, virtual_survived=True),
                victim("unassigned", tier=None, ready=False, virtual_survived=True),
            )
        ]
    )
    assert figures["virtual_first_violations"] == 1


def test_skew_counts_above_what_was_possible() -> None:
    figures = exactness([down(victim(), skew=2, possible=2), down(victim(), skew=2, possible=1)])
    assert figures["skew_after_max"] == 2
    assert figures["skew_above_possible"] == 1


def test_skew_figures_are_over_every_workload_at_rest() -> None:
    figures = skew_figures([sample(0, skews=(0, 1, 1)), sample(1, skews=(3,))])
    assert figures == {"zone_skew_max": 3, "zone_skew_p99": 3.0, "zone_skew_above_1_share": 0.25}


def test_pod_hours_sum_what_stood_between_samples() -> None:
    assert pod_hours([sample(0, virtual=2), sample(10, virtual=1), sample(20)], Tier.VIRTUAL, 10.0) == 3.0


def test_the_sum_of_writes_stays_as_it_is_when_there_are_more() -> None:
    writes = Writes(Counter({"pods": 2}), refused=1)
    before = writes + Writes(Counter({"pods": 1, "nodes": 4}))
    writes.by_resource["pods"] += 3
    assert (before.by_resource, before.refused) == ({"pods": 3, "nodes": 4}, 1)
    assert (writes + Writes(Counter({"pods": 1, "nodes": 4}))).since(before).by_resource == {"pods": 3}


def test_misses_tell_what_was_deleted_instead() -> None:
    listed = misses([Verdict(down(victim("a"), victim("b", planned=False)), ())])
    assert [miss["pod"] for miss in listed] == ["b"]
    assert listed[0]["why"].startswith("no plan was recorded")


@pytest.mark.parametrize(
    ("cores", "replicas", "millis"),
    [
        pytest.param(2.0, 4, 500, id="shared evenly"),
        pytest.param(2.0, 0, 0, id="no one there"),
        pytest.param(9.0, 1, 1520, id="no more than the ceiling"),
    ],
)
def test_usage_is_shared_by_the_ready_replicas(cores: float, replicas: int, millis: int) -> None:
    assert usage_millis(cores, replicas) == millis


def test_pods_wait_until_they_are_ready_or_gone_or_the_day_ends() -> None:
    waits = [PodWait(10, 10), PodWait(10, 12), PodWait(20, 50), PodWait(90), PodWait(95, 140), PodWait(101, 300)]
    found = served([], waits, until=100.0)
    assert (found["pods_created"], found["pending_p50_s"], found["pending_p99_s"]) == (5, 5.0, 30.0)


def test_load_is_unmet_as_long_as_too_few_pods_are_ready() -> None:
    samples = [
        replace(sample(0), load_cores=10.0, unmet_cores=5.0),
        replace(sample(10), load_cores=10.0),
        replace(sample(40), load_cores=99.0, unmet_cores=99.0),
    ]
    assert served(samples, [], until=40.0)["unmet_ratio"] == 0.125
