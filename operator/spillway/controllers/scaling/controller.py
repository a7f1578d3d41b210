"""The controller of the recommended replicas of all workloads whose class has `scaling`.

Contract: one key. A pass looks at all such workloads and replaces the recommendations on the board; it follows changes
of workloads, policies, forecasts and autoscalers, and comes at the next moment at which a schedule begins or ends. It
writes nothing. A schedule that is not valid counts for nothing, and the others of its class stay in force.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final, NamedTuple

from spillway.api.common import MOST_REPLICAS
from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.scalars import rfc3339
from spillway.api.scaling import ReplicaSchedule, Scaling
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.threshold.observe import Observed, observe_all
from spillway.domain.model import event_reasons
from spillway.domain.model.named_workloads import named
from spillway.domain.model.owners import Owner, reference_to, workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import NamespaceRecord, OwnerRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.model.recurring import Timetable
from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.domain.scaling.demand import STALE_SECONDS
from spillway.domain.scaling.recommend import Asked, Autoscaler, Recommendation, ahead_seconds, recommend
from spillway.kube.autoscalers import EVERYWHERE
from spillway.kube.protocols import Recorder, Watch
from spillway.kube.slices import in_slices
from spillway.state.autoscalers import Autoscalers
from spillway.state.signal import Signal
from spillway.telemetry import scaling as metrics

ALL: Final = "*"
CHANGED_SECONDS: Final = 0.5
"""How soon a change shows in the recommendations: several changes often come together."""
LONGEST_SECONDS: Final = 30.0
"""The time between two passes at most, after which forecasts that are too old, or a step that may follow, show."""


class ScalingNow(NamedTuple):
    """The present recommendation for one workload."""

    claim: Claim
    owner: Owner
    scaling: Scaling
    recommendation: Recommendation
    autoscaler: str
    """The name of the HorizontalPodAutoscaler that scales it; empty without one."""
    moved_by_others: bool
    """Whether nothing but the schedules is to scale it, and its autoscaler also goes by other metrics."""


@dataclass(slots=True)
class ScalingReport:
    """The present recommendations, by workload, and the schedules that are not valid, by policy."""

    workloads: Mapping[str, ScalingNow] = field(default_factory=dict)
    complete: bool = False
    """Whether there was a pass."""
    invalid: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    autoscalers_known: bool = False


class _Class(NamedTuple):
    """One class with `scaling`."""

    policy: ElasticPolicy
    name: str
    scaling: Scaling
    timetable: Timetable[ReplicaSchedule]
    problems: tuple[str, ...]
    """Its schedules and occasions that are not valid."""


class ScalingController(Controller):
    """The controller of recommended replicas."""

    name: ClassVar = "scaling"

    def __init__(
        self, world: World, events: Recorder, autoscalers: Autoscalers, watch: Watch, *, workload_series: int
    ) -> None:
        """`workload_series` bounds the series of the metrics."""
        super().__init__(world)
        self._events = events
        self._autoscalers = autoscalers
        self._watch = watch
        self._workload_series = workload_series
        self._classes: dict[tuple[str, str], _Class] = {}
        self._active: dict[tuple[str, str], frozenset[str]] = {}
        """The schedules that held at the last pass, by class; absent for one that had no pass."""
        self._shown: frozenset[str] = frozenset()
        self._began: float | None = None
        self._searched = False
        self.report = ScalingReport()
        self.report_changed: Signal[()] = Signal("ScalingReport")
        """Emitted when the report has changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self._watch.start()
        yield self.world.catalog.subscribe(self._look_soon)
        yield self.world.board.forecasts_changed.subscribe(self._look_soon)
        yield self._autoscalers.changed.subscribe(self._look_soon)
        yield self.world.state.subscribe(ReplicaSetRecord, self._owner_changed)
        yield self.world.state.subscribe(StatefulSetRecord, self._owner_changed)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002 - there is one
        now = self.world.now()
        self._began = now if self._began is None else self._began
        self._classes = self._compiled()
        # Once also without a class: an earlier leader may have created autoscalers for one that is gone.
        self._searched = self._searched or self._autoscalers.known
        needed = bool(self._classes) or not self._searched or self._autoscalers.some_are_ours
        self._watch.want(EVERYWHERE if needed else "")
        self._publish({workload: one async for workload, one in self._recommendations(now)})
        self._announce(now)
        if not self._classes:
            return None
        following = min(one.timetable.at(now)[1] for one in self._classes.values())
        return min(LONGEST_SECONDS, max(0.0, following - self.world.now()))

    async def _recommendations(self, now: float) -> AsyncIterator[tuple[str, ScalingNow]]:
        if not self._classes:
            return
        observed = await observe_all(self.world)
        async for one in in_slices(observed.values()):
            found = self._classes.get((one.claim.policy, one.claim.workload_class))
            if found is not None:
                yield one.workload, self._recommended(found, one, now)

    def _recommended(self, found: _Class, one: Observed, now: float) -> ScalingNow:
        autoscaler = self._autoscalers.of(one.workload)
        before = self.world.board.recommendations.get(one.workload)
        ahead = ahead_seconds(found.scaling, before, now)
        asked = Asked(
            current=one.replicas,
            active=found.timetable.at(now)[0],
            upcoming=found.timetable.upcoming(now, now + ahead) if ahead else (),
            forecast=self.world.board.forecasts.get(one.workload),
            autoscaler=None if autoscaler is None else _bounds(found.scaling, autoscaler),
            settling=now - (self._began or now) < STALE_SECONDS,
        )
        recommendation = recommend(found.scaling, asked, now, before)
        name, others = ("", False) if autoscaler is None else (autoscaler.name, autoscaler.other_metrics)
        moved = found.scaling.schedule_only and others and autoscaler is not None and not autoscaler.ours
        owner = workload_of(one.newest)
        return ScalingNow(one.claim, owner, found.scaling, recommendation, name, moved_by_others=moved)

    def _compiled(self) -> dict[tuple[str, str], _Class]:
        """The classes with `scaling`; what was parsed of one whose `scaling` is as before is kept."""
        found: dict[tuple[str, str], _Class] = {}
        for policy in self.world.governance.policies.values():
            for one in policy.spec.workloads:
                if one.scaling is None:
                    continue
                key = policy.metadata.name, one.name
                before = self._classes.get(key)
                if before is not None and before.scaling == one.scaling:
                    found[key] = before._replace(policy=policy)
                else:
                    timetable = Timetable(one.scaling.schedules)
                    problems = tuple(_problems(one.name, one.scaling, timetable))
                    found[key] = _Class(policy, one.name, one.scaling, timetable, problems)
        return found

    def _publish(self, found: Mapping[str, ScalingNow]) -> None:
        recommendations = {workload: one.recommendation for workload, one in found.items()}
        self._shown = named(
            self._shown, {key: one.replicas for key, one in recommendations.items()}, size=self._workload_series
        )
        shown = {key: one for key, one in recommendations.items() if key in self._shown}
        metrics.set_recommendations(recommendations, shown)
        self.world.board.set_recommendations(recommendations)
        invalid = self._invalid()
        report = ScalingReport(found, complete=True, invalid=invalid, autoscalers_known=self._autoscalers.known)
        if self.report != report:
            self.report = report
            self.report_changed.emit()

    def _invalid(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for one in self._classes.values():
            if one.problems:
                found.setdefault(one.policy.metadata.name, []).extend(one.problems)
        return {policy: tuple(problems) for policy, problems in found.items()}

    def _announce(self, now: float) -> None:
        """Emit an Event for each schedule that has begun since the last pass."""
        active: dict[tuple[str, str], frozenset[str]] = {}
        for key, one in self._classes.items():
            entries, until = one.timetable.at(now)
            active[key] = frozenset(entry.name for entry in entries)
            before = self._active.get(key)
            for entry in entries:
                if before is not None and entry.name not in before:
                    self._started(one, entry, until)
        self._active = active

    def _started(self, found: _Class, entry: ReplicaSchedule, until: float) -> None:
        number = "exactly" if found.scaling.schedule_only else "at least"
        message = f"Schedule {entry.name} of class {found.name} has begun: {number} {entry.replicas} replicas"
        if until != float("inf"):
            message += f", the next change of its schedules is at {rfc3339(datetime.fromtimestamp(until, UTC))}"
        policy = found.policy
        about = reference_to(policy)
        self._events.record(about, "Normal", event_reasons.SCHEDULE_STARTED, f"{message}.")

    # Changes that require a pass

    def _look_soon(self) -> None:
        self.queue.add_after(ALL, CHANGED_SECONDS)

    def _owner_changed(self, old: OwnerRecord | None, new: OwnerRecord | None) -> None:
        same = old is not None and new is not None and _watched(old) == _watched(new)
        if not same and any(self._scales(one) for one in (old, new) if one is not None):
            self._look_soon()

    def _scales(self, owner: OwnerRecord) -> bool:
        """Whether the class of the owner has `scaling`."""
        claim = self.world.claim_of(owner) if self._classes else None
        return claim is not None and (claim.policy, claim.workload_class) in self._classes

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        # Owners may be seen before their namespace, and nothing governs them until then.
        if self._classes and (old is None or new is None or old.labels != new.labels):
            self._look_soon()


def _problems(name: str, scaling: Scaling, schedules: Timetable[ReplicaSchedule]) -> Iterator[str]:
    occasions = Timetable(scaling.forecast.occasions if scaling.forecast is not None else ())
    for where, found in (("schedules", schedules.problems), ("forecast.occasions", occasions.problems)):
        for place, problem in found.items():
            yield f"spec.workloads[{name}].scaling.{where}{place}: {problem}"


def _bounds(scaling: Scaling, autoscaler: AutoscalerRecord) -> Autoscaler:
    """The bounds of the autoscaler; those of the class for one of Spillway's, whose minimum is the recommendation."""
    if not autoscaler.ours:
        return autoscaler.summary
    least = 0 if scaling.schedule_only else max(1, scaling.min_replicas or 1)
    most = MOST_REPLICAS if scaling.max_replicas is None else scaling.max_replicas
    return Autoscaler(autoscaler.name, least, max(least, most), other_metrics=not scaling.schedule_only)


def _watched(owner: OwnerRecord) -> tuple[object, ...]:
    return owner.replicas, owner.desired, owner.labels
