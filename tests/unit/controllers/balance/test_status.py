"""The part of a ZonalBalance's status about zones."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from spillway.api.zonalbalance import ClassCounts, ZonalBalance, ZonalBalanceStatus, ZoneState
from spillway.controllers.balance.descheduling import FOREIGN_DESCHEDULER
from spillway.controllers.balance.status import (
    LOAD_DATA_STALE,
    ZONES_MAX,
    BalanceContributor,
    balance_part,
)
from spillway.controllers.status.part import StatusPart
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.balance.load import LoadProblem, Loads
from spillway.domain.balance.reading_state import Measure, ReadingState
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.statuses import balance_status
from tests.support.world import Record, make_world, policy_resource, resource

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def classes_of(_balance: str) -> ClassCounts:
    return ClassCounts(learning=1)


class Moving:
    """A rebalancer that moves nothing."""

    def __init__(self, descheduler: str = "") -> None:
        self.descheduler = descheduler

    def moves(self, _: str) -> None:
        return


def balance_of(**spec: Any) -> ZonalBalance:
    return ZonalBalance.model_validate(resource(Kind.ZONAL_BALANCE, "zb", **spec))


def zones_in(part: StatusPart) -> tuple[ZoneState, ...]:
    zones = part.fields["zones"]
    assert isinstance(zones, tuple)
    return zones


def test_a_balance() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = [make_node(f"n{i}", labels={zone: name}) for i, name in enumerate("abc")]
    status = balance_status(
        ZonalBalance.model_validate(resource(Kind.ZONAL_BALANCE, "zb", maxSkew=1)),
        current=ZonalBalanceStatus(),
        nodes=nodes,
        workloads={"even": Counter({"a": 2, "b": 1, "c": 1}), "uneven": Counter({"a": 3})},
        now=NOW,
    ).wire()
    assert (status["workloads"], status["unevenWorkloads"], status["maxSkew"]) == (2, 1, 3)
    assert [(entry["name"], entry["pods"]) for entry in status["zones"]] == [("a", 5), ("b", 1), ("c", 1)]


@pytest.mark.parametrize(
    ("zones", "workloads", "skews"),
    [
        pytest.param("", {"web": Counter({"a": 3})}, (0, 0), id="no zones"),
        pytest.param("ab", {}, (0, 0), id="no workloads"),
        pytest.param("ab", {"web": Counter({"a": 3})}, (1, 3), id="an empty zone counts"),
        pytest.param("ab", {"web": Counter({"a": 2, "b": 1, "": 9})}, (0, 1), id="pods in no zone do not"),
    ],
)
def test_the_skew_is_over_the_zones_that_have_nodes(
    zones: str, workloads: dict[str, Counter[str]], skews: tuple[int, int]
) -> None:
    nodes = [make_node(f"n{zone}", labels={ZONE_LABEL: zone}) for zone in zones]
    fields = balance_part(balance_of(maxSkew=1), nodes, workloads).fields
    assert (fields["uneven_workloads"], fields["max_skew"]) == skews


def test_a_status_lists_a_bounded_number_of_zones() -> None:
    nodes = [make_node(f"n{index}", labels={ZONE_LABEL: f"z{index:03}"}) for index in range(ZONES_MAX + 5)]
    zones = zones_in(balance_part(balance_of(), nodes, {}))
    assert [zone.name for zone in zones] == [f"z{index:03}" for index in range(ZONES_MAX)]


@pytest.mark.parametrize("policies", [[policy_resource()], []], ids=["with a policy", "without any policy"])
async def test_a_balance_counts_the_workloads_that_it_selects_on_the_nodes_that_it_selects(
    policies: list[dict[str, Any]],
) -> None:
    spec: dict[str, Any] = {
        "maxSkew": 1,
        "nodeSelector": {"matchLabels": {"pool": "p"}},
        "match": {"labels": {"matchLabels": {"app": "web"}}},
    }
    records: list[Record] = [
        make_node("a", labels={"pool": "p", ZONE_LABEL: "a"}),
        make_node("b", labels={"pool": "p", ZONE_LABEL: "b"}),
        make_node("c", labels={ZONE_LABEL: "c"}),
        make_replicaset("web"),
        make_replicaset("other"),
        *(make_pod(f"web-{index}", node=NodeName("a")) for index in range(3)),
        make_pod("other-1", owner_uid=make_replicaset("other").uid, node=NodeName("b")),
    ]
    world = make_world(records, [*policies, resource(Kind.ZONAL_BALANCE, "zb", **spec)], FakeClock())
    counts = WorkloadCounts(world)
    await counts.refresh()
    part = BalanceContributor(world, counts, {}, Moving(), classes_of).part(
        balance_of(**spec), ZonalBalanceStatus(), NOW
    )
    assert (part.fields["workloads"], part.fields["max_skew"]) == (1, 3)
    assert part.fields["classes"] == ClassCounts(learning=1)
    assert [(zone.name, zone.nodes, zone.pods) for zone in zones_in(part)] == [("a", 1, 3), ("b", 1, 0)]


async def test_virtual_nodes_and_the_pods_on_them_are_in_no_zone() -> None:
    records: list[Record] = [
        make_node("a", labels={ZONE_LABEL: "a"}),
        make_node("b", labels={ZONE_LABEL: "b"}),
        *(make_node(f"v{zone}", labels={"type": "virtual", ZONE_LABEL: zone}) for zone in "av"),
        make_replicaset("web"),
        *(make_pod(f"web-{node}", node=NodeName(node)) for node in ("a", "b", "va", "vv")),
    ]
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": {"type": "virtual"}})
    world = make_world(records, [budget, resource(Kind.ZONAL_BALANCE, "zb")], FakeClock())
    counts = WorkloadCounts(world)
    await counts.refresh()
    part = BalanceContributor(world, counts, {}, Moving(), classes_of).part(balance_of(), ZonalBalanceStatus(), NOW)
    assert (part.fields["uneven_workloads"], part.fields["max_skew"]) == (0, 0)
    assert [(zone.name, zone.nodes, zone.pods) for zone in zones_in(part)] == [("a", 1, 1), ("b", 1, 1)]


@pytest.mark.parametrize("policies", [[policy_resource()], []], ids=["with a policy", "without any policy"])
async def test_a_stateful_set_is_one_of_the_workloads(policies: list[dict[str, Any]]) -> None:
    db = make_statefulset("db")
    records: list[Record] = [
        *(make_node(zone, labels={ZONE_LABEL: zone}) for zone in "ab"),
        db,
        *(
            make_pod(f"db-{n}", node=NodeName("a"), owner_uid=db.uid, owner_kind="StatefulSet", owner_name="db")
            for n in range(3)
        ),
    ]
    world = make_world(records, [*policies, resource(Kind.ZONAL_BALANCE, "zb")], FakeClock())
    counts = WorkloadCounts(world)
    await counts.refresh()
    part = BalanceContributor(world, counts, {}, Moving(), classes_of).part(balance_of(), ZonalBalanceStatus(), NOW)
    assert (part.fields["workloads"], part.fields["uneven_workloads"], part.fields["max_skew"]) == (1, 1, 3)
    assert [(zone.name, zone.pods) for zone in zones_in(part)] == [("a", 3), ("b", 0)]


def loads_of(percent: dict[str, float], *, at: float = NOW.timestamp(), problem: LoadProblem | None = None) -> Loads:
    return Loads({NodeName(name): load for name, load in percent.items()}, at, problem)


NODES = [make_node(name, labels={ZONE_LABEL: name[0]}) for name in ("a1", "a2", "b1")]


def test_a_known_load_shows_by_zone_and_as_imbalance() -> None:
    loads = loads_of({"a1": 90.0, "a2": 50.0, "b1": 20.0})
    part = balance_part(balance_of(), NODES, {}, loads=loads, hot=[NodeName("a1")], now=NOW.timestamp())
    assert [(zone.name, zone.load_percent) for zone in zones_in(part)] == [("a", 70), ("b", 20)]
    assert (part.fields["imbalance_percent"], part.fields["hot_nodes"]) == (70, ("a1",))
    stale = next(one for one in part.conditions if one.type == LOAD_DATA_STALE)
    assert (stale.holds, stale.reason) == (False, "LoadIsFresh")


@pytest.mark.parametrize(
    ("age", "problem", "stale", "reason"),
    [
        pytest.param(170, LoadProblem("PartialLoad", "half"), False, "LoadIsFresh", id="one bad reading"),
        pytest.param(190, LoadProblem("PartialLoad", "half"), True, "PartialLoad", id="bad for longer than staleAfter"),
        pytest.param(190, None, True, "OldLoad", id="no reading for longer"),
    ],
)
def test_a_load_that_is_not_known_is_absent_and_says_why(
    age: float, problem: LoadProblem | None, *, stale: bool, reason: str
) -> None:
    loads = loads_of({"a1": 90.0, "b1": 20.0}, at=NOW.timestamp() - age, problem=problem)
    part = balance_part(balance_of(load={"staleAfter": "3m"}), NODES, {}, loads=loads, now=NOW.timestamp())
    [condition] = [one for one in part.conditions if one.type == LOAD_DATA_STALE]
    assert (condition.holds, condition.reason) == (stale, reason)
    assert (part.fields["imbalance_percent"] is None) is stale
    assert {zone.load_percent for zone in zones_in(part)} == ({None} if stale else {90, 20})


UNREACHABLE = LoadProblem("MetricsUnreachable", "metrics.k8s.io: connection refused")
GOOD = ReadingState(NOW.timestamp())


@pytest.mark.parametrize(
    ("states", "told"),
    [
        pytest.param({Measure.ZONE_LOAD: GOOD}, ("LoadIsFresh", []), id="known"),
        pytest.param(
            {Measure.ZONE_LOAD: ReadingState(problem=UNREACHABLE)},
            ("MetricsUnreachable", ["prefer no zone"]),
            id="by zone",
        ),
        pytest.param(
            {Measure.ZONE_LOAD: GOOD, Measure.CLASS_USE: ReadingState(problem=UNREACHABLE)},
            ("MetricsUnreachable", ["no load class changes"]),
            id="for classes",
        ),
        pytest.param(
            {Measure.ZONE_LOAD: ReadingState(problem=LoadProblem("InvalidZone", "the value '<none>'"))},
            ("InvalidZone", ["the value '<none>'", "such values are ignored"]),
            id="invalid zones",
        ),
        pytest.param(
            {
                Measure.ZONE_LOAD: ReadingState(problem=LoadProblem("PartialZoneLoad", "half")),
                Measure.MOVE_USE: ReadingState(problem=UNREACHABLE),
            },
            ("PartialZoneLoad", ["half", "no zone is preferred for these workloads", "refused", "no pod is moved"]),
            id="two",
        ),
    ],
)
@pytest.mark.parametrize("loads", [None, loads_of({"a1": 90.0})], ids=["nodes are not read", "nodes are known"])
def test_whatever_else_is_not_known_is_told(
    states: dict[Measure, ReadingState], told: tuple[str, list[str]], loads: Loads | None
) -> None:
    part = balance_part(balance_of(), NODES, {}, loads=loads, states=states, now=NOW.timestamp())
    [condition] = [one for one in part.conditions if one.type == LOAD_DATA_STALE]
    reason, words = told
    assert (condition.holds, condition.reason) == (reason != "LoadIsFresh", reason)
    whole = Measure.ZONE_LOAD in states and reason == "MetricsUnreachable" and len(states) == 1
    assert ("new replicas and scale-downs" in condition.message) is whole
    places = [condition.message.index(one) for one in words]
    assert places == sorted(places)


def test_the_problem_of_another_balance_is_not_told() -> None:
    world = make_world([], [], FakeClock(NOW.timestamp()))
    world.board.note_reading("other", Measure.MOVE_USE, UNREACHABLE)
    contributor = BalanceContributor(world, WorkloadCounts(world), {}, Moving(), classes_of)
    for name, wanted in (("zb", []), ("other", ["MetricsUnreachable"])):
        balance = ZonalBalance.model_validate(resource(Kind.ZONAL_BALANCE, name))
        part = contributor.part(balance, ZonalBalanceStatus(), NOW)
        assert [one.reason for one in part.conditions if one.type == LOAD_DATA_STALE] == wanted


def test_without_readings_there_is_no_condition() -> None:
    part = balance_part(balance_of(), NODES, {})
    assert {one.type for one in part.conditions} == {"Ready"}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({"zoneSpread": {}}, "NoZones"), ({"zonePreference": {}}, "NoZones"), ({"hotNodes": {}}, "Balancing")],
)
def test_a_zone_key_that_no_node_has_is_named(spec: dict[str, Any], reason: str) -> None:
    balance = balance_of(zoneKey="example.com/zonne", **spec)
    ready = balance_part(balance, [make_node("n1")], {}, zoned=False).conditions[0]
    assert (ready.reason, ready.holds) == (reason, reason == "Balancing")
    assert ("example.com/zonne (spec.zoneKey)" in ready.message) == (reason == "NoZones")
    assert balance_part(balance, [make_node("n1")], {}).conditions[0].reason == "Balancing"


@pytest.mark.parametrize(("nodes", "reason"), [([], "Balancing"), ([make_node("n1")], "NoZones")])
def test_nodes_that_are_gone_do_not_make_it_unready(nodes: list[Record], reason: str) -> None:
    world = make_world(nodes, [], FakeClock(0.0))
    contributor = BalanceContributor(world, WorkloadCounts(world), {}, Moving(), classes_of)
    part = contributor.part(balance_of(zoneSpread={}), ZonalBalanceStatus(), NOW)
    assert [one.reason for one in part.conditions if one.type == "Ready"] == [reason]


@pytest.mark.parametrize(
    ("mode", "other", "wanted"),
    [
        pytest.param("Active", "kube-system/descheduler", (True, "DeschedulerRuns"), id="another runs"),
        pytest.param("Active", "", (False, "NoDescheduler"), id="none runs"),
        pytest.param("DryRun", "kube-system/descheduler", None, id="nothing is moved anyway"),
    ],
)
def test_another_descheduler_shows(mode: str, other: str, wanted: tuple[bool, str] | None) -> None:
    world = make_world([], [], FakeClock(0.0))
    contributor = BalanceContributor(world, WorkloadCounts(world), {}, Moving(other), classes_of)
    part = contributor.part(balance_of(rebalance={"mode": mode}), ZonalBalanceStatus(), NOW)
    found = [(one.holds, one.reason) for one in part.conditions if one.type == FOREIGN_DESCHEDULER]
    assert found == ([] if wanted is None else [wanted])
