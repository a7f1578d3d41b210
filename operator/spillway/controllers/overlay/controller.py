"""The overlay controller: it finds out whether the API server takes pods with a pool's `podOverlay`.

Contract: one key per VirtualNodeBudget. An overlay is tried once, and again only when it changes or when the API server
gave no answer about it. Admission does the same before the object is stored; this finds what was stored without it.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from spillway.api.podoverlay import PodOverlay
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.kube.overlay_trial import Fault, TryOverlay
from spillway.state.signal import Signal

AGAIN_SECONDS: Final = 300.0
"""Seconds until an overlay is tried again about which the API server said nothing."""
TRIAL_SECONDS: Final = 5.0


class OverlayController(Controller):
    """The overlay controller."""

    name: ClassVar = "overlays"

    def __init__(self, world: World, try_overlay: TryOverlay) -> None:
        super().__init__(world)
        self._try_overlay = try_overlay
        self._tried: dict[str, tuple[PodOverlay, tuple[Fault, ...]]] = {}
        self.changed: Signal[()] = Signal("OverlayTrial")
        """Emitted after the faults of an overlay have changed."""

    @property
    def faults(self) -> Mapping[str, tuple[Fault, ...]]:
        """What is wrong with the present overlays, by pool."""
        return {pool: faults for pool, (_, faults) in self._tried.items() if faults}

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return [*self.world.governance.budgets, *self._tried]

    async def reconcile(self, key: str) -> float | None:
        budget = self.world.governance.budgets.get(key)
        overlay = None if budget is None else budget.spec.pod_overlay
        tried = self._tried.get(key)
        if overlay is None:
            self._tried.pop(key, None)
        elif tried is None or tried[0] != overlay:
            trial = await self._try_overlay(key, overlay, TRIAL_SECONDS)
            if trial.unknown:
                self._tried.pop(key, None)
                self.log.info("overlay not tried", key=key, reason=trial.unknown)
                return AGAIN_SECONDS
            self._tried[key] = overlay, trial.faults
            if trial.faults:
                self.log.warning("overlay is refused", key=key, faults=[fault.field for fault in trial.faults])
        if tried != self._tried.get(key):
            self.changed.emit()
        return None
