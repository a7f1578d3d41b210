"""The annotations with which a new pod is marked."""

import pytest

from spillway.domain.model.names import PLACEMENT, POLICY, POOLS, RESERVATION, SIZE
from spillway.domain.placement.annotations import physical_annotations, virtual_annotations


@pytest.mark.parametrize(
    ("pools", "size", "reservation", "expected"),
    [
        ("a", "", "", {PLACEMENT: "virtual", POOLS: "a", POLICY: "online"}),
        ("b,a", "", "r1", {PLACEMENT: "virtual", POOLS: "b,a", POLICY: "online", RESERVATION: "r1"}),
        ("a", "2000m-1", "", {PLACEMENT: "virtual", POOLS: "a", POLICY: "online", SIZE: "2000m-1"}),
    ],
)
def test_a_virtual_pod_names_its_pools_in_order(
    pools: str, size: str, reservation: str, expected: dict[str, str]
) -> None:
    assert virtual_annotations(pools, size=size, policy="online", reservation=reservation) == expected


@pytest.mark.parametrize(
    ("present", "more"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param({"mine": "1"}, {}, id="the user's stay as they are"),
        pytest.param({POOLS: "a"}, {POOLS: ""}, id="pools of a copied template would mean a spilled pod"),
    ],
)
def test_a_physical_pod_has_no_pools(present: dict[str, str] | None, more: dict[str, str]) -> None:
    found = physical_annotations(present, policy="online", reservation="r1")
    assert found == {PLACEMENT: "physical", POLICY: "online", RESERVATION: "r1"} | more
