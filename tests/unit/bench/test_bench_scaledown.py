"""The goals of `bench_scaledown`: what meets each of them, what misses it, and what is not measured."""

from typing import Any

import pytest

from tests.bench.bench_scaledown import goals

OURS: dict[str, Any] = {
    "planned_ratio": 1.0,
    "virtual_first_violations": 0,
    "zone_skew_max": 1,
    "skew_above_possible": 0,
    "evictions": 0,
    "extra_api_writes_per_deleted_pod": 1.0,
    "idle_writes_per_minute": 0.0,
    "elastic_node_hours": 85.0,
}
MOVES: dict[str, Any] = {"elastic_node_hours": 75.0, "evictions": 0, "dips": 0}
STORM: dict[str, Any] = {"planned_ratio": 0.999, "hold_ms": {"p99": 500.0}}
DAY: dict[str, dict[str, Any]] = {
    "plain": {"elastic_node_hours": 100.0},
    "flat": {"elastic_node_hours": 93.0},
    "plain_drain": {"elastic_node_hours": 75.0},
    "spillway": OURS,
    "spillway_moves": MOVES,
}
"""Everything is just good enough."""


def words(found: list[dict[str, Any]]) -> set[str]:
    """The goals by their words up to the colon."""
    return {one["goal"].partition(":")[0] for one in found}


def missed(figures: dict[str, dict[str, Any]], storms: dict[str, Any]) -> list[str]:
    """The goals that are missed."""
    return sorted(words([one for one in goals(figures, storms) if not one["met"]]))


def day(contender: str, **changes: Any) -> dict[str, dict[str, Any]]:
    return DAY | {contender: DAY[contender] | changes}


def test_all_goals_are_met_by_what_is_just_good_enough() -> None:
    found = goals(DAY, {"spillway": STORM})
    assert len(found) == 14
    assert missed(DAY, {"spillway": STORM}) == []
    measured = {one["goal"]: one["measured"] for one in found}
    assert measured["elastic node-hours with moves against plain: at most 0.75"] == 0.75
    assert measured["elastic node-hours with moves against plain-drain: at most 1.0"] == 1.0


@pytest.mark.parametrize(
    ("figures", "goal"),
    [
        (day("spillway", planned_ratio=0.999), "planned victims deleted in the day"),
        (day("spillway", virtual_first_violations=1), "virtual-first violations"),
        (day("spillway", zone_skew_max=2, skew_above_possible=1), "zone skew at most 1 where possible"),
        (day("spillway", evictions=1), "evictions"),
        (day("spillway", extra_api_writes_per_deleted_pod=1.01), "extra writes a deleted pod"),
        (day("spillway", idle_writes_per_minute=0.5), "writes a minute at rest"),
        (day("plain", elastic_node_hours=100.2), None),
        (day("flat", elastic_node_hours=92.0), "elastic node-hours against flat (goal of the simulator"),
        (day("spillway_moves", elastic_node_hours=74.0), None),
        (day("spillway_moves", evictions=1), "evictions with moves"),
        (day("spillway_moves", dips=1), "dips with moves"),
        (day("plain_drain", elastic_node_hours=74.0), "elastic node-hours with moves against plain-drain"),
    ],
)
def test_a_goal_of_the_day_is_missed_alone(figures: dict[str, dict[str, Any]], goal: str | None) -> None:
    assert missed(figures, {"spillway": STORM}) == ([] if goal is None else [goal])


def test_more_skew_than_possible_counts_only_where_less_was_possible() -> None:
    assert missed(day("spillway", zone_skew_max=3), {}) == []


@pytest.mark.parametrize(
    ("storm", "goal"),
    [
        (STORM | {"planned_ratio": 0.9989}, "planned victims deleted in the storm"),
        (STORM | {"hold_ms": {"p99": 501.0}}, "webhook hold in the storm, p99"),
    ],
)
def test_a_goal_of_the_storm_is_missed_alone(storm: dict[str, Any], goal: str) -> None:
    assert missed(DAY, {"spillway": storm}) == [goal]


PLAIN = {"elastic node-hours against plain (goal of the simulator", "elastic node-hours with moves against plain"}
FLAT = {"elastic node-hours against flat (goal of the simulator"}
DRAIN = {"elastic node-hours with moves against plain-drain"}
WITH_MOVES = {"elastic node-hours with moves against plain", *DRAIN, "evictions with moves", "dips with moves"}


@pytest.mark.parametrize(
    ("absent", "lost"),
    [
        ({"plain"}, PLAIN),
        ({"flat"}, FLAT),
        ({"plain_drain"}, DRAIN),
        ({"plain", "flat", "plain_drain"}, PLAIN | FLAT | DRAIN),
        ({"spillway_moves"}, WITH_MOVES),
        ({"spillway"}, words(goals(DAY, {})) - WITH_MOVES),
        ({"spillway", "spillway_moves"}, words(goals(DAY, {}))),
    ],
)
def test_goals_about_a_contender_that_takes_no_part_are_left_out(absent: set[str], lost: set[str]) -> None:
    figures = {name: one for name, one in DAY.items() if name not in absent}
    assert words(goals(DAY, {})) - words(goals(figures, {})) == lost
    assert missed(figures, {}) == []


def test_a_contender_that_used_no_elastic_node_is_not_compared_with() -> None:
    assert words(goals(DAY, {})) - words(goals(day("plain", elastic_node_hours=0.0), {})) == PLAIN


def test_what_needs_the_audit_log_is_left_out_without_one() -> None:
    unknown = {"evictions": None, "extra_api_writes_per_deleted_pod": None, "idle_writes_per_minute": None}
    figures = day("spillway", **unknown) | {"spillway_moves": MOVES | {"evictions": None}}
    lost = {"evictions", "evictions with moves", "extra writes a deleted pod", "writes a minute at rest"}
    assert words(goals(DAY, {})) - words(goals(figures, {})) == lost
