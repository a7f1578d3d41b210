"""The move by which a pod came to its node, and for which resource it was."""

from typing import Any

import pytest

from spillway.domain.explain.gone import EventObject, EventRecord
from spillway.domain.explain.moved import explain_move
from spillway.domain.model.event_source import REPORTING_CONTROLLER
from spillway.domain.model.names import NodeName
from spillway.domain.surge.steps import Purpose, Surge
from spillway.domain.surge.told import told_move
from tests.builders import make_pod

COLD = NodeName("cold")
POD = make_pod("web-2", created=100.0)
SURGE: dict[str, Any] = {
    "since": 90.0,
    "pod": make_pod("web-1").uid,
    "purpose": Purpose.CONSOLIDATE,
    "asker": "online",
}


def event(pod: str = "web-2", reason: str = "PodMoved", controller: str = REPORTING_CONTROLLER) -> EventRecord:
    note = told_move("node hot to make zones even", pod, Purpose.REBALANCE, "even")
    return EventRecord(EventObject("Deployment", "web"), reason, note, controller)


@pytest.mark.parametrize(
    ("events", "resource"),
    [
        pytest.param([event("web-1"), event()], "ZonalBalance/even", id="told"),
        pytest.param([event("web-1")], None, id="of another pod"),
        pytest.param([event(controller="example.com/other")], None, id="of another client"),
        pytest.param([event(reason="MoveLeft")], None, id="of another matter"),
        pytest.param([], None, id="dropped"),
    ],
)
def test_the_event_about_a_move_tells_its_resource(events: list[EventRecord], resource: str | None) -> None:
    found = explain_move(COLD, POD, "", events)
    assert (found.node, found.resource) == ("cold", resource)


@pytest.mark.parametrize(
    ("surge", "resource"),
    [
        pytest.param({}, "ElasticPolicy/online", id="its move"),
        pytest.param({"purpose": Purpose.REBALANCE, "asker": "even"}, "ZonalBalance/even", id="for a ZonalBalance"),
        pytest.param({"since": 101.0}, None, id="a later one"),
        pytest.param({"pod": POD.uid}, None, id="one that moves it on"),
        pytest.param({"pod": None}, None, id="a bring-back"),
    ],
)
def test_the_mark_of_a_surge_tells_the_resource_while_it_goes_on(surge: dict[str, Any], resource: str | None) -> None:
    marked = Surge(3, 2, **{**SURGE, **surge}).mark
    assert explain_move(COLD, POD, marked, ()).resource == resource
    assert explain_move(COLD, POD, marked, [event()]).resource == (resource or "ZonalBalance/even")
