"""The figures of `make bench-admission`: their names, and what a webhook is said to add."""

import pytest

from tests.bench.admission_contenders import CONTENDERS, Spent
from tests.bench.admission_figures import KINDS, Met, figures
from tests.bench.admission_load import Timings

SECONDS = {"leader": 0.0, "follower": 0.0, "noop": 0.0, "api_server": 0.4}


def timings(ms: float) -> Timings:
    """Ten creations, ten bindings and ten scale-downs that took this long each."""
    return Timings(create_ms=[ms] * 10, bind_ms=[ms] * 10, scale_ms=[ms] * 10)


def met_with(*, floor: float = 12.0) -> Met:
    """Two slices each: 10 ms without a webhook, `floor` with the least one, and 13 ms with Spillway."""
    spent = {
        "none": Spent(SECONDS | {"leader": 0.15}, idle=3.0, total=5.0),
        "noop": Spent(SECONDS | {"noop": 0.03}, idle=3.0, total=5.0),
        "spillway": Spent(SECONDS | {"leader": 0.3, "follower": 0.15}, idle=2.0, total=5.0),
    }
    took = {"none": 10.0, "noop": floor, "spillway": 13.0}
    return {name: [(timings(took[name]), spent[name])] * 2 for name in CONTENDERS}


def test_the_figures_that_are_asked_for_have_their_names() -> None:
    found = figures(met_with())
    assert found["idle_percent"] == 40.0
    for kind in KINDS:
        assert {name: (found[kind][name]["p50_ms"], found[kind][name]["p99_ms"]) for name in CONTENDERS} == {
            "none": (10.0, 10.0),
            "noop": (12.0, 12.0),
            "spillway": (13.0, 13.0),
        }
        assert found[kind]["spillway"]["requests"] == 20


def test_a_ratio_compares_what_is_added() -> None:
    ratio = figures(met_with())["ratio"]
    assert ratio == dict.fromkeys(
        [f"{kind}_{label}" for kind in ("creation", "binding", "scale_down") for label in ("p50", "p99")], 1.5
    )


@pytest.mark.parametrize("floor", [10.0, 9.0])
def test_there_is_no_ratio_to_a_webhook_that_added_nothing(floor: float) -> None:
    assert set(figures(met_with(floor=floor))["ratio"].values()) == {None}


def test_cpu_is_that_of_all_replicas_for_a_decision() -> None:
    """0.45 s in each slice of 30 requests; 0.15 s of it are spent without a webhook too."""
    found = figures(met_with())
    assert found["cpu_us_per_decision"] == 15_000
    assert found["cpu_us_per_decision_of_the_webhooks"] == 10_000
    assert found["cpu_us_per_request_by_process"]["noop"]["noop"] == 1_000


def test_a_slice_in_which_one_request_was_slow_is_seen() -> None:
    met = met_with()
    slow = timings(13.0)
    slow.bind_ms[-1] = 400.0
    met["spillway"][1] = (slow, met["spillway"][1][1])
    binding = figures(met)["binding"]["spillway"]
    assert binding["p50_ms"] == 13.0
    assert binding["p99_ms_of_each_slice"] == [13.0, 400.0]
