"""When the object of a surging workload is read again."""

from dataclasses import replace

import msgspec

from spillway.domain.model.documents import Json
from spillway.domain.surge.readings import LONGEST_PAUSE_SECONDS, SurgeReading, reading_of
from spillway.domain.surge.steps import Progress
from tests.builders import make_replicaset

WEB = make_replicaset("web", replicas=3)
WAITS = Progress(asked=3, active=3, ready=2, placed=1)
SETTLES = Progress(asked=3, active=3, ready=2, placed=1, settling=True, ready_since=100.0)
LARGE: Json = {"spec": {"replicas": 3, "template": {"spec": {}}}, "status": {"availableReplicas": 2, "conditions": []}}


def read(
    now: float, progress: Progress = WAITS, *, before: SurgeReading | None = None, minimum: int = 0
) -> SurgeReading:
    return reading_of({"spec": {"minReadySeconds": minimum}}, WEB, progress, now, before=before)


def times(progress: Progress, until: float, *, minimum: int = 0) -> list[float]:
    """When a workload is read in which nothing changes, from 100.0 on, with a step in each second."""
    reading, found = read(100.0, progress, minimum=minimum), [100.0]
    for second in range(101, int(until) + 1):
        if not reading.holds(WEB, progress, float(second)):
            reading = read(float(second), progress, before=reading, minimum=minimum)
            found.append(float(second))
    return found


def test_the_pauses_grow_while_nothing_changes() -> None:
    assert times(WAITS, 150.0) == [100.0, 101.0, 102.0, 104.0, 108.0, 116.0, 131.0, 146.0]


def test_a_workload_is_read_when_its_replicas_should_be_available_and_often_thereafter() -> None:
    assert times(SETTLES, 145.0, minimum=40) == [
        100.0,
        101.0,
        102.0,
        104.0,
        108.0,
        116.0,
        131.0,
        140.0,
        141.0,
        142.0,
        144.0,
    ]


def test_what_changes_in_the_state_is_a_reason_to_read() -> None:
    quiet = read(200.0, before=read(100.0))
    assert quiet.holds(WEB, WAITS, 214.0)
    assert quiet.holds(WEB, replace(WAITS, unschedulable_seconds=5.0), 214.0), "the clock alone"
    assert not quiet.holds(WEB, WAITS, 200.0 + LONGEST_PAUSE_SECONDS)
    assert not quiet.holds(WEB, WAITS, 199.0), "the clock was set back"
    assert not quiet.holds(WEB, replace(WAITS, ready=3), 201.0)
    assert not quiet.holds(WEB, replace(WAITS, wanted=False), 201.0)
    scaled = msgspec.structs.replace(WEB, replicas=4)
    assert not quiet.holds(scaled, WAITS, 201.0)
    again = reading_of(LARGE, scaled, WAITS, 201.0, before=quiet)
    assert again.due == 202.0


def test_little_of_the_object_is_kept() -> None:
    kept = reading_of(LARGE, WEB, WAITS, 100.0, before=None).workload
    assert kept == {"spec": {"replicas": 3}, "status": {"availableReplicas": 2}}
