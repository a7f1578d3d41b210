"""Writes the status of our resources: one write a resource, only when it differs from what stands there.

Contract: a pass looks at all resources (there are a handful) some time after the first change, so that any number of
changes in between costs one write a resource, and a cluster at rest costs none. An Event follows the write that says
the same, and only where that succeeded. Stale data freezes the counts and is told in a condition.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from spillway.api.common import Status
from spillway.api.conditions import Condition, ConditionStatus
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.budget.controller import LedgerController
from spillway.controllers.budget.costs import another_limit
from spillway.controllers.nodes.drain import DrainController
from spillway.controllers.pools.controller import PoolsController
from spillway.controllers.pools.memory import PoolMemory
from spillway.controllers.status.balance import balance_status
from spillway.controllers.status.budget import PoolCount, budget_status
from spillway.controllers.status.conditions import GOOD_WHEN_TRUE, Findings, standing, unreadable
from spillway.controllers.status.counts import Tally
from spillway.controllers.status.policy import NO_SCALE_DOWNS, lost_workloads, policy_status
from spillway.controllers.threshold.controller import ThresholdController
from spillway.controllers.threshold.status import not_planned, threshold_status
from spillway.domain.model.names import Tier
from spillway.domain.model.records import NamespaceRecord, NodeRecord, PodRecord
from spillway.domain.model.selectors import selects
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.policies.governance import Problem
from spillway.domain.policies.unimplemented import not_implemented, plans_thresholds
from spillway.domain.scale_down.outcome import ScaleDowns
from spillway.kube.events import EventRecorder
from spillway.kube.writer import Writer
from spillway.state.catalog import Entry, Kind, Model
from spillway.state.claims import balance_of
from spillway.telemetry.policies import PolicySample, set_conditions, set_policies

ALL: Final = "*"
CHANGED_SECONDS: Final = 0.2
"""How soon a change of a resource itself shows; what follows from pods is told less often."""
FRESHNESS_SECONDS: Final = 5.0
"""How often it is checked whether the data has become stale, or fresh again."""


class StatusController(Controller):
    """One key for all resources."""

    name: ClassVar = "status"

    def __init__(
        self,
        world: World,
        writer: Writer,
        events: EventRecorder,
        drains: DrainController,
        thresholds: ThresholdController,
        *,
        period_seconds: float,
        pools: PoolsController | None = None,
        ledger: LedgerController | None = None,
    ) -> None:
        super().__init__(world)
        self._writer = writer
        self._events = events
        self._drains = drains
        self._thresholds = thresholds
        self._period_seconds = period_seconds
        self._pools = pools
        self._ledger = ledger
        self._tally = Tally(world)
        self._nodes: dict[str, list[NodeRecord]] | None = None
        """Nodes by the pool in which they are; the empty pool for those in none. None while it has to be made anew."""
        self._tiers: dict[str, Counter[Tier]] = {}
        self._node_problems: tuple[Problem, ...] = ()
        self._was_fresh = True

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield from self._tally.subscribe()
        yield self.world.state.subscribe(PodRecord, self._pod_changed)
        yield self.world.state.subscribe(NodeRecord, self._node_changed)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)
        yield self.world.catalog.subscribe(self._resources_changed)
        yield self._drains.progress_changed.subscribe(self._something_changed)
        if self._pools is not None:
            yield self._pools.changed.subscribe(self.hurry)
        if self._ledger is not None:
            yield self._ledger.status_due.subscribe(self._something_changed)
        yield self._thresholds.report_changed.subscribe(self._something_changed)
        yield self.world.board.scale_downs_counted.subscribe(self._something_changed)
        watch = asyncio.get_running_loop().create_task(self._watch_freshness(), name="status-freshness")

        def stop_watching() -> None:
            watch.cancel()

        yield stop_watching

    def hurry(self) -> None:
        """Something has happened that must not be forgotten by the next leader."""
        self.queue.add_after(ALL, CHANGED_SECONDS)

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def _gated(self, key: str) -> float | None:
        """Stale data is what a status has to tell; data that was never whole is not."""
        if not (self.world.catalog.loaded and self.world.state.synced):
            return CHANGED_SECONDS
        await self.reconcile(key)
        return None

    async def reconcile(self, key: str) -> None:  # noqa: ARG002  # there is one
        if self.world.fresh:
            await self._tally.refresh()
            self._look_at_nodes()
        catalog = self.world.catalog
        failed: list[Exception] = []
        found: list[tuple[str, str, Condition]] = []
        for kind in Kind:
            for entry in list(catalog.entries(kind).values()):
                try:
                    conditions = await self._write(entry)
                except Exception as error:  # noqa: BLE001  # whatever it is, it is no matter of the other resources
                    failed.append(error)
                else:
                    found.extend((str(kind), entry.name, condition) for condition in conditions)
        set_conditions(found)
        set_policies({name: self._sample(name) for name in catalog.governance.policies})
        if failed:
            raise ExceptionGroup("statuses not written", failed)

    def _sample(self, policy: str) -> PolicySample:
        count = self._tally.policy(policy)
        return PolicySample(len(count.workloads), count.tiers, self._tiers.get(policy, {}))

    async def _write(self, entry: Entry) -> Iterable[Condition]:
        """Write the status where it differs; the conditions that should stand there."""
        now = datetime.fromtimestamp(self.world.now(), tz=UTC).replace(microsecond=0)
        scale_downs = self.world.board.scale_downs.get(entry.name, NO_SCALE_DOWNS)
        present = dict(entry.status)
        if entry.model is None:
            status = unreadable(present, entry.error, generation=entry.generation, now=now)
            # Of a resource that was never understood nothing else is known: it stays.
            wanted = present | status.wire()
        else:
            status = self._status_of(entry, entry.model, now, scale_downs)
            wanted = status.wire()
        if wanted != present and await self._writer.patch_status(entry.kind.plural, entry.name, wanted):
            self.world.catalog.status_written(entry, wanted)
            if entry.kind is Kind.ELASTIC_POLICY:
                self.world.board.scale_downs_written(entry.name, scale_downs)
            self._tell(entry, present, status.conditions)
        return status.conditions

    def _status_of(self, entry: Entry, model: Model, now: datetime, scale_downs: ScaleDowns) -> Status:
        findings = self._findings(entry, model)
        # `entry.status` stands there now; `model.status` stood there when the spec was last read.
        match model:
            case ElasticPolicy():
                count, report = self._tally.policy(entry.name), self._thresholds.report
                return policy_status(
                    model,
                    current=ElasticPolicyStatus.model_validate(entry.status),
                    count=count,
                    nodes=self._tiers.get(entry.name, Counter()),
                    thresholds=threshold_status(entry.name, report, not_planned(model, count.workloads, report)),
                    findings=findings,
                    now=now,
                    scale_downs=scale_downs,
                )
            case VirtualNodeBudget():
                nodes = (self._nodes or {}).get(entry.name, [])
                return budget_status(
                    model,
                    current=VirtualNodeBudgetStatus.model_validate(entry.status),
                    count=PoolCount.of(nodes, self._used(nodes)),
                    workloads=self._tally.workloads_on(entry.name),
                    drain=self._drains.progress.get(entry.name),
                    findings=findings,
                    now=now,
                    memory=self._memory(entry.name),
                    costs=self._ledger.costs(entry.name) if self._ledger is not None else None,
                    limits=self._ledger.limits(entry.name) if self._ledger is not None else None,
                )
            case ZonalBalance():
                selected = [
                    node for node in self.world.state.nodes.values() if selects(model.spec.node_selector, node.labels)
                ]
                return balance_status(
                    model,
                    current=ZonalBalanceStatus.model_validate(entry.status),
                    nodes=selected,
                    workloads=self._balanced(entry.name),
                    findings=findings,
                    now=now,
                )

    def _memory(self, pool: str) -> PoolMemory | None:
        view = self._pools.views.get(pool) if self._pools is not None else None
        return None if view is None else view.memory

    def _findings(self, entry: Entry, model: Model) -> Findings:
        problems = tuple(
            problem
            for problem in (*self.world.governance.problems, *self._node_problems)
            if problem.kind == entry.kind and problem.name == entry.name
        )
        if entry.kind is Kind.ELASTIC_POLICY:
            problems += lost_workloads(entry.name, self._tally.policy(entry.name).lost)
        return Findings(
            problems=problems,
            not_implemented=not_implemented(model, planned=plans_thresholds(self.world.governance.policies.values())),
            rejected=entry.error,
            stale="" if self.world.fresh else "the API server has not been heard for too long",
        )

    def _balanced(self, balance: str) -> Mapping[str, Counter[str]]:
        state, governance = self.world.state, self.world.governance
        covered = (one for one in state.replicasets.values() if balance_of(state, governance, one) == balance)
        return self._tally.zones_by_workload(covered)

    def _used(self, nodes: Iterable[NodeRecord]) -> Usage:
        return sum((self.world.state.aggregates.on_node(node.name) for node in nodes), NOTHING)

    def _look_at_nodes(self) -> None:
        if self._nodes is not None:
            return
        governance = self.world.governance
        self._nodes = {}
        self._node_problems = governance.node_problems(self.world.state.nodes.values())
        self._tiers = {policy: Counter() for policy in governance.policies}
        for node in self.world.state.nodes.values():
            self._nodes.setdefault(governance.budget_of(node) or "", []).append(node)
            for policy, tiers in self._tiers.items():
                tiers[self.world.places.place(policy, node).tier] += 1

    def _tell(self, entry: Entry, before: Mapping[str, Any], conditions: Iterable[Condition]) -> None:
        """An Event for each condition that has turned: Ready to False, anything else to True, and back.

        One that names limits tells also when another limit joins those that it named.
        """
        was = {one.type: one for one in standing(before)}
        for condition in conditions:
            stood = was.get(condition.type)
            old = None if stood is None else stood.status
            if condition.status == old and not another_limit(condition, stood):
                continue
            good = (condition.status is ConditionStatus.TRUE) == (condition.type in GOOD_WHEN_TRUE)
            if old is None and good:
                continue
            involved = {
                "apiVersion": "spillway.dev/v1alpha1",
                "kind": str(entry.kind),
                "name": entry.name,
                "uid": entry.uid,
            }
            self._events.record(involved, "Normal" if good else "Warning", condition.reason, condition.message)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is None or new is None or _counts_differently(old, new):
            self._something_changed()

    def _node_changed(self, _: NodeRecord | None, __: NodeRecord | None) -> None:
        self._nodes = None
        self._something_changed()

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if old is None or new is None or old.labels != new.labels:
            self._something_changed()

    def _resources_changed(self) -> None:
        self._nodes = None
        self.queue.add_after(ALL, CHANGED_SECONDS)

    def _something_changed(self) -> None:
        self.queue.add_after(ALL, self._period_seconds)

    async def _watch_freshness(self) -> None:
        while True:
            await asyncio.sleep(FRESHNESS_SECONDS)
            if self.world.fresh is not self._was_fresh:
                self._was_fresh = self.world.fresh
                self.log.warning("data is fresh again" if self._was_fresh else "data is stale: nothing is changed")
                self.queue.add(ALL)


def _counts_differently(old: PodRecord, new: PodRecord) -> bool:
    return (old.node, old.active, old.policy, old.deletion_cost, old.cost_written) != (
        new.node,
        new.active,
        new.policy,
        new.deletion_cost,
        new.cost_written,
    )
