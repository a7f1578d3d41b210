"""Twin of tests/bench/placement_goals.py."""

from typing import Any

import pytest

from tests.bench.placement_goals import budget_breaches, goals, headline

TIERS = {"mean": 0.1, "of_pod_minutes": 0.1, "max": 0.9, "minutes_above_1_percent": 0}
COST = {
    "all_owned": 500,
    "all_virtual": 440,
    "spillway": 410,
    "clairvoyant": 400,
    "spillway_over_clairvoyant": 1.025,
    "spillway_virtual_over_clairvoyant": 1.1,
}


def sections(**changed: Any) -> dict[str, Any]:
    day = {
        "wrong_tier_percent": TIERS | {"at_rest": {"valley": {"percent": 0.0}, "peak": {"percent": 0.0}}},
        "budget_breaches": 0,
        "cost": COST,
    }
    burst = {
        "error_percent": 0.0,
        "by_operator_replicas": {"1": {"error_percent": 0.0}},
        "against_a_limit": {"breaches": []},
    }
    return {"day": day, "burst": burst, "failover": {"seconds": 12.5}} | changed


def missed(found: dict[str, Any]) -> list[str]:
    return [line["goal"] for line in goals(found) if not line["met"]]


def test_a_good_run_misses_nothing() -> None:
    assert len(goals(sections())) == 5
    assert missed(sections()) == []


def test_the_figures_that_are_asked_for_have_their_names() -> None:
    found = headline(sections())
    assert found["wrong_tier_percent"]["at_rest"] == {"valley": 0.0, "peak": 0.0}
    assert found["cost"]["clairvoyant"] == 400
    assert found["failover_seconds"] == 12.5
    assert found["burst"]["error_percent"] == 0.0
    assert found["budget_breaches"] == 0


def test_a_section_that_did_not_run_has_no_figure_and_no_goal() -> None:
    assert headline({}) == {}
    assert goals({}) == []
    assert "cost" not in headline({"failover": {"seconds": 3.0}})


def test_breaches_of_all_sections_count() -> None:
    made = sections()
    made["day"] |= {"budget_breaches": 2}
    made["burst"] |= {"against_a_limit": {"breaches": [{}]}}
    assert budget_breaches(made) == 3
    assert missed(made) == ["moments beyond a limit: 0"]


@pytest.mark.parametrize(
    ("section", "figures", "goal"),
    [
        pytest.param("wrong_tier_percent", TIERS | {"max": 1.01}, "every minute", id="one-bad-minute"),
        pytest.param("cost", COST | {"spillway_over_clairvoyant": 1.06}, "clairvoyant", id="too-dear"),
    ],
)
def test_a_goal_of_the_day_is_missed(section: str, figures: dict[str, Any], goal: str) -> None:
    made = sections()
    rest = {"at_rest": made["day"]["wrong_tier_percent"]["at_rest"]}
    made["day"] |= {section: figures | (rest if section == "wrong_tier_percent" else {})}
    assert len(missed(made)) == 1
    assert goal in missed(made)[0]


def test_wrong_at_rest_is_missed_however_few() -> None:
    made = sections()
    made["day"]["wrong_tier_percent"]["at_rest"]["peak"]["percent"] = 0.4
    assert missed(made) == ["pods in the wrong tier at rest: 0 %"]


def test_a_burst_is_exact_or_missed() -> None:
    made = sections()
    made["burst"]["error_percent"] = 0.1
    assert missed(made) == ["pods of a burst in the wrong tier, with two operators: 0 %"]
