import base64
from typing import Any

import msgspec
import pytest

from spillway.admission.review import (
    Answer,
    Denial,
    UnreadableReviewError,
    decode_request,
    denied,
    encode_answer,
)
from spillway.domain.model.additions import Addition


def _response(answer: Answer) -> dict[str, Any]:
    review: dict[str, Any] = msgspec.json.decode(encode_answer("u1", answer))
    assert review["apiVersion"] == "admission.k8s.io/v1"
    assert review["kind"] == "AdmissionReview"
    response: dict[str, Any] = review["response"]
    return response


def test_a_request_is_read_and_its_objects_stay_raw() -> None:
    request = decode_request(
        b'{"kind":"AdmissionReview","request":{"uid":"u1","operation":"UPDATE","namespace":"shop","name":"web",'
        b'"subResource":"scale","dryRun":true,"object":{"spec":{"replicas":2}},"oldObject":null,"unknown":1}}'
    )
    assert (request.uid, request.key, request.sub_resource, request.dry_run) == ("u1", "shop/web", "scale", True)
    assert bytes(request.object) == b'{"spec":{"replicas":2}}'
    assert not request.old_object


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"request":{}}', b"\xff"])
def test_what_is_no_review_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(UnreadableReviewError):
        decode_request(body)


def test_an_object_that_the_api_server_sends_as_null_is_absent() -> None:
    created = decode_request(b'{"request": {"uid": "1", "object": {"a": 1}, "oldObject": null}}')
    deleted = decode_request(b'{"request": {"uid": "1", "object": null, "oldObject": {"a": 1}}}')

    assert (bytes(created.object), bool(created.old_object)) == (b'{"a": 1}', False)
    assert (bool(deleted.object), bytes(deleted.old_object)) == (False, b'{"a": 1}')


def test_an_answer_without_a_patch_only_allows() -> None:
    assert _response(Answer("unchanged")) == {"uid": "u1", "allowed": True}


def test_a_patch_travels_as_base64_json() -> None:
    response = _response(Answer("stamped", (Addition(("spec", "unschedulable"), value=True),)))
    assert response["patchType"] == "JSONPatch"
    assert msgspec.json.decode(base64.b64decode(response["patch"])) == [
        {"op": "add", "path": "/spec/unschedulable", "value": True}
    ]


def test_a_refusal_names_each_field() -> None:
    response = _response(denied([Denial("no zone", "spec.timeZone"), Denial("no cron", "spec.start")]))
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    assert response["status"]["message"] == "spec.timeZone: no zone; spec.start: no cron"
    assert [cause["field"] for cause in response["status"]["details"]["causes"]] == ["spec.timeZone", "spec.start"]


def test_nothing_wrong_is_no_refusal() -> None:
    assert denied([]) == Answer("valid")
