"""The candidates that admission and the upkeep of deletion costs share."""

from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.state.node_places import NodePlaces
from spillway.state.scale_down_candidates import scale_down_candidates
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_state
from tests.support.policies import governance_of

ELASTIC = {"type": "elastic"}
VIRTUAL = {"type": "vk"}
OLDER = OwnerUid("rs-older")


def test_a_candidate_has_the_place_of_its_node_and_the_pods_of_its_deployment_beside_it() -> None:
    governance = governance_of(elastic=ELASTIC, virtual=VIRTUAL)
    state = make_state()
    for name, labels in (("n1", {}), ("e1", ELASTIC), ("v1", VIRTUAL)):
        state.apply(make_node(name, labels={"topology.kubernetes.io/zone": "a", **labels}))
    replicaset = make_replicaset(owner_uid=OwnerUid("web"), owner_kind="Deployment", owner_name="web")
    older = make_replicaset("web-1", uid=OLDER, owner_uid=OwnerUid("web"), owner_kind="Deployment", owner_name="web")
    state.apply(replicaset)
    state.apply(older)
    for name, node in (("p1", "n1"), ("p2", "e1"), ("p3", "v1")):
        state.apply(make_pod(name, node=NodeName(node)))
    state.apply(make_pod("p4", node=NodeName("e1"), owner_uid=OLDER))
    state.apply(make_pod("p5", node=NodeName("e1"), terminating=True))
    places = NodePlaces(state, lambda: governance, lambda: 0.0, now=lambda: 0.0)
    claim = governance.claim(make_namespace("shop"), "Deployment", {"app": "web"})
    assert claim is not None

    found = scale_down_candidates(places, replicaset, claim, state.pods_of(replicaset.uid))

    assert {one.uid: (one.tier, one.zone, one.same_node_owner_pods) for one in found} == {
        PodUid("uid-p1"): (Tier.FIXED, Zone("a"), 1),
        PodUid("uid-p2"): (Tier.ELASTIC, Zone("a"), 2),
        PodUid("uid-p3"): (Tier.VIRTUAL, Zone("a"), 1),
    }
