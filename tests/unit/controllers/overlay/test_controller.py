"""When an overlay is tried, and what the status says about it."""

from typing import Any

from spillway.api.conditions import OVERLAY_INVALID
from spillway.api.podoverlay import PodOverlay
from spillway.controllers.overlay.controller import AGAIN_SECONDS, OverlayController
from spillway.controllers.overlay.status import overlay_part
from spillway.kube.overlay_trial import Fault, Trial
from spillway.state.catalog import Kind
from tests.support.fake_clock import FakeClock
from tests.support.pools import budget, policy
from tests.support.world import make_world

FAULT = Fault("spec.podOverlay.sidecars[0].name", "must be a DNS label")
BAD = {"sidecars": [{"name": "Agent_1", "image": "agent:1"}]}
GOOD = {"sidecars": [{"name": "agent", "image": "agent:1"}]}


class _Trials:
    """Trials that refuse every sidecar with a capital in its name, or give no answer."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.silent = False

    async def run(self, pool: str, overlay: PodOverlay, seconds: float) -> Trial:
        assert seconds > 0
        self.tried.append(pool)
        if self.silent:
            return Trial(unknown="no answer in time")
        return Trial((FAULT,)) if any(one["name"] != one["name"].lower() for one in overlay.sidecars) else Trial()


class Rig:
    def __init__(self, **spec: Any) -> None:
        self.world = make_world([], [budget("a", **spec), policy()], FakeClock(1000.0))
        self.trials = _Trials()
        self.controller = OverlayController(self.world, self.trials.run)
        self.changes = 0
        self.controller.changed.subscribe(self._changed)

    def _changed(self) -> None:
        self.changes += 1


async def test_an_overlay_is_tried_once() -> None:
    rig = Rig(podOverlay=BAD)
    for _ in range(3):
        assert await rig.controller.reconcile("a") is None
    assert rig.trials.tried == ["a"]
    assert rig.controller.faults == {"a": (FAULT,)}
    assert rig.changes == 1


async def test_without_an_overlay_nothing_is_tried() -> None:
    rig = Rig()
    assert await rig.controller.reconcile("a") is None
    assert await rig.controller.reconcile("gone") is None
    assert (rig.trials.tried, rig.changes) == ([], 0)


async def test_without_an_answer_it_is_tried_again() -> None:
    rig = Rig(podOverlay=BAD)
    rig.trials.silent = True
    assert await rig.controller.reconcile("a") == AGAIN_SECONDS
    assert rig.controller.faults == {}
    rig.trials.silent = False
    assert await rig.controller.reconcile("a") is None
    assert rig.controller.faults == {"a": (FAULT,)}


async def test_a_corrected_overlay_ends_the_condition() -> None:
    rig = Rig(podOverlay=BAD)
    await rig.controller.reconcile("a")
    [condition] = overlay_part(rig.controller.faults["a"]).conditions
    assert (condition.type, condition.holds) == (OVERLAY_INVALID, True)
    assert f"{FAULT.field}: {FAULT.message}" in condition.message
    rig.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget("a", version=80, podOverlay=GOOD))
    await rig.controller.reconcile("a")
    assert rig.controller.faults == {}
    assert overlay_part(()).conditions == ()
    assert rig.changes == 2
