"""The part of a ZonalBalance's status about zones and load: how even its workloads and its nodes are.

Contract: pure, except for the contributor that reads the values. What follows from the load is absent while the load
is not known.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from spillway.api.conditions import READY
from spillway.api.zonalbalance import ClassCounts, Moves, ZonalBalance, ZonalBalanceStatus, ZoneState
from spillway.controllers.balance.descheduling import descheduling
from spillway.controllers.base import World
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.balance.load import LoadProblem, Loads, evenness
from spillway.domain.balance.reading_state import Measure, ReadingState
from spillway.domain.balance.skew import zone_skew
from spillway.domain.balance.zone_loads import INVALID_ZONE, PARTIAL_ZONE_LOAD
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, OwnerRecord
from spillway.domain.model.selectors import Selector
from spillway.state.claims import balance_of, lacks_zones

ZONES_MAX: Final = 64
HOT_MAX: Final = 50
LOAD_DATA_STALE: Final = "LoadDataStale"
_BALANCING: Final = ObservedCondition(
    READY,
    holds=True,
    reason="Balancing",
    message="A scale-down keeps the zones of the governed workloads within maxSkew.",
)
_NODES_EQUAL: Final = "all nodes and zones count as equal, and no taint of a hot node changes"
_UNKNOWN: Final = {
    Measure.ZONE_LOAD: ("The load of workloads by zone", "new replicas and scale-downs prefer no zone"),
    Measure.CLASS_USE: ("What pods use", "no load class changes"),
    Measure.MOVE_USE: ("What pods use", "no pod is moved"),
}
"""What is read beside the load of nodes, and what follows while it is not known."""
_PARTLY_UNKNOWN: Final = {
    PARTIAL_ZONE_LOAD: ("The load of some workloads by zone", "no zone is preferred for these workloads"),
    INVALID_ZONE: ("The load of some workloads by zone", "such values are ignored"),
}
"""The same by the reason, where what is known of the others is used."""


class Rebalancer(Protocol):
    """What moves pods."""

    descheduler: str
    """The key of another descheduler that runs, or empty."""

    def moves(self, balance: str) -> Moves | None:
        """What is moved for a ZonalBalance."""


class BalanceContributor:
    """The contributor of zones and load."""

    def __init__(
        self,
        world: World,
        counts: WorkloadCounts,
        hot: Mapping[str, Sequence[NodeName]],
        rebalancer: Rebalancer,
        classes: Callable[[str], ClassCounts | None],
    ) -> None:
        """`hot` are the hot nodes of each ZonalBalance; `classes` counts its workloads by load class."""
        self._world = world
        self._counts = counts
        self._hot = hot
        self._rebalancer = rebalancer
        self._classes = classes

    def part(self, model: ZonalBalance, _current: ZonalBalanceStatus, now: datetime) -> StatusPart:
        """The part of one balance."""
        name = model.metadata.name
        selector = Selector.of(model.spec.node_selector)
        budget_of = self._world.governance.budget_of
        nodes = self._world.state.nodes.values()
        selected = [node for node in nodes if selector.matches(node.labels) and budget_of(node) is None]
        loads = self._world.board.loads.get(name) if model.spec.reads_load else None
        workloads = self._counts.zones_by_workload(self._covered(name))
        part = balance_part(
            model,
            selected,
            workloads,
            loads=loads,
            states={one: state for (balance, one), state in self._world.board.readings.items() if balance == name},
            hot=self._hot.get(name, ()),
            zoned=not lacks_zones(self._world.state, self._world.governance, model.spec.zone_key),
            now=now.timestamp(),
        )
        moves = model.spec.rebalance is not None and model.spec.rebalance.mode == "Active"
        conditions = (*part.conditions, *((descheduling(self._rebalancer.descheduler),) if moves else ()))
        more = {"moves": self._rebalancer.moves(name), "classes": self._classes(name)}
        return replace(part, fields={**part.fields, **more}, conditions=conditions)

    def _covered(self, balance: str) -> Iterable[OwnerRecord]:
        state, governance = self._world.state, self._world.governance
        return (one for one in state.owners() if balance_of(state, governance, one) == balance)


def balance_part(
    balance: ZonalBalance,
    nodes: Iterable[NodeRecord],
    workloads: Mapping[str, Counter[str]],
    *,
    loads: Loads | None = None,
    states: Mapping[Measure, ReadingState] | None = None,
    hot: Sequence[NodeName] = (),
    zoned: bool = True,
    now: float = 0.0,
) -> StatusPart:
    """The part of a balance that selects these nodes and covers these workloads, with their pods by zone.

    `loads` is None where the load of nodes is not read, or was not yet, and `states` has what else is read; `zoned` is
    false if there are physical nodes and none has the zone key; `now` is Unix seconds.
    """
    zone_of = {node.name: node.zone_by(balance.spec.zone_key) for node in nodes}
    node_zones = Counter(zone_of.values())
    zones = [zone for zone in node_zones if zone]
    skews = [zone_skew(pods, zones) for pods in workloads.values()]
    pod_zones: Counter[str] = Counter()
    for pods in workloads.values():
        pod_zones.update(pods)
    stale_after = balance.spec.effective_load.stale_after.seconds
    current = {} if loads is None else loads.current(now, stale_after)
    even = evenness(current, zone_of)
    fields = {
        "workloads": len(workloads),
        "uneven_workloads": sum(skew > balance.spec.max_skew for skew in skews),
        "max_skew": max(skews, default=0),
        "zones": tuple(
            ZoneState(
                name=zone,
                nodes=node_zones[zone],
                pods=pod_zones[zone],
                load_percent=round(even.zones[zone]) if zone in even.zones else None,
            )
            for zone in sorted(node_zones)[:ZONES_MAX]
        ),
        "imbalance_percent": None if even.imbalance is None else round(even.imbalance),
        "hot_nodes": tuple(hot[:HOT_MAX]),
    }
    return StatusPart(
        fields,
        (
            _BALANCING if zoned or not balance.spec.places_replicas else _no_zones(balance),
            *_staleness(loads, states or {}, known=bool(current), now=now, stale_after=stale_after),
        ),
    )


def _no_zones(balance: ZonalBalance) -> ObservedCondition:
    message = (
        f"No physical node has the label {balance.spec.zone_key} (spec.zoneKey), so new pods get no topology spread "
        "constraint, with which no node could take them."
    )
    return ObservedCondition(READY, holds=False, reason="NoZones", message=message)


def _staleness(
    loads: Loads | None, states: Mapping[Measure, ReadingState], *, known: bool, now: float, stale_after: float
) -> Iterable[ObservedCondition]:
    """Whether all that is read is known; nothing where nothing is read."""
    found: list[tuple[LoadProblem, str]] = []
    if loads is not None and not known:
        problem = loads.problem or LoadProblem("OldLoad", "the last reading is older than load.staleAfter")
        message = f"The load of the nodes is not known: {problem.message}. Until it is, {_NODES_EQUAL}."
        found.append((problem, message))
    for measure, wholly in _UNKNOWN.items():
        state = states.get(measure)
        if state is not None and (missing := state.unknown(now, stale_after)) is not None:
            what, effect = _PARTLY_UNKNOWN.get(missing.reason, wholly)
            found.append((missing, f"{what} is not known: {missing.message}. Until it is, {effect}."))
    if found:
        message = " ".join(words for _, words in found)
        yield ObservedCondition(LOAD_DATA_STALE, holds=True, reason=found[0][0].reason, message=message)
    elif loads is not None or states:
        yield ObservedCondition(LOAD_DATA_STALE, holds=False, reason="LoadIsFresh", message="The load is read.")
