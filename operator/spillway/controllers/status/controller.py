"""The controller that writes the status of Spillway's resources from the parts that the features contribute.

Contract: a pass handles all resources, of which there are a handful, some time after the first change, so that any
number of changes in between costs one write for each resource, and a cluster at rest costs none. A status is written
only if it differs from the present one. A part that cannot be made is left out, and what it would say stays as it is;
then the pass is tried again later. An Event follows the write of the condition that it reports, and only if the
write succeeded. While data is stale the counts do not change, and a condition reports it.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final, TypeVar

from pydantic import ValidationError

from spillway.api.common import Status
from spillway.api.conditions import Condition, ConditionStatus
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.group import API_VERSION
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.status.events import condition_events
from spillway.controllers.status.merge import S, conditions_in, merged_status, unreadable
from spillway.controllers.status.node_summary import NodeSummary
from spillway.controllers.status.part import Contributor, Contributors, ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.model.owners import object_reference
from spillway.domain.model.records import NamespaceRecord, NodeRecord
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.state.catalog import Entry, Kind, Model
from spillway.state.signal import Signal
from spillway.telemetry.policies import PolicySample, set_conditions, set_nodes, set_policies

M = TypeVar("M", bound=Model)

ALL: Final = "*"
CHANGED_SECONDS: Final = 0.2
"""How soon a change of a resource itself is written; changes that follow from pods are written less often."""
FRESHNESS_SECONDS: Final = 5.0
"""How often it is checked whether the data has become stale, or fresh again."""


class StatusController(Controller):
    """One key for all resources."""

    name: ClassVar = "status"

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        events: Recorder,
        contributors: Contributors,
        *,
        counts: WorkloadCounts,
        nodes: NodeSummary,
        period_seconds: float,
        urgent: Iterable[Signal[()]] = (),
        changes: Iterable[Signal[()]] = (),
    ) -> None:
        """`counts` and `nodes` are what contributors read; they are brought up to date before each pass.

        `urgent` signals changes that the next leader must know, so they are written at once; `changes` signals those
        that are written within `period_seconds`.
        """
        super().__init__(world)
        self._writer = writer
        self._events = events
        self._contributors = contributors
        self._counts = counts
        self._nodes = nodes
        self._period_seconds = period_seconds
        self._urgent = tuple(urgent)
        self._changes = tuple(changes)
        self._was_fresh = True

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield from self._counts.subscribe()
        yield from self._nodes.subscribe()
        yield self._counts.changed.subscribe(self._write_in_period)
        yield self.world.state.subscribe(NodeRecord, self._node_changed)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)
        yield self.world.catalog.subscribe(self._write_soon)
        for signal in self._urgent:
            yield signal.subscribe(self._write_soon)
        for signal in self._changes:
            yield signal.subscribe(self._write_in_period)
        watch = asyncio.get_running_loop().create_task(self._watch_freshness(), name="status-freshness")

        def stop_watching() -> None:
            watch.cancel()

        yield stop_watching

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def _gated(self, key: str) -> float | None:
        """Stale data is reported in the status, so it does not prevent a pass; data that was never complete does."""
        if not (self.world.catalog.loaded and self.world.state.synced):
            return CHANGED_SECONDS
        await self.reconcile(key)
        return None

    async def reconcile(self, key: str) -> None:  # noqa: ARG002  # there is one
        if self.world.fresh:
            await self._counts.refresh()
            self._nodes.refresh()
        catalog = self.world.catalog
        failed: list[Exception] = []
        found: list[tuple[str, str, Condition]] = []
        for kind in Kind:
            for entry in list(catalog.entries(kind).values()):
                try:
                    conditions = await self._write(entry, failed)
                except Exception as error:  # noqa: BLE001  # whatever it is, it does not concern the other resources
                    failed.append(error)
                else:
                    found.extend((str(kind), entry.name, condition) for condition in conditions)
        set_conditions(found)
        set_policies({name: self._sample(name) for name in catalog.governance.policies})
        set_nodes(self._nodes.all_nodes, self._nodes.all_cpu_millis)
        if failed:
            raise ExceptionGroup("statuses not written", failed)

    def _sample(self, policy: str) -> PolicySample:
        count = self._counts.policy(policy)
        return PolicySample(len(count.workloads), count.tiers, self._nodes.tiers(policy))

    async def _write(self, entry: Entry, failed: list[Exception]) -> Iterable[Condition]:
        """Write the status if it differs from the present one; returns the conditions that it should have.

        Why parts were left out is added to `failed`.
        """
        now = datetime.fromtimestamp(self.world.now(), tz=UTC).replace(microsecond=0)
        present = dict(entry.status)
        if entry.model is None:
            parts: Sequence[StatusPart] = ()
            status = unreadable(present, entry.error, generation=entry.generation, now=now)
            # Nothing else is known of a resource that could never be parsed, so the rest of its status stays.
            wanted = present | status.wire()
        else:
            invalid: list[Exception] = []
            parts, status = self._status_of(entry, entry.model, now, invalid)
            for error in invalid:
                self.log.error("a part of the status is not valid, left out", key=entry.name, error=str(error))
            failed += invalid
            wanted = status.wire()
        if wanted != present and await self._writer.patch_status(entry.kind.plural, entry.name, wanted):
            self.world.catalog.status_written(entry, wanted)
            for part in parts:
                if part.on_written is not None:
                    part.on_written()
            announce = {one.type for part in parts for one in part.conditions if one.announce}
            self._emit(entry, conditions_in(present), status.conditions, announce)
        return status.conditions

    def _status_of(
        self, entry: Entry, model: Model, now: datetime, invalid: list[Exception]
    ) -> tuple[Sequence[StatusPart], Status]:
        # `entry.status` is the present status; `model.status` is from when the spec was last read.
        found = self._contributors
        match model:
            case ElasticPolicy():
                return _collected(found.policies, model, ElasticPolicyStatus.model_validate(entry.status), now, invalid)
            case VirtualNodeBudget():
                return _collected(
                    found.budgets, model, VirtualNodeBudgetStatus.model_validate(entry.status), now, invalid
                )
            case ZonalBalance():
                return _collected(found.balances, model, ZonalBalanceStatus.model_validate(entry.status), now, invalid)

    def _emit(
        self, entry: Entry, before: Iterable[Condition], after: Iterable[Condition], announce: Collection[str]
    ) -> None:
        about = object_reference(API_VERSION, str(entry.kind), entry.name, entry.uid)
        for event in condition_events(before, after, announce):
            self._events.record(about, event.type, event.reason, event.message)

    def _node_changed(self, _: NodeRecord | None, __: NodeRecord | None) -> None:
        self._write_in_period()

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if old is None or new is None or old.labels != new.labels:
            self._write_in_period()

    def _write_soon(self) -> None:
        self.queue.add_after(ALL, CHANGED_SECONDS)

    def _write_in_period(self) -> None:
        self.queue.add_after(ALL, self._period_seconds)

    async def _watch_freshness(self) -> None:
        while True:
            await asyncio.sleep(FRESHNESS_SECONDS)
            if self.world.fresh is not self._was_fresh:
                self._was_fresh = self.world.fresh
                self.log.warning("data is fresh again" if self._was_fresh else "data is stale: nothing is changed")
                self.queue.add(ALL)


def _collected(
    contributors: Iterable[Contributor[M, S]], model: M, current: S, now: datetime, invalid: list[Exception]
) -> tuple[Sequence[StatusPart], S]:
    parts: list[StatusPart] = []
    for contributor in contributors:
        try:
            parts.append(contributor.part(model, current, now))
        except ValidationError as error:
            invalid.append(error)
    if invalid:
        # Only the part that was left out could say which conditions are over.
        parts.append(StatusPart(conditions=tuple(map(_as_it_is, current.conditions))))
    return parts, merged_status(current, parts, generation=model.metadata.generation, now=now)


def _as_it_is(one: Condition) -> ObservedCondition:
    holds = one.status is ConditionStatus.TRUE
    return ObservedCondition(one.type, holds=holds, reason=one.reason, message=one.message)
