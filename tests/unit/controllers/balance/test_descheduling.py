"""Another descheduler is one that may evict pods everywhere, not one whose labels say so."""

from typing import Any

import pytest

from spillway.controllers.balance.descheduling import (
    EVICT_EVERYWHERE,
    FINISHED_SECONDS,
    PER_NAMESPACE,
    Deschedulers,
)
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Phase
from spillway.kube.access import Verdict
from spillway.kube.errors import ApiError, UnreachableError
from tests.builders import make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_rights import FakeRights
from tests.support.world import Record, make_world

LABELS = {"app": "descheduler"}
BARE: dict[str, Any] = {"owner_uid": OwnerUid(""), "owner_kind": "", "owner_name": "", "labels": LABELS}
OF_A_JOB: dict[str, Any] = {**BARE, "owner_kind": "Job"}
NOW = 100_000.0
USER = "system:serviceaccount:kube-system:descheduler"


def _named(path: str) -> Any:
    """Each object runs under the ServiceAccount `descheduler`."""
    spec = {"serviceAccountName": "descheduler"}
    return {"spec": spec if "/pods/" in path else {"template": {"spec": spec}}}


def _search(
    *records: Record, rights: FakeRights | None = None, respond: Any = _named
) -> tuple[Deschedulers, FakeReader, FakeRights]:
    reader, asked = FakeReader(respond), rights or FakeRights(USER)
    return Deschedulers(make_world(records, [], FakeClock(NOW)), reader, asked), reader, asked


@pytest.mark.parametrize(
    "records",
    [
        pytest.param((make_replicaset("d", namespace="kube-system", replicas=1, labels=LABELS),), id="a ReplicaSet"),
        pytest.param((make_pod("d", namespace="kube-system", **OF_A_JOB),), id="a pod of a Job"),
        pytest.param(
            (make_pod("d", namespace="kube-system", **OF_A_JOB, phase=Phase.SUCCEEDED, ended=NOW - 300.0),),
            id="a pod of a CronJob between two runs",
        ),
        pytest.param(
            (make_pod("d", namespace="kube-system", **OF_A_JOB, phase=Phase.FAILED, created=NOW - 300.0),),
            id="a pod that failed and does not say when",
        ),
    ],
)
async def test_one_that_may_evict_pods_everywhere_is_found(records: tuple[Record, ...]) -> None:
    search, reader, rights = _search(*records)
    assert await search.find() == "kube-system/d"
    assert await search.find() == "kube-system/d"
    assert len(reader.read) == 1, "its ServiceAccount does not change"
    assert set(rights.asked) == {(USER, EVICT_EVERYWHERE)}
    assert EVICT_EVERYWHERE.attributes["resourceAttributes"] == {
        "verb": "create",
        "group": "",
        "version": "v1",
        "resource": "pods",
        "subresource": "eviction",
        "namespace": "",
    }


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({"phase": Phase.SUCCEEDED, "ended": NOW - 2 * FINISHED_SECONDS}, id="it ended two hours ago"),
        pytest.param({"phase": Phase.SUCCEEDED, "ended": NOW - 300.0, "terminating": True}, id="finished and deleted"),
        pytest.param({"terminating": True}, id="it is being deleted"),
    ],
)
async def test_one_that_no_longer_runs_is_not_found(pod: dict[str, Any]) -> None:
    search, _, rights = _search(make_pod("d", namespace="kube-system", **OF_A_JOB, **pod))
    assert await search.find() == ""
    assert rights.asked == []


async def test_a_pod_of_a_tenant_with_its_labels_is_none() -> None:
    search, _, rights = _search(
        make_pod("mine", namespace="evil", node=NodeName(""), **BARE),
        make_replicaset("mine", namespace="evil", replicas=1, labels=LABELS),
    )
    assert await search.find() == ""
    assert {user for user, _ in rights.asked} == {"system:serviceaccount:evil:descheduler"}


async def test_a_pod_without_a_named_service_account_runs_as_default() -> None:
    pod = make_pod("mine", namespace="evil", **BARE)
    search, _, rights = _search(pod, respond=lambda _: {"spec": {}})
    assert await search.find() == ""
    assert [user for user, _ in rights.asked] == ["system:serviceaccount:evil:default"]


async def test_many_pods_of_one_namespace_do_not_make_the_search_long() -> None:
    pods = [make_pod(f"mine-{index}", namespace="evil", **BARE) for index in range(100)]
    search, reader, _ = _search(*pods, make_pod("z", namespace="kube-system", **BARE))
    assert await search.find() == "kube-system/z"
    assert len(reader.read) == PER_NAMESPACE + 1


async def test_while_the_api_server_does_not_say_what_it_may_it_counts() -> None:
    pod = make_pod("d", namespace="kube-system", **BARE)
    search, _, _ = _search(pod, rights=FakeRights(USER, verdict=Verdict.UNKNOWN))
    assert await search.find() == "kube-system/d"
    search, _, _ = _search(pod, respond=lambda _: UnreachableError("connection refused"))
    with pytest.raises(UnreachableError):
        await search.find()


async def test_one_that_is_gone_is_none() -> None:
    pod = make_pod("d", namespace="kube-system", **BARE)
    search, _, _ = _search(pod, respond=lambda _: None)
    assert await search.find() == ""
    search, _, _ = _search(pod, respond=lambda _: ApiError(500, "InternalError", ""))
    with pytest.raises(ApiError):
        await search.find()
