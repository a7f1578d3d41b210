"""What is told about refused pods: an Event on the workload, and a condition on the budget."""

from spillway.api.conditions import PODS_REFUSED
from spillway.controllers.placement.refused_pods import RefusedPodsController
from spillway.controllers.placement.status import refused_part
from spillway.domain.model import event_reasons
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.usage import Usage
from spillway.domain.placement.refusals import PoolChanges
from spillway.kube.pod_events import PodEvent
from spillway.state.catalog import Kind
from spillway.state.reservations import RESERVATION_SECONDS, SETTLE_SECONDS, Reservations
from spillway.state.usage import LiveUsage
from tests.builders import make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_watch import FakeWatch
from tests.support.pools import budget, nodes, policy
from tests.support.world import make_world

UID = OwnerUid("rs-web")
SAID = 'pods "web-1" is forbidden: maximum cpu usage per Container is 1, but limit is 2'


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.world = make_world([*nodes("a"), make_replicaset()], [budget("a"), policy()], self.clock)
        self.usage = LiveUsage(self.world.state, self.world.membership, Reservations(self.clock.now))
        self.events, self.watch = FakeRecorder(), FakeWatch()
        self.controller = RefusedPodsController(self.world, self.events, self.usage, self.watch)
        self.subscriptions = list(self.controller.subscribe())
        self.usage.refusals.placed(UID, workload_of(make_replicaset()))

    def place(self) -> None:
        changes = PoolChanges(size="2000m-4096", larger=True)
        self.usage.reservations.reserve(UID, pools=("a",), used=Usage(1, 2000, 4 << 30), changes=changes)

    async def refuse(self, *, uid: str = UID, namespace: str = "shop") -> None:
        self.watch.found.emit(PodEvent(PodUid(uid), namespace, "web", "FailedCreate", SAID))
        await self.clock.advance(SETTLE_SECONDS)
        await self.controller.reconcile("reservations")


async def test_the_event_names_the_pool_the_size_and_what_the_api_server_said() -> None:
    rig = Rig()
    rig.place()
    await rig.refuse()
    [(about, what, message)] = rig.events.said
    assert (about, what) == ("Deployment/web", f"Warning {event_reasons.POOL_LEFT_OUT}")
    assert message == (
        "pool a is not used for this workload for 30 s, because a pod with size 2000m-4096 was refused by the API "
        f"server: {SAID}"
    )


async def test_nothing_is_told_of_an_owner_of_which_no_pod_is_missing() -> None:
    rig = Rig()
    await rig.refuse()
    rig.place()
    await rig.refuse(uid="rs-other")
    await rig.refuse(namespace="other")
    assert rig.events.said == []


async def test_the_condition_lasts_as_long_as_the_pool_is_left_out() -> None:
    rig = Rig()
    assert refused_part(()).conditions == ()
    rig.place()
    await rig.refuse()
    [condition] = refused_part(tuple(rig.usage.refusals.of_pool("a"))).conditions
    assert (condition.type, condition.holds, condition.reason) == (PODS_REFUSED, True, "RefusedByAPIServer")
    assert "Deployment/shop/web" in condition.message
    assert SAID in condition.message
    await rig.clock.advance(30.0)
    assert tuple(rig.usage.refusals.of_pool("a")) == ()


async def test_pods_that_do_not_appear_are_told_without_a_message() -> None:
    rig = Rig()
    rig.place()
    await rig.clock.advance(RESERVATION_SECONDS)
    await rig.controller.reconcile("reservations")
    [(_, _, message)] = rig.events.said
    assert (
        message == "pool a is not used for this workload for 30 s, because pods with size 2000m-4096 were not created"
    )
    [condition] = refused_part(tuple(rig.usage.refusals.of_pool("a"))).conditions
    assert condition.reason == "NotCreated"


async def test_events_are_followed_while_a_class_places_pods() -> None:
    rig = Rig()
    assert (rig.watch.wanted, rig.watch.running) == ("reason=FailedCreate", True)
    rig.world.catalog.delete(Kind.ELASTIC_POLICY, "online", 99)
    assert rig.watch.wanted == ""
    for unsubscribe in rig.subscriptions:
        unsubscribe()
    assert not rig.watch.running
