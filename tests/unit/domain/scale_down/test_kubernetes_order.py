import pytest

from spillway.domain.model.records import Phase
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import kubernetes_order
from tests.unit.domain.scale_down.scale_down_cases import pod

NOW = 100_000.0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("z", node="", phase=Phase.PENDING, ready=False), pod("a", phase=Phase.PENDING, ready=False)),
        (pod("z", phase=Phase.PENDING, ready=False), pod("a", phase=Phase.UNKNOWN, ready=False)),
        (pod("z", phase=Phase.UNKNOWN, ready=False), pod("a", ready=False)),
        (pod("z", ready=False, deletion_cost=9), pod("a", deletion_cost=-9)),
        (pod("z", deletion_cost=-1), pod("a", same_node_owner_pods=9)),
        (pod("z", same_node_owner_pods=2), pod("a", ready_since=NOW - 1)),
        (pod("z", ready_since=NOW - 10), pod("a", ready_since=NOW - 100, restarts=3)),
        (pod("z", restarts=1), pod("a", sidecar_restarts=9)),
        (pod("z", sidecar_restarts=1), pod("a", created=NOW - 1)),
        (pod("z", created=NOW - 10), pod("a", created=NOW - 100)),
    ],
    ids=[
        "1 unassigned",
        "2 pending",
        "2 unknown",
        "3 not ready",
        "4 cost",
        "5 doubled up",
        "6 ready for less time",
        "7 restarts",
        "7 restarts of sidecars",
        "8 newer",
    ],
)
def test_the_first_rule_that_differs_decides(first: Candidate, second: Candidate) -> None:
    assert kubernetes_order([second, first], now=NOW) == [first, second]
    assert kubernetes_order([first, second], now=NOW) == [first, second]


@pytest.mark.parametrize("field", ["ready_since", "created"])
def test_ages_of_one_power_of_two_are_told_apart_by_uid(field: str) -> None:
    older, newer = pod("a", **{field: NOW - 1000}), pod("b", **{field: NOW - 900})
    assert kubernetes_order([newer, older], now=NOW) == [older, newer]
    assert kubernetes_order([newer, older]) == [newer, older]


def test_a_time_that_is_not_set_counts_as_newest() -> None:
    assert kubernetes_order([pod("a", created=5.0), pod("b", created=0.0)], now=NOW)[0].uid == "b"


def test_the_answer_depends_on_the_pods_alone() -> None:
    pods = [pod(f"u{n}", created=float(n % 3), deletion_cost=-(n % 2)) for n in range(9)]
    assert kubernetes_order(pods, now=NOW) == kubernetes_order(reversed(pods), now=NOW)
