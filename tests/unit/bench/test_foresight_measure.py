"""The figures of the foresight bench, from what was seen."""

from typing import Any

import pytest

from tests.bench.foresight_measure import Moment, Seen, figures, goals, node_hours

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def _pod(uid: str, created: int, ready: int | None = None) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": _text(created)}
    if ready is not None:
        condition |= {"status": "True", "lastTransitionTime": _text(ready)}
    return {"metadata": {"uid": uid, "creationTimestamp": _text(created)}, "status": {"conditions": [condition]}}


def _text(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z" if second >= 0 else "2025-12-31T23:59:00Z"


def test_pods_wait_from_their_creation_until_they_are_ready_or_were_seen_last() -> None:
    seen = Seen()
    seen.pods([_pod("old", -60, 100), _pod("quick", 10, 12), _pod("slow", 10)], START, START + 20)
    # It is ready, and stays known after it is gone; the other is deleted before it was ready.
    seen.pods([_pod("slow", 10), _pod("node", 30, 210)], START, START + 220)
    assert {uid: wait.seconds for uid, wait in seen.waits.items()} == {"quick": 2, "slow": 210, "node": 180}
    found = figures(seen, START, START + 600)
    assert (found["pods_created"], found["pods_never_ready"]) == (3, 1)
    assert (found["pending_p50_s"], found["pending_p99_s"]) == (180, 210)


def test_only_changes_of_the_replicas_are_kept() -> None:
    seen = Seen()
    for now, replicas in enumerate((4, 4, 2, 2, 4)):
        seen.asked("web", replicas, START + now)
    assert seen.replicas == {"web": [(START, 4), (START + 2, 2), (START + 4, 4)]}


def test_machines_count_within_the_played_part() -> None:
    assert node_hours([(0, 3600), (1800, 9000), (100, 200)], 1000, 4600) == pytest.approx((2600 + 2800) / 3600)


def test_shares_are_weighed_by_time() -> None:
    seen = Seen()
    seen.moments += [
        Moment(START, demand=10, unmet=5, used=5, allocatable=10),
        Moment(START + 10, demand=10, unmet=0, used=10, allocatable=20),
        Moment(START + 40, demand=90, unmet=90, used=0, allocatable=99),
    ]
    found = figures(seen, START, START + 40)
    assert found["unmet_percent"] == pytest.approx(100 * 50 / 400)
    assert found["mean_cpu_percent"] == pytest.approx(100 * 350 / 700)


def test_the_series_tells_which_part_of_the_headroom_is_ready() -> None:
    seen = Seen()
    seen.moments.append(Moment(START, 1, 0, 1, 1, headroom=9, headroom_ready=4))
    [found] = figures(seen, START, START + 40)["series"]
    assert (found["headroom"], found["headroom_ready"]) == (9, 4)


def test_each_goal_is_beside_what_was_measured_or_modelled() -> None:
    ours = {"mean_cpu_percent": 61.0, "pending_p99_s": 3.0, "needless_scale_downs": 0, "unmet_percent": 0.1}
    theirs = {"mean_cpu_percent": 66.0, "pending_p99_s": 200.0, "needless_scale_downs": 4, "unmet_percent": 9.0}
    day = {"spillway": {"mean_cpu_percent": 62.0}}
    found = goals({"spillway": ours, "reactive": theirs}, day)
    assert [(one.get("modelled"), one.get("measured"), one["met"]) for one in found] == [
        (62.0, None, True),
        (None, 0.015, True),
        (None, 0, True),
        (None, 0.1, True),
    ]
    low = {"spillway": {"mean_cpu_percent": 59.9}}
    assert [one["met"] for one in goals({"spillway": theirs, "reactive": ours}, low)] == [False] * 4
    assert goals({"spillway": ours}, day) == []
