"""The loads that plans go by, over the real state: with the pods that come, and with those that go."""

from typing import Any

import msgspec
import pytest

from spillway.api.zonalbalance import Load
from spillway.controllers.balance.in_transit import SETTLED_SECONDS, PodsInTransit
from spillway.controllers.balance.readings import KEPT_SECONDS, Readings
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Phase, PodRecord
from spillway.state.catalog import Kind
from tests.builders import make_pod, make_replicaset
from tests.support.rebalancing import SETTLE_SECONDS, Scene

BUSY, IDLE, OTHER = NodeName("busy"), NodeName("idle"), NodeName("other")
PER_POD = 25.0
"""Two of the eight cores of a node, in percent."""


class Transit(Scene):
    """The scene of the rebalancer some minutes later, with a reading of now."""

    @classmethod
    async def settled(cls, **metrics: str) -> "Transit":
        scene = cls()
        scene.metrics.cpu |= {name.replace("_", "-"): value for name, value in metrics.items()}
        scene.readings = Readings(scene.world, scene.metrics, None)
        scene.transit = PodsInTransit(scene.world, scene.readings)
        scene.transit.subscribe()
        await scene.clock.advance(SETTLE_SECONDS)
        scene.load(80.0, 20.0, 60.0)
        await scene.read()
        return scene

    transit: PodsInTransit
    readings: Readings

    async def read(self) -> None:
        """Read what the pods use, as a plan does."""
        await self.readings.pods("shop", Load())

    async def expected(self) -> dict[str, float]:
        nodes = self.world.state.nodes
        found = await self.transit.expected(self.world.governance.balances["even"], nodes)
        return {name: round(load, 1) for name, load in found.items()}

    def comes(self, app: str = "web", node: str = "idle", **changes: Any) -> PodRecord:
        now = self.clock.now()
        pod = make_pod(
            f"{app}-9", node=NodeName(node), owner_uid=make_replicaset(app).uid, created=now, ready_since=now
        )
        pod = msgspec.structs.replace(pod, **changes)
        self.world.state.apply(pod)
        return pod

    def pod(self, name: str) -> PodRecord:
        return self.world.state.pods[make_pod(name).uid]


async def test_without_pods_in_transit_the_reading_counts() -> None:
    scene = await Transit.settled()
    asked = list(scene.metrics.asked)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}
    assert scene.metrics.asked == asked, "what pods use is not read"


async def test_without_a_zonal_balance_nothing_is_kept() -> None:
    scene = await Transit.settled()
    balance = scene.balance
    scene.world.catalog.replace(Kind.ZONAL_BALANCE, [], 60)
    scene.comes()
    scene.world.catalog.replace(Kind.ZONAL_BALANCE, [balance], 61)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}


async def test_a_pod_that_never_ran_takes_no_load_with_it() -> None:
    """As with an image that cannot be pulled: the pod is bound for minutes, uses nothing and is deleted."""
    scene = await Transit.settled()
    pod = scene.comes(node="other", ready=False)
    await scene.clock.advance(SETTLE_SECONDS + 300.0)
    scene.load(80.0, 20.0, 60.0)
    scene.world.state.remove(pod)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}


async def test_a_pod_that_is_not_ready_any_more_while_it_is_deleted_takes_its_load_with_it() -> None:
    scene = await Transit.settled()
    pod = msgspec.structs.replace(scene.pod("web-1"), ready=False, terminating=True)
    scene.world.state.apply(pod)
    scene.world.state.remove(pod)
    assert (await scene.expected())[BUSY] == 80.0 - PER_POD


async def test_a_moved_pod_counts_on_its_new_node_and_no_more_on_its_old_one() -> None:
    scene = await Transit.settled(web_1="3", web_2="1")
    scene.comes()
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0 + PER_POD, OTHER: 60.0}, "with the mean of the others"
    scene.world.state.apply(msgspec.structs.replace(scene.pod("web-1"), terminating=True))
    assert (await scene.expected())[BUSY] == 80.0, "it runs until it is gone"
    scene.metrics.cpu["web-2"] = "2"
    scene.world.state.remove(scene.pod("web-1"))
    await scene.clock.advance(5.0)
    gone = 1.5 * PER_POD
    assert await scene.expected() == {BUSY: 80.0 - gone, IDLE: 20.0 + PER_POD, OTHER: 60.0}, "with what it used itself"


@pytest.mark.parametrize("changes", [{"ready": False}, {"ready": True}], ids=["never ready", "never measured"])
async def test_pods_that_come_and_go_at_once_are_no_load(changes: dict[str, Any]) -> None:
    """As in a rollout that is restarted again and again; else the pods of others would be moved off the node."""
    scene = await Transit.settled()
    for _ in range(20):
        pod = scene.comes(**changes)
        assert (await scene.expected())[IDLE] == 20.0 + PER_POD
        await scene.clock.advance(1.0)
        scene.world.state.remove(pod)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}


async def test_a_pod_that_was_measured_between_its_coming_and_going_counts_with_what_it_used() -> None:
    scene = await Transit.settled()
    pod = scene.comes()
    scene.metrics.names.append(pod.name)
    scene.metrics.cpu[pod.name] = "1"
    await scene.clock.advance(60.0)
    await scene.read()
    scene.world.state.remove(pod)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}, "the reading is from before it came"
    scene.load(80.0, 20.0 + 0.632 * PER_POD / 2, 60.0)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}


async def test_an_idle_pod_of_a_busy_workload_takes_no_load_with_it() -> None:
    """Else a node from which several such pods are deleted at once would look idle, and pods of others move to it."""
    scene = await Transit.settled(web_1="0", web_2="8")
    scene.world.state.remove(scene.pod("web-1"))
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}


@pytest.mark.parametrize(("age", "busy"), [(KEPT_SECONDS - 1.0, 80.0 - PER_POD), (KEPT_SECONDS, 80.0)])
async def test_a_pod_that_was_read_too_long_ago_takes_no_load_with_it(age: float, busy: float) -> None:
    scene = await Transit.settled()
    await scene.clock.advance(age)
    scene.load(80.0, 20.0, 60.0)
    scene.world.state.remove(scene.pod("web-1"))
    assert (await scene.expected())[BUSY] == busy


async def test_the_next_readings_show_it() -> None:
    scene = await Transit.settled()
    scene.comes()
    scene.world.state.remove(scene.pod("web-1"))
    await scene.clock.advance(60.0)
    scene.load(80.0 - 0.632 * PER_POD, 20.0 + 0.632 * PER_POD, 60.0)
    assert await scene.expected() == {BUSY: 80.0 - PER_POD, IDLE: 20.0 + PER_POD, OTHER: 60.0}
    await scene.clock.advance(600.0)
    scene.load(55.0, 45.0, 60.0)
    assert await scene.expected() == {BUSY: 55.0, IDLE: 45.0, OTHER: 60.0}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"node": NodeName("")}, id="it has no node yet"),
        pytest.param({"node": NodeName("elsewhere")}, id="its node is another's"),
        pytest.param({"owner_uid": OwnerUid("job")}, id="it has no ReplicaSet"),
        pytest.param({"phase": Phase.SUCCEEDED, "ready": False}, id="it has ended"),
        pytest.param({"created": 90.0}, id="it came long ago"),
    ],
)
async def test_a_pod_that_does_not_count(changes: dict[str, Any]) -> None:
    scene = await Transit.settled()
    scene.comes(**changes)
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}


async def test_a_leader_that_starts_counts_the_pods_that_have_come_lately() -> None:
    scene = await Transit.settled()
    scene.comes()
    scene.transit = PodsInTransit(scene.world, Readings(scene.world, scene.metrics, None))
    scene.transit.subscribe()
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0 + PER_POD, OTHER: 60.0}


async def test_while_no_pod_of_a_workload_has_settled_one_that_comes_does_not_count() -> None:
    scene = await Transit.settled()
    for name in ("web-1", "web-2"):
        pod = scene.pod(name)
        scene.world.state.apply(msgspec.structs.replace(pod, ready_since=scene.clock.now() - SETTLED_SECONDS + 1.0))
    scene.comes()
    scene.world.state.remove(scene.pod("web-1"))
    assert await scene.expected() == {BUSY: 80.0 - PER_POD, IDLE: 20.0, OTHER: 60.0}
    await scene.clock.advance(1.0)
    assert await scene.expected() == {BUSY: 80.0 - PER_POD, IDLE: 20.0 + PER_POD, OTHER: 60.0}


async def test_during_a_rollout_the_pods_of_both_replicasets_say_what_one_uses() -> None:
    scene = await Transit.settled()
    scene.world.state.apply(make_replicaset("web2", owner_uid=make_replicaset("web").owner_uid, owner_name="web"))
    scene.comes(owner_uid=make_replicaset("web2").uid, node="busy")
    scene.world.state.remove(scene.pod("web-1"))
    assert await scene.expected() == {BUSY: 80.0, IDLE: 20.0, OTHER: 60.0}, "one came, and one has gone"
