"""What the demo's observer sees of pods that start, and of load that they do not carry."""

from typing import Any

import msgspec
import pytest

from demo.contenders import Contender
from demo.observe import Observer
from demo.scenario import REQUEST_MILLIS, plan_day
from spillway.domain.model.names import OwnerUid, PodUid
from tests.builders import make_pod, make_replicaset, make_state

OURS = Contender.PLAIN


@pytest.fixture
def observer() -> Observer:
    return Observer(make_state(), (OURS,), None)


def pod(name: str, **more: Any) -> Any:
    made = make_pod(name)
    given = {"uid": PodUid(name), "namespace": OURS.namespace, "owner_uid": OwnerUid("rs"), "ready": False, **more}
    return msgspec.structs.replace(made, **given)


def test_a_pod_waits_from_its_creation_until_it_is_ready_for_the_first_time(observer: Observer) -> None:
    observer.state.apply(pod("before the day"))
    for now, ready in ((3.0, False), (5.0, False), (9.0, True), (12.0, False), (20.0, True)):
        observer.now = now
        observer.state.apply(pod("a", ready=ready))
    assert [(wait.created, wait.ended) for wait in observer.waits(OURS)] == [(3.0, 9.0)]


def test_a_pod_that_is_deleted_before_it_was_ready_waits_no_longer(observer: Observer) -> None:
    observer.now = 3.0
    observer.state.apply(pod("a"))
    observer.state.apply(pod("b"))
    observer.now = 7.0
    observer.state.remove(pod("a"))
    assert sorted((wait.created, wait.ended or 0.0) for wait in observer.waits(OURS)) == [(3.0, 0.0), (3.0, 7.0)]


def test_pods_of_the_storm_are_left_out(observer: Observer) -> None:
    observer.now = 3.0
    observer.state.apply(pod("a", namespace=OURS.storm_namespace))
    assert observer.waits(OURS) == []


def test_load_beyond_what_the_ready_pods_of_a_workload_request_is_unmet(observer: Observer) -> None:
    day = plan_day(seed=1, workloads=2, seconds=240)
    first, second = day.workloads
    observer.state.apply(make_replicaset("rs", uid="rs", owner_name=first.name, namespace=OURS.namespace))
    for name in ("a", "b"):
        observer.state.apply(pod(name, ready=True))
    observer.tick(100.0, day)
    [sample] = observer.samples[OURS]
    hour = day.hour_at(100.0)
    assert sample.ready_cores == pytest.approx(2 * REQUEST_MILLIS / 1000)
    unmet = max(first.load(hour) - sample.ready_cores, 0) + second.load(hour)
    assert sample.unmet_cores == pytest.approx(unmet)


def _pods(observer: Observer, *names: str, ready: bool = True) -> None:
    for name in names:
        observer.state.apply(pod(name, ready=ready))


@pytest.mark.parametrize(
    ("asked", "later", "dips"),
    [
        pytest.param(2, 2, 1, id="an eviction"),
        pytest.param(1, 1, 0, id="a scale-down"),
        pytest.param(2, 1, 0, id="a scale-down whose ReplicaSet shows later"),
    ],
)
def test_a_ready_pod_that_is_lost_while_fewer_than_requested_remain_is_a_dip(
    observer: Observer, asked: int, later: int, dips: int
) -> None:
    def ask(replicas: int) -> None:
        observer.state.apply(make_replicaset("rs", uid="rs", namespace=OURS.namespace, replicas=replicas))

    observer.follow(1.0)
    ask(asked)
    _pods(observer, "a", "b")
    _pods(observer, "c", ready=False)
    observer.state.remove(pod("a"))
    observer.follow(2.0)
    ask(later)
    observer.follow(3.0)
    assert observer.dips.count[OURS] == 0
    observer.follow(5.0)
    assert observer.dips.count[OURS] == dips
