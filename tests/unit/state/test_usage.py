"""What there is of each owner and on each pool, kept by delta: the same as counted from the beginning."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.proofs import with_proof
from spillway.domain.model.records import Pending, Phase
from spillway.domain.model.usage import Usage
from spillway.domain.policies.governance import Governance
from spillway.state.cluster import ClusterState
from spillway.state.mark_proof import MarkProof
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage, PoolUse
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_state
from tests.support.fake_clock import FakeClock
from tests.support.placement import placing
from tests.support.policies import governance_of

VIRTUAL = {"type": "vk"}
OWNER = OwnerUid("rs-web")
ONE = Usage(1, 500, 1 << 30)


def _usage(state: ClusterState, governance: Governance | None = None, proof: MarkProof | None = None) -> LiveUsage:
    compiled = governance or governance_of(virtual=VIRTUAL)
    return LiveUsage(state, PoolMembership(state, lambda: compiled, proof=proof), Reservations(lambda: 0.0))


@pytest.fixture
def state() -> ClusterState:
    state = make_state()
    state.apply(make_node("n1"))
    state.apply(make_node("v1", labels=VIRTUAL))
    return state


def _waiting(name: str, **changes: Any) -> Any:
    """Unassigned, sent to virtual nodes."""
    pending = Pending(placement="virtual", pools="pool-v,pool-w", reservation=changes.pop("reservation", ""))
    return make_pod(name, node="", phase=Phase.PENDING, ready=False, pending=pending, **changes)


def test_a_pod_counts_where_it_is_or_is_to_go(state: ClusterState) -> None:
    usage = _usage(state)
    state.apply(make_pod("a"))
    state.apply(make_pod("b", node="v1", started=5.0))
    state.apply(make_pod("c", node="", phase=Phase.PENDING, pending=Pending(placement="physical")))
    state.apply(_waiting("d"))
    assert (usage.total(OWNER), usage.physical(OWNER)) == (4, 2)
    assert usage.on("pool-v") == PoolUse(Usage(2, 1000, 2 << 30), Usage(2, 1000, 2 << 30), ONE, ONE)
    assert usage.on("pool-w") == PoolUse(ONE, ONE, ONE, ONE)


def test_a_pod_that_names_its_node_counts_whoever_made_it(state: ClusterState) -> None:
    usage = _usage(state, governance_of(virtual=VIRTUAL, places=True))
    state.apply(make_namespace("kube-x"))
    bare = make_pod(
        "bare", namespace="kube-x", node="v1", owner_uid=OwnerUid(""), phase=Phase.PENDING, pending=Pending()
    )
    state.apply(bare)
    state.apply(make_pod("forged", node="v1", phase=Phase.PENDING, pending=Pending(placement="physical", pools="")))
    assert usage.on("pool-v").used == usage.on("pool-v").waiting == Usage(2, 1000, 2 << 30)


def test_bound_it_leaves_the_pools_that_did_not_get_it(state: ClusterState) -> None:
    usage = _usage(state)
    state.apply(_waiting("d"))
    state.apply(
        make_pod("d", node="v1", phase=Phase.PENDING, pending=Pending(placement="virtual", pools="pool-v,pool-w"))
    )
    assert usage.on("pool-v").used == ONE
    assert usage.on("pool-w") == PoolUse()
    assert (usage.total(OWNER), usage.physical(OWNER)) == (1, 0)


def test_a_pod_that_has_spilled_counts_on_the_pools_that_may_take_it(state: ClusterState) -> None:
    usage = _usage(state)
    spilled = Pending(placement="physical", pools="pool-v")
    state.apply(make_pod("c", node="", phase=Phase.PENDING, pending=spilled))
    assert (usage.total(OWNER), usage.physical(OWNER)) == (1, 0)
    assert usage.on("pool-v").used == ONE
    state.apply(make_pod("c", node="n1"))
    assert usage.on("pool-v") == PoolUse(), "room came back on a physical node in time"


def test_a_promise_is_handed_over_to_the_pod_without_a_gap(state: ClusterState) -> None:
    usage = _usage(state)
    token = usage.reservations.reserve(OWNER, pools=("pool-v",), used=ONE)
    assert (usage.total(OWNER), usage.physical(OWNER), usage.on("pool-v").used) == (1, 0, ONE)
    state.apply(_waiting("d", reservation=token))
    assert (usage.total(OWNER), usage.physical(OWNER), usage.on("pool-v").used) == (1, 0, ONE)
    state.remove(_waiting("d"))
    assert (usage.total(OWNER), usage.on("pool-v").used) == (0, Usage())


def test_a_pod_without_marks_accounts_for_a_promise(state: ClusterState) -> None:
    compiled, clock = governance_of(virtual=VIRTUAL), FakeClock()
    usage = LiveUsage(state, PoolMembership(state, lambda: compiled), Reservations(clock))
    usage.reservations.reserve(OWNER, pools=("pool-v",), used=ONE, namespace="shop")
    state.apply(make_pod("d", node="", phase=Phase.PENDING, pending=Pending()))
    clock.forward(11)
    assert usage.on("pool-v").used == Usage()
    assert usage.reservations.trusts(OWNER, "shop")


def test_a_terminating_pod_is_no_replica_any_more_and_still_takes_its_room(state: ClusterState) -> None:
    usage = _usage(state)
    state.apply(make_pod("b", node="v1", terminating=True))
    state.apply(make_pod("a", terminating=True))
    assert (usage.total(OWNER), usage.physical(OWNER)) == (0, 0)
    assert usage.on("pool-v").used == ONE
    state.apply(make_pod("b", node="v1", phase=Phase.SUCCEEDED))
    assert usage.on("pool-v").used == Usage()
    assert usage.total(OWNER) == 0


def test_a_bigger_size_is_billed_and_not_used(state: ClusterState) -> None:
    ladder = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": "4", "memory": "8Gi"}]}
    pool = {"nodeSelector": {"matchLabels": VIRTUAL}, "stockOut": ladder}
    usage = _usage(state, placing({"placement": {"virtual": "Always"}}, {"pool-v": pool}))
    state.apply(make_pod("b", node="v1", size="999999999m-1"))
    assert usage.on("pool-v") == PoolUse(ONE, ONE, ONE), "no one's size but one of the ladder"
    state.apply(make_pod("b", node="v1", size="4000m-8589934592"))
    assert usage.on("pool-v") == PoolUse(ONE, Usage(1, 4000, 8 << 30), Usage(1, 4000, 8 << 30))


def test_a_size_that_spillway_did_not_ask_of_the_provider_is_not_billed(state: ClusterState) -> None:
    ladder = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": "4", "memory": "8Gi"}]}
    pool = {"nodeSelector": {"matchLabels": VIRTUAL}, "stockOut": ladder}
    written, proof = MarkProof(), MarkProof()
    written.use(b"secret")
    usage = _usage(state, placing({"placement": {"virtual": "Always"}}, {"pool-v": pool}), proof)
    size = f"4000m-{8 << 30}"
    for forged in (size, with_proof(size, "0.0"), with_proof(size, written.of_size("den", OWNER, size))):
        state.apply(make_pod("b", node="v1", size=forged))
        assert usage.on("pool-v").billed == ONE
    state.apply(make_pod("b", node="v1", size=with_proof(size, written.of_size("shop", OWNER, size))))
    assert usage.on("pool-v").billed == ONE, "the key is not known yet"
    proof.use(b"secret")
    assert usage.on("pool-v").billed == Usage(1, 4000, 8 << 30)


def test_nodes_join_and_leave_pools_with_their_pods(state: ClusterState) -> None:
    usage = _usage(state)
    state.apply(make_pod("a"))
    assert usage.physical(OWNER) == 1
    nodes, version = usage.membership.nodes("pool-v"), usage.membership.version("pool-v")
    assert [node.name for node in nodes] == ["v1"]
    state.apply(make_node("n1", labels=VIRTUAL))
    assert (usage.physical(OWNER), usage.on("pool-v").used) == (0, ONE)
    nodes, later = usage.membership.nodes("pool-v"), usage.membership.version("pool-v")
    assert {node.name for node in nodes} == {"v1", "n1"}
    assert later != version
    state.apply(make_node("n1"))
    assert (usage.physical(OWNER), usage.on("pool-v").used) == (1, Usage())


def test_a_pod_whose_node_is_gone_is_where_its_mark_says(state: ClusterState) -> None:
    usage = _usage(state)
    usage.total(OWNER)
    state.apply(make_pod("b", node="v1", pool="pool-v"))
    state.remove(make_node("v1", labels=VIRTUAL))
    assert usage.on("pool-v").used == ONE


def test_another_budget_is_seen_at_the_next_question(state: ClusterState) -> None:
    compiled = [governance_of()]
    usage = LiveUsage(state, PoolMembership(state, lambda: compiled[0]), Reservations(lambda: 0.0))
    state.apply(make_pod("b", node="v1"))
    assert usage.physical(OWNER) == 1
    compiled[0] = governance_of(virtual=VIRTUAL)
    assert (usage.physical(OWNER), usage.on("pool-v").used) == (0, ONE)


def test_a_waiting_pod_leaves_the_pools_that_its_policy_no_longer_gives_it(state: ClusterState) -> None:
    compiled = [governance_of(virtual=VIRTUAL, places=True)]
    usage = LiveUsage(state, PoolMembership(state, lambda: compiled[0]), Reservations(lambda: 0.0))
    state.apply(make_namespace("shop"))
    state.apply(make_replicaset())
    state.apply(_waiting("d"))
    assert usage.on("pool-v").used == ONE
    compiled[0] = Governance.compile([], [], [])
    assert usage.on("pool-v") == PoolUse(), "no policy: the mark is not believed any more"
    assert usage.physical(OWNER) == 1
    compiled[0] = governance_of(virtual=VIRTUAL, places=True)
    assert usage.on("pool-v").used == ONE
    compiled[0] = governance_of(virtual=VIRTUAL)
    assert usage.on("pool-v") == PoolUse(), "its class places no pods"


def test_marks_count_for_one_pod_alone_and_only_with_their_proof(state: ClusterState) -> None:
    compiled, proof = governance_of(virtual=VIRTUAL, places=True), MarkProof()
    membership = PoolMembership(state, lambda: compiled, proof=proof)
    usage = LiveUsage(state, membership, Reservations(lambda: 0.0))
    state.apply(make_namespace("shop"))
    state.apply(make_replicaset())
    state.apply(_waiting("forged", reservation="0123456789abcdef"))
    state.apply(_waiting("bare"))
    assert usage.on("pool-v") == PoolUse(), "its ReplicaSet is governed, and Spillway has not placed it"
    token = membership.token("shop", OWNER, "pool-v,pool-w")
    state.apply(_waiting("honest", reservation=token))
    assert usage.on("pool-v").used == ONE
    state.apply(_waiting("copied", reservation=token, cpu_millis=10_000_000))
    assert usage.on("pool-v").used == ONE, "the token is another pod's"
    state.remove(_waiting("honest", reservation=token))
    state.apply(_waiting("late", reservation=token, cpu_millis=10_000_000))
    assert usage.on("pool-v") == PoolUse()


def test_marks_are_looked_at_again_when_the_secret_is_known(state: ClusterState) -> None:
    compiled, before, after = governance_of(virtual=VIRTUAL, places=True), MarkProof(), MarkProof()
    before.use(b"secret")
    usage = LiveUsage(state, PoolMembership(state, lambda: compiled, proof=after), Reservations(lambda: 0.0))
    state.apply(make_namespace("shop"))
    state.apply(make_replicaset())
    state.apply(_waiting("d", reservation=before.token("shop", OWNER, "pool-v,pool-w")))
    assert usage.on("pool-v") == PoolUse()
    after.use(b"secret")
    assert usage.on("pool-v").used == ONE


async def test_a_decision_waits_until_our_watch_has_caught_up(state: ClusterState) -> None:
    usage = _usage(state)
    state.apply(make_pod("a"))
    assert await usage.caught_up(OWNER, lambda: 2, 0.0)
    assert await usage.caught_up(OWNER, lambda: None, 0.0)
    waiting = asyncio.create_task(usage.caught_up(OWNER, lambda: 1, 5.0))
    await asyncio.sleep(0)
    state.apply(make_pod("other", owner_uid=OwnerUid("rs-other")))
    state.apply(make_pod("a", terminating=True))
    assert await waiting


async def test_whoever_does_not_come_in_time_is_not_counted_any_more(state: ClusterState) -> None:
    usage = _usage(state)
    for _ in range(3):
        usage.reservations.reserve(OWNER, used=ONE)
    assert not await usage.caught_up(OWNER, lambda: 2, 0.01)
    usage.drop_reservations_beyond(OWNER, 2)
    assert usage.total(OWNER) == 1
    usage.drop_reservations_beyond(OWNER, None)
    assert usage.total(OWNER) == 1


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", "c")),
        st.sampled_from(("", "n1", "v1")),
        st.sampled_from((Phase.PENDING, Phase.RUNNING, Phase.FAILED)),
        st.booleans(),
        st.sampled_from(("keep", "remove", "move")),
    ),
    max_size=30,
)


@given(changes=_CHANGES)
def test_the_sums_are_those_of_a_count_from_the_beginning(changes: list[tuple[str, str, Phase, bool, str]]) -> None:
    state = make_state()
    state.apply(make_node("n1"))
    state.apply(make_node("v1", labels=VIRTUAL))
    usage = _usage(state)
    usage.total(OWNER)
    moved = False
    for name, node, phase, terminating, what in changes:
        pending = Pending(placement="virtual", pools="pool-v") if phase is Phase.PENDING and not node else None
        pod = make_pod(name, node=NodeName(node), phase=phase, terminating=terminating, pending=pending)
        if what == "remove":
            state.remove(pod)
        elif what == "move":
            moved = not moved
            state.apply(make_node("n1", labels=VIRTUAL if moved else {}))
        else:
            state.apply(pod)
        fresh = _usage(state)
        assert (usage.total(OWNER), usage.physical(OWNER)) == (fresh.total(OWNER), fresh.physical(OWNER))
        assert usage.on("pool-v") == fresh.on("pool-v")
        fresh.close()
