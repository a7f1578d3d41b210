"""Which load class a workload has, and when it changes."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.classes import (
    HALF_LIFE_SECONDS,
    HYSTERESIS,
    LONGEST_SAMPLE_SECONDS,
    ClassHistories,
    ClassHistory,
    LoadClass,
    anti_affinity_term,
    class_of_pod,
    label_additions,
)
from spillway.domain.model.names import LOAD_CLASS
from tests.support.json_patch import applied

GIB = 2.0**30
RATIO = 0.5
DAY = 24 * 3600.0
STEP = 300.0


def measured(*ratios: float, seconds: float = DAY, history: ClassHistory | None = None) -> ClassHistory:
    """The history of a workload with these ratios of cores to GiB, each for so long."""
    found = history or ClassHistory(at=1000.0)
    for ratio in ratios:
        end = found.at + seconds
        while found.at < end:
            found.add(1000 * ratio, GIB, found.at + STEP)
    return found


@pytest.mark.parametrize(
    ("ratios", "before", "expected"),
    [
        pytest.param([2.0], None, LoadClass.CPU, id="many cores"),
        pytest.param([0.1], None, LoadClass.MEMORY, id="few cores"),
        pytest.param([0.0], None, LoadClass.MEMORY, id="idle"),
        pytest.param([0.6], LoadClass.MEMORY, LoadClass.MEMORY, id="a little above the limit"),
        pytest.param([0.42], LoadClass.CPU, LoadClass.CPU, id="a little below the limit"),
        pytest.param([2.0], LoadClass.MEMORY, LoadClass.CPU, id="far above"),
        pytest.param([0.1], LoadClass.CPU, LoadClass.MEMORY, id="far below"),
    ],
)
def test_the_class_of_a_workload(ratios: list[float], before: LoadClass | None, expected: LoadClass) -> None:
    history = measured(*ratios)
    history.load_class = before
    assert history.judge(RATIO, DAY) is (expected is not before)
    assert history.load_class is expected
    assert not history.judge(RATIO, DAY)


def test_a_workload_that_was_not_measured_for_long_enough_has_no_class() -> None:
    history = measured(2.0, seconds=DAY - STEP)
    assert not history.judge(RATIO, DAY)
    assert measured(2.0, seconds=STEP, history=history).judge(RATIO, DAY)


def test_half_a_busy_hour_of_a_day_does_not_count_and_two_hours_do() -> None:
    quiet = measured(0.1, seconds=DAY - 1800)
    assert measured(4.0, seconds=1800, history=quiet).percentile == pytest.approx(0.1, rel=0.1)
    quieter = measured(0.1, seconds=DAY - 7200)
    assert measured(4.0, seconds=7200, history=quieter).percentile == pytest.approx(4.0, rel=0.1)


def test_what_a_workload_did_days_ago_is_forgotten() -> None:
    history = measured(4.0, 0.1, 0.1, 0.1)
    assert history.percentile == pytest.approx(4.0, rel=0.1)
    assert measured(0.1, history=history).percentile == pytest.approx(0.1, rel=0.1)


def test_a_gap_does_not_count_as_measured() -> None:
    history = ClassHistory(at=1000.0)
    history.add(1000.0, GIB, 1000.0 + HALF_LIFE_SECONDS)
    assert history.measured == LONGEST_SAMPLE_SECONDS


@pytest.mark.parametrize(("cpu", "memory"), [(math.nan, GIB), (1.0, 0.0), (-1.0, GIB), (1.0, math.inf)])
def test_what_is_no_use_says_nothing(cpu: float, memory: float) -> None:
    history = ClassHistory(at=1000.0)
    history.add(cpu, memory, 2000.0)
    assert history == ClassHistory(at=1000.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(0.01, 100))
def test_the_percentile_is_within_a_bucket_of_the_samples_and_the_class_follows_it(
    millis: list[float], limit: float
) -> None:
    history = ClassHistory(at=1000.0)
    for cpu in millis:
        history.add(cpu, GIB, history.at + STEP)
    found = history.percentile
    assert found is not None
    least, most = (min(max(one / 1000, 2.0**-10), 2.0**10) for one in (min(millis), max(millis)))
    assert least / 2**0.126 <= found <= most * 2**0.126
    history.judge(limit, 0.0)
    assert history.load_class is (LoadClass.CPU if found > limit else LoadClass.MEMORY)
    # Nothing within the hysteresis changes it.
    history.judge(found * HYSTERESIS * 0.999, 0.0)
    history.judge(found / HYSTERESIS * 1.001, 0.0)
    assert history.load_class is (LoadClass.CPU if found > limit else LoadClass.MEMORY)


@given(st.lists(st.floats(0.001, 1000), max_size=20))
def test_a_history_is_the_same_after_it_was_kept(ratios: list[float]) -> None:
    kept = ClassHistories({"Deployment/shop/web": measured(*ratios, seconds=STEP)})
    assert msgspec.json.decode(msgspec.json.encode(kept), type=ClassHistories) == kept


def test_workloads_that_are_gone_or_were_never_measured_are_forgotten() -> None:
    histories = ClassHistories({key: measured(2.0, seconds=STEP) for key in ("Deployment/a/web", "Deployment/a/gone")})
    histories.workloads["Deployment/a/idle"] = ClassHistory()
    histories.keep({"Deployment/a/web", "Deployment/a/idle"})
    assert histories.workloads.keys() == {"Deployment/a/web"}


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (9, {"few/0", "few/1", "many/0", "many/1", "many/2", "many/3", "many/4"}),
        (5, {"few/0", "few/1", "many/0", "many/1", "many/2"}),
        (4, {"few/0", "few/1", "many/0", "many/1"}),
        (2, {"few/0", "many/0"}),
        (0, set[str]()),
    ],
)
def test_of_too_many_workloads_those_of_the_largest_namespace_go_first(most: int, left: set[str]) -> None:
    counts = {"many": 5, "few": 2}
    histories = ClassHistories(
        {
            f"Deployment/{namespace}/{index}": ClassHistory(at=1.0, measured=DAY - index)
            for namespace, count in counts.items()
            for index in range(count)
        }
    )
    assert histories.fewer(most).workloads.keys() == {f"Deployment/{one}" for one in left}
    assert len(histories.workloads) == 7


def test_a_new_pod_gets_the_class_of_its_workload_and_keeps_its_own_label() -> None:
    pod: dict[str, Any] = {"metadata": {"labels": {"app": "web"}}}
    assert class_of_pod(pod, None) is None
    assert class_of_pod(pod, LoadClass.CPU) == "cpu-bound"
    labelled = applied(pod, label_additions(pod, "cpu-bound"))
    assert labelled["metadata"]["labels"] == {"app": "web", LOAD_CLASS: "cpu-bound"}
    assert label_additions(labelled, "cpu-bound") == ()
    assert class_of_pod({"metadata": {"labels": {LOAD_CLASS: "gpu"}}}, LoadClass.CPU) == "gpu"
    bare: dict[str, Any] = {"metadata": {}}
    assert applied(bare, label_additions(bare, "cpu-bound"))["metadata"]["labels"] == {LOAD_CLASS: "cpu-bound"}


def test_the_term_counts_pods_of_every_namespace_on_a_node() -> None:
    term = anti_affinity_term("cpu-bound")["podAffinityTerm"]
    assert (term["namespaceSelector"], term["labelSelector"]) == ({}, {"matchLabels": {LOAD_CLASS: "cpu-bound"}})
