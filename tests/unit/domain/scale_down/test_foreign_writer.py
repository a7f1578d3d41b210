import pytest

from spillway.domain.scale_down.foreign_writer import foreign_cost, foreign_pods
from tests.builders import make_pod


@pytest.mark.parametrize(
    ("cost", "written", "foreign"),
    [(5, 5, False), (None, None, False), (5, None, True), (5, 4, True), (0, None, True), (None, 5, False)],
    ids=["ours", "none", "set without us", "changed after us", "a user's 0", "taken off: no one's"],
)
def test_a_cost_is_foreign_while_it_stands_and_is_not_ours(
    cost: int | None, written: int | None, *, foreign: bool
) -> None:
    assert foreign_cost(make_pod(deletion_cost=cost, cost_written=written)) is foreign


def test_only_active_pods_count() -> None:
    pods = [make_pod("a", deletion_cost=5), make_pod("b", deletion_cost=5, terminating=True), make_pod("c")]
    assert [pod.name for pod in foreign_pods(pods)] == ["a"]
