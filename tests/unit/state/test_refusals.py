"""From the signs of refused pods to the pools that are left out, by the real reservations and the real state."""

import pytest

from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.owners import Owner
from spillway.domain.model.records import Pending
from spillway.domain.model.usage import Usage
from spillway.domain.placement.refusals import FIRST_SECONDS, PoolChanges
from spillway.state.refusals import PoolLeftOut, Refusals
from spillway.state.reservations import SETTLE_SECONDS, Reservations
from tests.builders import make_pod, make_replicaset, make_state

UID = OwnerUid("rs-web")
OWNER = Owner("apps/v1", "Deployment", "shop", "web", OwnerUid("d-web"))
CHANGES = PoolChanges(overlay=True)
POD = Usage(1, 500, 1 << 30)
SAID = 'Pod "web-1" is invalid: spec.dnsConfig'


class Rig:
    def __init__(self, *, replicas: int = 3) -> None:
        self.seconds = 1000.0
        self.state = make_state(clock=self._clock, now=self._clock)
        self.state.apply(make_replicaset(uid=UID, replicas=replicas))
        self.reservations = Reservations(self._clock, seconds=10.0)
        self.refusals = Refusals(self.state, self.reservations)
        self.found: list[PoolLeftOut] = []
        self.refusals.found.subscribe(self.found.append)
        self.refusals.placed(UID, OWNER)

    def _clock(self) -> float:
        return self.seconds

    def place(self, *pools: str) -> str:
        return self.reservations.reserve(UID, pools=pools, used=POD, changes=CHANGES if pools else PoolChanges())

    def show(self, name: str, token: str, *pools: str) -> None:
        """As the informer shows a pod, and the live counts end its reservation."""
        pending = Pending(pools=",".join(pools), reservation=token)
        self.state.apply(make_pod(name, uid=PodUid(f"uid-{name}"), owner_uid=UID, pending=pending))
        self.reservations.settle(token)

    def refuse(self, message: str = SAID) -> None:
        self.refusals.report(UID, "shop", message)
        self.advance(SETTLE_SECONDS)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.reservations.expire()

    @property
    def left_out(self) -> set[str]:
        return set(self.refusals.pools(UID))


def test_the_pools_of_a_refused_pod_are_left_out_for_its_owner_and_tried_again_later() -> None:
    rig = Rig()
    rig.place("a", "b")
    rig.refuse()
    assert rig.left_out == {"a", "b"}
    assert SAID in rig.refusals.pools(UID)["a"]
    assert rig.refusals.pools(OwnerUid("rs-other")) == {}
    assert [(one.owner, one.pool) for one in rig.found] == [(OWNER, "a"), (OWNER, "b")]
    assert [one.owner.key for one in rig.refusals.of_pool("a")] == ["Deployment/shop/web"]
    rig.advance(FIRST_SECONDS)
    assert rig.left_out == set()
    assert list(rig.refusals.of_pool("a")) == []
    rig.place("a")
    rig.refuse()
    rig.advance(FIRST_SECONDS)
    assert rig.left_out == {"a"}, "longer after the second failure"


def test_only_what_does_not_appear_was_refused() -> None:
    rig = Rig()
    virtual, physical = rig.place("a"), rig.place()
    rig.refusals.report(UID, "shop", SAID)
    rig.show("web-1", physical)
    rig.advance(SETTLE_SECONDS)
    assert rig.left_out == {"a"}
    assert rig.reservations.get(virtual) is None


def test_a_created_pod_of_the_pool_ends_the_failure() -> None:
    rig = Rig()
    rig.place("a")
    rig.refuse()
    rig.advance(FIRST_SECONDS)
    rig.show("web-1", rig.place("a"), "a")
    rig.place("a")
    rig.refuse()
    assert [one.state.failures for one in rig.found] == [1, 1]


def test_while_pods_for_physical_nodes_are_refused_no_pool_is_left_out() -> None:
    rig = Rig()
    rig.place("a")
    rig.refuse()
    rig.place()
    rig.refuse("exceeded quota")
    assert rig.left_out == set(), "the pool was not the reason"
    rig.place("a")
    rig.refuse()
    assert rig.left_out == set()
    rig.show("web-1", rig.place())
    rig.place("a")
    rig.refuse()
    assert rig.left_out == {"a"}


def test_that_physical_pods_were_refused_is_forgotten_by_itself() -> None:
    rig = Rig()
    rig.place()
    rig.refuse("exceeded quota")
    rig.advance(FIRST_SECONDS)
    rig.place("a")
    rig.refuse()
    assert rig.left_out == {"a"}, "else a pod that the overlay spoils would be held up for ever"


@pytest.mark.parametrize(
    ("uid", "namespace"),
    [
        pytest.param(UID, "other", id="an Event in another namespace"),
        pytest.param(OwnerUid("rs-other"), "shop", id="an owner of which nothing was placed"),
    ],
)
def test_who_cannot_know_is_not_believed(uid: OwnerUid, namespace: str) -> None:
    rig = Rig()
    token = rig.place("a")
    assert not rig.refusals.report(uid, namespace, SAID)
    rig.advance(SETTLE_SECONDS)
    assert rig.reservations.get(token) is not None
    assert rig.left_out == set()


def test_the_condition_of_a_replicaset_says_it_as_well() -> None:
    rig = Rig()
    rig.place("a")
    rig.state.apply(make_replicaset(uid=UID, replicas=3, refused=SAID))
    rig.advance(SETTLE_SECONDS)
    assert rig.left_out == {"a"}
    assert SAID in rig.found[0].state.because


@pytest.mark.parametrize(("replicas", "expected"), [(3, {"a"}), (0, set())])
def test_a_silent_expiry_counts_while_pods_are_missing(replicas: int, expected: set[str]) -> None:
    rig = Rig(replicas=replicas)
    rig.place("a")
    rig.advance(10.0)
    assert rig.left_out == expected, "a request for a pod that is not wanted leaves no pool out"


def test_a_deleted_replicaset_is_forgotten() -> None:
    rig = Rig()
    rig.place("a")
    rig.refuse()
    rig.state.remove(make_replicaset(uid=UID))
    assert list(rig.refusals.of_pool("a")) == []
