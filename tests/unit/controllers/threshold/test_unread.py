"""Threshold annotations that were stored on kinds on which they are not read."""

from collections.abc import Mapping
from typing import Any

import msgspec

from spillway.controllers.threshold.unread import AGAIN_SECONDS, NAMED_MAX, UnreadThresholdController
from spillway.domain.model.names import THRESHOLD
from spillway.state.catalog import Kind
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.pools import budget, policy
from tests.support.world import make_world

DAEMONSETS, CRON_JOBS, JOBS = "/apis/apps/v1/daemonsets", "/apis/batch/v1/cronjobs", "/apis/batch/v1/jobs"
Items = dict[str, list[dict[str, Any]]]


def item(name: str, namespace: str = "shop", *, annotated: bool = True, **metadata: Any) -> dict[str, Any]:
    annotations = {"annotations": {THRESHOLD: "2"}} if annotated else {}
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", **annotations, **metadata}}


class Lists:
    """What the API server has stored, two objects a page."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.asked: list[str] = []

    async def request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, **_: object) -> bytes:
        start = int((params or {}).get("continue") or 0)
        if not start:
            self.asked.append(path)
        items = self.items.get(path, [])
        more = str(start + 2) if start + 2 < len(items) else ""
        page = {"metadata": {"continue": more}, "items": items[start : start + 2]}
        assert method == "GET"
        return msgspec.json.encode(page)


class Rig:
    def __init__(self, items: Items, *, governed: bool = True) -> None:
        self.world = make_world([], [budget("a"), policy()] if governed else [], FakeClock(1000.0))
        self.recorder = FakeRecorder()
        self.lists = Lists(items)
        self.controller = UnreadThresholdController(self.world, self.recorder, self.lists)


async def test_each_kind_on_which_it_is_not_read_is_named() -> None:
    rig = Rig({DAEMONSETS: [item("agent"), item("plain", annotated=False)], CRON_JOBS: [item("nightly")]})
    assert await rig.controller.reconcile("*") == AGAIN_SECONDS
    assert [event[:2] for event in rig.recorder.said] == [
        ("DaemonSet/agent", "Warning InvalidThreshold"),
        ("CronJob/nightly", "Warning InvalidThreshold"),
    ]
    assert "has no effect on a DaemonSet" in rig.recorder.said[0][2]


async def test_a_copy_that_a_controller_made_is_not_named() -> None:
    owned = item("nightly-1", ownerReferences=[{"kind": "CronJob", "controller": True}])
    rig = Rig({JOBS: [owned, item("once", ownerReferences=[{"kind": "Backup"}])]})
    await rig.controller.reconcile("*")
    assert [event[0] for event in rig.recorder.said] == ["Job/once"]


async def test_one_namespace_leaves_room_for_the_others() -> None:
    many = [item(f"agent-{number}", "loud") for number in range(3 * NAMED_MAX)]
    rig = Rig({DAEMONSETS: [*many, item("agent", "quiet")], JOBS: [item("job", "loud")]})
    await rig.controller.reconcile("*")
    assert [event[0] for event in rig.recorder.said] == [
        *(f"DaemonSet/agent-{number}" for number in range(NAMED_MAX)),
        "DaemonSet/agent",
    ]


async def test_nothing_is_listed_while_no_class_places_pods() -> None:
    rig = Rig({DAEMONSETS: [item("agent")]}, governed=False)
    list(rig.controller.subscribe())
    assert await rig.controller.reconcile("*") is None
    assert rig.lists.asked == []
    rig.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget("a"))
    rig.world.catalog.upsert(Kind.ELASTIC_POLICY, policy())
    assert len(rig.controller.queue) == 1
    await rig.controller.reconcile("*")
    assert rig.lists.asked == [DAEMONSETS, CRON_JOBS, JOBS]
