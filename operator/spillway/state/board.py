"""The board through which the leader's controllers and webhooks share thresholds, verdicts, redirects and counts.

Contract: one board a process, used from the event loop's thread alone. It belongs to the leader: a replica that does
not lead has an empty board and decides nothing. Each value has one owner, which replaces it as a whole, so a reader
never sees half a plan.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.load import LoadProblem, Loads
from spillway.domain.balance.reading_state import Measure, ReadingState
from spillway.domain.balance.zones import NO_WEIGHTS, ZoneReading, ZoneWeights
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.remember import FairMemory
from spillway.domain.pools.verdict import OPEN, PoolVerdict
from spillway.domain.scale_down.outcome import ScaleDowns
from spillway.domain.scaling.demand import DemandForecast
from spillway.domain.scaling.recommend import Recommendation
from spillway.state.signal import Signal

REDIRECT_SECONDS: Final = 60.0
"""Seconds within which an owner creates a replacement, at once or after a short back-off."""
JOB_REDIRECT_SECONDS: Final = 660.0
"""Seconds within which a Job creates a replacement: its back-off is 10 s, doubled with each failure, at most ten
minutes."""
AVOID_SECONDS: Final = 600.0
"""Minimum seconds for which an owner's pods avoid a pool that did not start one of them."""
_REMEMBERED: Final = 4096
_NOTHING_AVOIDED: Final[tuple[float, frozenset[str]]] = (0.0, frozenset())
_NO_NODE: Final = (0.0, NodeName(""))


@dataclass(frozen=True, slots=True)
class Redirect:
    """The destination of the successor of a pod that was replaced."""

    expires: float
    physical: bool = False
    """On physical nodes, whatever the threshold says."""
    virtual: bool = False
    """On virtual nodes, whatever the threshold says."""
    avoid: frozenset[str] = frozenset()
    """Pools that did not start the previous pod, or others of its owner."""


def redirect_seconds(owner_kind: str) -> float:
    """The seconds until the successor of a pod of such an owner is created."""
    return JOB_REDIRECT_SECONDS if owner_kind == "Job" else REDIRECT_SECONDS


def avoid_seconds(wait_seconds: float, owner_kind: str) -> float:
    """The seconds for which pods that each wait `wait_seconds` avoid pools, so that the next can fail as well.

    Never less than until the next pod of such an owner is created.
    """
    return max(AVOID_SECONDS, 2 * wait_seconds, redirect_seconds(owner_kind))


@dataclass(slots=True)
class Board:
    """The board of the leader. `now` gives Unix seconds."""

    now: Callable[[], float]
    leading: Callable[[], bool] = lambda: False
    """Whether this process holds the Lease and its controllers run. Given once, when the board is made."""
    thresholds: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The Auto plan: replicas on physical nodes by workload, `Deployment/shop/cart`; absent while it learns."""
    forecasts: Mapping[str, DemandForecast] = field(default_factory=lambda: MappingProxyType({}))
    """The forecast demand by workload, `Deployment/shop/cart`; absent for one that has none."""
    forecasts_published: float | None = None
    """When the present forecasts were published, Unix seconds; None while none of them is up to date."""
    forecasts_changed: Signal[()] = field(default_factory=lambda: Signal[()]("DemandForecast"))
    """Emitted when forecasts were replaced."""
    recommendations: Mapping[str, Recommendation] = field(default_factory=lambda: MappingProxyType({}))
    """The recommended replicas by workload, `Deployment/shop/cart`; absent for one whose class has no `scaling`."""
    recommendations_changed: Signal[()] = field(default_factory=lambda: Signal[()]("Recommendation"))
    """Emitted when recommendations were replaced by different ones."""
    loads: Mapping[str, Loads] = field(default_factory=lambda: MappingProxyType({}))
    """What is known of the load of the nodes of each ZonalBalance that reads it."""
    loads_changed: Signal[()] = field(default_factory=lambda: Signal[()]("Loads"))
    """Emitted after each reading, also a failed one."""
    zone_readings: Mapping[str, ZoneReading] = field(default_factory=lambda: MappingProxyType({}))
    """The zones that each ZonalBalance with `zonePreference` prefers for its workloads."""
    readings: Mapping[tuple[str, Measure], ReadingState] = field(default_factory=lambda: MappingProxyType({}))
    """Whether what is read beside the load of nodes is known, by ZonalBalance and measure; absent for what is not
    read."""
    readings_changed: Signal[()] = field(default_factory=lambda: Signal[()]("ReadingState"))
    """Emitted after a reading that was not good, and after the good one that follows it."""
    load_classes: Mapping[str, Mapping[str, LoadClass]] = field(default_factory=lambda: MappingProxyType({}))
    """The load class of each workload, by key, of each ZonalBalance with `classes`; absent while it is not known."""
    load_classes_changed: Signal[()] = field(default_factory=lambda: Signal[()]("LoadClass"))
    """Emitted when the class of a workload was found, or has changed."""
    thresholds_read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the kept plan, if there was one, is here: before that no threshold is known."""
    verdicts: Mapping[str, PoolVerdict] = field(default_factory=lambda: MappingProxyType({}))
    """The verdicts by VirtualNodeBudget."""
    verdicts_read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the verdicts of the leader before are here: before that every pool takes pods."""
    verdicts_changed: Signal[()] = field(default_factory=lambda: Signal[()]("PoolVerdict"))
    """Emitted when the verdict on a pool has changed, or was withdrawn."""
    spent: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    """What each VirtualNodeBudget has cost since its month began, with the minimum billing time of all that started;
    absent for one without a price."""
    spent_read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is known what each of them had cost when this leader began."""
    scale_downs: dict[str, ScaleDowns] = field(default_factory=dict)
    """By policy: outcomes of scale-downs that are not in its status yet. The webhooks add to it, the status removes
    from it."""
    scale_downs_counted: Signal[()] = field(default_factory=lambda: Signal[()]("ScaleDowns"))
    """Emitted when there is more to add to a policy's status."""
    _avoided: FairMemory[OwnerUid, tuple[float, frozenset[str]]] = field(
        default_factory=lambda: FairMemory(_REMEMBERED)
    )
    _redirects: dict[OwnerUid, deque[Redirect]] = field(default_factory=lambda: defaultdict(deque))
    _planned_nodes: dict[OwnerUid, tuple[float, NodeName]] = field(default_factory=dict)
    """By ReplicaSet that surges: the node that its next pod is to prefer, and until when."""

    def set_thresholds(self, thresholds: Mapping[str, int]) -> None:
        """Set the plan of thresholds."""
        self.thresholds = MappingProxyType(dict(thresholds))

    def set_forecasts(self, forecasts: Mapping[str, DemandForecast]) -> None:
        """Set the forecasts after a refresh."""
        self.forecasts = MappingProxyType(dict(forecasts))
        now = self.now()
        self.forecasts_published = now if any(not one.is_stale(now) for one in forecasts.values()) else None
        self.forecasts_changed.emit()

    def set_recommendations(self, recommendations: Mapping[str, Recommendation]) -> None:
        """Set the recommended replicas after a pass."""
        changed = dict(self.recommendations) != dict(recommendations)
        self.recommendations = MappingProxyType(dict(recommendations))
        if changed:
            self.recommendations_changed.emit()

    def set_spent(self, spent: Mapping[str, Decimal]) -> None:
        """Set what each VirtualNodeBudget has cost."""
        self.spent = MappingProxyType(dict(spent))
        self.spent_read.set()

    def verdict(self, pool: str) -> PoolVerdict:
        """The verdict on one pool; a pool without a verdict takes pods."""
        return self.verdicts.get(pool, OPEN)

    def set_verdict(self, pool: str, verdict: PoolVerdict) -> None:
        """Set whether this pool takes pods from now on."""
        if self.verdicts.get(pool) != verdict:
            self.verdicts = MappingProxyType({**self.verdicts, pool: verdict})
            self.verdicts_changed.emit()

    def withdraw_verdict(self, pool: str) -> None:
        """Remove the verdict on a pool whose VirtualNodeBudget is gone."""
        if pool in self.verdicts:
            self.verdicts = MappingProxyType({name: one for name, one in self.verdicts.items() if name != pool})
            self.verdicts_changed.emit()

    def set_loads(self, balance: str, loads: Loads) -> None:
        """Set what is known of the load after a reading."""
        self.loads = MappingProxyType({**self.loads, balance: loads})
        self.loads_changed.emit()

    def withdraw_loads(self, balance: str) -> None:
        """Remove the loads of a ZonalBalance that is gone or does not read them."""
        if balance in self.loads:
            self.loads = MappingProxyType({name: one for name, one in self.loads.items() if name != balance})
            self.loads_changed.emit()

    def set_zone_reading(self, balance: str, reading: ZoneReading | None) -> None:
        """Set the zones that a ZonalBalance prefers; None for one that is gone or prefers none."""
        others = {name: one for name, one in self.zone_readings.items() if name != balance}
        self.zone_readings = MappingProxyType(others if reading is None else {**others, balance: reading})

    def note_reading(self, balance: str, measure: Measure, problem: LoadProblem | None) -> None:
        """Note a reading, and what is wrong with it; None for a good one."""
        before = self.readings.get((balance, measure), ReadingState())
        self.readings = MappingProxyType({**self.readings, (balance, measure): before.after(problem, self.now())})
        if problem is not None or before.problem is not None:
            self.readings_changed.emit()

    def forget_readings(self, balance: str, measure: Measure) -> None:
        """Forget a measure of a ZonalBalance that is gone or does not need it."""
        if (balance, measure) in self.readings:
            others = {key: one for key, one in self.readings.items() if key != (balance, measure)}
            self.readings = MappingProxyType(others)
            self.readings_changed.emit()

    def set_load_classes(self, balance: str, classes: Mapping[str, LoadClass] | None) -> None:
        """Set the classes of the workloads of a ZonalBalance; None for one that is gone or has none."""
        others = {name: one for name, one in self.load_classes.items() if name != balance}
        found = others if classes is None else {**others, balance: MappingProxyType(dict(classes))}
        if found != self.load_classes:
            self.load_classes = MappingProxyType(found)
            self.load_classes_changed.emit()

    def zone_weights(self, balance: str, namespace: str, workload: str) -> ZoneWeights:
        """The zones that a ZonalBalance prefers for this workload; empty where they count as equal."""
        reading = self.zone_readings.get(balance)
        return NO_WEIGHTS if reading is None else reading.of(namespace, workload, now=self.now())

    def count_scale_downs(self, policy: str, more: ScaleDowns) -> None:
        """Add outcomes that the policy's status will show."""
        self.scale_downs[policy] = self.scale_downs.get(policy, ScaleDowns()).plus(more)
        self.scale_downs_counted.emit()

    def scale_downs_written(self, policy: str, written: ScaleDowns) -> None:
        """Subtract outcomes that the policy's status now shows."""
        left = self.scale_downs.pop(policy, ScaleDowns()).minus(written)
        if left.victims:
            self.scale_downs[policy] = left

    def redirect(
        self,
        owner: OwnerUid,
        *,
        physical: bool = False,
        virtual: bool = False,
        avoid: frozenset[str] = frozenset(),
        seconds: float = REDIRECT_SECONDS,
    ) -> None:
        """Send the next pod of this owner to this destination. Call it before the pod is deleted."""
        now = self.now()
        self._redirects[owner].append(Redirect(now + seconds, physical=physical, virtual=virtual, avoid=avoid))
        if len(self._redirects) > _REMEMBERED:
            # Of owners that create no more pods.
            for over in [one for one, waiting in self._redirects.items() if waiting[-1].expires <= now]:
                del self._redirects[over]

    def take_redirect(self, owner: OwnerUid) -> Redirect | None:
        """Take the oldest redirect of this owner; None if there is none."""
        waiting = self._redirects.get(owner)
        if waiting is None:
            return None
        now = self.now()
        found = None
        while waiting and found is None:
            first = waiting.popleft()
            found = first if first.expires > now else None
        if not waiting:
            del self._redirects[owner]
        return found

    def avoid(self, owner: OwnerUid, pools: Collection[str], seconds: float, *, namespace: str) -> None:
        """Let the next pods of this owner avoid these pools for `seconds`, because they did not start one of its pods.

        Pools that they avoid already are avoided for as long, so that pool after pool is tried, and none at the end.
        """
        if not pools:
            return
        until, known = self._avoided.get(owner) or _NOTHING_AVOIDED
        now = self.now()
        avoided = frozenset(pools) | (known if until > now else frozenset())
        self._avoided.put(owner, (max(until, now + seconds), avoided), share=namespace)

    def avoided(self, owner: OwnerUid) -> frozenset[str]:
        """The pools that this owner's pods avoid now."""
        until, pools = self._avoided.get(owner) or _NOTHING_AVOIDED
        return pools if until > self.now() else frozenset()

    def redirected(self, owner: OwnerUid) -> bool:
        """Whether there may be a redirect for this owner; it is not taken."""
        return owner in self._redirects

    def withdraw_redirect(self, owner: OwnerUid) -> None:
        """Remove the newest redirect, because the pod was not deleted."""
        waiting = self._redirects.get(owner)
        if waiting:
            waiting.pop()
            if not waiting:
                del self._redirects[owner]

    def plan_node(self, owner: OwnerUid, node: NodeName) -> None:
        """Let the next pod of this owner prefer this node. Call it before the owner is scaled, and withdraw it."""
        self._planned_nodes[owner] = (self.now() + REDIRECT_SECONDS, node)

    def plans_node(self, owner: OwnerUid) -> bool:
        """Whether the next pod of this owner is to prefer a node; it is not taken."""
        expires, _ = self._planned_nodes.get(owner, _NO_NODE)
        return expires > self.now()

    def take_planned_node(self, owner: OwnerUid) -> NodeName | None:
        """Take the node that the next pod of this owner is to prefer; None if there is none."""
        found = self._planned_nodes[owner][1] if self.plans_node(owner) else None
        self.withdraw_planned_node(owner)
        return found

    def withdraw_planned_node(self, owner: OwnerUid) -> None:
        """Let the pods of this owner prefer no node any more, because its move is over."""
        self._planned_nodes.pop(owner, None)
