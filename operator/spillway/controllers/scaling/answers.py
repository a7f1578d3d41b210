"""The answers of any replica to who asks for recommended replicas: an autoscaler never finds the metric missing.

Contract: the leader answers from its board. Another replica answers from the leader's page, read a few seconds ago at
most; while the leader is not reached, from its last answer, for `KEPT_SECONDS`; and without one, as for a workload that
the leader does not know yet, from the schedules and the present number of replicas, so that nothing is scaled down.
Whoever reaches KEDA's port may ask for workloads that do not exist, as often as the network allows: the last of these
answers is made for one namespace at a time, and kept for `ALONE_SECONDS`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from spillway.api.scaling import ReplicaSchedule
from spillway.controllers.base import World
from spillway.controllers.threshold.observe import observe_all
from spillway.domain.model.owners import WorkloadKey
from spillway.domain.model.recurring import Timetable
from spillway.domain.model.remember import KeptFor
from spillway.domain.scaling.demand import STALE_SECONDS
from spillway.domain.scaling.recommend import Asked, Number, Recommendation, recommend
from spillway.kube.slices import in_slices
from spillway.telemetry import scaling as metrics

PAGE: Final = "/scaling/recommendations"
"""The path at which replicas ask the leader."""
KEPT_SECONDS: Final = STALE_SECONDS
ALONE_SECONDS: Final = 1.0
_NAMESPACES: Final = 1024
"""Namespaces whose answers are kept."""


_numbers: Final = msgspec.json.Decoder(dict[str, Number])
_NOTHING: Final[Mapping[str, Mapping[str, Number]]] = MappingProxyType({})


class RemotePage(Protocol):
    """The leader's page as another replica reads it."""

    content: bytes | None
    read_at: float

    async def refresh(self) -> bool:
        """Read it again; whether the content is fresh."""


class Answers:
    """The recommended replicas as this replica knows them. `clock` gives monotonic seconds, as the page's does."""

    def __init__(self, world: World, page: RemotePage, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._world = world
        self._page = page
        self._clock = clock
        self._source: object = None
        self._by_namespace: Mapping[str, Mapping[str, Number]] = _NOTHING
        self._made_alone: KeptFor[str, Mapping[str, Number]] = KeptFor(ALONE_SECONDS, _NAMESPACES, clock)
        self._making = asyncio.Lock()
        self._own: tuple[Mapping[str, Recommendation], bytes] = ({}, b"{}")

    def own_page(self) -> bytes:
        """What this replica tells the others, if it leads. They ask every few seconds."""
        recommendations = self._world.board.recommendations
        if self._own[0] is not recommendations:
            self._own = recommendations, msgspec.json.encode(_numbers_of(recommendations))
        return self._own[1]

    async def values(self, namespace: str, wanted: Callable[[str], bool]) -> Mapping[str, Number]:
        """The recommended replicas of the wanted workloads of a namespace."""
        source, known = await self._known()
        found = {workload: one for workload, one in known.get(namespace, {}).items() if wanted(workload)}
        if not found:
            alone = await self._alone(namespace)
            source, found = "alone", {workload: one for workload, one in alone.items() if wanted(workload)}
        metrics.ANSWERS.labels(source).inc()
        return found

    async def find(self, namespace: str, workload: str) -> Number | None:
        """The recommended replicas of one workload of a namespace; None if it has no `scaling`."""
        source, known = await self._known()
        found = known.get(namespace, {}).get(workload)
        if found is None:
            source, found = "alone", (await self._alone(namespace)).get(workload)
        metrics.ANSWERS.labels(source).inc()
        return found

    async def _known(self) -> tuple[str, Mapping[str, Mapping[str, Number]]]:
        board = self._world.board
        if board.leading():
            recommendations = board.recommendations
            if self._source is not recommendations:
                self._keep(recommendations, _numbers_of(recommendations))
            return "leader", self._by_namespace
        fresh = await self._page.refresh()
        content = self._page.content
        if content is None or self._clock() - self._page.read_at > KEPT_SECONDS:
            return "alone", _NOTHING
        if self._source is not content:
            self._keep(content, _numbers.decode(content))
        return ("asked" if fresh else "kept"), self._by_namespace

    def _keep(self, source: object, numbers: Mapping[str, Number]) -> None:
        found: dict[str, dict[str, Number]] = {}
        for workload, number in numbers.items():
            found.setdefault(WorkloadKey.parse(workload).namespace, {})[workload] = number
        self._source, self._by_namespace = source, found

    async def _alone(self, namespace: str) -> Mapping[str, Number]:
        """The numbers of all workloads of a namespace as this replica alone knows them."""
        if namespace not in self._world.state.namespaces:
            return {}
        kept = self._made_alone.get(namespace)
        if kept is None:
            async with self._making:
                kept = self._made_alone.get(namespace)
                if kept is None:
                    kept = await self._make_alone(namespace)
                    self._made_alone.put(namespace, kept)
        return kept

    async def _make_alone(self, namespace: str) -> Mapping[str, Number]:
        world, now = self._world, self._world.now()
        observed = await observe_all(world, namespace)
        found: dict[str, Number] = {}
        active_by_class: dict[tuple[str, str], Sequence[ReplicaSchedule]] = {}
        async for workload, one in in_slices(observed.items()):
            workload_class = world.governance.class_of(one.claim)
            if workload_class is None or workload_class.scaling is None:
                continue
            place = one.claim.policy, workload_class.name
            if place not in active_by_class:
                active_by_class[place] = Timetable(workload_class.scaling.schedules).at(now)[0]
            asked = Asked(current=one.replicas, active=active_by_class[place], settling=True)
            found[workload] = recommend(workload_class.scaling, asked, now).number
        return found


def _numbers_of(recommendations: Mapping[str, Recommendation]) -> dict[str, Number]:
    return {workload: one.number for workload, one in recommendations.items()}
