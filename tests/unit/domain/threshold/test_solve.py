"""The plan from a request and its pasts: what it holds on to from the last one, and what fits."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.coming_day import ComingDay
from spillway.domain.threshold.cycle import Cycle
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.past import Past
from spillway.domain.threshold.request import Plan, PlanRequest, PolicyNeed, Stance, WorkloadNeed
from spillway.domain.threshold.solve import STEPS, solve

CART = "Deployment/shop/cart"
EVENING = np.where((np.arange(STEPS) >= 216) & (np.arange(STEPS) < 264), 40.0, 10.0)


def plan(cores: float, *, before: int | None = None, elastic: float | None = None) -> Plan:
    """Of one workload, whose replicas use a core each, on owned nodes of so many cores."""
    known = {} if before is None else {CART: before}
    virtual = None if elastic is None else 2.0
    policy = PolicyNeed(
        name="online", target=1.0, elastic_node_hour=elastic, virtual_core_hour=virtual, virtual_gib_hour=virtual
    )
    request = PlanRequest(
        now=0.0,
        capacity_cores=cores,
        node_cores=1.0,
        policies=(policy,),
        workloads=(
            WorkloadNeed(
                workload=CART, policy="online", stance=Stance.AUTO, replicas=10, request_cores=1, request_gib=0, load=1
            ),
        ),
        previous=known,
        previous_owned=known if elastic is None else {},
    )
    return solve(request, {CART: Past(Cycle(EVENING, 100), 40.0, 14 * 86_400.0)})


@pytest.mark.parametrize(
    ("before", "threshold"),
    [
        pytest.param(None, 30, id="nothing to hold on to"),
        pytest.param(29, 29, id="one less"),
        pytest.param(27, 30, id="three less is more than a tenth"),
        pytest.param(28, 28, id="a tenth less"),
        pytest.param(31, 30, id="one more would not fit"),
    ],
)
def test_a_threshold_that_is_little_else_stays_where_it_fits(before: int | None, threshold: int) -> None:
    found = plan(30, before=before)

    assert found.thresholds() == {CART: threshold}
    assert found.peak_cores == threshold <= found.allowed_cores


@pytest.mark.parametrize(("before", "threshold"), [(None, 40), (39, 39), (30, 40)])
def test_what_is_on_elastic_nodes_is_held_the_same_way(before: int | None, threshold: int) -> None:
    # Four hours of a day on an elastic node are cheaper than on a virtual one.
    found = plan(30, before=before, elastic=0.1)

    assert found.thresholds() == {CART: threshold}
    assert found.owned() == {CART: 30}


def policy(**changes: Any) -> PolicyNeed:
    """One with prices, in which a virtual core costs as much as five owned ones."""
    priced = {"fixed_node_hour": 1.0, "virtual_core_hour": 5.0, "virtual_gib_hour": 0.0, "currency": "CNY"}
    return PolicyNeed(name="online", **{"target": 1.0, **priced, **changes})


def need(name: str = "cart", **changes: Any) -> WorkloadNeed:
    plain = {"stance": Stance.AUTO, "replicas": 10, "request_cores": 1.0, "request_gib": 0.0, "load": 1.0}
    return WorkloadNeed(workload=f"Deployment/shop/{name}", policy="online", **{**plain, **changes})


def solved(*needs: WorkloadNeed, cores: float, of: PolicyNeed | None = None, **changes: Any) -> Plan:
    """All of them with a fortnight of the same days."""
    request = PlanRequest(
        **{"now": 0.0, "capacity_cores": cores, "node_cores": 1.0, **changes},
        policies=(of if of is not None else policy(),),
        workloads=needs,
    )
    return solve(request, {one.workload: Past(Cycle(EVENING, 100), 40.0, 14 * 86_400.0) for one in needs})


def test_a_workload_that_requests_nothing_takes_no_amount_from_the_others() -> None:
    [alone] = solved(need(), cores=30).policies
    both = solved(need(), need("besteffort", request_cores=0.0), cores=30)

    [sums] = both.policies
    assert sums.owned_nodes_advised == alone.owned_nodes_advised
    assert sums.saved_vs_owned == pytest.approx(alone.saved_vs_owned, abs=0.1)
    assert sums.nodes
    assert [one.saving_per_hour is None for one in both.workloads] == [False, True]


@pytest.mark.parametrize(
    ("of", "nodes", "fit"),
    [
        pytest.param(need(load=0.6), {"cores": 20.0}, 20, id="a replica uses less of its request than the target"),
        pytest.param(need(load=0.8), {"cores": 20.0}, 16, id="and more: its load counts"),
        pytest.param(
            need(request_gib=4.0),
            {"cores": 32.0, "node_cores": 32.0, "capacity_gib": 64.0, "node_gib": 64.0},
            16,
            id="memory is short, though the load is high",
        ),
        pytest.param(
            need(request_gib=4.0, load=0.1),
            {"cores": 32.0, "node_cores": 32.0, "capacity_gib": 64.0, "node_gib": 64.0},
            16,
            id="memory is short",
        ),
        pytest.param(
            need(request_gib=2.0, load=0.1),
            {"cores": 32.0, "node_cores": 32.0, "capacity_gib": 24.0, "node_gib": 64.0},
            12,
            id="memory that others request is not there",
        ),
        pytest.param(
            need(request_gib=0.5, load=0.65),
            {"cores": 32.0, "node_cores": 32.0, "capacity_gib": 64.0, "node_gib": 64.0},
            32,
            id="memory is plenty",
        ),
    ],
)
def test_no_more_is_planned_on_owned_nodes_than_the_scheduler_can_place(
    of: WorkloadNeed, nodes: dict[str, float], fit: int
) -> None:
    found = solved(of, of=policy(target=0.65), **nodes)

    assert found.thresholds() == {CART: fit}
    assert found.peak_cores <= found.allowed_cores + 1e-9


def test_a_history_that_is_gone_takes_no_threshold_away() -> None:
    lost = need("lost", replicas=40, maximum=25)
    request = PlanRequest(
        now=0.0,
        capacity_cores=60.0,
        node_cores=1.0,
        policies=(policy(elastic_node_hour=2.0),),
        workloads=(need(), lost, need("young", replicas=2)),
        previous={CART: 30, lost.workload: 28},
        previous_owned={CART: 30, lost.workload: 20},
    )
    found = solve(request, {CART: Past(Cycle(EVENING, 100), 40.0, 14 * 86_400.0)})

    cart, kept, young = found.workloads
    assert (kept.threshold, kept.owned, kept.kept) == (25, 20, True)
    assert (young.threshold, young.kept) == (None, False)
    # What is left of 60 cores beside the 20 and the 2.
    assert (cart.owned, cart.kept) == (38, False)
    [sums] = found.policies
    assert (sums.auto, sums.learning) == (3, 1)
    assert kept.saving_per_hour is None
    assert sums.saved_vs_owned is not None


def test_thresholds_are_those_of_the_coming_day_and_money_is_that_of_usual_days() -> None:
    quiet = ComingDay(np.full(STEPS, 5.0), Basis.FORECAST, 0.5)
    usual = Past(Cycle(EVENING, 90), 40.0, 14 * 86_400.0)
    cart, other = need(replicas=5), need("other")
    request = PlanRequest(now=0.0, capacity_cores=40.0, node_cores=1.0, policies=(policy(),), workloads=(cart, other))

    found = solve(request, {CART: replace(usual, coming=quiet), other.workload: usual})
    before = solve(request, {CART: usual, other.workload: usual})

    assert sum(before.thresholds().values()) == 40
    assert before.thresholds()[other.workload] < 35
    assert found.thresholds() == {CART: 5, other.workload: 35}, "what one does not need is there for the other"
    assert [(one.basis, one.forecast_loss_percent, one.peak) for one in found.workloads] == [
        (Basis.FORECAST, 50, 5),
        (None, None, 40),
    ]
    assert found.policies == before.policies
    for now, then in zip(found.workloads, before.workloads, strict=True):
        assert (now.saving_per_hour, now.confidence) == (then.saving_per_hour, then.confidence)


@pytest.mark.parametrize(("minimum", "excess"), [(5, 0.0), (12, 5.5)])
def test_minima_that_exceed_the_target_are_in_the_plan(minimum: int, excess: float) -> None:
    found = solved(need(minimum=minimum), cores=10.0, of=policy(target=0.65))

    assert found.excess_cores == pytest.approx(excess)


@pytest.mark.parametrize(
    ("cores", "bounds", "threshold"),
    [
        pytest.param(100.0, {}, 80, id="room for all"),
        pytest.param(60.0, {}, 60, id="room for some"),
        pytest.param(100.0, {"maximum": 50}, 50, id="no more than max"),
        pytest.param(30.0, {}, 30, id="no room for what the past knows"),
    ],
)
def test_a_service_that_doubled_gets_what_is_left_of_the_owned_nodes(
    cores: float, bounds: dict[str, Any], threshold: int
) -> None:
    found = solved(need(replicas=80, **bounds), cores=cores)

    assert found.thresholds() == {CART: threshold}
    assert found.peak_cores == threshold


def test_what_a_service_has_grown_by_is_given_back_when_others_need_the_room() -> None:
    cart, other = need(replicas=44), need("other", replicas=40)
    grown = {cart.workload: 44, other.workload: 40}

    found = solved(cart, other, cores=81.0, previous=grown, previous_owned=grown)

    assert found.thresholds() == {cart.workload: 41, other.workload: 40}
    assert found.peak_cores == 81


def test_minima_that_find_no_node_are_not_what_exceeds_the_target() -> None:
    # Three pods of 12 cores: 36 of 100 cores, and no node has more than 10.
    found = solved(need(minimum=3, request_cores=12.0), **TEN_OF_TEN)

    assert (found.excess_cores, found.unplaced_cores, found.unplaced) == (0.0, 36.0, (CART,))


TEN_OF_TEN: dict[str, Any] = {"cores": 100.0, "node_cores": 10.0, "nodes": (NodeGroup(count=10, cores=10.0),)}


@pytest.mark.parametrize("stance", [Stance.PHYSICAL, Stance.PINNED, Stance.AUTO])
def test_pods_larger_than_any_node_take_no_threshold_from_others(stance: Stance) -> None:
    """A pod of any size can be requested; as it waits for a node, no other workload gives up its place."""
    huge = need("huge", stance=stance, request_cores=10_000.0, replicas=40, pinned=40)

    assert solved(need(), huge, **TEN_OF_TEN).thresholds()[CART] == 40
    assert solved(need(replicas=80), huge, **TEN_OF_TEN).thresholds()[CART] == 80, "it may also grow"


@pytest.mark.parametrize(("request_cores", "threshold"), [(2.0, 40), (5.2, 10), (11.0, 0)])
def test_no_more_pods_are_planned_than_find_a_node(request_cores: float, threshold: int) -> None:
    found = solved(need(request_cores=request_cores), **TEN_OF_TEN)

    assert found.thresholds() == {CART: threshold}


def test_neither_the_hysteresis_nor_growth_plans_pods_that_find_no_node() -> None:
    big = need(request_cores=5.2, replicas=60)

    found = solved(big, previous={CART: 11}, previous_owned={CART: 11}, **TEN_OF_TEN)

    assert found.thresholds() == {CART: 10}


@pytest.mark.parametrize(
    ("max_nodes", "threshold", "size"),
    [
        pytest.param(None, 40, 4.0, id="no limit"),
        pytest.param(2, 18, 4.0, id="two nodes of four cores"),
        pytest.param(2, 10, 0.5, id="nodes that are too small"),
        pytest.param(None, 10, 0.5, id="nodes that are too small, however many"),
    ],
)
def test_no_more_is_planned_on_elastic_nodes_than_they_hold(max_nodes: int | None, threshold: int, size: float) -> None:
    of = policy(elastic_node_hour=0.1, elastic_node_cores=size, elastic_max_nodes=max_nodes)

    found = solved(need(), cores=10.0, of=of)

    assert (found.owned(), found.thresholds()) == ({CART: 10}, {CART: threshold})


def test_a_policy_that_only_recommends_moves_no_pod() -> None:
    """Its pods request 60 of 100 cores and stay there; its own advice is what both would have if it acted."""
    both = (policy(), PolicyNeed(name="watched", target=1.0, acting=False))
    cart = need(replicas=40)
    other = WorkloadNeed(
        workload="Deployment/shop/other",
        policy="watched",
        stance=Stance.AUTO,
        replicas=40,
        request_cores=2.0,
        request_gib=0.0,
        load=1.0,
    )
    pasts = {one.workload: Past(Cycle(EVENING, 100), 40.0, 14 * 86_400.0) for one in (cart, other)}
    request = PlanRequest(
        now=0.0,
        capacity_cores=100.0,
        node_cores=10.0,
        nodes=(NodeGroup(count=5, cores=10.0), NodeGroup(count=5, cores=10.0, watched_cores=12.0)),
        policies=both,
        workloads=(cart, other),
    )

    found = solve(request, pasts)
    alone = solve(msgspec.structs.replace(request, policies=both[1:], workloads=(other,)), pasts)

    assert found.capacity_cores == 40.0
    assert found.thresholds()[CART] == 40, "what is left is enough"
    assert found.peak_cores == 40.0
    as_if = solve(
        msgspec.structs.replace(request, policies=(both[0], msgspec.structs.replace(both[1], acting=True))), pasts
    )
    assert found.thresholds()[other.workload] == as_if.thresholds()[other.workload]
    assert as_if.thresholds()[CART] < 40, "the two do not fit together"
    assert [one.name for one in found.policies] == ["online", "watched"]
    assert alone.thresholds()[other.workload] == 40, "alone, its plan is that of all"


def test_the_advice_has_room_for_daemonsets_and_for_pods_that_nobody_governs() -> None:
    def advised(**others: Any) -> int | None:
        found = solved(need(), cores=100.0, of=policy(fixed_node_hour=10.0), node_cores=10.0, **others)
        return found.policies[0].owned_nodes_advised

    assert advised() == 1, "ten replicas are needed all day"
    assert advised(per_node_cores=2.0) == 2
    assert advised(other_cores=15.0) == 3
    assert advised(per_node_cores=2.0, other_cores=15.0) == 4
    assert advised(per_node_cores=10.0) is None, "no node has room beside its own pods"


@pytest.mark.parametrize("stance", [Stance.PHYSICAL, Stance.PINNED])
def test_the_curve_begins_where_what_must_be_owned_fits(stance: Stance) -> None:
    found = solved(need(stance=stance, pinned=30), need("min", minimum=5), cores=0.0, node_cores=10.0)

    [sums] = found.policies
    least = 5 if stance is Stance.PHYSICAL else 4
    assert sums.nodes[0].nodes == least
    assert sums.owned_nodes_advised is not None
    assert sums.owned_nodes_advised >= least


def test_large_pods_need_a_node_each_in_the_advice_too() -> None:
    [sums] = solved(need(request_cores=6.0, minimum=10), cores=100.0, node_cores=10.0).policies

    assert sums.nodes[0].nodes == 10
    assert sums.nodes[-1].nodes == 40
