import pytest

from spillway.domain.balance.skew import after_move, keeps_zones, zone_skew


@pytest.mark.parametrize(
    ("pods", "zones", "skew"),
    [
        pytest.param({"a": 3, "b": 1}, ["a", "b"], 2, id="the fullest less the emptiest"),
        pytest.param({"a": 3}, ["a", "b"], 3, id="a zone without pods counts"),
        pytest.param({"a": 1, "c": 9}, ["a"], 0, id="pods elsewhere do not"),
        pytest.param({"a": 1}, [], 0, id="no zones"),
    ],
)
def test_the_skew_of_a_workload(pods: dict[str, int], zones: list[str], skew: int) -> None:
    assert zone_skew(pods, zones) == skew


@pytest.mark.parametrize(
    ("pods", "target", "keeps"),
    [
        pytest.param({"a": 2, "b": 1}, "b", True, id="within the skew"),
        pytest.param({"a": 1, "b": 2}, "b", False, id="beyond it"),
        pytest.param({"a": 5, "b": 1}, "b", True, id="more even than before"),
        pytest.param({"a": 1, "b": 9}, "a", True, id="in its zone"),
        pytest.param({"a": 2, "b": 2}, "", True, id="to a node without a zone"),
        pytest.param({"a": 1, "b": 2}, "", False, id="its zone has too few then"),
    ],
)
def test_a_move_that_keeps_the_zones(pods: dict[str, int], target: str, *, keeps: bool) -> None:
    assert keeps_zones(pods, "a", target, 1, ()) is keeps


@pytest.mark.parametrize(
    ("pods", "target", "keeps"),
    [
        pytest.param({"a": 2, "b": 2}, "b", False, id="the empty zone would be three behind"),
        pytest.param({"a": 2, "b": 2}, "c", True, id="to the empty zone"),
        pytest.param({"a": 3, "b": 1}, "b", True, id="it is three behind already"),
        pytest.param({"a": 2, "b": 3}, "b", False, id="further behind than it is"),
        pytest.param({"a": 1, "b": 0, "c": 0}, "b", True, id="counted as empty twice"),
    ],
)
def test_an_empty_zone_counts_if_pods_may_come_there(pods: dict[str, int], target: str, *, keeps: bool) -> None:
    assert keeps_zones(pods, "a", target, 2, ["c"]) is keeps


def test_a_node_without_a_zone_is_in_none() -> None:
    assert after_move({"a": 2}, "", "a") == {"a": 3}
    assert after_move({"a": 2}, "a", "") == {"a": 1}
    assert keeps_zones({"a": 1, "b": 1}, "", "b", 1, ())
    assert not keeps_zones({"a": 1, "b": 2}, "", "b", 1, ())
