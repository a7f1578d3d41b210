"""The annotation `spillway.dev/threshold` as users write it."""

import json
import time
from typing import Any

import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import Answer, decode_request
from spillway.webhooks.threshold_annotation import ThresholdAnnotationWebhook

OWNED = {"ownerReferences": [{"kind": "Deployment", "name": "cart", "uid": "u", "controller": True}]}


def workload(threshold: str | None, **metadata: Any) -> dict[str, Any]:
    annotations = {} if threshold is None else {"annotations": {"spillway.dev/threshold": threshold}}
    return {"metadata": {"name": "cart", **annotations, **metadata}, "spec": {"replicas": 1}}


async def answer(
    new: dict[str, Any], old: dict[str, Any] | None = None, *, group: str = "apps", plural: str = "deployments"
) -> Answer:
    # As the API server sends it: what there is not is null.
    resource = {"group": group, "version": "v1", "resource": plural}
    request = {"uid": "1", "operation": "UPDATE" if old else "CREATE", "object": new, "oldObject": old}
    review = {"request": {**request, "resource": resource}}
    return await ThresholdAnnotationWebhook()(
        decode_request(json.dumps(review).encode()), Deadline(time.monotonic, 1.0)
    )


@pytest.mark.parametrize("text", ["0", "12", "1000000"])
async def test_a_number_of_replicas_is_allowed(text: str) -> None:
    assert (await answer(workload(text))).outcome == "valid"


@pytest.mark.parametrize("text", ["", "many", "-1", "+3", "012", "1.5", " 3", "1000001", "٣", "12\n"])
async def test_anything_else_is_refused_by_its_name_and_with_an_example(text: str) -> None:
    [denial] = (await answer(workload(text))).denials

    assert denial.field == "metadata.annotations[spillway.dev/threshold]"
    assert "spillway.dev/threshold" in denial.message
    assert "number" in denial.message


async def test_the_old_value_does_not_stand_in_the_way_of_another_change() -> None:
    assert not (await answer(workload("many"), workload("many"))).denials
    assert not (await answer(workload(None), workload("many"))).denials
    assert (await answer(workload("more"), workload("many"))).denials
    assert (await answer(workload("many"), workload(None))).denials


async def test_a_replicaset_of_a_deployment_is_never_held_up() -> None:
    assert not (await answer(workload("many", **OWNED))).denials
    assert (await answer(workload("many", ownerReferences=[{"uid": "u", "kind": "ConfigMap"}]))).denials


@pytest.mark.parametrize(
    ("group", "plural"),
    [
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("", "replicationcontrollers"),
        ("argoproj.io", "rollouts"),
    ],
)
async def test_it_is_read_on_every_kind_with_replicas(group: str, plural: str) -> None:
    assert not (await answer(workload("3"), group=group, plural=plural)).denials
    assert (await answer(workload("many"), group=group, plural=plural)).denials


@pytest.mark.parametrize(
    ("group", "plural", "kind", "why"),
    [
        ("apps", "daemonsets", "DaemonSet", "its pods belong to their nodes"),
        ("batch", "jobs", "Job", "not replicas of a service"),
        ("batch", "cronjobs", "CronJob", "not replicas of a service"),
        ("apps.kruise.io", "clonesets", "CloneSet", "it is read on Deployments"),
        ("apps.kruise.io", "statefulsets", "StatefulSet", "it is read on Deployments"),
    ],
)
async def test_where_it_has_no_effect_it_is_refused_by_the_kinds_name(
    group: str, plural: str, kind: str, why: str
) -> None:
    [denial] = (await answer({"kind": kind, **workload("3")}, group=group, plural=plural)).denials
    assert f"has no effect on a {kind}" in denial.message
    assert why in denial.message
    assert not (await answer({"kind": kind, **workload(None)}, group=group, plural=plural)).denials
    stored = {"kind": kind, **workload("3")}
    assert not (await answer(stored, stored, group=group, plural=plural)).denials
