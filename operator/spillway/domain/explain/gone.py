"""What the Events of a namespace tell of a pod that is gone.

Contract: pure. Only what an Event says is told: who deleted the pod and, if Spillway planned it, by which rule. An
Event counts if it regards the pod, if it says as controllers do that the pod was created or deleted, or if the operator
reports a planned scale-down of it. Nothing is guessed where Kubernetes has dropped the Events (after an hour by
default). Whoever may write Events in the namespace can forge this answer.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from spillway.domain.explain.answers import GonePodAnswer, PlannedDeletion, ToldEvent
from spillway.domain.model import event_reasons
from spillway.domain.model.event_source import REPORTING_CONTROLLER
from spillway.domain.scale_down.reasons import VictimReason, because
from spillway.domain.scale_down.told import told_reason

_DELETED_BY_OWNER: Final = "SuccessfulDelete"
_BY_OWNER: Final = re.compile(
    r"(?:Created|Deleted) pod: (\S+)|(?:create|delete) Pod (\S+) in StatefulSet \S+ successful"
)
"""The notes of Kubernetes' controllers, the second of the StatefulSet controller."""
_PLANNED: Final = frozenset({event_reasons.SCALE_DOWN_PLANNED, event_reasons.SCALE_DOWN_LET_GO})


class EventObject(msgspec.Struct, frozen=True):
    """What an Event is about."""

    kind: str = ""
    name: str = ""


class EventSeries(msgspec.Struct, frozen=True):
    """The repetitions of an Event."""

    last_time: str | None = msgspec.field(default=None, name="lastObservedTime")


class EventRecord(msgspec.Struct, frozen=True):
    """An Event of the API group events.k8s.io; a repeated one has the time of its last repetition."""

    regarding: EventObject = EventObject()
    reason: str = ""
    note: str = ""
    controller: str = msgspec.field(default="", name="reportingController")
    series: EventSeries | None = None
    event_time: str | None = msgspec.field(default=None, name="eventTime")
    last_time: str | None = msgspec.field(default=None, name="deprecatedLastTimestamp")

    @property
    def at(self) -> str:
        """When it happened, in RFC 3339 to the second."""
        repeated = self.series.last_time if self.series is not None else None
        return re.sub(r"\.\d+Z$", "Z", repeated or self.last_time or self.event_time or "")


def explain_gone(namespace: str, name: str, events: Iterable[EventRecord]) -> GonePodAnswer | None:
    """What the Events of its namespace say of a pod that is gone; None if none of them is about it."""
    about = sorted((one for one in events if _is_about(one, name)), key=lambda one: one.at)
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


def _is_about(event: EventRecord, pod: str) -> bool:
    if event.regarding.kind == "Pod":
        return event.regarding.name == pod
    by_owner = _BY_OWNER.fullmatch(event.note)
    return (by_owner is not None and pod in by_owner.groups()) or _rule(event, pod) is not None


def _rule(event: EventRecord, pod: str) -> VictimReason | None:
    """The rule for which a planned scale-down deleted the pod, as the operator reports it."""
    ours = event.controller == REPORTING_CONTROLLER and event.reason in _PLANNED
    return told_reason(event.note, pod) if ours else None


def _planned(event: EventRecord, pod: str) -> PlannedDeletion | None:
    reason = _rule(event, pod)
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
            "Its owner deleted it, and no Event of Spillway names it. A policy in mode Recommend records none, the "
            "Event of a large scale-down names only its first pods, and Events above the rate limit are dropped: "
            "/debug/plans of the operator lists the last scale-downs with all of their pods."
        )
    return "No Event says that a scale-down deleted it. The Events below are about it."
