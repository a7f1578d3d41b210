"""The other pods as a new pod meets them: seen by the informer, promised, or reserved."""

from spillway.domain.fit.neighbours import Incoming, Neighbour
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import Pending, Phase, PodRecord
from spillway.domain.model.selectors import Labels
from spillway.domain.model.usage import Usage
from spillway.state.cluster import Record
from spillway.state.neighbours import PoolNeighbours
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from tests.builders import make_namespace, make_pod, make_replicaset, make_state
from tests.support.placement import manual, placing

OWNER = OwnerUid("rs-web")


def is_web(labels: Labels, _namespace: str, _of_namespace: Labels | None) -> bool:
    return labels.get("app") == "web"


class Scene:
    """One policy with the pools `a` and `b`, and the ReplicaSet `web` of the namespace `shop`."""

    def __init__(self, *pods: PodRecord) -> None:
        governance = placing(manual(0), {"a": {}, "b": {}})
        self.state = make_state()
        records: list[Record] = [make_namespace("shop"), make_namespace("other"), make_replicaset("web"), *pods]
        for record in records:
            self.state.apply(record)
        self.membership = PoolMembership(self.state, lambda: governance)
        self.reservations = Reservations(lambda: 0.0)

    def reserve(self, *pools: str, owner: OwnerUid = OWNER) -> None:
        one = Usage(1)
        self.reservations.reserve(owner, pools=pools, used=one, billed=one)

    def selected(self, namespaces: list[str] | None = None, itself: str = "") -> list[Neighbour]:
        neighbours = PoolNeighbours(
            self.state,
            self.membership,
            self.reservations,
            pod=Incoming({}, "shop", {"app": "web"}),
            owner=OWNER,
            pool="a",
            itself=PodUid(itself),
        )
        return list(neighbours.selected(is_web, namespaces))


def test_pods_of_a_replicaset_have_the_labels_of_its_template_and_others_their_own() -> None:
    bare = {"owner_uid": OwnerUid(""), "owner_kind": ""}
    scene = Scene(
        make_pod("web-1"),
        make_pod("bare-1", labels={"app": "web"}, node=NodeName("n2"), **bare),
        make_pod("bare-2", labels={"app": "db"}, **bare),
        make_pod("bare-3", **bare),
        make_pod("done", phase=Phase.SUCCEEDED),
    )
    assert [one.node for one in scene.selected(["shop"])] == ["n1", "n2"]


def test_pods_of_other_namespaces_are_looked_at_where_a_term_reaches_them() -> None:
    scene = Scene(make_pod("far", namespace="other", owner_uid=OwnerUid(""), labels={"app": "web"}))
    assert scene.selected(["shop"]) == []
    assert len(scene.selected()) == len(scene.selected(["other"])) == 1


def test_a_waiting_pod_is_promised_to_the_pools_of_its_marks() -> None:
    def waiting(name: str, pools: str) -> PodRecord:
        pending = Pending(placement="virtual", pools=pools)
        return make_pod(name, node=NodeName(""), phase=Phase.PENDING, policy="online", pending=pending)

    scene = Scene(waiting("web-1", "b,a"), waiting("web-2", "b"))
    assert [one.promised for one in scene.selected()] == [True, False]
    assert [one.promised for one in scene.selected(itself="uid-web-1")] == [False]


def test_reservations_of_the_same_owner_are_promised_before_the_informer_shows_their_pods() -> None:
    scene = Scene()
    scene.reserve("a", "b")
    scene.reserve("b")
    scene.reserve("a", owner=OwnerUid("rs-other"))
    assert scene.selected() == [Neighbour(NodeName(""), leaving=False, promised=True)]
    assert scene.selected(["other"]) == []
