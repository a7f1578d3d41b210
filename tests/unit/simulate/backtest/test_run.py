"""One backtest of made services: contenders are treated equally, and nothing is planned from what comes later."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from spillway.domain.forecast.spec import DAY_STEPS
from spillway.simulate.backtest.bounds import CLAIRVOYANT, OWNED
from spillway.simulate.backtest.case import LEARNING_STEPS, Case, CaseError, HourlyPrices, Service, Setup
from spillway.simulate.backtest.forecasts import demand_forecasts
from spillway.simulate.backtest.recommended import recommended
from spillway.simulate.backtest.rises import headroom_rules
from spillway.simulate.backtest.run import FLAT, HEADROOM, PLAIN, SPILLWAY, Result, run
from spillway.simulate.backtest.thresholds import Thresholds, thresholds

pytestmark = pytest.mark.xdist_group("backtest-run")

START = 1_767_571_200.0
REACTIVE = (PLAIN, FLAT)


def case(days: float = 4.0, services: int = 6) -> Case:
    hour = np.arange(int(days * DAY_STEPS)) / 12 % 24
    random = np.random.default_rng(5)
    waves = np.exp(-(((hour - 19) / 2.0) ** 2) / 2)
    demand = np.stack([(2 + (6 + 4 * one) * waves) * random.normal(1, 0.02, hour.size) for one in range(services)])
    return Case(
        "made",
        Setup(
            nodes=6,
            node_cores=8.0,
            node_gib=32.0,
            elastic_nodes=8,
            prices=HourlyPrices(owned_node=0.24, elastic_node=0.4, virtual_core=0.0405, virtual_gib=0.0045),
        ),
        tuple(Service(f"Deployment/shop/{one}", 1.0, 2.0) for one in range(services)),
        START,
        demand,
    )


@pytest.fixture(scope="module")
def result() -> Result:
    return run(case())


def test_all_contenders_pay_for_the_same_owned_nodes_over_the_same_hours(result: Result) -> None:
    owned = 6 * 0.24 * 48
    for name in (*REACTIVE, SPILLWAY, CLAIRVOYANT):
        figures = result.of(name).figures
        assert figures.owned_cost == pytest.approx(owned)
        assert figures.cost == pytest.approx(figures.owned_cost + figures.elastic_cost + figures.virtual_cost)
        assert sum(figures.cost_by_day) == pytest.approx(figures.cost)
        assert len(figures.cost_by_day) == 2


def test_no_contender_that_serves_all_demand_at_the_target_is_cheaper_than_the_clairvoyant(result: Result) -> None:
    served = [one for one in result.outcomes if one.figures.above_target_percent < 0.1]
    assert SPILLWAY in [one.name for one in served]
    least = result.of(CLAIRVOYANT).figures
    assert all(one.figures.cost >= least.cost for one in served)
    assert least.cost < result.of(OWNED).figures.cost


def test_a_forecast_has_replicas_up_before_they_are_needed(result: Result) -> None:
    late = {name: result.of(name).figures.above_target_percent for name in (*REACTIVE, SPILLWAY)}
    assert late[SPILLWAY] < 0.5 * min(late[name] for name in REACTIVE)


def test_with_forecasts_fewer_scale_downs_are_needless() -> None:
    made = case()
    noisy = replace(made, demand=made.demand * np.random.default_rng(1).normal(1, 0.05, made.demand.shape))
    found = run(noisy)
    plain, spillway = found.of(PLAIN).figures, found.of(SPILLWAY).figures
    assert spillway.needless_scale_downs < 0.5 * plain.needless_scale_downs
    assert spillway.scalings < plain.scalings


def test_headroom_has_nodes_up_before_pods_wait_for_them_and_keeps_none_in_the_valley() -> None:
    made = case()
    # Virtual nodes are dear, so the thresholds leave elastic nodes to the daily wave.
    prices = structs.replace(made.setup.prices, virtual_core=0.2)
    setup = structs.replace(made.setup, prices=prices, node_startup_seconds=600.0, elastic_nodes=14)
    found = run(replace(made, setup=setup))
    without, headroom = found.of(SPILLWAY).figures, found.of(HEADROOM).figures
    assert without.headroom_core_hours == 0 < headroom.headroom_core_hours
    assert headroom.waiting_pod_hours < 0.5 * without.waiting_pod_hours
    assert headroom.above_target_percent < 1
    tiers = found.of(HEADROOM).tiers
    assert tiers.headroom.max() > 0
    assert (tiers.headroom == 0).sum() > 0.5 * tiers.headroom.size
    assert (tiers.elastic == 0).sum() >= 0.9 * (found.of(SPILLWAY).tiers.elastic == 0).sum()


def test_headroom_is_replayed_only_where_there_are_elastic_nodes_to_keep_it_on() -> None:
    made = case(3, services=1)
    found = run(replace(made, setup=structs.replace(made.setup, elastic_nodes=0)))
    assert HEADROOM not in [one.name for one in found.outcomes]


def test_no_headroom_is_kept_for_replicas_that_go_to_virtual_nodes() -> None:
    whole = case(3, services=1)
    forecasts, morning = demand_forecasts(whole), 2 * DAY_STEPS + 15 * 12
    kept = headroom_rules(whole, forecasts, [Thresholds(0, (None,))])
    virtual = headroom_rules(whole, forecasts, [Thresholds(0, (2,))])
    replicas = np.array([2])
    rises = [kept.rises(step, replicas) for step in range(morning, morning + 36)]
    assert any(rises)
    assert not any(virtual.rises(step, replicas) for step in range(morning, morning + 36))


def test_nodes_are_never_fuller_than_full(result: Result) -> None:
    for one in result.outcomes:
        assert 0 < one.figures.cpu_percent <= one.figures.packing_percent <= 100 + 1e-6


@pytest.mark.parametrize(
    ("name", "cost", "node_hours", "above_target_percent", "evictions", "packing_percent"),
    [
        (PLAIN, 97.353333, 70.583333, 1.456052, 40, 55.440971),
        (FLAT, 94.786667, 64.166667, 1.409521, 24, 56.480715),
        (SPILLWAY, 95.3715, 0.0, 0.056009, 0, 58.597367),
    ],
)
def test_the_figures_stay_the_same_however_fast_the_replay_is(
    result: Result,
    name: str,
    *,
    cost: float,
    node_hours: float,
    above_target_percent: float,
    evictions: int,
    packing_percent: float,
) -> None:
    figures = result.of(name).figures
    assert figures.cost == pytest.approx(cost, abs=1e-5)
    assert figures.elastic_node_hours == pytest.approx(node_hours, abs=1e-5)
    assert figures.above_target_percent == pytest.approx(above_target_percent, abs=1e-5)
    assert figures.evictions == evictions
    assert figures.packing_percent == pytest.approx(packing_percent, abs=1e-5)


def test_thresholds_follow_from_the_days_before_alone() -> None:
    whole = case(5)
    changed = whole.demand.copy()
    changed[0, LEARNING_STEPS + DAY_STEPS :] *= 3
    before = thresholds(whole)
    after = thresholds(replace(whole, demand=changed))
    assert before[0].replicas == (None,) * 6
    assert before[:3] == after[:3]
    assert before[3] != after[3]


def test_where_a_missing_replica_costs_more_a_forecast_asks_for_more() -> None:
    made = case(3, services=2)
    noisy = replace(made, demand=made.demand * np.random.default_rng(1).normal(1, 0.1, made.demand.shape))
    means = [
        np.nanmean(demand_forecasts(replace(noisy, setup=structs.replace(noisy.setup, forecast_price=price))).served)
        for price in (1.0, 10.0, 100.0)
    ]
    assert means == sorted(set(means))


def test_recommended_replicas_follow_from_the_steps_before_alone() -> None:
    whole, cut = case(3, services=2), 2 * DAY_STEPS + 100
    changed = whole.demand.copy()
    changed[:, cut:] *= 1.5
    before, after = (recommended(one, demand_forecasts(one)) for one in (whole, replace(whole, demand=changed)))
    assert (before[:, : cut + 1] == after[:, : cut + 1]).all()
    assert (before[:, cut + 1 :] < after[:, cut + 1 :]).any()


def test_gaps_are_filled_and_the_same_case_gives_the_same_result() -> None:
    demand = case(3, services=2).demand.copy()
    demand[0, 100:140] = np.nan
    gappy = replace(case(3, services=2), demand=demand)
    first, second = run(gappy), run(gappy)
    assert [one.figures for one in first.outcomes] == [one.figures for one in second.outcomes]
    assert np.isfinite(first.demand_cores).all()


def test_too_little_demand_is_refused() -> None:
    with pytest.raises(CaseError, match=r"48\.0 hours of demand; a backtest needs two days"):
        case(2)


def test_progress_is_told_up_to_the_end() -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    run(case(2.1, services=1), progress=lambda what, done, of: seen.setdefault(what, []).append((done, of)))
    assert list(seen) == ["forecasts", "recommended replicas", "thresholds", PLAIN, FLAT, SPILLWAY, HEADROOM]
    assert all(steps[0][0] == 0 and steps[-1][0] == steps[-1][1] for steps in seen.values())
