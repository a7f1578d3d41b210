import pytest

from spillway.domain.balance.skew import zone_skew


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
