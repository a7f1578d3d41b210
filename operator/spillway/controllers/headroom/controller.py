"""The controller of headroom: it sizes the headroom of each policy, keeps it in the cluster, and lets nodes go.

Contract: sizes are computed and reported for every policy with `headroom`; objects exist only for those in Enforce.
What exists for a policy that is gone, only recommends or has no `headroom` is deleted, also at the start. A headroom
that shrinks gives up first the balloons on the node that empties first: their deletion costs are lowered in one pass,
and the number falls in the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from pydantic import ValidationError

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.headroom import Headroom, HeadroomSchedule, HeadroomUnit
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.headroom.leaving import LeavingBalloons
from spillway.controllers.headroom.nodes import ElasticMemory, NodesNow, balloons_by_name, fixed_rooms, nodes_now
from spillway.controllers.headroom.objects import By, Found, HeadroomObjects
from spillway.controllers.headroom.observe import Governed, governed_by_policy, needs_of
from spillway.controllers.threshold.observe import observe_all
from spillway.domain.headroom.hold import HOLD_SECONDS, Hold
from spillway.domain.headroom.manifests import Held, quantities
from spillway.domain.headroom.past import PastForecasts
from spillway.domain.headroom.shape import Shape, in_units
from spillway.domain.headroom.size import (
    FixedRooms,
    HeadroomReason,
    HeadroomSize,
    most_units,
    rise_units,
    size,
    spread,
)
from spillway.domain.model import event_reasons
from spillway.domain.model.names import Zone
from spillway.domain.model.owners import is_balloon, reference_to
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.model.recurring import Timetable
from spillway.kube import paths
from spillway.kube.errors import FailedRequests
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.slices import in_slices
from spillway.state.autoscalers import Autoscalers
from spillway.state.catalog import Kind
from spillway.state.signal import Signal
from spillway.telemetry import headroom as metrics

ALL: Final = "*"
Mechanism = Literal["auto", "capacity-buffer", "balloons"]
CHANGED_SECONDS: Final = 1.0
"""How soon a change shows: several changes often come together."""
TAKEN_SECONDS: Final = 0.3
"""The same where headroom from forecasts may be taken: node autoscalers act within a second or two."""
PASS_SECONDS: Final = 15.0
"""The time between two passes at most: free room and requests change without a change that this controller follows."""
NEXT_STEP_SECONDS: Final = 2.0
"""The time until the second step of a change that takes two."""
IGNORED_SECONDS: Final = 120.0
"""A CapacityBuffer about which no autoscaler has said anything for so long is ignored: balloons take its place."""
RETRY_BUFFERS_SECONDS: Final = 3600.0
BARREN_SECONDS: Final = 600.0
"""A zone without an elastic node in which a balloon waits for so long has none to offer."""
RETRY_ZONE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class HeadroomNow:
    """The present headroom of one policy."""

    size: HeadroomSize
    unit: Shape | None = None
    """None while the size of a unit is not known."""
    units_per_node: int = 1
    node: Shape | None = None
    """What an elastic node has for pods; None while none was seen."""
    by_zone: Mapping[Zone, int] = field(default_factory=lambda: MappingProxyType({}))
    ready: Mapping[Zone, int] = field(default_factory=lambda: MappingProxyType({}))
    by: By | None = None
    """None in mode Recommend."""
    invalid: tuple[str, ...] = ()
    """Schedules that are not valid."""
    elastic: bool = True
    """Whether the policy has an elastic tier."""
    buffers_ignored: bool = False


@dataclass(slots=True)
class _Memory:
    """What is remembered of one policy."""

    elastic: ElasticMemory = field(default_factory=ElasticMemory)
    hold: Hold | None = None
    past: PastForecasts = field(default_factory=PastForecasts)
    schedules: tuple[HeadroomSchedule, ...] = ()
    timetable: Timetable[HeadroomSchedule] = field(default_factory=lambda: Timetable[HeadroomSchedule](()))
    barren: dict[Zone, float] = field(default_factory=dict)
    """Until when a zone is left out."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one pass goes by, besides the governed workloads."""

    found: Found
    by: By
    nodes: NodesNow
    balloons: Mapping[str, Sequence[PodRecord]]
    """By the name of the object that holds them."""


class HeadroomController(Controller):
    """The controller of headroom."""

    name: ClassVar = "headroom"

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        events: Recorder,
        objects: HeadroomObjects,
        autoscalers: Autoscalers,
        *,
        namespace: str,
        mechanism: Mechanism = "auto",
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        super().__init__(world)
        self._writer = writer
        self._events = events
        self._objects = objects
        self._autoscalers = autoscalers
        self._namespace = namespace
        self._mechanism = mechanism
        self._hold_seconds = hold_seconds
        self._memories: dict[str, _Memory] = {}
        self._swept = False
        self._ignored_until = 0.0
        self._again = PASS_SECONDS
        self.report: Mapping[str, HeadroomNow] = MappingProxyType({})
        """The present headroom by policy."""
        self.report_changed: Signal[()] = Signal("HeadroomNow")
        """Emitted when the report has changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self._look_soon)
        yield self.world.board.forecasts_changed.subscribe(self._look_soon)
        yield self.world.state.subscribe(NodeRecord, self._node_changed)
        yield self.world.state.subscribe(PodRecord, self._pod_changed)
        yield self.world.state.subscribe(ReplicaSetRecord, self._replicaset_changed)

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002 - there is one
        policies = {
            name: policy.spec.headroom
            for name, policy in self.world.governance.policies.items()
            if policy.spec.headroom is not None
        }
        self._memories = {name: self._memories.get(name) or self._remembered(name) for name in policies}
        if not policies and self._swept:
            self._publish({})
            return None
        self._again = PASS_SECONDS
        found = await self._objects.read()
        by = self._held_by(found)
        nodes = await nodes_now(self.world, policies)
        seen = _Seen(found, by, nodes, balloons_by_name(self.world, self._namespace))
        now = await self._sized(policies, seen)
        wanted = [held for name, one in now.items() if one.by is not None for held in self._held(name, one)]
        failed = FailedRequests()
        leaving = LeavingBalloons(self.world, self._writer, wanted, balloons=seen.balloons, nodes=nodes, failed=failed)
        if by is By.BALLOONS:
            wanted = await leaving.shrunk(found)
        unreadable = self.world.catalog.unreadable(Kind.ELASTIC_POLICY)
        if changes := await self._objects.write(wanted, by, found, failed, kept=unreadable):
            self.log.info("headroom written", key=self._namespace, objects=len(wanted), changes=changes)
        elif by is By.BALLOONS:
            await leaving.compact(found, {name: memory.elastic for name, memory in self._memories.items()})
        if leaving.unfinished:
            self._again = NEXT_STEP_SECONDS
        self._swept = not wanted and not changes and not failed
        self._publish(now)
        failed.raise_together("headroom not written")
        if not policies:
            return self._again if not self._swept else None
        following = min(memory.timetable.at(self.world.now())[1] for memory in self._memories.values())
        return min(self._again, max(0.0, following - self.world.now()))

    # The size

    async def _sized(self, policies: Mapping[str, Headroom], seen: _Seen) -> dict[str, HeadroomNow]:
        if not policies:
            return {}
        observed = await observe_all(self.world)
        governed = await governed_by_policy(self.world, observed, self._autoscalers)
        rises = [one for one in governed.values() if one.rising]
        rising, waiting = [one.rising for one in rises], [one.waiting for one in rises]
        rooms = await fixed_rooms(seen.nodes.free_fixed, rising, waiting)
        now: dict[str, HeadroomNow] = {}
        for name, spec in policies.items():
            policy = self.world.governance.policies.get(name)
            if policy is not None and name in governed:
                now[name] = await self._now(policy, spec, governed[name], seen, rooms)
        return now

    def _remembered(self, policy: str) -> _Memory:
        """What the status still tells of a policy: the size of elastic nodes, of which there may be none now.

        A size that is not valid, or not above 0, counts as unknown.
        """
        entry = self.world.catalog.entries(Kind.ELASTIC_POLICY).get(policy)
        told = None if entry is None else (entry.status.get("headroom") or {}).get("node")
        if told is None:
            return _Memory()
        try:
            unit = HeadroomUnit.model_validate(told)
        except ValidationError:
            # The catalog has logged it.
            return _Memory()
        node = Shape(unit.cpu.millis, unit.memory.bytes)
        return _Memory(ElasticMemory(node=node)) if min(node) > 0 else _Memory()

    async def _now(
        self, policy: ElasticPolicy, spec: Headroom, governed: Governed, seen: _Seen, rooms: FixedRooms
    ) -> HeadroomNow:
        name, now = policy.metadata.name, self.world.now()
        memory = self._memories[name]
        if memory.schedules != spec.schedules:
            memory.schedules, memory.timetable = spec.schedules, Timetable(spec.schedules)
        invalid = tuple(f"spec.headroom.schedules{place}: {text}" for place, text in memory.timetable.problems.items())
        if policy.spec.tiers.elastic is None:
            return HeadroomNow(HeadroomSize(0, HeadroomReason.NOTHING), invalid=invalid, elastic=False)
        active, _ = memory.timetable.at(now)
        memory.elastic.take(seen.nodes.elastic[name], governed.zones)
        needs = needs_of(policy, governed, active, rooms, memory.elastic)
        if needs is None:
            return HeadroomNow(HeadroomSize(0, HeadroomReason.NOTHING), invalid=invalid)
        forecast = 0
        async for forecast in in_slices(rise_units(needs)):  # noqa: B007 - the last one counts
            pass
        replicas, stale = in_units(governed.replicas, needs.unit), governed.stale and spec.from_ == "Forecast"
        if memory.hold is None:
            # What a previous leader has made was wanted until now.
            held = seen.found.replicas(name)
            memory.hold = Hold().then(held, now, seconds=self._hold_seconds, replicas=replicas)
            if stale and held > size(needs, 0).pods:
                memory.past.note(held, now, replicas=replicas)
        if stale:
            memory.past.learn(forecast, now)
            forecast = max(forecast, memory.past.units(now, replicas=replicas))
        else:
            memory.past.note(forecast, now, replicas=replicas)
        wanted = size(needs, forecast, stale=stale)
        memory.hold = memory.hold.then(wanted.pods, now, seconds=self._hold_seconds, replicas=replicas)
        self._again = min(self._again, max(0.0, memory.hold.shrinks_at(self._hold_seconds) - now))
        pods = memory.hold.pods(most_units(needs))
        if pods != wanted.pods:
            wanted = HeadroomSize(pods, HeadroomReason.HELD, forecast=wanted.forecast)
        result = HeadroomNow(
            wanted,
            needs.unit,
            needs.units_per_node,
            needs.node,
            by_zone=spread(pods, self._zones(name, memory, seen)),
            by=seen.by if policy.spec.enforced else None,
            invalid=invalid,
            buffers_ignored=seen.found.buffers_served and seen.by is By.BALLOONS and self._mechanism == "auto",
        )
        return result if result.by is None else replace(result, ready=self._ready(name, result, seen))

    def _ready(self, policy: str, now: HeadroomNow, seen: _Seen) -> Mapping[Zone, int]:
        ready: dict[Zone, int] = {}
        for held in self._held(policy, now):
            if now.by is By.BUFFERS:
                # The status of a buffer also counts machines that are ordered and have not joined.
                there = seen.nodes.take_room(policy, held.unit, held.zone, held.pods)
            else:
                there = sum(bool(pod.node) for pod in seen.balloons.get(held.name, ()))
            ready[held.zone] = min(there, held.pods)
        return ready

    def _zones(self, policy: str, memory: _Memory, seen: _Seen) -> Sequence[Zone]:
        """The zones of elastic nodes and of governed pods, without those that have had no elastic node to offer."""
        now = self.world.now()
        memory.barren = {zone: until for zone, until in memory.barren.items() if until > now}
        for zone in memory.elastic.zones - seen.nodes.elastic[policy].zones:
            held = self._one(policy, zone, 0, memory)
            if held is None:
                continue
            balloons = seen.balloons.get(held.name, ())
            since = [pod.unschedulable_since for pod in balloons if pod.unschedulable_since]
            if since and now - min(since) >= BARREN_SECONDS:
                memory.barren[zone] = now + RETRY_ZONE_SECONDS
                self.log.warning("no elastic node comes in this zone, headroom moves to others", key=f"{policy}/{zone}")
        return sorted(memory.elastic.zones - memory.barren.keys()) or sorted(memory.elastic.zones)

    # The objects

    def _held_by(self, found: Found) -> By:
        if self._mechanism == "balloons" or not found.buffers_served:
            return By.BALLOONS
        if self._mechanism == "capacity-buffer":
            return By.BUFFERS
        now = self.world.now()
        buffers = [one for one in found.objects.values() if one.resource is paths.CAPACITY_BUFFERS]
        if buffers and not any(one.answered for one in buffers):
            oldest = min(one.created for one in buffers)
            if now - oldest >= IGNORED_SECONDS:
                self._ignored_until = now + RETRY_BUFFERS_SECONDS
                self.log.warning("no node autoscaler acts on CapacityBuffers, balloons take their place", key=ALL)
        return By.BALLOONS if now < self._ignored_until else By.BUFFERS

    def _held(self, policy: str, now: HeadroomNow) -> Iterable[Held]:
        """The objects that are wanted."""
        memory = self._memories[policy]
        for zone in sorted(now.by_zone):
            held = self._one(policy, zone, now.by_zone[zone], memory)
            if held is not None:
                yield held

    def _one(self, policy: str, zone: Zone, pods: int, memory: _Memory) -> Held | None:
        found = self.world.governance.policies.get(policy)
        if found is None or found.spec.tiers.elastic is None or memory.elastic.unit is None:
            return None
        return Held(
            policy=policy,
            policy_uid=found.metadata.uid,
            zone=zone,
            pods=pods,
            unit=memory.elastic.unit,
            elastic=found.spec.tiers.elastic.node_selector,
            taints=memory.elastic.taints,
        )

    # The report

    def _publish(self, now: Mapping[str, HeadroomNow]) -> None:
        before = self.report
        if before == now:
            return
        for name, one in now.items():
            earlier = before.get(name)
            if (earlier.size.pods if earlier is not None else 0) != one.size.pods:
                self._announce(name, one, earlier)
        self.report = MappingProxyType(dict(now))
        metrics.set_headroom(
            {(name, zone): pods for name, one in now.items() for zone, pods in one.by_zone.items()},
            {(name, zone): pods for name, one in now.items() for zone, pods in one.ready.items()},
            {name: one.size.forecast for name, one in now.items()},
        )
        self.report_changed.emit()

    def _announce(self, name: str, now: HeadroomNow, before: HeadroomNow | None) -> None:
        policy = self.world.governance.policies.get(name)
        if policy is None or now.unit is None:
            return
        unit = quantities(now.unit)
        each = " and ".join(f"{amount} of {resource}" for resource, amount in unit.items())
        verb = "is" if now.by is not None else "would be"
        earlier = f", before {before.size.pods}" if before is not None else ""
        cause = f"schedule {now.size.schedule}" if now.size.schedule else str(now.size.reason)
        message = f"The headroom {verb} {now.size.pods} placeholder pods of {each} ({cause}){earlier}."
        about = reference_to(policy)
        self._events.record(about, "Normal", event_reasons.HEADROOM_CHANGED, message)

    # Changes that require a pass

    def _look_soon(self) -> None:
        self.queue.add_after(ALL, CHANGED_SECONDS)

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if self._memories and (old is None or new is None or old.ready != new.ready):
            self._look_soon()

    def _replicaset_changed(self, old: ReplicaSetRecord | None, new: ReplicaSetRecord | None) -> None:
        """A workload may take headroom that was kept for it: a node autoscaler would soon replace what it takes."""
        if new is None or new.replicas <= (0 if old is None else old.replicas):
            return
        claim = self.world.claim_of(new)
        kept = self.report.get(claim.policy) if claim is not None else None
        if kept is not None and (kept.size.forecast or kept.size.reason is HeadroomReason.HELD):
            self.queue.add_after(ALL, TAKEN_SECONDS)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        pod = new or old
        if pod is not None and is_balloon(pod) and (old is None or new is None or old.node != new.node):
            self._look_soon()
