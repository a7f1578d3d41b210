import pytest

from spillway.domain.model.records import Phase, PodRecord
from spillway.domain.pools.unstarted import Cause, cause_of, next_look, pools_to_avoid, stuck
from tests.support.pools import sent

POD = sent("web-1", created=1000.0)


@pytest.mark.parametrize(
    ("pod", "bound_at", "out_of_stock", "closed", "now", "expected"),
    [
        pytest.param(POD, 0.0, False, False, 9999.0, None, id="the scheduler's matter"),
        pytest.param(POD, 0.0, False, True, 1000.5, None, id="just made"),
        pytest.param(POD, 0.0, False, True, 1001.0, Cause.POOLS_CLOSED, id="no one takes it"),
        pytest.param(POD, 1000.0, False, False, 1059.0, None, id="it may yet start"),
        pytest.param(POD, 1000.0, False, False, 1060.0, Cause.NOT_STARTED, id="it does not start"),
        pytest.param(POD, 1000.0, False, True, 1000.0, Cause.POOLS_CLOSED, id="its pool has failed"),
        pytest.param(POD, 1000.0, True, True, 1000.0, Cause.STOCK_OUT, id="no stock"),
        pytest.param(sent("w", reason="ImagePullBackOff"), 1000.0, False, True, 9999.0, None, id="its own fault"),
        pytest.param(sent("w", started=1001.0), 1000.0, True, False, 1001.0, Cause.STOCK_OUT, id="the provider knows"),
        pytest.param(sent("w", started=1001.0), 1000.0, False, False, 9999.0, None, id="its kubelet has it"),
        pytest.param(sent("w", terminating=True), 1000.0, True, True, 9999.0, None, id="terminating"),
        pytest.param(sent("w", pending=None, phase=Phase.RUNNING), 1.0, True, True, 9999.0, None, id="it runs"),
    ],
)
def test_why_a_pod_is_replaced(
    pod: PodRecord, bound_at: float, now: float, expected: Cause | None, *, out_of_stock: bool, closed: bool
) -> None:
    found = cause_of(pod, bound_at=bound_at, out_of_stock=out_of_stock, closed=closed, start_after=60.0, now=now)
    assert found is expected


@pytest.mark.parametrize(
    ("bound_at", "closed", "expected"), [(0.0, False, None), (0.0, True, 1.0), (990.0, False, 50.0), (900.0, True, 0.0)]
)
def test_when_time_alone_gives_a_cause(bound_at: float, expected: float | None, *, closed: bool) -> None:
    assert next_look(POD, bound_at=bound_at, closed=closed, start_after=60.0, now=1000.0) == expected


@pytest.mark.parametrize(
    ("cause", "another_size", "expected"),
    [
        (Cause.NOT_STARTED, False, {"a"}),
        (Cause.STOCK_OUT, False, {"a"}),
        (Cause.STOCK_OUT, True, set()),
        (Cause.POOLS_CLOSED, False, set()),
    ],
)
def test_the_pools_that_did_not_take_it_are_avoided(cause: Cause, expected: set[str], *, another_size: bool) -> None:
    assert pools_to_avoid(cause, ("a",), another_size=another_size) == expected


@pytest.mark.parametrize(
    ("pod", "out_of_stock", "expected"),
    [
        (POD, False, True),
        (POD, True, False),
        (sent("w", started=5.0), False, False),
        (sent("w", reason="CreateContainerConfigError"), False, False),
    ],
)
def test_which_pods_speak_against_a_pool(pod: PodRecord, *, out_of_stock: bool, expected: bool) -> None:
    assert stuck(pod, out_of_stock=out_of_stock) is expected
