"""AdmissionReview of `admission.k8s.io/v1`: the part that the handlers read, and their answers.

Contract: decoding is typed and partial (a field that no handler reads is skipped, not built), the two objects stay raw
bytes until a handler asks for them, and an answer that changes nothing carries no patch at all. Nothing here does I/O.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from spillway.domain.model.additions import Addition, json_patch

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""An update carries the old and the new object, each up to etcd's limit of 1.5 MiB and more once it is JSON."""


class UnreadableReviewError(ValueError):
    """The body is not an AdmissionReview, so there is no uid to answer."""


class GroupVersionResource(msgspec.Struct, frozen=True):
    group: str = ""
    version: str = ""
    resource: str = ""


_ABSENT: Final = msgspec.Raw()
"""Empty bytes are not JSON: a field with this default is left out of an encoded request."""


class AdmissionRequest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The request of one AdmissionReview. `object` and `old_object` are JSON bytes; empty if absent."""

    uid: str
    operation: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool | None = None
    resource: GroupVersionResource = GroupVersionResource()
    sub_resource: str = ""
    object: msgspec.Raw = _ABSENT
    old_object: msgspec.Raw = _ABSENT

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class _Review(msgspec.Struct, frozen=True):
    request: AdmissionRequest


class Denial(NamedTuple):
    """Why a request is refused: only Spillway's own kinds and its own annotation ever are."""

    message: str
    field: str


class Answer(NamedTuple):
    """The decision of a handler. `outcome` is the label under which it is counted: one of few fixed words."""

    outcome: str
    additions: tuple[Addition, ...] = ()
    denials: tuple[Denial, ...] = ()
    warnings: tuple[str, ...] = ()


LET_GO: Final = Answer("let-go")
"""The answer where a handler could not do its work in time, or at all."""
FAILED: Final = Answer("error")
"""The answer where a handler raised."""
UNDECIDED: Final = frozenset({LET_GO.outcome, FAILED.outcome})
"""The outcomes of requests that were allowed undecided: another replica may still decide them."""

_NULL: Final = msgspec.Raw(b"null")
_decoder: Final = msgspec.json.Decoder(_Review)
_encoder: Final = msgspec.json.Encoder()


def decode_request(body: bytes) -> AdmissionRequest:
    """The request in an AdmissionReview's bytes.

    Raises:
        UnreadableReviewError: the bytes are not an AdmissionReview with a request.
    """
    try:
        request = _decoder.decode(body).request
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableReviewError(str(error)) from error
    # The API server sends null for an absent object, as for the oldObject of a CREATE.
    absent = {name: _ABSENT for name in ("object", "old_object") if getattr(request, name) == _NULL}
    return msgspec.structs.replace(request, **absent) if absent else request


def encode_answer(uid: str, answer: Answer) -> bytes:
    """The AdmissionReview that answers the request `uid`."""
    response: dict[str, Any] = {"uid": uid, "allowed": not answer.denials}
    if answer.denials:
        response["status"] = _refusal(answer.denials)
    elif answer.additions:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(_encoder.encode(json_patch(answer.additions))).decode()
    if answer.warnings:
        response["warnings"] = answer.warnings
    return _encoder.encode({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})


def _refusal(denials: Sequence[Denial]) -> dict[str, Any]:
    return {
        "code": 422,
        "reason": "Invalid",
        "message": "; ".join(f"{denial.field}: {denial.message}" for denial in denials),
        "details": {
            "causes": [
                {"reason": "FieldValueInvalid", "field": denial.field, "message": denial.message} for denial in denials
            ]
        },
    }


def denied(denials: Iterable[Denial]) -> Answer:
    """The answer that refuses, or that allows if there are no denials."""
    found = tuple(denials)
    return Answer("refused", denials=found) if found else Answer("valid")
