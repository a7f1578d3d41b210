import pytest

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import (
    CAN_SURGE,
    WITH_REPLICASETS,
    WITHOUT_REPLICAS,
    OwnerReference,
    WorkloadKey,
    counted_as,
    counted_as_by_name,
    has_successor,
    object_reference,
    owner_of,
    workload_key,
    workload_of,
)
from tests.builders import make_pod, make_replicaset

CRON_JOB = OwnerReference(api_version="batch/v1", kind="CronJob", name="report", uid="cron-1", controller=True)
JOB = OwnerReference(api_version="batch/v1", kind="Job", name="report-29000000", uid="job-1", controller=True)


@pytest.mark.parametrize(
    ("kind", "api_version"), [("Deployment", "apps/v1"), ("Rollout", "argoproj.io/v1alpha1")], ids=str
)
def test_an_event_about_a_workload_names_its_own_api_group(kind: str, api_version: str) -> None:
    replicaset = make_replicaset(
        "web-1", namespace="shop", owner_uid="o-1", owner_kind=kind, owner_name="web", owner_api_version=api_version
    )
    wanted = {"apiVersion": api_version, "kind": kind, "name": "web", "uid": "o-1", "namespace": "shop"}
    assert workload_of(replicaset).reference == wanted
    assert workload_of(replicaset).key == f"{kind}/shop/web"
    assert owner_of(make_pod("web-1-a", namespace="shop"), replicaset).reference == wanted


def test_a_replicaset_of_its_own_is_a_workload() -> None:
    own = workload_of(make_replicaset("bare", namespace="shop", owner_uid="", owner_kind="", owner_name=""))
    assert own.reference["apiVersion"] == "apps/v1"
    assert own.key == "ReplicaSet/shop/bare"


@pytest.mark.parametrize(
    ("kind", "api_version"), [("Job", "batch/v1"), ("StatefulSet", "apps/v1"), ("CloneSet", "")], ids=str
)
def test_other_owners_of_pods_have_the_group_of_kubernetes_or_none(kind: str, api_version: str) -> None:
    pod = make_pod("one", owner_uid=OwnerUid("o"), owner_kind=kind, owner_name="many")
    assert owner_of(pod, None).reference["apiVersion"] == api_version


def test_a_bare_pod_stands_for_itself() -> None:
    pod = make_pod("alone", owner_uid=OwnerUid(""), owner_kind="", owner_name="")
    assert owner_of(pod, None).reference == object_reference("v1", "Pod", "alone", pod.uid, namespace=pod.namespace)


def test_a_job_counts_as_the_cron_job_that_controls_it() -> None:
    assert counted_as(JOB, [CRON_JOB]) is CRON_JOB
    assert counted_as(JOB, None) is JOB
    assert counted_as(JOB, [OwnerReference(kind="Workflow", name="report", controller=True)]) is JOB
    assert counted_as(JOB, [OwnerReference(kind="CronJob", name="report")]) is JOB


@pytest.mark.parametrize(
    ("workload", "counted"),
    [
        ("Job/shop/report-29000000", "CronJob/shop/report"),
        ("Job/shop/report-7", "Job/shop/report-7"),
        ("Job/shop/report", "Job/shop/report"),
        ("Deployment/shop/report-29000000", "Deployment/shop/report-29000000"),
    ],
)
def test_a_job_counts_as_its_cron_job_by_name(workload: str, counted: str) -> None:
    assert counted_as_by_name(workload) == counted


def test_a_key_is_read_as_it_was_made() -> None:
    assert WorkloadKey.parse(workload_key("Deployment", "shop", "cart")) == ("Deployment", "shop", "cart")


@pytest.mark.parametrize(
    ("kind", "uid", "successor"),
    [
        ("ReplicaSet", "rs", True),
        ("Job", "job", True),
        ("StatefulSet", "set", True),
        ("DaemonSet", "ds", False),
        ("Node", "node", False),
        ("", "", False),
    ],
)
def test_a_deleted_pod_has_a_successor_if_its_owner_is_not_bound_to_the_node(
    kind: str, uid: str, *, successor: bool
) -> None:
    assert has_successor(make_pod(owner_kind=kind, owner_uid=OwnerUid(uid))) is successor


@pytest.mark.parametrize("kind", ["DaemonSet", "Node", "Job", "CronJob"])
def test_owners_whose_pods_are_no_replicas_never_surge_and_have_no_replicasets(kind: str) -> None:
    assert kind in WITHOUT_REPLICAS
    assert kind not in CAN_SURGE | WITH_REPLICASETS
