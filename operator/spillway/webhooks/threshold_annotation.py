"""Validation of the annotation `spillway.dev/threshold` on a workload.

Contract: on a kind on which the annotation is not read (a DaemonSet, a Job, an owner of another API group) any value is
refused, and the message names the kind. Else only a number is allowed. Only a new value is refused; one that is stored
already (written while Spillway was not available) never prevents another change. An object with a controlling owner is
always allowed: its annotations are copies, which the owner's controller could not correct, so a refusal would only keep
it from creating pods. A removed annotation is allowed too.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer, Denial, denied
from spillway.domain.model.names import THRESHOLD
from spillway.domain.model.owners import OwnerReference, controller_of
from spillway.domain.threshold.effective import AnnotationError, parse_annotation, unread_on


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None

    @property
    def threshold(self) -> str | None:
        return (self.annotations or {}).get(THRESHOLD)


class _Object(msgspec.Struct, frozen=True):
    metadata: _Metadata
    kind: str = ""


_decoder: Final = msgspec.json.Decoder(_Object)
READ: Final = frozenset(
    {
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("", "replicationcontrollers"),
        ("argoproj.io", "rollouts"),
    }
)
"""The resources on which the annotation is read, by API group."""


class ThresholdAnnotationWebhook:
    """The webhook that refuses a threshold that is not a number of replicas, or that has no effect."""

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:  # noqa: ARG002 - waits for nothing
        workload = _decoder.decode(request.object)
        new = workload.metadata
        old = _decoder.decode(request.old_object).metadata.threshold if request.old_object else None
        if new.threshold is None or new.threshold == old or controller_of(new.owner_references) is not None:
            return Answer("unchanged")
        read = (request.resource.group, request.resource.resource) in READ
        problems = _problems(new.threshold) if read else [unread_on(workload.kind or request.resource.resource)]
        return denied(Denial(problem, f"metadata.annotations[{THRESHOLD}]") for problem in problems)


def _problems(text: str) -> Iterator[str]:
    try:
        if parse_annotation(text) is None:
            yield f"the annotation {THRESHOLD} must not be empty: remove it, or give a number of replicas"
    except AnnotationError as error:
        yield str(error)
