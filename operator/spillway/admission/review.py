"""`admission.k8s.io/v1` AdmissionReview: the part that we read, and the answers that we give.

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
    """The body is no AdmissionReview: there is not even a uid to answer to."""


class Resource(msgspec.Struct, frozen=True):
    group: str = ""
    version: str = ""
    resource: str = ""


_ABSENT: Final = msgspec.Raw()
"""Empty bytes are no JSON: what is this very default is left out of an encoded request."""


class Request(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The question of one AdmissionReview. `object` and `old_object` are JSON bytes; empty where absent."""

    uid: str
    operation: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool | None = None
    resource: Resource = Resource()
    sub_resource: str = ""
    object: msgspec.Raw = _ABSENT
    old_object: msgspec.Raw = _ABSENT

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class _Review(msgspec.Struct, frozen=True):
    request: Request


class Denial(NamedTuple):
    """Why a request is refused: only our own kinds and an annotation of our own ever are."""

    message: str
    field: str


class Answer(NamedTuple):
    """What a handler decided. `outcome` is the word under which it is counted: few and fixed, never a name."""

    outcome: str
    additions: tuple[Addition, ...] = ()
    denials: tuple[Denial, ...] = ()
    warnings: tuple[str, ...] = ()


_NULL: Final = msgspec.Raw(b"null")
_decoder: Final = msgspec.json.Decoder(_Review)
_encoder: Final = msgspec.json.Encoder()


def decode_request(body: bytes) -> Request:
    """The request in an AdmissionReview's bytes.

    Raises:
        UnreadableReviewError: the bytes are no AdmissionReview with a request.
    """
    try:
        request = _decoder.decode(body).request
    except msgspec.DecodeError as error:
        raise UnreadableReviewError(str(error)) from error
    # The API server does not leave out what there is not: it sends null, as oldObject of a CREATE.
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
    """Refused, or allowed where nothing is wrong."""
    found = tuple(denials)
    return Answer("refused", denials=found) if found else Answer("valid")
