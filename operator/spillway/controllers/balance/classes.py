"""The controller of load classes: it measures how many cores the pods of each workload use for each GiB.

Contract: one key for each ZonalBalance with `classes`, measured every `load.refresh` from metrics.k8s.io. A reading
that fails, or has less than `LEAST_MEASURED` of a workload's ready pods on physical nodes, adds nothing. The
measurements are kept in ConfigMaps for the next leader, written every `SAVE_SECONDS` at most; until they have been read
nothing is measured. If they do not fit, those of the namespaces with the most workloads are kept in memory alone. The
classes are published on the board, and each one that is found or changes is told by an Event.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Protocol

from spillway.api.zonalbalance import ClassCounts, ZonalBalance
from spillway.controllers.balance.readings import MetricsError, Readings, Refreshes, problem_of
from spillway.controllers.balance.selected import owners_by_namespace, physical_pods
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.balance.classes import ClassHistories, ClassHistory, LoadClass
from spillway.domain.balance.reading_state import Measure
from spillway.domain.balance.zone_loads import LEAST_MEASURED
from spillway.domain.model import event_reasons
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import OwnerRecord
from spillway.kube.errors import RequestError
from spillway.kube.packed_store import DoesNotFitError
from spillway.kube.protocols import Recorder
from spillway.kube.resource_metrics import PodMetrics
from spillway.kube.slices import in_slices
from spillway.kube.writer import Fenced
from spillway.telemetry import balance as metrics

SAVE_SECONDS: Final = 600.0
KEPT_OF_TOO_MANY: Final = 0.75
"""The share of the measurements that is tried next if they do not fit."""
LEARNING: Final = "learning"


class HistoryStore(Protocol):
    """Where the measurements are kept for the next leader."""

    async def load(self) -> ClassHistories | None:
        """The last ones; None if there are none."""

    async def save(self, value: ClassHistories, made: float) -> None:
        """Keep these."""


class ClassController(Controller):
    """The controller of load classes, with one key per ZonalBalance."""

    name: ClassVar = "load-class"

    def __init__(self, world: World, readings: Readings, store: HistoryStore, events: Recorder) -> None:
        super().__init__(world)
        self._readings = readings
        self._store = store
        self._events = events
        self._refreshes = Refreshes()
        self._histories: ClassHistories | None = None
        self._covered: dict[str, frozenset[str]] = {}
        """The workloads of each ZonalBalance."""
        self._saved = 0.0

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return {*self.world.governance.balances, *self._refreshes.keys}

    def counts(self, balance: str) -> ClassCounts | None:
        """The part of a ZonalBalance's status about classes; None where there are none."""
        covered = self._covered.get(balance)
        if covered is None:
            return None
        found = Counter(self.world.board.load_classes.get(balance, {}).values())
        cpu, memory = found[LoadClass.CPU], found[LoadClass.MEMORY]
        return ClassCounts(cpu_bound=cpu, memory_bound=memory, learning=max(len(covered) - cpu - memory, 0))

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        rule = None if balance is None else balance.spec.classes
        if balance is None or rule is None:
            self._refreshes.forget(key)
            self._covered.pop(key, None)
            self.world.board.set_load_classes(key, None)
            self.world.board.forget_readings(key, Measure.CLASS_USE)
            self._show()
            return None
        load, now = balance.spec.effective_load, self.world.now()
        if left := self._refreshes.seconds_left(key, rule, load, now):
            return left
        self._refreshes.begin(key, rule, now)
        try:
            if self._histories is None:
                self._histories = await self._store.load() or ClassHistories()
                self._saved = now
            classes = await self._measure(balance, self._histories, float(rule.cpu_ratio), rule.history.seconds)
        except RequestError as error:
            self.log.warning("the load classes cannot be measured", key=key, error=str(error))
            if isinstance(error, MetricsError):
                self.world.board.note_reading(key, Measure.CLASS_USE, problem_of(error))
            return load.refresh_seconds
        self.world.board.note_reading(key, Measure.CLASS_USE, None)
        self.world.board.set_load_classes(key, classes)
        self._show()
        await self._save(self._histories, now)
        return load.refresh_seconds

    async def _measure(
        self, balance: ZonalBalance, histories: ClassHistories, cpu_ratio: float, least_seconds: float
    ) -> Mapping[str, LoadClass]:
        """Measure the workloads of a ZonalBalance; the class of each that has one."""
        now, name = self.world.now(), balance.metadata.name
        classes: dict[str, LoadClass] = {}
        covered: set[str] = set()
        namespaces = await owners_by_namespace(self.world, name)
        for namespace, owners in namespaces.items():
            used = await self._readings.pods(namespace, balance.spec.effective_load)
            workloads: dict[str, list[OwnerRecord]] = defaultdict(list)
            for owner in owners:
                workloads[workload_of(owner).key].append(owner)
            async for key, members in in_slices(list(workloads.items())):
                history = histories.workloads.get(key) or ClassHistory()
                self._add(history, members, used, now)
                if not history.at:
                    # Whoever creates ReplicaSets without pods fills the store with nothing.
                    continue
                histories.workloads[key] = history
                if history.judge(cpu_ratio, least_seconds):
                    self._announce(members[0], history)
                if history.load_class is not None:
                    classes[key] = history.load_class
            covered |= workloads.keys()
        self._readings.check(namespaces.keys())
        self._covered[name] = frozenset(covered)
        return classes

    def _add(
        self,
        history: ClassHistory,
        owners: Iterable[OwnerRecord],
        used: Mapping[str, PodMetrics],
        now: float,
    ) -> None:
        """Add what the ready pods of a workload on physical nodes use, if enough of them were measured."""
        ready = [pod for owner in owners for pod in physical_pods(self.world, owner) if pod.ready and pod.active]
        found = [used[pod.name] for pod in ready if pod.name in used]
        if found and len(found) >= LEAST_MEASURED * len(ready):
            history.add(sum(one.cpu_millis for one in found), sum(one.memory_bytes for one in found), now)

    def _announce(self, owner: OwnerRecord, history: ClassHistory) -> None:
        ratio, workload = history.percentile or 0.0, workload_of(owner)
        self.log.info("load class found", key=workload.key, load_class=history.load_class, ratio=round(ratio, 3))
        message = (
            f"Its load class is {history.load_class}: the 95th percentile of its use is {ratio:.2g} cores for each GiB."
        )
        self._events.record(workload.reference, "Normal", event_reasons.LOAD_CLASS_FOUND, message)

    async def _save(self, histories: ClassHistories, now: float) -> None:
        if now - self._saved < SAVE_SECONDS:
            return
        self._saved = now
        histories.keep({workload_of(one).key for one in self.world.state.owners()})
        kept = histories
        while True:
            try:
                await self._store.save(kept, now)
                break
            except DoesNotFitError:
                kept = kept.fewer(int(len(kept.workloads) * KEPT_OF_TOO_MANY))
                # Each try packs all that is left.
                await asyncio.sleep(0)
            except (RequestError, Fenced) as error:
                self.log.warning("the measurements of load classes are not kept", error=str(error))
                return
        dropped = len(histories.workloads) - len(kept.workloads)
        if dropped:
            self.log.warning("the measurements of some load classes are not kept", dropped=dropped)

    def _show(self) -> None:
        values: dict[tuple[str, ...], float] = {}
        for name in self._covered:
            counts = self.counts(name)
            if counts is not None:
                values[name, LoadClass.CPU.value] = counts.cpu_bound
                values[name, LoadClass.MEMORY.value] = counts.memory_bound
                values[name, LEARNING] = counts.learning
        metrics.CLASSES.replace(values)
