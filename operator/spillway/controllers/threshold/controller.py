"""The controller of thresholds: it plans them at most hourly, from the history and the policies.

Contract: one joint plan for all policies, because they share the owned nodes. The plan is made in another process, at
the start (unless the kept one is recent and of the same policies), every `period_seconds`, and soon after a relevant
change of the policies. A failed plan changes nothing: the last good one stays, a condition reports the problem, and it
is tried again with growing delays. Without any class of mode Auto no request is sent to Prometheus. The kept plan is
published first, so a new leader decides as the old one did; the board says when it has been read.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

import msgspec

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.threshold.observe import (
    Observed,
    choice_of,
    elastic_now,
    observe,
    observe_all,
    request_now,
    request_of,
    startup_seconds,
)
from spillway.controllers.threshold.process import PlanFailedError
from spillway.domain.model import event_reasons
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.named_workloads import named
from spillway.domain.model.owners import reference_to, workload_of
from spillway.domain.model.records import NamespaceRecord, OwnerRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.threshold.effective import EffectiveThreshold
from spillway.domain.threshold.recent_peak import Sample, seen_now
from spillway.domain.threshold.request import Plan, PlannedWorkload, PlanRequest
from spillway.kube.errors import RequestError
from spillway.kube.packed_store import DoesNotFitError
from spillway.kube.protocols import Recorder
from spillway.kube.slices import in_slices
from spillway.kube.writer import Fenced
from spillway.sources.prometheus import NoPrometheusError
from spillway.state.signal import Signal
from spillway.telemetry import threshold as metrics

PLAN: Final = "plan"
LOOK: Final = "look"
LOOK_SECONDS: Final = 5.0
"""Seconds until a change of the workloads shows in the report."""
CHANGED_SECONDS: Final = 3.0
"""Seconds from a change of the policies to the next plan: several changes often come together."""
RETRY_SECONDS: Final = 30.0
LONGEST_RETRY_SECONDS: Final = 900.0
UNREADABLE: Final = "The annotation is not used"

MakePlan = Callable[[PlanRequest], Awaitable[Plan]]
"""A function that makes a plan, or raises `PlanFailedError`."""


class Store(Protocol):
    """The store of the last good plan."""

    async def load(self) -> Plan | None:
        """The kept plan; None where there is none."""

    async def save(self, value: Plan, made: float) -> None:
        """Keep this plan, made at this time."""


@dataclass(frozen=True, slots=True)
class ThresholdNow:
    """The present threshold of one workload."""

    observed: Observed
    choice: EffectiveThreshold
    planned: PlannedWorkload | None


@dataclass(slots=True)
class ThresholdReport:
    """The plan in force, and the threshold of each workload as it is now."""

    plan: Plan | None = None
    trouble: str = ""
    """Why there is no newer plan, in one word; empty if the last one is up to date."""
    message: str = ""
    workloads: Mapping[str, ThresholdNow] = field(default_factory=dict)

    @property
    def planned(self) -> Sequence[PlannedWorkload]:
        """The workloads of the plan in force."""
        return self.plan.workloads if self.plan is not None else ()

    def of_policy(self, policy: str) -> list[ThresholdNow]:
        return [one for one in self.workloads.values() if one.observed.claim.policy == policy]


class ThresholdController(Controller):
    """The controller of thresholds, with two keys: the plan, and the observation of the workloads."""

    name: ClassVar = "thresholds"
    admission_waits: ClassVar = True
    workers: ClassVar = 2
    """A plan takes long; the observation does not wait for it."""

    def __init__(
        self,
        world: World,
        store: Store,
        events: Recorder,
        make_plan: MakePlan | None,
        *,
        period_seconds: float,
        workload_series: int,
    ) -> None:
        """`make_plan` is None where no Prometheus is configured; `workload_series` bounds the series of the metrics."""
        super().__init__(world)
        self._store = store
        self._events = events
        self._make_plan = make_plan
        self._period_seconds = period_seconds
        self._workload_series = workload_series
        self._shown: frozenset[str] = frozenset()
        """The workloads with series of their own."""
        self._loaded = False
        self._failures = 0
        self._requests: dict[str, tuple[float, float]] = {}
        """The requests once seen of each workload, which may have no pods whenever a plan is made."""
        self._elastic_seen: dict[str, tuple[Sample, ...]] = {}
        self._seen_fingerprint = ""
        self._reported_problems: dict[tuple[str, str], str] = {}
        self.report = ThresholdReport()
        self.report_changed: Signal[()] = Signal("ThresholdReport")
        """Emitted when the report has changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self._resources_changed)
        yield self.world.state.subscribe(ReplicaSetRecord, self._owner_changed)
        yield self.world.state.subscribe(StatefulSetRecord, self._owner_changed)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)

    def all_keys(self) -> Iterable[str]:
        return [PLAN, LOOK]

    async def reconcile(self, key: str) -> float | None:
        if not self._loaded:
            await self._load()
        return await (self._look() if key == LOOK else self._plan())

    # The plan

    async def _load(self) -> None:
        try:
            plan = await self._store.load()
        except RequestError as error:
            # Without the kept plan every pod would be physical until there is a new one, so it is worth waiting for.
            self.log.warning("the kept plan cannot be read yet", error=repr(error))
            raise
        if self._loaded:
            return
        self._loaded = True
        if plan is not None:
            self.log.info("starting with the kept plan", workloads=len(plan.workloads), made=plan.made)
            self._elastic_seen = dict(plan.elastic_seen)
            self._publish(plan)
        self.world.board.thresholds_read.set()

    async def _plan(self) -> float | None:
        fingerprint = fingerprint_of(self.world)
        self._seen_fingerprint = fingerprint
        if not fingerprint:
            self._withdraw()
            return None
        if self._make_plan is None:
            # Also while the kept plan is recent: no other will follow it.
            self._settled(NoPrometheusError.reason, "no Prometheus is configured (--prometheus-url)")
            return None
        age = self._age(fingerprint)
        if age is not None and age < self._period_seconds:
            self._settled("", "")
            return self._period_seconds - age
        now = self.world.now()
        self._elastic_seen = {
            policy: seen_now(self._elastic_seen.get(policy, ()), now, cores)
            for policy, cores in elastic_now(self.world).items()
        }
        request = await request_of(
            self.world,
            await observe(self.world),
            elastic_cores={policy: seen[0][1] for policy, seen in self._elastic_seen.items()},
            fingerprint=fingerprint,
            before=self.report.plan,
            requests=self._requests,
        )
        try:
            plan = msgspec.structs.replace(await self._make_plan(request), elastic_seen=self._elastic_seen)
        except PlanFailedError as error:
            return self._failed(error)
        metrics.PLANS.labels("made").inc()
        metrics.PLAN_SECONDS.observe(plan.seconds)
        self._failures = 0
        self._announce(self.report.plan, plan)
        self._publish(plan)
        self._settled("", "")
        self.queue.add(LOOK)
        await self._keep(plan)
        return self._period_seconds

    def _age(self, fingerprint: str) -> float | None:
        """The age of the plan in force in seconds; None without a plan, or if the policies have changed."""
        plan = self.report.plan
        if plan is None or plan.fingerprint != fingerprint:
            return None
        return max(0.0, self.world.now() - plan.made)

    def _failed(self, error: PlanFailedError) -> float:
        self._failures += 1
        metrics.PLANS.labels("failed").inc()
        longest = min(LONGEST_RETRY_SECONDS, self._period_seconds)
        pause = backoff_seconds(self._failures, first=RETRY_SECONDS, longest=longest)
        self.log.warning("no plan, the last good one stays", reason=error.reason, error=str(error), retry=pause)
        self._settled(error.reason, str(error))
        return pause

    async def _keep(self, plan: Plan) -> None:
        try:
            await self._store.save(plan, plan.made)
        except (RequestError, DoesNotFitError, Fenced) as error:
            # The plan is in force anyway; only a restart would start without it.
            self.log.warning("the plan is not kept", error=repr(error))

    def _publish(self, plan: Plan) -> None:
        self.world.board.set_thresholds(plan.thresholds())
        self.report.plan = plan
        metrics.set_plan(plan, self._shown)
        self.report_changed.emit()

    def _withdraw(self) -> None:
        """Withdraw the plan, because no class needs one."""
        if self.report.plan is not None or self.report.trouble:
            self.report.plan, self.report.trouble, self.report.message = None, "", ""
            self.world.board.set_thresholds({})
            metrics.set_plan(None, self._shown)
            self.report_changed.emit()

    def _settled(self, trouble: str, message: str) -> None:
        if (self.report.trouble, self.report.message) != (trouble, message):
            self.report.trouble, self.report.message = trouble, message
            self.report_changed.emit()

    def _announce(self, before: Plan | None, plan: Plan) -> None:
        was = before.thresholds() if before is not None else {}
        changed: dict[str, int] = {}
        for one in plan.workloads:
            if one.threshold is not None and was.get(one.workload) != one.threshold:
                changed[one.policy] = changed.get(one.policy, 0) + 1
        for policy, count in changed.items():
            entry = self.world.governance.policies.get(policy)
            if entry is not None:
                message = (
                    f"New plan: {count} thresholds differ; at most {plan.peak_cores:.4g} of "
                    f"{plan.allowed_cores:.4g} cores are used on owned nodes."
                )
                self._events.record(reference_to(entry), "Normal", event_reasons.THRESHOLDS_PLANNED, message)

    # The observation

    async def _look(self) -> float | None:
        observed = await observe_all(self.world)
        planned = {one.workload: one for one in self.report.planned}
        current: dict[str, ThresholdNow] = {}
        history: set[str] = set()
        async for one in in_slices(observed.values()):
            workload_class = self.world.governance.class_of(one.claim)
            if workload_class is not None:
                choice = choice_of(workload_class, one, self.world.board.thresholds)
                current[one.workload] = ThresholdNow(one, choice, planned.get(one.workload))
                if workload_class.plans_threshold:
                    history.add(one.workload)
        requests: dict[str, tuple[float, float]] = {}
        async for name, one in in_slices(observed.items()):
            if (asked := self._requests.get(name) or request_now(self.world, one)) is not None:
                requests[name] = asked
        self._requests = requests
        changed = current != self.report.workloads
        self.report.workloads = current
        self._show(current, history)
        self._report_problems(current)
        if changed:
            self.report_changed.emit()
        return None

    def _show(self, current: Mapping[str, ThresholdNow], history: Collection[str]) -> None:
        """Replace the values of the metrics with a series for each workload; those in `history` are planned from it."""
        replicas = {key: one.observed.demanded for key, one in current.items()}
        shown = named(self._shown, replicas, size=self._workload_series)
        metrics.set_replicas({key: count for key, count in replicas.items() if key in shown or key in history})
        metrics.set_thresholds({key: one.choice for key, one in current.items() if key in shown})
        if shown != self._shown:
            self._shown = shown
            metrics.set_planned_workloads(self.report.planned, shown)

    def _report_problems(self, current: Mapping[str, ThresholdNow]) -> None:
        problems: dict[tuple[str, str], str] = {}
        for workload, one in current.items():
            if one.choice.problem:
                problems[workload, event_reasons.INVALID_THRESHOLD] = f"{UNREADABLE}: {one.choice.problem}."
            if one.planned is not None and one.planned.problem:
                problems[workload, event_reasons.DEMAND_UNUSABLE] = f"No threshold is planned: {one.planned.problem}."
        for (workload, reason), message in problems.items():
            if self._reported_problems.get((workload, reason)) != message:
                owner = workload_of(current[workload].observed.newest)
                self._events.record(owner.reference, "Warning", reason, message)
        self._reported_problems = problems

    # Changes that require a reconcile

    def _resources_changed(self) -> None:
        self.queue.add_after(LOOK, LOOK_SECONDS)
        if self.world.catalog.loaded and fingerprint_of(self.world) != self._seen_fingerprint:
            self.queue.add_after(PLAN, CHANGED_SECONDS)

    def _owner_changed(self, old: OwnerRecord | None, new: OwnerRecord | None) -> None:
        same = old is not None and new is not None and _watched(old) == _watched(new)
        if not same and any(self.world.claim_of(one) is not None for one in (old, new) if one is not None):
            self.queue.add_after(LOOK, LOOK_SECONDS)

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        # Owners may be seen before their namespace, and nothing governs them until then.
        if old is None or new is None or old.labels != new.labels:
            self.queue.add_after(LOOK, LOOK_SECONDS)


def _watched(owner: OwnerRecord) -> tuple[object, ...]:
    refused = isinstance(owner, ReplicaSetRecord) and bool(owner.refused)
    return owner.replicas, owner.desired, refused, owner.threshold, owner.labels


def fingerprint_of(world: World) -> str:
    """The parts of the policies that a plan depends on, as text; empty if no class is of mode Auto."""
    policies = world.governance.policies.values()
    classes = [one for policy in policies for one in policy.spec.workloads]
    if not any(one.plans_threshold for one in classes):
        return ""
    asked = [_asked(policy) for policy in policies]
    priced = [
        (name, budget.spec.node_selector.wire(), budget.spec.price.wire() if budget.spec.price is not None else None)
        for name, budget in world.governance.budgets.items()
    ]
    return hashlib.sha256(msgspec.json.encode([asked, priced])).hexdigest()[:16]


def _asked(policy: ElasticPolicy) -> list[Any]:
    classes = [
        [
            one.name,
            *(None if part is None else part.wire() for part in (one.match, one.threshold, one.placement, target)),
            startup_seconds(one),
        ]
        for one in policy.spec.workloads
        for target in (one.scaling.target if one.scaling is not None else None,)
    ]
    return [policy.metadata.name, policy.spec.enforced, policy.spec.tiers.wire(), classes]
