"""What the Events of a namespace tell of a pod that is gone.

Contract: pure. Only what an Event says is told: who deleted the pod and, if Spillway planned it, by which rule. Nothing
is guessed where Kubernetes has dropped the Events (after an hour by default).
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from spillway.domain.explain.answers import GonePodAnswer, PlannedDeletion, ToldEvent
from spillway.domain.model import event_reasons
from spillway.domain.scale_down.reasons import because
from spillway.domain.scale_down.told import told_reason

_DELETED_BY_OWNER: Final = "SuccessfulDelete"
_PLANNED: Final = frozenset({event_reasons.SCALE_DOWN_PLANNED, event_reasons.SCALE_DOWN_LET_GO})


class EventObject(msgspec.Struct, frozen=True):
    """What an Event is about."""

    kind: str = ""
    name: str = ""


class EventRecord(msgspec.Struct, frozen=True):
    """An Event of the API group events.k8s.io; of its three times, the last that is set counts."""

    regarding: EventObject = EventObject()
    reason: str = ""
    note: str = ""
    event_time: str | None = msgspec.field(default=None, name="eventTime")
    last_time: str | None = msgspec.field(default=None, name="deprecatedLastTimestamp")

    @property
    def at(self) -> str:
        """When it happened, in RFC 3339 to the second."""
        return re.sub(r"\.\d+Z$", "Z", self.last_time or self.event_time or "")


def explain_gone(namespace: str, name: str, events: Iterable[EventRecord]) -> GonePodAnswer | None:
    """What the Events of its namespace say of a pod that is gone; None if none of them names it."""
    names_it = re.compile(rf"(?<![-a-z0-9.]){re.escape(name)}(?![-a-z0-9]|\.[a-z0-9])")
    about = sorted(
        (one for one in events if _is_pod(one.regarding, name) or names_it.search(one.note)), key=lambda one: one.at
    )
    if not about:
        return None
    planned = next(filter(None, (_planned(one, name) for one in reversed(about))), None)
    return GonePodAnswer(
        pod=f"{namespace}/{name}",
        planned=planned,
        why=(_sentence(about, planned),),
        events=tuple(
            ToldEvent(
                at=one.at, object=f"{one.regarding.kind}/{one.regarding.name}", reason=one.reason, message=one.note
            )
            for one in about
        ),
        changes=(),
    )


def _is_pod(about: EventObject, name: str) -> bool:
    return about.kind == "Pod" and about.name == name


def _planned(event: EventRecord, pod: str) -> PlannedDeletion | None:
    reason = told_reason(event.note, pod) if event.reason in _PLANNED else None
    if reason is None:
        return None
    return PlannedDeletion(
        at=event.at,
        workload=f"{event.regarding.kind}/{event.regarding.name}",
        reason=reason.value,
        because=because(reason),
    )


def _sentence(about: list[EventRecord], planned: PlannedDeletion | None) -> str:
    if planned is not None:
        return (
            f"{planned.workload} was scaled down at {planned.at}, and the pod was among those to delete: "
            f"{planned.because}."
        )
    if any(one.reason == _DELETED_BY_OWNER for one in about):
        return (
            "Its owner deleted it, and no Event of Spillway names it. A policy in mode Recommend records none, and the "
            "Event of a large scale-down names only its first pods: /debug/plans of the operator lists all of them."
        )
    return "No Event says that a scale-down deleted it. The Events below name it."
