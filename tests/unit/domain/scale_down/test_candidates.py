import msgspec

from spillway.domain.balance.hot_nodes import hot_taint
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import NodeRecord, Phase
from spillway.domain.scale_down.candidates import candidates_of, related_pods
from tests.builders import make_node, make_pod, make_replicaset, make_replication_controller

POD = make_pod(ready_since=20.0, created=10.0, restarts=1, sidecar_restarts=4, policy="online")
NODE = make_node("n1")
NODES = {NODE.name: NODE}
ORDER = {NODE.name: 7}
change = msgspec.structs.replace


def elastic(_: NodeRecord) -> NodePlace:
    return NodePlace(tier=Tier.ELASTIC, zone=Zone("a"))


def test_a_candidate_knows_its_place_and_what_kubernetes_compares() -> None:
    (candidate,) = candidates_of([POD], NODES, elastic, ORDER, related={})
    assert (candidate.tier, candidate.zone, candidate.node_order, candidate.node_hot) == (Tier.ELASTIC, "a", 7, False)
    assert (candidate.deletion_cost, candidate.stamped) == (0, False)
    assert (candidate.ready, candidate.ready_since, candidate.created) == (True, 20.0, 10.0)
    assert (candidate.restarts, candidate.sidecar_restarts) == (1, 4)


def test_a_candidate_on_a_node_with_the_taint_of_a_hot_node() -> None:
    nodes = {NODE.name: change(NODE, taints=(hot_taint("even"),))}
    (candidate,) = candidates_of([POD], nodes, elastic, ORDER, related={})
    assert candidate.node_hot


def test_only_pods_that_kubernetes_counts_are_candidates() -> None:
    pods = [change(POD, terminating=True), change(POD, phase=Phase.SUCCEEDED), change(POD, phase=Phase.FAILED)]
    assert candidates_of(pods, NODES, elastic, ORDER, related={}) == ()


def test_pods_that_share_a_node_are_counted_over_the_whole_deployment() -> None:
    rs, older = make_replicaset("web"), make_replicaset("web-old", owner_uid="deploy-web")
    pods = [POD, change(POD, uid=PodUid("u2")), change(POD, uid=PodUid("u3"), node=NodeName(""))]
    of_older = [change(POD, uid=PodUid("u4")), change(POD, uid=PodUid("u5"), terminating=True)]
    related = related_pods(rs, [rs, older], {rs.uid: pods, older.uid: of_older}.__getitem__)
    counted = candidates_of(pods, NODES, elastic, ORDER, related=related)
    assert [c.same_node_owner_pods for c in counted] == [3, 3, 0]


def test_a_replication_controller_has_no_related_pods_even_with_an_owner() -> None:
    """Kubernetes looks for them in an index that holds ReplicaSets alone."""
    rc = make_replication_controller(owner_uid=OwnerUid("dc"), owner_kind="DeploymentConfig", owner_name="legacy")
    assert related_pods(rc, [rc], lambda _: [POD, change(POD, uid=PodUid("u2"))]) == {}


def test_a_replicaset_without_owner_has_no_related_pods() -> None:
    rs = make_replicaset(owner_uid="")
    assert related_pods(rs, [rs], lambda _: [POD, change(POD, uid=PodUid("u2"))]) == {}


def test_a_pod_without_node_is_in_no_zone() -> None:
    (candidate,) = candidates_of(
        [change(POD, node=NodeName(""), phase=Phase.PENDING)], NODES, elastic, ORDER, related={}
    )
    assert not candidate.assigned
    assert candidate.zone == ""


def test_on_an_unknown_node_the_pods_own_marks_are_believed() -> None:
    gone = NodeName("gone")
    marks = {"tier": "virtual", "pool": "eci-a"}
    marked, unmarked, unstarted = candidates_of(
        [
            change(POD, node=gone, started=5.0, **marks),
            change(POD, node=gone, started=5.0),
            change(POD, node=gone, started=0.0, **marks),
        ],
        NODES,
        elastic,
        ORDER,
        related={},
    )
    assert (marked.tier, marked.pool, marked.zone) == (Tier.VIRTUAL, "eci-a", "")
    assert unmarked.tier is Tier.FIXED
    assert (unstarted.tier, unstarted.pool) == (Tier.FIXED, ""), "no kubelet took it: anybody wrote that"
