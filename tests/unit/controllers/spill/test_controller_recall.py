"""Virtual pods that no node of their pools took: one pool after the other, and physical nodes at the end."""

from typing import Any

import pytest

from spillway.domain.pools.verdict import PoolVerdict
from spillway.domain.spill.waiting_pods import StayReason
from tests.support.spilling import OWNER, Cluster, policy, waiting


async def test_a_virtual_pod_that_no_pool_took_is_replaced_by_a_physical_one() -> None:
    found = Cluster(waiting(placement="virtual", pools="a,b"))
    assert await found.look() is None
    assert found.deleted == ["web-1"]
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.physical
    assert found.reader.read == []


@pytest.mark.parametrize("spill_after", [60, 900])
async def test_one_pool_after_the_other_is_tried_and_physical_nodes_at_the_end(spill_after: int) -> None:
    """Each has a node, and none of them takes the pod."""
    found = Cluster(resources=policy(spillAfter=f"{spill_after}s"))
    went: list[str] = []
    pools: tuple[str, ...] = ("a",)
    for number in range(3):
        pod = waiting(f"web-{number}", placement="virtual", pools=",".join(pools), since=found.clock.now())
        found.world.state.apply(pod)
        await found.look(pod.name, seconds=spill_after)
        found.world.state.remove(pod)
        redirect = found.world.board.take_redirect(OWNER)
        assert redirect is not None
        if redirect.physical:
            went.append("physical")
            break
        assert redirect.virtual
        pools = tuple(pool for pool in ("a", "b") if pool not in redirect.avoid)
        went += pools
        assert found.world.board.avoided(OWNER) == redirect.avoid, "so do those that are no successors"
    assert went == ["b", "physical"]


@pytest.mark.parametrize(
    ("b", "verdict"),
    [
        pytest.param({"limits": {"pods": 0}}, PoolVerdict(), id="at its limit"),
        pytest.param({}, PoolVerdict(takes=False, reason="Unhealthy"), id="closed"),
        pytest.param({}, PoolVerdict(kept_out=frozenset({"shop"})), id="closed to its namespace"),
    ],
)
async def test_a_pool_that_takes_nothing_is_none_that_is_left(b: dict[str, Any], verdict: PoolVerdict) -> None:
    found = Cluster(waiting(placement="virtual", pools="a"), resources=policy(b=b))
    found.world.board.verdicts = {"b": verdict}
    await found.look()
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.physical


async def test_one_that_started_meanwhile_leaves_no_redirect() -> None:
    found = Cluster(waiting(placement="virtual", pools="a"))
    found.answer = False
    assert await found.look() is not None
    assert found.world.board.take_redirect(OWNER) is None
    assert found.world.board.avoided(OWNER) == frozenset()


async def test_pods_are_not_replaced_to_and_fro() -> None:
    sidecar = {"podOverlay": {"sidecars": [{"name": "logs", "image": "shipper:1"}]}}
    found = Cluster(waiting(), waiting("web-2", placement="virtual", pools="a,b"), resources=policy(a=sidecar))
    await found.look()
    await found.look("web-2", seconds=1)
    assert found.deleted == ["web-1"]
    assert found.kept("web-2") is StayReason.TURNED
    await found.look("web-2", seconds=60)
    assert found.deleted == ["web-1", "web-2"]
