"""A pod whose replacement is recommended again and again, for several reasons, counts once while it exists."""

from spillway.controllers.pools.recommended import RecommendedReplacements
from spillway.telemetry.registry import REGISTRY
from tests.builders import make_pod
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world


def _counted(reason: str) -> float:
    labels = {"policy": "counting", "reason": reason}
    return REGISTRY.get_sample_value("spillway_failover_recommended_total", labels) or 0.0


def test_a_pod_counts_once_whatever_the_reasons_until_it_is_gone() -> None:
    world = make_world([], [], FakeClock())
    account = RecommendedReplacements(world)
    unsubscribe = account.subscribe()
    pod = make_pod("lost")
    world.state.apply(pod)
    for reason in ("NodeDown", "NodeDown", "NotStarted", "PoolsClosed", "NodeDown"):
        account.count(pod, "counting", reason)
    assert (_counted("NodeDown"), _counted("NotStarted"), _counted("PoolsClosed")) == (1.0, 0.0, 0.0)

    world.state.remove(pod)
    account.count(pod, "counting", "NotStarted")
    assert _counted("NotStarted") == 1.0
    unsubscribe()
