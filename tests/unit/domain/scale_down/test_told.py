"""How Events name the victims of a scale-down."""

import pytest

from spillway.domain.scale_down.reasons import VictimReason
from spillway.domain.scale_down.told import told_reason, told_victims

VICTIMS = [(f"web-{number}", VictimReason.VIRTUAL) for number in range(30)]
SUMMARY = "40 to 10 replicas: 30 pods are deleted (30 virtual)"


def test_all_victims_are_named_if_there_is_room() -> None:
    note = told_victims(SUMMARY, [("web-a", VictimReason.VIRTUAL), ("web-b", VictimReason.ELASTIC)], 2, 1024)

    assert note == f"{SUMMARY}; pods: web-a (Virtual), web-b (Elastic)"


@pytest.mark.parametrize("longest", [90, 100, 150, 300])
def test_the_first_victims_are_named_if_there_is_not(longest: int) -> None:
    note = told_victims(SUMMARY, VICTIMS, 30, longest)

    named = [name for name, _ in VICTIMS if told_reason(note, name) is VictimReason.VIRTUAL]
    assert len(note) <= longest
    assert named == [name for name, _ in VICTIMS[: len(named)]]
    assert note.endswith(f" and {30 - len(named)} more")


def test_without_room_for_one_victim_the_summary_is_all() -> None:
    assert told_victims(SUMMARY, VICTIMS, 30, len(SUMMARY) + 5) == SUMMARY


@pytest.mark.parametrize("pod", ["web", "web-1", "b-10", "web-100", "web-10.x"])
def test_another_pod_is_not_taken_for_a_victim(pod: str) -> None:
    note = told_victims(SUMMARY, [("web-10", VictimReason.VIRTUAL), ("web-11", VictimReason.VIRTUAL)], 2, 1024)

    assert told_reason(note, pod) is None


def test_a_text_without_victims_names_none() -> None:
    assert told_reason("web-1 (Virtual)", "web-1") is None
    assert told_reason(f"{SUMMARY}; pods: web-1 (OfALaterVersion)", "web-1") is None
