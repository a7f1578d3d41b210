"""A pool that is being tried again gets a few pods at a time, however many come at once."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model import names
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import Pending, Phase, PodRecord
from spillway.domain.model.usage import Usage
from spillway.domain.placement.plan import NewPod, PodPlacement
from spillway.domain.pools.health import PROBE_PODS
from spillway.domain.pools.verdict import PoolVerdict
from spillway.state.board import Board
from spillway.state.mark_proof import MarkProof
from spillway.state.open_pools import OpenPools
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from spillway.webhooks.placer import Placer
from tests.builders import make_namespace, make_node, make_pod, make_state
from tests.support.placement import incoming, labels_of, manual, placing
from tests.support.pools import FAILOVER, Rig, budget, nodes, policy

OWNER = OwnerUid("rs-web")


class Scene:
    """Pool `a` is being tried again, and is the only one."""

    def __init__(self) -> None:
        resources = [budget("a", failover=FAILOVER), policy(placement={"virtual": "Always"})]
        self.rig = Rig.of([*nodes("a", "owned")], resources)
        world = self.rig.world
        self.usage = LiveUsage(world.state, world.membership, Reservations(self.rig.clock.now))
        self.placer = Placer(self.usage, world.board, lambda: world.governance)

    async def begin(self) -> None:
        self.rig.fall("a-1")
        await self.rig.advance(60.0)
        await self.rig.judge()
        self.rig.rise("a-1")
        await self.rig.advance(300.0)
        assert await self.rig.judge() == (True, "Retrying")

    def place(self) -> PodPlacement:
        governance = self.rig.world.governance
        claim = governance.claim(make_namespace("shop"), "Deployment", {"app": "web"})
        assert claim is not None
        found = governance.class_of(claim)
        assert found is not None
        return self.placer.place(NewPod(incoming(), OWNER, "Deployment/shop/web", claim, found))

    def show(self, name: str, placed: PodPlacement, **changes: Any) -> PodRecord:
        """The informer shows it."""
        marks = next(one.value for one in placed.additions if one.path == ("metadata", "annotations"))
        pending = Pending(placement="virtual", pools=marks[names.POOLS], reservation=marks[names.RESERVATION])
        given: dict[str, Any] = {"node": NodeName(""), "phase": Phase.PENDING, "ready": False, "pending": pending}
        pod = make_pod(name, **(given | changes))
        self.rig.apply(pod)
        return pod


async def test_a_namespace_that_is_kept_out_goes_elsewhere_and_others_do_not() -> None:
    scene = Scene()
    board = scene.rig.world.board
    open_pools = OpenPools(scene.usage, board, lambda: scene.rig.world.governance)
    board.set_verdict("a", PoolVerdict(kept_out=frozenset({"shop"})))
    assert not scene.place().decision.virtual
    assert "a: did not start pods of its namespace" in scene.place().because
    assert not open_pools.pool("a", "bank").closed
    board.set_verdict("a", PoolVerdict(kept_out=frozenset({"bank"})))
    assert scene.place().decision.virtual


async def test_a_burst_that_nobody_has_seen_yet_is_no_more_than_a_few() -> None:
    scene = Scene()
    await scene.begin()
    placed = [scene.place() for _ in range(20)]
    assert [one.decision.virtual for one in placed] == [True] * PROBE_PODS + [False] * 15
    assert f"a: is being tried with {PROBE_PODS} pods at a time" in placed[-1].because


@pytest.mark.parametrize("spilled", [False, True])
async def test_those_that_the_informer_shows_before_the_pool_is_judged_again_count_on(*, spilled: bool) -> None:
    scene = Scene()
    await scene.begin()
    for number in range(PROBE_PODS):
        pod = scene.show(f"web-{number}", scene.place())
        if spilled:
            scene.rig.apply(msgspec.structs.replace(pod, pending=Pending(placement="physical", pools="a")))
    assert not scene.place().decision.virtual


async def test_one_that_is_bound_elsewhere_leaves_its_place_to_the_next() -> None:
    scene = Scene()
    await scene.begin()
    pods = [scene.show(f"web-{number}", scene.place()) for number in range(PROBE_PODS)]
    assert await scene.rig.judge() == (False, "Retrying")
    scene.rig.apply(msgspec.structs.replace(pods[0], node=NodeName("owned-1")))
    assert await scene.rig.judge() == (True, "Retrying")
    assert [scene.place().decision.virtual for _ in range(2)] == [True, False]


@given(shown=st.lists(st.booleans(), max_size=20))
async def test_no_order_of_creations_and_sightings_lets_more_through(shown: list[bool]) -> None:
    scene = Scene()
    await scene.begin()
    unseen: list[PodPlacement] = []
    sent = 0
    for number, show in enumerate(shown):
        placed = scene.place()
        if placed.decision.virtual:
            sent += 1
            unseen.append(placed)
        if show and unseen:
            scene.show(f"web-{number}", unseen.pop(0), started=scene.rig.clock.now(), node=NodeName("a-1"))
        assert sent <= PROBE_PODS


def test_a_reservation_makes_no_pod_leave_and_one_that_is_being_deleted_leaves_by_itself() -> None:
    governance = placing(manual(0), {"a": {"limits": {"cpu": "1"}}})
    state = make_state()
    state.apply(make_node("v-a", labels=labels_of("a")))
    usage = LiveUsage(state, PoolMembership(state, lambda: governance), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: governance)
    first = make_pod("web-1", node="v-a", cpu_millis=600, created=1.0)
    second = make_pod("web-2", node="v-a", cpu_millis=600, created=2.0)

    def leaving() -> tuple[str, ...]:
        return pools.beyond("a", lambda: [first.uid, second.uid])

    state.apply(first)
    usage.reservations.reserve(OWNER, pools=("a",), used=Usage(1, 5000, 0))
    assert leaving() == ()
    state.apply(second)
    assert leaving() == (second.uid,)
    state.apply(msgspec.structs.replace(second, terminating=True))
    assert leaving() == ()


def test_a_resize_in_place_makes_no_other_pod_leave_and_the_pool_says_why_it_is_full() -> None:
    governance = placing(manual(0), {"a": {"limits": {"cpu": "2"}}})
    state = make_state()
    state.apply(make_node("v-a", labels=labels_of("a")))
    usage = LiveUsage(state, PoolMembership(state, lambda: governance), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: governance)
    waiting = make_pod("web-1", node="v-a", cpu_millis=600, phase=Phase.PENDING, created=2.0)
    other = make_pod("other-1", node="v-a", owner_uid="rs-other", cpu_millis=600, created=1.0, held=(600, 1 << 30))
    small = Usage(1, 100, 0)

    def leaving() -> tuple[str, ...]:
        return pools.beyond("a", lambda: [waiting.uid])

    state.apply(waiting)
    state.apply(other)
    assert pools.refusal_by_limits(pools.pool("a"), small, small) == ""
    asking = msgspec.structs.replace(other, cpu_millis=9_000)
    state.apply(asking)
    assert leaving() == ()
    assert pools.refusal_by_limits(pools.pool("a"), small, small) == (
        "is at its limit (cpu): resizes in place that no kubelet has granted count as well"
    )
    state.apply(msgspec.structs.replace(asking, held=(9_000, 1 << 30)))
    assert leaving() == (), "nor does one that its kubelet has granted"
    assert pools.refusal_by_limits(pools.pool("a"), small, small) == "is at its limit (cpu)"
    state.remove(asking)
    state.apply(msgspec.structs.replace(waiting, cpu_millis=3_000))
    assert leaving() == (waiting.uid,), "one that never started and was resized past the limit goes itself"


def test_a_pod_that_has_come_since_makes_no_other_leave() -> None:
    governance = placing(manual(0), {"a": {"limits": {"cpu": "1"}}})
    state = make_state()
    state.apply(make_node("v-a", labels=labels_of("a")))
    usage = LiveUsage(state, PoolMembership(state, lambda: governance), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: governance)
    waiting = make_pod("web-1", node="v-a", cpu_millis=600, phase=Phase.PENDING, created=1.0)
    state.apply(waiting)
    state.apply(make_pod("bare-1", node="v-a", owner_uid="", owner_kind="", cpu_millis=5_000, created=2.0))
    assert pools.beyond("a", lambda: [waiting.uid]) == ()


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_pods_of_one_second_the_one_that_came_last_leaves(names: tuple[str, str]) -> None:
    governance = placing(manual(0), {"a": {"limits": {"cpu": "1"}}})
    state = make_state()
    state.apply(make_node("v-a", labels=labels_of("a")))
    usage = LiveUsage(state, PoolMembership(state, lambda: governance), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: governance)
    pods = [
        make_pod(name, node="v-a", owner_uid=f"rs-{name}", cpu_millis=600, phase=Phase.PENDING, pending=Pending())
        for name in names
    ]
    for pod in pods:
        state.apply(pod)
    assert pools.beyond("a", lambda: [pod.uid for pod in pods]) == (pods[1].uid,)
    state.apply(msgspec.structs.replace(pods[0], cpu_millis=700))
    assert pools.beyond("a", lambda: [pod.uid for pod in pods]) == (pods[0].uid,), "or the one that grew last"


def test_who_may_leave_is_asked_once_until_something_changes_and_a_node_that_goes_is_a_change() -> None:
    governance = placing(manual(0), {"a": {"limits": {"cpu": "1"}}})
    state = make_state()
    for name in ("v-1", "v-2"):
        state.apply(make_node(name, labels=labels_of("a")))
    usage = LiveUsage(state, PoolMembership(state, lambda: governance), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: governance)
    older, newer = (
        make_pod(f"web-{number}", node=f"v-{number}", cpu_millis=700, phase=Phase.PENDING, created=float(number))
        for number in (1, 2)
    )
    asked: list[None] = []

    def may_leave() -> list[PodUid]:
        asked.append(None)
        return [older.uid, newer.uid]

    for pod in (older, newer):
        state.apply(pod)
    assert pools.beyond("a", may_leave) == (newer.uid,)
    assert pools.beyond("a", may_leave) == (newer.uid,)
    assert len(asked) == 1
    state.remove(state.nodes[NodeName("v-2")])
    assert pools.beyond("a", may_leave) == (older.uid,), "pods of a node that is gone are about to be deleted"


def test_another_mark_that_is_believed_is_a_change() -> None:
    governance = placing(manual(0), {"a": {"limits": {"cpu": "1"}}})
    state, proof, elsewhere = make_state(), MarkProof(), MarkProof()
    elsewhere.use(b"secret")
    usage = LiveUsage(state, PoolMembership(state, lambda: governance, proof=proof), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: governance)
    state.apply(make_node("v-a", labels=labels_of("a")))
    running = make_pod("web-1", node="v-a", cpu_millis=2000, created=1.0)
    waiting = make_pod(
        "web-2",
        node="",
        cpu_millis=500,
        phase=Phase.PENDING,
        created=2.0,
        pending=Pending(placement="virtual", pools="a", reservation=elsewhere.token("shop", OWNER, "a")),
    )
    for pod in (running, waiting):
        state.apply(pod)
    assert pools.beyond("a", lambda: [waiting.uid]) == ()
    proof.use(b"secret")
    assert pools.beyond("a", lambda: [waiting.uid]) == (waiting.uid,)
