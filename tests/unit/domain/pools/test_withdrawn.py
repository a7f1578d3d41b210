"""Which waiting pods lost their pools, and which are none of Spillway's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Pending, Phase, PodRecord
from spillway.domain.pools.withdrawn import Tokens, waits_for_pools, withdrawn
from tests.builders import make_pod


def waiting(token: str = "t1", pools: str = "a,b", **changes: Any) -> PodRecord:
    pending = Pending(placement="virtual", pools=pools, reservation=token)
    return make_pod("web-1", **({"node": "", "phase": Phase.PENDING, "ready": False, "pending": pending} | changes))


@pytest.mark.parametrize(
    ("given_pools", "expected"),
    [
        pytest.param(("a", "b"), False, id="both are given"),
        pytest.param(("c", "b", "a"), False, id="and another one"),
        pytest.param(("a",), True, id="its affinity still admits the one that was withdrawn"),
        pytest.param((), True, id="nothing is given"),
    ],
)
def test_a_pod_is_withdrawn_once_a_pool_that_it_names_is(given_pools: tuple[str, ...], *, expected: bool) -> None:
    assert withdrawn(waiting(), given_pools) is expected


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"node": NodeName("v1")}, id="it is bound"),
        pytest.param({"phase": Phase.RUNNING, "pending": None}, id="it runs"),
        pytest.param({"terminating": True}, id="it is being deleted"),
        pytest.param({"owner_uid": OwnerUid(""), "owner_kind": ""}, id="no owner replaces it"),
        pytest.param({"owner_kind": "DaemonSet"}, id="it belongs to its node"),
        pytest.param({"pending": Pending(placement="virtual", pools="a")}, id="Spillway gives every pod a token"),
        pytest.param({"pending": Pending(placement="physical", reservation="t1")}, id="it was sent to no pool"),
    ],
)
def test_others_wait_for_no_pool_of_ours(changes: dict[str, Any]) -> None:
    pod = waiting(**changes)
    assert not waits_for_pools(pod)
    assert not withdrawn(pod, ())


def test_a_spilled_pod_counts_as_well() -> None:
    assert withdrawn(waiting(pending=Pending(placement="physical", pools="a", reservation="t1")), ())


def test_a_copied_token_is_replaced_once() -> None:
    tokens = Tokens()
    assert tokens.new(waiting())
    tokens.note(waiting())
    assert not tokens.new(waiting())
    assert tokens.new(waiting("t2"))


@given(named=st.sets(st.sampled_from("abcd"), min_size=1), allowed=st.sets(st.sampled_from("abcd")))
def test_nothing_is_withdrawn_while_every_named_pool_is_given(named: set[str], allowed: set[str]) -> None:
    assert withdrawn(waiting(pools=",".join(sorted(named))), allowed) is not (named <= allowed)
