"""Which pool nodes and pods belong to: kept by delta, and the same as computed from the present cluster."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import NamespaceRecord, NodeRecord, Pending, Phase, PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.state.mark_proof import MarkProof
from spillway.state.pool_membership import NodeChange, PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_state
from tests.support.placement import placing
from tests.support.policies import governance_of

V1 = NodeName("v1")
VIRTUAL = {"type": "vk"}
OTHER = {"type": "other"}
BUDGETS = (governance_of(), governance_of(virtual=VIRTUAL), governance_of(virtual=OTHER))


class Scene:
    """A node of the pool, one that is in none, and budgets that a test may exchange."""

    def __init__(self) -> None:
        self.governance = governance_of(virtual=VIRTUAL)
        self.state = make_state()
        self.state.apply(make_node("n1"))
        self.state.apply(make_node("v1", labels=VIRTUAL))
        self.membership = PoolMembership(self.state, lambda: self.governance)
        self.heard: list[NodeChange] = []

    def names(self, pool: str = "pool-v") -> set[str]:
        return {node.name for node in self.membership.nodes(pool)}


def test_a_node_is_in_the_pool_that_selects_it() -> None:
    scene = Scene()
    assert scene.names() == {"v1"}
    assert [scene.membership.pool_of_node(NodeName(name)) for name in ("v1", "n1", "n9")] == ["pool-v", "", ""]
    assert [node.name for node in scene.membership.nodes_in_pools()] == ["v1"]
    assert {(pool, node.name) for pool, node in scene.membership.every_node()} == {("", "n1"), ("pool-v", "v1")}


def test_a_pod_is_in_the_pool_of_its_node_and_before_that_is_seen_in_that_of_its_mark() -> None:
    scene = Scene()
    pool_of = scene.membership.pool_of_pod
    assert pool_of(make_pod("a", node="v1")) == "pool-v"
    assert pool_of(make_pod("a", node="n1", pool="pool-v")) == "", "the node is known and in no pool"
    assert pool_of(make_pod("a", node="n9", pool="pool-v", started=5.0)) == "pool-v"
    assert pool_of(make_pod("a", node="n9", pool="pool-v")) == "", "no kubelet took it: anybody wrote that"
    assert pool_of(make_pod("a", node="", pool="pool-v")) == ""


def test_pods_of_a_node_that_is_gone_stay_in_its_pool() -> None:
    scene = Scene()
    pod = make_pod("a", node="v1")
    scene.state.apply(pod)
    assert scene.membership.pool_of_pod(pod) == "pool-v"
    scene.state.remove(make_node("v1", labels=VIRTUAL))
    assert scene.names() == set()
    assert scene.membership.pool_of_pod(pod) == "pool-v"
    scene.state.apply(make_node("v1"))
    assert scene.membership.pool_of_pod(pod) == "", "another node of that name"


def test_nodes_that_are_gone_are_kept_only_while_pods_of_them_are_known() -> None:
    scene = Scene()
    scene.state.apply(make_pod("a", node="v1"))
    scene.membership.refresh()
    scene.state.remove(make_node("v1", labels=VIRTUAL))
    for number in range(500):
        scene.state.apply(make_node(f"gone-{number}"))
        scene.state.remove(make_node(f"gone-{number}"))
    assert len(scene.membership._gone) < 100
    assert V1 in scene.membership._gone


def test_listeners_hear_of_each_change_with_the_pools_before_and_after() -> None:
    scene = Scene()
    scene.membership.refresh()
    leave = scene.membership.changed.subscribe(scene.heard.append)
    version = scene.membership.version("pool-v")
    scene.state.apply(make_node("n1", labels=VIRTUAL))
    scene.state.remove(make_node("n1", labels=VIRTUAL))
    scene.governance = governance_of()
    scene.membership.refresh()
    assert [(one.name, one.before, one.after) for one in scene.heard] == [
        ("n1", "", "pool-v"),
        ("n1", "pool-v", ""),
        ("v1", "pool-v", ""),
    ]
    assert scene.heard[-1].old is scene.heard[-1].new, "only the budgets have changed"
    assert scene.membership.version("pool-v") == version + 3
    leave()
    scene.membership.close()
    scene.state.apply(make_node("v2", labels=VIRTUAL))
    assert len(scene.heard) == 3


_NODES = ("n1", "v1", "x1")
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("node"), st.sampled_from(_NODES), st.sampled_from(({}, VIRTUAL, OTHER))),
        st.tuples(st.just("no node"), st.sampled_from(_NODES), st.just({})),
        st.tuples(st.just("pod"), st.sampled_from(_NODES), st.sampled_from(({}, {"pool": "pool-v"}))),
        st.tuples(st.just("no pod"), st.sampled_from(_NODES), st.just({})),
        st.tuples(st.just("budgets"), st.sampled_from(("0", "1", "2")), st.just({})),
    ),
    max_size=30,
)


@given(steps=_STEPS)
def test_the_index_equals_a_fresh_computation(steps: list[tuple[str, str, dict[str, str]]]) -> None:
    scene = Scene()
    last: dict[str, NodeRecord] = {node.name: node for node in scene.state.nodes.values()}
    scene.membership.refresh()
    for what, name, given_ in steps:
        if what == "node":
            scene.state.apply(last.setdefault(name, make_node(name)))
            last[name] = make_node(name, labels=given_)
            scene.state.apply(last[name])
        elif what == "no node" and NodeName(name) in scene.state.nodes:
            scene.state.remove(last[name])
        elif what == "pod":
            scene.state.apply(make_pod(f"pod-{name}", node=name, pool=given_.get("pool", "")))
        elif what == "no pod":
            scene.state.remove(make_pod(f"pod-{name}", node=name))
        elif what == "budgets":
            scene.governance = BUDGETS[int(name)]
        _assert_fresh(scene, last)


def _assert_fresh(scene: Scene, last: dict[str, NodeRecord]) -> None:
    governance, nodes = scene.governance, scene.state.nodes
    expected = {name: governance.budget_of(node) or "" for name, node in nodes.items()}
    assert {name: scene.membership.pool_of_node(name) for name in nodes} == expected
    for pool in {"pool-v", *expected.values()} - {""}:
        members = {node.name: node for node in scene.membership.nodes(pool)}
        assert members == {name: node for name, node in nodes.items() if expected[name] == pool}
    for pod in scene.state.pods.values():
        assert scene.membership.pool_of_pod(pod) == _fresh_pool(governance, nodes.get(pod.node), last, pod)


def _fresh_pool(governance: Governance, node: NodeRecord | None, last: dict[str, NodeRecord], pod: PodRecord) -> str:
    if node is not None:
        return governance.budget_of(node) or ""
    gone = last.get(pod.node)
    if gone is not None:
        return governance.budget_of(gone) or ""
    return pod.pool if pod.started else ""


PENDING = Pending(placement="virtual", pools="a,b")


def _names(pod: PodRecord, *known: NamespaceRecord | ReplicaSetRecord) -> tuple[str, ...]:
    """The pools that are believed of a waiting pod; the policy has the pool `a` and governs the workloads of `shop`."""
    match = {"namespaces": {"matchLabels": {"team": "shop"}}, "labels": {"matchLabels": {"app": "web"}}}
    governance = placing({"match": match, "placement": {"virtual": "Always"}})
    state = make_state()
    for record in known:
        state.apply(record)
    return PoolMembership(state, lambda: governance).named_pools(pod)


SHOP = make_namespace("shop", team="shop")
DEN = make_namespace("den", team="den")


def test_pools_are_believed_only_where_spillway_can_have_named_them() -> None:
    waiting = make_pod("a", node="", phase=Phase.PENDING, pending=PENDING)
    job = replace(waiting, owner_kind="Job", owner_uid=OwnerUid("job-1"), labels={"app": "web"})
    assert _names(waiting, SHOP, make_replicaset(labels={"app": "web"})) == ("a",), "b is no pool of the policy"
    assert _names(waiting, SHOP, make_replicaset(labels={"app": "other"})) == (), "no class has it"
    assert _names(replace(waiting, namespace="den"), DEN) == (), "nothing there is governed"
    assert _names(replace(job, namespace="den"), DEN) == ()
    assert _names(job, SHOP) == ("a",)
    assert _names(replace(job, labels={"app": "other"}), SHOP) == (), "no class has such a Job"
    assert _names(replace(job, labels=None), SHOP) == ()
    assert _names(replace(waiting, owner_uid=OwnerUid("")), SHOP) == (), "a bare pod is never placed"
    assert _names(replace(waiting, owner_uid=OwnerUid(""))) == ()
    assert _names(waiting) == ("a", "b"), "while nothing is known of it"


def test_a_mark_is_looked_at_again_when_its_namespace_and_its_replicaset_are_seen() -> None:
    match = {"namespaces": {"matchLabels": {"team": "shop"}}}
    governance = placing({"match": match, "placement": {"virtual": "Always"}})
    state = make_state()
    usage = LiveUsage(state, PoolMembership(state, lambda: governance), Reservations(lambda: 0.0))
    state.apply(make_pod("a", namespace="den", node="", phase=Phase.PENDING, pending=PENDING, cpu_millis=10_000_000))
    state.apply(make_replicaset(namespace="den"))
    state.apply(DEN)
    assert usage.on("a").used.pods == 0


def test_a_pod_counts_on_the_pool_of_its_node_or_on_those_to_which_it_may_go() -> None:
    scene = Scene()
    scene.governance = governance_of(virtual=VIRTUAL, places=True)
    scene.state.apply(make_namespace("shop"))
    scene.state.apply(make_replicaset())

    def pod(node: str = "", **changes: Any) -> PodRecord:
        pending = Pending(placement=changes.pop("placement", "virtual"), pools=changes.pop("pools", "pool-v,other"))
        return make_pod("a", node=node, phase=Phase.PENDING, pending=pending, **changes)

    def answers(one: PodRecord) -> tuple[tuple[str, ...], bool]:
        return scene.membership.pools_of_pod(one), scene.membership.needs_pool(one)

    assert answers(pod("v1", pools="")) == (("pool-v",), False)
    assert answers(pod("n1")) == ((), False), "its node is in no pool, whatever its marks say"
    assert answers(pod()) == (("pool-v",), True), "the policy does not list the other pool"
    assert answers(pod(placement="physical")) == (("pool-v",), False), "it has spilled, and may still go to both sides"
    assert answers(pod(owner_uid=OwnerUid(""))) == ((), False), "anybody may have marked a bare pod"
    assert answers(pod(pools="")) == ((), False)
    assert scene.membership.pools_of_pod(pod(terminating=True)) == ()


def test_a_token_has_a_digest_only_where_there_are_pools_to_prove() -> None:
    proof = MarkProof()
    membership = PoolMembership(make_state(), governance_of, proof=proof)
    owner = OwnerUid("rs-web")
    assert proof.holds(membership.token("shop", owner, "a,b"), "shop", owner, "a,b")
    assert membership.token("shop", owner, "").isalnum()
