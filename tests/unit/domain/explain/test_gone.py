"""What the Events of a namespace tell of a pod that is gone."""

import msgspec
import pytest

from spillway.domain.explain.gone import EventObject, EventRecord, explain_gone
from spillway.domain.model.event_source import REPORTING_CONTROLLER
from spillway.domain.scale_down.reasons import VictimReason
from spillway.domain.scale_down.told import told_victims

POD = "web-5d8-x7k2p"
DELETED = EventRecord(
    EventObject("ReplicaSet", "web-5d8"), "SuccessfulDelete", f"Deleted pod: {POD}", last_time="2026-07-01T10:00:02Z"
)


def planned(pod: str, reason: str = "ScaleDownPlanned", controller: str = REPORTING_CONTROLLER) -> EventRecord:
    note = told_victims("5 to 4 replicas: 1 pods are deleted", [(pod, VictimReason.VIRTUAL)], 1, 1024)
    at = "2026-07-01T10:00:01.123456Z"
    return EventRecord(EventObject("Deployment", "web"), reason, note, controller, event_time=at)


def test_the_scale_down_that_named_it_is_the_answer() -> None:
    found = explain_gone("shop", POD, [DELETED, planned(POD), planned("web-5d8-other")])

    assert found is not None
    assert found.pod == f"shop/{POD}"
    assert found.planned is not None
    assert (found.planned.at, found.planned.workload) == ("2026-07-01T10:00:01Z", "Deployment/web")
    assert found.planned.reason == "Virtual"
    assert "the virtual tier is the most expensive tier still in use" in found.why[0]
    assert [(one.object, one.reason) for one in found.events] == [
        ("Deployment/web", "ScaleDownPlanned"),
        ("ReplicaSet/web-5d8", "SuccessfulDelete"),
    ]


def test_a_scale_down_that_was_let_go_counts_too() -> None:
    found = explain_gone("shop", POD, [planned(POD, "ScaleDownLetGo")])

    assert found is not None
    assert found.planned is not None


def test_without_a_plan_its_owner_is_named() -> None:
    found = explain_gone("shop", POD, [DELETED, planned("web-5d8-other")])

    assert found is not None
    assert found.planned is None
    assert "Its owner deleted it" in found.why[0]
    assert "Events above the rate limit are dropped" in found.why[0]
    assert len(found.events) == 1


def test_other_events_are_told_as_they_are() -> None:
    killed = EventRecord(
        EventObject("Pod", POD), "Preempted", "by a pod of higher priority", last_time="2026-07-01T10:00:00Z"
    )

    found = explain_gone("shop", POD, [killed])

    assert found is not None
    assert "No Event says that a scale-down deleted it" in found.why[0]
    assert found.events[0].message == "by a pod of higher priority"


def test_an_event_that_names_a_longer_name_is_not_about_it() -> None:
    longer = EventRecord(
        EventObject("ReplicaSet", "web-5d8"), "SuccessfulDelete", f"Deleted pod: {POD}-0 a{POD} {POD}.b"
    )

    assert explain_gone("shop", POD, [longer]) is None


@pytest.mark.parametrize(
    "event",
    [
        EventRecord(EventObject("Pod", "web-5d8-other"), "Started", f"Started container {POD}"),
        EventRecord(EventObject("Pod", "web-5d8-other"), "SuccessfulCreate", f"Created pod: {POD}"),
        EventRecord(EventObject("Deployment", POD), "ScalingReplicaSet", f"Scaled up replica set {POD} to 1"),
        EventRecord(EventObject("ReplicaSet", "web-5d8"), "Other", f"Evicted {POD}."),
    ],
)
def test_an_event_about_another_object_with_this_name_is_not_about_the_pod(event: EventRecord) -> None:
    assert explain_gone("shop", POD, [event]) is None


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("ReplicaSet", "Created pod: {pod}"),
        ("Job", "Deleted pod: {pod}"),
        ("StatefulSet", "delete Pod {pod} in StatefulSet web successful"),
    ],
)
def test_what_controllers_say_of_their_pods(kind: str, note: str) -> None:
    found = explain_gone("shop", POD, [EventRecord(EventObject(kind, "web"), "Any", note.format(pod=POD))])

    assert found is not None
    assert found.events[0].object == f"{kind}/web"


def test_a_scale_down_that_another_client_reports_is_not_counted() -> None:
    assert explain_gone("shop", POD, [planned(POD, controller="example.com/other")]) is None

    found = explain_gone("shop", POD, [DELETED, planned(POD, controller="example.com/other")])
    assert found is not None
    assert found.planned is None


def test_a_repeated_event_has_the_time_of_its_last_repetition() -> None:
    raw = {
        "regarding": {"kind": "Pod", "name": POD},
        "reason": "Unhealthy",
        "note": "Readiness probe failed",
        "eventTime": "2026-07-01T10:00:00.000000Z",
        "series": {"count": 2, "lastObservedTime": "2026-07-01T10:05:00.000000Z"},
    }

    found = explain_gone("shop", POD, [msgspec.convert(raw, EventRecord)])

    assert found is not None
    assert found.events[0].at == "2026-07-01T10:05:00Z"


def test_events_are_read_as_the_api_server_writes_them() -> None:
    raw = {
        "metadata": {"name": "web.1"},
        "regarding": {"kind": "Pod", "name": POD, "namespace": "shop"},
        "reason": "Killing",
        "note": "Stopping container web",
        "eventTime": None,
        "deprecatedLastTimestamp": "2026-07-01T10:00:00Z",
    }

    found = explain_gone("shop", POD, [msgspec.convert(raw, EventRecord)])

    assert found is not None
    assert found.events[0].at == "2026-07-01T10:00:00Z"
