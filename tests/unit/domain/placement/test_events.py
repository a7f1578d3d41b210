import pytest

from spillway.domain.placement.decide import Decision, NodeKind, PlacementReason
from spillway.domain.placement.events import kept_physical, placement_events
from spillway.domain.placement.plan import PodPlacement

KEPT = Decision(NodeKind.PHYSICAL, PlacementReason.NO_POOL)
UNSUITABLE = Decision(NodeKind.PHYSICAL, PlacementReason.UNSUITABLE)


@pytest.mark.parametrize(("unsuitable", "event_type"), [(True, "Normal"), (False, "Warning")])
def test_a_pod_that_no_pool_takes_is_a_warning(*, unsuitable: bool, event_type: str) -> None:
    event = kept_physical("a is full", unsuitable=unsuitable)
    assert event == (event_type, "KeptPhysical", "kept on physical nodes, because a is full")


def test_a_pod_that_waits_says_so() -> None:
    event = kept_physical("a is full", unsuitable=False, waits=True)
    assert event.message == "kept on physical nodes, which have no room for it, because a is full"


@pytest.mark.parametrize(
    ("placed", "reasons"),
    [
        pytest.param(PodPlacement(KEPT), [], id="nothing to say"),
        pytest.param(PodPlacement(KEPT, because="full"), [("Warning", "KeptPhysical")], id="no pool"),
        pytest.param(PodPlacement(UNSUITABLE, because="hostPath"), [("Normal", "KeptPhysical")], id="unsuitable"),
        pytest.param(
            PodPlacement(KEPT, tolerated="a", problem="not a number"),
            [("Warning", "ToleratesVirtual"), ("Warning", "InvalidThreshold")],
            id="toleration and threshold",
        ),
        pytest.param(PodPlacement(KEPT, conflicts=("x", "y")), [("Warning", "OverlayConflict")] * 2, id="conflicts"),
    ],
)
def test_a_placement_has_its_events(placed: PodPlacement, reasons: list[tuple[str, str]]) -> None:
    assert [(event.type, event.reason) for event in placement_events(placed, "web")] == reasons
