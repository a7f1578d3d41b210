"""What the demo asks of the operator, so that it foresees a day that is played within minutes."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from demo import manifests
from demo.foresight import BEFORE_SECONDS, SERIES, Foresight, external_metric, headroom
from demo.past import PAST_DAYS, PER_CORE
from demo.scenario import plan_day
from harness.prometheus import Labels
from spillway.api.elasticpolicy import ElasticPolicy
from spillway.app.settings import Settings

DAY = plan_day(seed=1, workloads=2, seconds=480.0)


class Recorded:
    """Keeps the samples that a Prometheus would be given."""

    url = "http://127.0.0.1:9090"

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def push(self, series: Sequence[tuple[Labels, np.ndarray, np.ndarray]]) -> None:
        for labels, times, values in series:
            assert labels["__name__"] == SERIES
            assert values.min() > 0
            self.times.setdefault(labels["workload"], []).extend(times.tolist())


@pytest.fixture
def server() -> Recorded:
    return Recorded()


@pytest.fixture
def foresight(server: Recorded) -> Foresight:
    return Foresight(DAY, server)  # type: ignore[arg-type]


def test_the_operator_takes_its_flags(foresight: Foresight) -> None:
    given = (flag.removeprefix("--").partition("=") for flag in foresight.flags)
    settings = Settings.of(**{name.replace("-", "_"): value for name, _, value in given})

    assert (settings.demand_speed, settings.demand_meets) == (foresight.pace.speed, foresight.pace.meets)
    assert settings.demand_speed == 180.0, "24 hours in 480 s"
    assert settings.headroom_hold_seconds == pytest.approx(600 / 180), "ten minutes of the day"
    assert foresight.pace.demand_time(time.time() + DAY.seconds) < time.time(), "Prometheus takes no future"


def test_the_policy_is_valid_and_has_durations_of_the_day(foresight: Foresight) -> None:
    _, made = manifests.spillway_resources(scaling=foresight.scaling(), headroom=headroom())
    policy = ElasticPolicy.model_validate(made)

    [found] = policy.spec.workloads
    assert found.scaling is not None
    assert found.scaling.forecast is not None
    assert (found.scaling.forecast.startup, found.scaling.forecast.window) == ("10m", "20m")
    assert found.scaling.target is not None
    assert str(found.scaling.target.per_replica) == f"{PER_CORE * 0.95:g}", "a replica that uses its whole request"
    assert policy.spec.headroom is not None
    assert policy.spec.headroom.from_ == "Forecast"


def test_only_spillways_autoscalers_go_by_the_recommended_replicas() -> None:
    plain = manifests.autoscaler("day-plain", DAY.workloads[0])
    ours = manifests.autoscaler("day-spillway", DAY.workloads[0], metrics=[external_metric("svc-00")])

    assert [one["type"] for one in plain["spec"]["metrics"]] == ["Resource"]
    assert ours["spec"]["metrics"][:-1] == plain["spec"]["metrics"], "the same target of CPU"
    assert ours["spec"]["metrics"][-1]["external"]["metric"]["name"] == "spillway-recommended-replicas"


def test_two_weeks_are_told_until_now_before_the_day_begins(foresight: Foresight, server: Recorded) -> None:
    before = time.time()
    foresight.push_past()

    assert before <= foresight.begins - BEFORE_SECONDS <= time.time()
    begins, now = foresight.pace.demand_time(foresight.begins), foresight.pace.demand_time(time.time())
    assert server.times.keys() == {one.name for one in DAY.workloads}
    for times in server.times.values():
        assert np.all(np.diff(times) == 60.0)
        assert times[0] == pytest.approx(begins - PAST_DAYS * 86_400, abs=60.0)
        assert now - 900.0 <= times[-1] <= now
