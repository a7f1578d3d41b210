"""A scene for the controllers of scaling: one workload of four replicas, and its autoscaler."""

from datetime import datetime
from typing import Any

from spillway.controllers.base import World
from spillway.controllers.scaling.controller import ScalingController
from spillway.domain.scaling.autoscalers import METRIC, AutoscalerRecord
from spillway.domain.scaling.demand import DemandForecast
from spillway.domain.scaling.recommend import ScalingReason
from spillway.state.autoscalers import Autoscalers
from spillway.state.catalog import Kind
from tests.builders import make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_watch import FakeWatch
from tests.support.world import make_world, resource

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00").timestamp()
CART = "Deployment/shop/cart"
EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "5h", "replicas": 12}
TARGET = {"metric": "cpu", "utilization": 60}


def policy(*, version: int = 1, mode: str = "Enforce", **scaling: Any) -> dict[str, Any]:
    """A policy that governs everything, with this scaling; without any, its class has none."""
    workloads = [{"name": "default", "scaling": scaling} if scaling else {"name": "default"}]
    return resource(Kind.ELASTIC_POLICY, "online", version=version, mode=mode, tiers={}, workloads=workloads)


class Scene:
    """One Deployment, with an autoscaler of 2 to 50 on CPU and the recommended number, and a StatefulSet without."""

    def __init__(
        self,
        the_policy: dict[str, Any],
        *,
        autoscaler: bool = True,
        statefulset: bool = True,
        at: float = NOON,
        series: int = 10,
    ) -> None:
        self.clock = FakeClock(at)
        cart = make_replicaset("cart-1", owner_kind="Deployment", owner_name="cart", owner_uid="d", desired=4)
        others = [make_statefulset("db", replicas=3)] if statefulset else []
        self.world: World = make_world([cart, *others], [the_policy], self.clock)
        self.recorder, self.autoscalers, self.watch = FakeRecorder(), Autoscalers(), FakeWatch()
        if autoscaler:
            self.autoscalers.apply(AutoscalerRecord("u", "shop", "cart", "Deployment", "cart", 2, 50, ("cpu", METRIC)))
        self.autoscalers.keep(["u"])
        self.controller = ScalingController(
            self.world, self.recorder, self.autoscalers, self.watch, workload_series=series
        )

    async def look(self) -> float | None:
        """A pass of the controller."""
        return await self.controller.reconcile("*")

    @property
    def cart(self) -> tuple[int, ScalingReason]:
        """The recommendation for the Deployment."""
        found = self.world.board.recommendations[CART]
        return found.replicas, found.reason

    def forecast(self, highest: float) -> None:
        """A forecast made now."""
        made = DemandForecast(self.clock.now(), min(1.0, highest), highest, predictable=True)
        self.world.board.forecasts = {CART: made}

    def change(self, the_policy: dict[str, Any]) -> None:
        """Replace the policy by another version."""
        self.world.catalog.replace(Kind.ELASTIC_POLICY, [the_policy], 60)
