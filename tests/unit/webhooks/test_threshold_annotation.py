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


async def answer(new: dict[str, Any], old: dict[str, Any] | None = None) -> Answer:
    # As the API server sends it: what there is not is null.
    review = {"request": {"uid": "1", "operation": "UPDATE" if old else "CREATE", "object": new, "oldObject": old}}
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
