"""Which policy places a pod: that of its workload, and never one that its mark alone names."""

from typing import Any

import pytest

from spillway.controllers.placement.placement_class import governed
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import Phase, PodRecord
from tests.builders import make_namespace, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, policy_resource

MATCH = {"namespaces": {"matchLabels": {"team": "shop"}}, "labels": {"matchLabels": {"app": "web"}}}
WEB = {"app": "web"}


def class_of(**changes: Any) -> dict[str, Any]:
    return {"name": "all", "match": MATCH, "placement": {"virtual": "Always", "spillAfter": "10s"}} | changes


def policy_of(pod: PodRecord, *classes: dict[str, Any]) -> str | None:
    """The policy that places the pod, if `online` is there; `shop` and `den` are namespaces of teams."""
    online = policy_resource("online")
    online["spec"]["workloads"] = list(classes or [class_of()])
    records = (make_namespace("shop", team="shop"), make_namespace("den", team="den"), make_replicaset(labels=WEB))
    found = governed(make_world(records, [online], FakeClock()), pod)
    return None if found is None else found.policy


def of_job(**changes: Any) -> PodRecord:
    job = {"owner_uid": OwnerUid("job-1"), "owner_kind": "Job", "policy": "online", "labels": WEB}
    return make_pod("a", node="", phase=Phase.PENDING, **job | changes)


@pytest.mark.parametrize(
    ("pod", "policy"),
    [
        pytest.param(of_job(), "online", id="placed"),
        pytest.param(of_job(namespace="den"), None, id="the policy governs another namespace"),
        pytest.param(of_job(namespace="unseen"), None, id="a namespace that is not known"),
        pytest.param(of_job(labels={"app": "other"}), None, id="the policy has no class for it"),
        pytest.param(of_job(policy=""), None, id="no mark"),
        pytest.param(of_job(policy="other"), None, id="there is no such policy"),
        pytest.param(of_job(owner_uid=OwnerUid("")), None, id="a bare pod"),
        pytest.param(of_job(owner_kind="ReplicaSet", labels=None), "online", id="a ReplicaSet that is not seen yet"),
        pytest.param(
            of_job(owner_kind="ReplicaSet", labels=None, namespace="den"), None, id="the same in another namespace"
        ),
        pytest.param(make_pod("a", policy="other"), "online", id="the class of its workload, whatever its mark says"),
    ],
)
def test_a_mark_names_only_a_policy_that_may_place_the_pod(pod: PodRecord, policy: str | None) -> None:
    assert policy_of(pod) == policy


def test_a_jobs_pod_may_be_a_cronjobs() -> None:
    assert policy_of(of_job(), class_of(match=MATCH | {"kinds": ["CronJob"]})) == "online"
    assert policy_of(of_job(), class_of(match=MATCH | {"kinds": ["Deployment"]})) is None


def test_a_class_that_places_no_pods_places_none() -> None:
    without = {"name": "all", "match": MATCH}
    assert policy_of(of_job(), without) is None
    assert policy_of(make_pod("a", policy="online"), without) is None
