"""The books that the leader keeps: what each change of pods, nodes and budgets does to them, and what they tell."""

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from prometheus_client.samples import Sample
from structlog.testing import capture_logs

from spillway.api.virtualnodebudget import BudgetUse, VirtualNodeBudgetStatus
from spillway.controllers.base import World
from spillway.controllers.budget.controller import BudgetController
from spillway.controllers.budget.pool_costs import PERSIST_SECONDS
from spillway.controllers.budget.resource_seconds import NAMES_KEPT_SECONDS, WorkloadConsumption
from spillway.controllers.budget.status import BudgetContributor
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.budget.ledger import PoolLedger
from spillway.domain.budget.price import per_hour, shown
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.proofs import with_proof
from spillway.domain.model.records import Phase, PodRecord
from spillway.kube.slices import TimeSlice
from spillway.state.catalog import Kind
from spillway.state.mark_proof import MarkProof
from spillway.telemetry import budget as metrics
from spillway.telemetry.budget import LIMIT_USED
from spillway.telemetry.registry import CounterMetric
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import ELASTIC, make_world, policy_resource, resource

START = datetime(2026, 11, 10, 8, tzinfo=UTC).timestamp()
GIB = 1 << 30
PRICE = {"currency": "CNY", "cpuHour": "3.6", "memoryGiBHour": "0", "minimumSeconds": 60}
"""A thousandth for a second of a core."""


def budget(name: str = "eci", version: int = 1, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    given = {"nodeSelector": {"matchLabels": {"pool": name}}, "price": PRICE, **spec}
    return resource(Kind.VIRTUAL_NODE_BUDGET, name, version=version, **given) | {"status": status or {}}


LADDER = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": cpu, "memory": "1Gi"} for cpu in ("2", "4")]}


def kept(amount: str, ago: int, currency: str = "CNY") -> dict[str, Any]:
    at = datetime.fromtimestamp(START - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"used": {"pods": 0, "costThisMonth": amount, "costPerHour": "0", "currency": currency, "at": at}}


def virtual_pod(name: str, *, ago: int = 0, cpu_millis: int = 1000, **changes: Any) -> PodRecord:
    """A pod on the pool's node that started so many seconds before the test began."""
    given = {"node": NodeName("v1"), "started": START - ago, "cpu_millis": cpu_millis, **changes}
    return make_pod(name, **given)


class Stage:
    """A world with a pool, and its ledger."""

    def __init__(
        self, *records: Any, resources: list[dict[str, Any]] | None = None, proof: MarkProof | None = None
    ) -> None:
        self.clock = FakeClock(START)
        nodes = [
            make_node("n1"),
            make_node("v1", labels={"pool": "eci"}),
            make_node("v2", labels={"pool": "tke"}),
        ]
        policy = policy_resource(elastic=ELASTIC, virtual={"budgets": ["eci"]})
        self.world: World = make_world(
            [*nodes, make_replicaset(), *records], [policy, *(resources or [budget()])], self.clock, proof=proof
        )
        self.ledger = BudgetController(self.world, period_seconds=10)
        self.told = 0
        self.ledger.status_due.subscribe(self._told)

    def _told(self) -> None:
        self.told += 1

    async def begin(self) -> "Stage":
        list(self.ledger.subscribe())
        await self.ledger.reconcile("*")
        return self

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.world.state.mark_synced()

    async def tick(self, seconds: float) -> None:
        await self.pass_time(seconds)
        assert await self.ledger.reconcile("*") == 10

    def apply(self, *records: PodRecord) -> None:
        for record in records:
            self.world.state.apply(record)

    def change(self, name: str, **changes: Any) -> None:
        pod = self.world.state.pod("shop", name)
        assert pod is not None
        self.world.state.apply(msgspec.structs.replace(pod, **changes))

    def remove(self, name: str) -> None:
        pod = self.world.state.pod("shop", name)
        assert pod is not None
        self.world.state.remove(pod)

    def spent(self, name: str = "eci") -> Decimal:
        costs = self.ledger.costs(name)
        assert costs is not None
        return costs.spent

    def rate(self) -> Decimal:
        costs = self.ledger.costs("eci")
        assert costs is not None
        return costs.per_hour

    def written(self, amount: str, ago: int = 0) -> None:
        """The status controller has written."""
        entry = self.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET)["eci"]
        self.world.catalog.status_written(entry, kept(amount, int(START - self.clock.now()) + ago))


async def test_pods_are_charged_from_their_start_to_their_end() -> None:
    stage = await Stage().begin()
    await stage.pass_time(100)
    stage.apply(virtual_pod("a", ago=-95), virtual_pod("waits", started=0.0))
    assert stage.rate() == Decimal("3.6")
    await stage.tick(105)
    assert stage.spent() == Decimal("0.110")
    stage.change("a", phase=Phase.SUCCEEDED, ended=START + 200)
    assert stage.rate() == 0
    await stage.tick(1000)
    assert stage.spent() == Decimal("0.110"), "the account was brought up to the tick before the end was heard"


async def test_a_pod_that_lives_between_two_ticks_is_charged_the_minimum() -> None:
    stage = await Stage().begin()
    await stage.pass_time(2)
    stage.apply(virtual_pod("a", ago=-2))
    assert stage.world.board.spent == {"eci": Decimal("0.06")}, "admission counts it at once"
    await stage.pass_time(3)
    stage.remove("a")
    await stage.tick(5)
    assert stage.spent() == Decimal("0.06")


async def test_a_pod_that_we_first_see_when_it_has_ended_is_charged_once() -> None:
    stage = await Stage().begin()
    await stage.pass_time(200)
    ended: dict[str, Any] = {"phase": Phase.SUCCEEDED, "ended": START + 130}
    stage.apply(virtual_pod("a", ago=-30, **ended), virtual_pod("waits", started=0.0))
    stage.change("waits", started=START + 50, **ended)
    stage.change("waits", tier="virtual")
    stage.remove("waits")
    await stage.tick(10)
    assert stage.spent() == Decimal("0.1") + Decimal("0.08")


async def test_the_next_leader_goes_on_where_the_status_ends() -> None:
    running = virtual_pod("a", ago=1000)
    later = virtual_pod("b", ago=50)
    stage = await Stage(running, later, resources=[budget(status=kept("7.5", ago=300))]).begin()
    assert stage.spent() == Decimal("7.5") + Decimal("0.3") + Decimal("0.06")


async def test_admission_knows_what_a_pool_has_cost_before_consumption_is_taken_up() -> None:
    fixed = make_pod("f", node=NodeName("n1"), policy="online", tier="fixed")
    stage = Stage(fixed, virtual_pod("a", ago=200), resources=[budget(status=kept("7.5", ago=300))])
    board = stage.world.board
    known: list[bool] = []

    async def pause(_: TimeSlice) -> None:
        known.append(board.spent_read.is_set())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TimeSlice, "pause", pause)
        await stage.begin()
    assert [one for one, _ in itertools.groupby(known)] == [False, True]
    assert board.spent == {"eci": Decimal("7.5") + Decimal("0.2")}


@pytest.mark.parametrize(
    "stored",
    [
        {"at": "0001-01-01T00:00:00Z", "costThisMonth": "7.5", "currency": "CNY"},
        {"at": "0001-01-01T00:00:00+14:00", "costThisMonth": "7.5", "currency": "CNY"},
        {"at": "soon", "costThisMonth": "abc", "currency": "CNY"},
    ],
)
async def test_a_total_that_somebody_has_damaged_is_of_no_use_and_stops_nothing(stored: dict[str, str]) -> None:
    stage = Stage(resources=[budget(timeZone="America/New_York")])
    [entry] = stage.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET).values()
    stage.world.catalog.status_written(entry, {"used": {"pods": 1, **stored}})
    await stage.begin()
    assert stage.world.board.spent == {"eci": Decimal(0)}


async def test_pods_that_ended_unseen_are_charged_where_they_still_say_when() -> None:
    gone = virtual_pod("a", ago=1000, phase=Phase.SUCCEEDED, ended=START - 100)
    short = virtual_pod("b", ago=90, phase=Phase.FAILED, ended=START - 80)
    before = virtual_pod("c", ago=1000, phase=Phase.SUCCEEDED, ended=START - 400)
    stage = await Stage(gone, short, before, resources=[budget(status=kept("0", ago=300))]).begin()
    assert stage.spent() == Decimal("0.2") + Decimal("0.06")
    assert stage.rate() == 0


async def test_use_and_limits_of_a_status_count_the_same_pods() -> None:
    stage = Stage(virtual_pod("a"), resources=[budget(limits={"pods": 1})])
    contributor = BudgetContributor(WorkloadCounts(stage.world), stage.ledger)
    model, at = stage.world.governance.budgets["eci"], datetime.fromtimestamp(START, UTC)
    assert "used" not in contributor.part(model, VirtualNodeBudgetStatus(), at).fields, "not known yet"
    await stage.begin()
    stage.world.state.remove(make_node("v1", labels={"pool": "eci"}))
    part = contributor.part(model, VirtualNodeBudgetStatus(), at)
    assert [one.holds for one in part.conditions if one.type == "AtLimit"] == [True]
    used = part.fields["used"]
    assert isinstance(used, BudgetUse)
    assert (used.pods, used.cpu) == (1, "1")


async def test_books_that_nobody_kept_begin_now() -> None:
    for status in ({}, kept("9", ago=300, currency="USD"), {"used": {"pods": 3}}):
        stage = await Stage(virtual_pod("a", ago=1000), resources=[budget(status=status)]).begin()
        assert stage.spent() == 0
        await stage.tick(100)
        assert stage.spent() == Decimal("0.1")


async def test_a_bigger_size_is_billed_and_requests_are_used() -> None:
    stage = await Stage(
        virtual_pod("a", size=f"4000m-{GIB}"),
        resources=[budget(limits={"costPerHour": "20", "cpu": "5"}, stockOut=LADDER)],
    ).begin()
    assert stage.rate() == Decimal("14.4")
    assert {use.name: use.share for use in stage.ledger.limits("eci") or ()} == {
        "cpu": Decimal("0.2"),
        "costPerHour": Decimal("0.72"),
    }
    for size in ("", "999999999m-1", f"8000m-{GIB}"):
        stage.change("a", size=size)
        assert stage.rate() == Decimal("3.6"), "only a size of the ladder was asked of the provider"


async def test_a_size_is_charged_only_where_spillway_wrote_it() -> None:
    proof, written = MarkProof(), MarkProof()
    written.use(b"secret")
    size = f"4000m-{GIB}"
    stage = await Stage(virtual_pod("a", size=size), resources=[budget(stockOut=LADDER)], proof=proof).begin()
    assert stage.rate() == Decimal("3.6"), "any user of the pod may have written it"
    stage.change("a", size=with_proof(size, written.of_size("shop", OwnerUid("rs-web"), size)))
    assert stage.rate() == Decimal("3.6"), "the key is not known yet"
    proof.use(b"secret")
    assert stage.rate() == Decimal("14.4")


async def test_what_has_a_place_and_has_not_started_counts_against_limits_and_costs_nothing() -> None:
    stage = await Stage(resources=[budget(limits={"costPerHour": "36", "pods": 4})]).begin()
    stage.apply(virtual_pod("a", started=0.0))
    assert stage.rate() == 0
    assert [use.share for use in stage.ledger.limits("eci") or ()] == [Decimal("0.25"), Decimal("0.1")]
    stage.change("a", started=START)
    assert stage.rate() == Decimal("3.6")
    assert [use.share for use in stage.ledger.limits("eci") or ()] == [Decimal("0.25"), Decimal("0.1")]


async def test_a_resize_in_place_is_billed_once_it_is_granted() -> None:
    stage = await Stage(virtual_pod("a"), resources=[budget(limits={"cpu": "10"})]).begin()
    stage.change("a", held=(1000, GIB))
    stage.change("a", cpu_millis=1_000_000)
    assert stage.rate() == Decimal("3.6")
    assert [use.share for use in stage.ledger.limits("eci") or ()] == [100]
    assert stage.ledger.resizing("eci")
    await stage.tick(3600)
    assert stage.spent() < 5
    stage.change("a", held=(2000, GIB))
    assert stage.rate() == Decimal("7.2")
    stage.change("a", cpu_millis=2000)
    assert not stage.ledger.resizing("eci")


async def test_budgets_come_change_and_go() -> None:
    stage = await Stage(virtual_pod("a", ago=500), virtual_pod("b", ago=500, node=NodeName("v2"))).begin()
    assert stage.ledger.costs("tke") is None
    catalog = stage.world.catalog
    await stage.tick(100)
    raised = PRICE | {"cpuHour": "7.2"}
    catalog.replace(Kind.VIRTUAL_NODE_BUDGET, [budget(version=2, price=raised), budget("tke", version=3)], 60)
    await stage.tick(0)
    await stage.tick(100)
    assert stage.spent() == Decimal("0.1") + Decimal("0.2")
    assert stage.spent("tke") == Decimal("0.1"), "from when its books were opened"
    catalog.replace(Kind.VIRTUAL_NODE_BUDGET, [budget("tke", version=3)], 70)
    await stage.tick(10)
    assert stage.ledger.costs("eci") is None
    assert stage.ledger.limits("eci") is None
    assert "eci" not in stage.world.board.spent
    stage.remove("a")


async def test_another_currency_begins_a_new_total() -> None:
    stage = await Stage(virtual_pod("a", ago=500)).begin()
    await stage.tick(100)
    stage.world.catalog.replace(Kind.VIRTUAL_NODE_BUDGET, [budget(version=2, price=PRICE | {"currency": "USD"})], 60)
    await stage.tick(50)
    await stage.tick(10)
    costs = stage.ledger.costs("eci")
    assert costs is not None
    assert (costs.currency, costs.spent) == ("USD", Decimal("0.01"))


async def test_another_currency_begins_a_new_total_also_after_a_time_without_a_price() -> None:
    stage = await Stage(virtual_pod("a", ago=500)).begin()
    await stage.tick(100)
    budgets = stage.world.catalog
    without = budget(version=2)
    del without["spec"]["price"]
    budgets.replace(Kind.VIRTUAL_NODE_BUDGET, [without], 60)
    await stage.tick(10)
    with capture_logs() as logs:
        budgets.replace(Kind.VIRTUAL_NODE_BUDGET, [budget(version=3, price=PRICE | {"currency": "USD"})], 70)
        await stage.tick(0)
        await stage.tick(10)
    costs = stage.ledger.costs("eci")
    assert costs is not None
    assert (costs.currency, costs.spent) == ("USD", Decimal("0.01"))
    assert [(log["key"], log["currency"]) for log in logs if "another currency" in log["event"]] == [("eci", "USD")]


async def test_what_was_consumed_is_counted_in_the_currency_in_which_it_was_charged() -> None:
    stage = await Stage(virtual_pod("a", ago=500, policy="online", tier="virtual", pool="eci")).begin()
    stage.world.catalog.replace(Kind.VIRTUAL_NODE_BUDGET, [budget(version=2, price=PRICE | {"currency": "USD"})], 60)
    await stage.tick(50)
    await stage.tick(10)
    cost = [
        metrics.CONSUMED_COST.labels("shop", "Deployment/shop/web", "eci", currency)._value.get()
        for currency in ("CNY", "USD")
    ]
    assert cost == pytest.approx([0.05, 0.01])


async def test_a_node_that_joins_or_leaves_the_pool_takes_its_pods_along() -> None:
    stage = await Stage(virtual_pod("a", ago=500, node=NodeName("n1"))).begin()
    await stage.pass_time(100)
    stage.world.state.apply(make_node("n1", labels={"pool": "eci"}))
    await stage.tick(100)
    assert stage.spent() == Decimal("0.1")
    stage.world.state.apply(make_node("n1"))
    assert stage.rate() == 0
    await stage.tick(100)
    assert stage.spent() == Decimal("0.1")


async def test_a_node_seen_after_its_pods_and_one_gone_before_them() -> None:
    stage = await Stage().begin()
    stage.apply(virtual_pod("a", node=NodeName("v9")), virtual_pod("marked", node=NodeName("v9"), pool="eci"))
    assert stage.rate() == Decimal("3.6"), "its own mark says where it is"
    await stage.pass_time(5)
    stage.world.state.apply(make_node("v9", labels={"pool": "eci"}))
    assert stage.rate() == Decimal("7.2")
    await stage.tick(95)
    assert stage.spent() == Decimal("0.2"), "the one that we saw late is charged from its start"
    stage.world.state.remove(make_node("v9", labels={"pool": "eci"}))
    await stage.tick(100)
    assert stage.spent() == Decimal("0.4"), "its pods are charged until they are gone"
    stage.remove("a")
    stage.remove("marked")
    await stage.tick(100)
    assert stage.rate() == 0
    assert stage.spent() == Decimal("0.4")


async def test_the_status_is_asked_for_when_there_is_something_to_keep_or_to_tell() -> None:
    stage = await Stage(virtual_pod("a"), resources=[budget(limits={"costPerMonth": "0.5"})]).begin()
    assert stage.told == 1, "nothing stands there yet"
    stage.written("0")
    await stage.tick(10)
    assert stage.told == 1
    await stage.tick(PERSIST_SECONDS - 10)
    assert stage.told == 2, "the total has to be kept"
    stage.written("0.3")
    await stage.tick(90)
    assert stage.told == 3, "75 %"
    await stage.tick(9)
    assert stage.told == 3
    await stage.tick(1)
    assert stage.told == 4, "80 %"
    stage.remove("a")
    await stage.tick(1)
    assert stage.told == 5, "what the last pod has cost"
    stage.written(str(stage.spent()))
    stage.apply(virtual_pod("b"))
    stage.remove("b")
    await stage.tick(1)
    assert stage.told == 6, "what one has cost that came and went between two looks"
    stage.written(str(stage.spent()))
    for _ in range(100):
        await stage.tick(10)
    assert stage.told == 6, "nothing runs, nothing is written"


async def test_a_month_that_ends_is_told_and_begins_with_nothing() -> None:
    stage = await Stage(resources=[budget(status=kept("7", ago=10), timeZone="Asia/Shanghai")]).begin()
    before = stage.told
    end = datetime(2026, 11, 30, 16, tzinfo=UTC).timestamp()
    await stage.tick(end - START - 1)
    assert (stage.told, stage.spent()) == (before, Decimal(7))
    await stage.tick(1)
    assert (stage.told, stage.spent()) == (before + 1, Decimal(0))


async def test_a_pool_without_a_price_has_limits_and_no_cost() -> None:
    stage = await Stage(virtual_pod("a"), resources=[budget(price=None, limits={"pods": 1})]).begin()
    await stage.tick(PERSIST_SECONDS * 2)
    assert stage.ledger.costs("eci") is None
    assert [use.share for use in stage.ledger.limits("eci") or ()] == [1]
    assert stage.world.board.spent == {}
    assert stage.told == 1, "that the limit is reached"
    assert LIMIT_USED.labels("eci", "pods")._value.get() == 1


def consumed(tier: str, pool: str, workload: str = "Deployment/shop/web") -> tuple[float, float]:
    labels = ("" if workload == "other" else "shop", workload, tier, pool)
    return tuple(
        counter.labels(*labels)._value.get()
        for counter in (metrics.CONSUMED_CPU_SECONDS, metrics.CONSUMED_MEMORY_BYTE_SECONDS)
    )


@pytest.fixture(autouse=True)
def fresh_counters() -> None:
    for counter in (metrics.CONSUMED_CPU_SECONDS, metrics.CONSUMED_MEMORY_BYTE_SECONDS, metrics.CONSUMED_COST):
        counter.clear()


async def test_consumption_by_workload_tier_and_pool() -> None:
    fixed = make_pod("f", policy="online", tier="fixed", started=START - 50, cpu_millis=500)
    ours = virtual_pod("v", policy="online", tier="virtual", pool="eci", size=f"2000m-{GIB}")
    nobodys = make_pod("nobodys", started=START)
    stage = await Stage(fixed, ours, nobodys, resources=[budget(stockOut=LADDER)]).begin()
    await stage.tick(10)
    stage.apply(make_pod("f2", policy="online", tier="fixed", started=START + 10, cpu_millis=500))
    await stage.tick(10)
    assert consumed("fixed", "") == (15, 30 * GIB)
    assert consumed("virtual", "eci") == (20, 20 * GIB), "requests, not what is billed"
    stage.remove("f")
    await stage.pass_time(10)
    stage.change("f2", phase=Phase.FAILED)
    stage.remove("v")
    await stage.tick(10)
    assert consumed("fixed", "") == (20, 40 * GIB)
    cost = metrics.CONSUMED_COST.labels("shop", "Deployment/shop/web", "eci", "CNY")._value.get()
    assert cost == pytest.approx(0.12), "the minimum of a minute, of two cores"
    await stage.tick(10)
    assert consumed("fixed", "") == (20, 40 * GIB)


async def test_while_no_pod_changes_consumption_is_counted_without_looking_at_each_workload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixed = [
        make_pod(f"f{n}", owner_uid=f"u{n}", cpu_millis=1000, policy="online", tier="fixed", started=START)
        for n in range(50)
    ]
    stage = await Stage(*fixed, resources=[budget(price=None)]).begin()
    await stage.tick(10)
    looked_up: list[str] = []
    plain = WorkloadConsumption.workload

    def workload(self: WorkloadConsumption, account: str) -> str:
        looked_up.append(account)
        return plain(self, account)

    monkeypatch.setattr(WorkloadConsumption, "workload", workload)
    for _ in range(5):
        await stage.tick(10)
    assert looked_up == []
    assert sum(one.value for one in _consumed_cpu_seconds()) == 50 * 60
    stage.remove("f0")
    await stage.tick(10)
    assert len(looked_up) >= 49
    assert sum(one.value for one in _consumed_cpu_seconds()) == 50 * 60 + 49 * 10
    looked_up.clear()
    await stage.tick(NAMES_KEPT_SECONDS)
    assert len(looked_up) == 49, "the name of a workload may have changed"


async def test_while_no_pod_changes_what_a_pool_costs_is_counted_without_looking_at_each_workload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = [virtual_pod(f"p{n}", owner_uid=f"u{n}", owner_kind="Job", owner_name=f"j{n}", ago=100) for n in range(50)]
    stage = await Stage(*pods).begin()
    await stage.tick(10)
    before = _total(metrics.CONSUMED_COST)
    collected: list[None] = []
    plain = PoolLedger.collect

    def collect(self: PoolLedger[str]) -> Mapping[str, Decimal]:
        collected.append(None)
        return plain(self)

    monkeypatch.setattr(PoolLedger, "collect", collect)
    for ticks in range(1, 6):
        await stage.tick(10)
        assert _total(metrics.CONSUMED_COST) - before == pytest.approx(50 * 0.001 * 10 * ticks)
    assert collected == []
    stage.remove("p0")
    await stage.tick(10)
    assert collected
    assert _total(metrics.CONSUMED_COST) - before == pytest.approx(50 * 0.05 + 49 * 0.01)
    spent = stage.spent()
    stage.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget(version=2, price={**PRICE, "cpuHour": "7.2"}))
    for _ in range(2):
        await stage.tick(10)
    assert _total(metrics.CONSUMED_COST) - before == pytest.approx(50 * 0.05 + 49 * (0.01 + 0.01 + 0.02))
    assert stage.spent() - spent == Decimal("0.001") * 49 * 30


def _consumed_cpu_seconds() -> Iterable[Sample]:
    return _samples(metrics.CONSUMED_CPU_SECONDS)


def _total(counter: CounterMetric) -> float:
    return sum(one.value for one in _samples(counter))


def _samples(counter: CounterMetric) -> Iterable[Sample]:
    [family] = counter.collect()
    return [one for one in family.samples if one.name.endswith("_total")]


async def test_jobs_of_a_cron_job_are_one_workload_and_bare_pods_one_a_namespace() -> None:
    owner: dict[str, Any] = {"owner_kind": "Job", "policy": "online", "tier": "fixed", "started": START}
    stage = await Stage(
        make_pod("j1", owner_uid="u1", owner_name="report-29381040", **owner),
        make_pod("j2", owner_uid="u2", owner_name="report-29381041", **owner),
        virtual_pod("bare", owner_uid="", owner_kind="", owner_name=""),
    ).begin()
    await stage.tick(10)
    assert consumed("fixed", "", "CronJob/shop/report") == (10, 20 * GIB)
    assert consumed("virtual", "eci", "Pod/shop/*") == (10, 10 * GIB)


async def test_a_pod_that_its_owner_lets_go_is_charged_to_the_next_and_once() -> None:
    """Who takes a label off a pod, to look into it, makes its ReplicaSet let go of it."""
    fixed = make_pod("f", policy="online", tier="fixed", started=START, cpu_millis=1000)
    ours = virtual_pod("v", policy="online", tier="virtual", pool="eci")
    stage = await Stage(fixed, ours).begin()
    await stage.tick(100)
    await stage.pass_time(5)
    for name in ("f", "v"):
        stage.change(name, owner_uid="", owner_kind="", owner_name="")
    await stage.tick(5)
    for name in ("f", "v"):
        stage.remove(name)
    await stage.tick(10)
    for tier, pool in (("fixed", ""), ("virtual", "eci")):
        assert consumed(tier, pool)[0] == 105
        assert consumed(tier, pool, "Pod/shop/*")[0] == 5
    assert stage.spent() == Decimal("0.110")


async def test_a_total_that_is_shown_in_fewer_digits_is_kept() -> None:
    """A thousandth of a core for a second is a millionth here, a ten-thousandth of it a digit that no status shows."""
    stage = await Stage(resources=[budget(price=PRICE | {"cpuHour": "0.123456789"})]).begin()
    stage.apply(virtual_pod("a"))
    await stage.tick(61)
    stage.remove("a")
    await stage.tick(1)
    stage.written(shown(stage.spent()))
    assert shown(stage.spent()) != str(stage.spent())
    before = stage.told
    await stage.tick(10)
    assert stage.told == before


async def test_the_status_model_reads_what_the_books_say() -> None:
    """What is written can be read again by the next leader."""
    stage = await Stage(virtual_pod("a")).begin()
    await stage.tick(61)
    costs = stage.ledger.costs("eci")
    assert costs is not None
    assert costs.by_workload == {"Deployment/shop/web": Decimal("3.6")}
    assert VirtualNodeBudgetStatus.model_validate(kept(str(costs.spent), 0)).used is not None


async def test_a_pod_that_requests_more_than_its_node_has_is_charged_for_the_node() -> None:
    huge = virtual_pod("a", cpu_millis=9 * 10**18, memory_bytes=9 * 10**18)
    whole = make_node("v1", labels={"pool": "eci"})
    stage = await Stage(huge).begin()
    price = stage.world.governance.budgets["eci"].spec.price
    assert price is not None
    most = per_hour(price, whole.cpu_millis, whole.memory_bytes)
    assert stage.rate() == most > 0
    await stage.tick(3600)
    spent = stage.spent()
    stage.world.state.remove(whole)
    stage.change("a", ready=True, restarts=1)
    assert stage.rate() == most, "the node is gone and what it held is remembered"
    await stage.tick(3600)
    assert stage.spent() - spent == most
