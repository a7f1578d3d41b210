"""The running total of a pool, held against the sum over its pods: whatever the ticks, the restarts and the months."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.api.virtualnodebudget import PoolPrice
from spillway.domain.budget.ledger import PoolLedger, owed_seconds
from spillway.domain.budget.month import month_of, time_zone
from spillway.domain.budget.price import per_hour
from spillway.domain.model.usage import Usage

GIB = 1 << 30
START = int(datetime(2026, 11, 10, 8, tzinfo=UTC).timestamp())


def price(cpu_hour: str = "3.6", minimum_seconds: int = 60, currency: str = "CNY") -> PoolPrice:
    """By default a core costs a thousandth a second, which has no rest when it is divided."""
    return PoolPrice.model_validate(
        {"currency": currency, "cpuHour": cpu_hour, "memoryGiBHour": "0.36", "minimumSeconds": minimum_seconds}
    )


def ledger(at: int = START, zone: str = "UTC", spent: Decimal = Decimal(0), **changes: Any) -> PoolLedger[str]:
    return PoolLedger(at=at, zone=time_zone(zone), price=price(**changes), spent=spent)


@dataclass(frozen=True)
class Life:
    """A pod of some cores and GiB from a start to an end, in seconds after START."""

    name: str
    account: str
    started: int
    ended: int
    cores: int
    gib: int

    def begin(self, to: PoolLedger[str], now: int) -> None:
        to.begin(
            self.name,
            self.account,
            started=START + self.started,
            billed=Usage(1, self.cores * 1000, self.gib * GIB),
            now=now,
        )

    def resume(self, to: PoolLedger[str], charged_until: int) -> None:
        to.resume(
            self.name,
            self.account,
            started=START + self.started,
            billed=Usage(1, self.cores * 1000, self.gib * GIB),
            charged_until=charged_until,
        )

    def cost(self, minimum: int, until: int) -> Decimal:
        """Until so many seconds after START."""
        seconds = owed_seconds(self.started, minimum, min(until, self.ended))
        return seconds * (self.cores * Decimal("0.001") + self.gib * Decimal("0.0001"))


def lives(count: int = 8) -> st.SearchStrategy[list[Life]]:
    one = st.builds(
        lambda account, started, runs, cores, gib: Life("", account, started, started + runs, cores, gib),
        st.sampled_from("abc"),
        st.integers(0, 900),
        st.integers(1, 400),
        st.integers(0, 16),
        st.integers(0, 64),
    )
    return st.lists(one, max_size=count).map(
        lambda found: [replace(life, name=str(number)) for number, life in enumerate(found)]
    )


ticks = st.lists(st.integers(1, 1400), max_size=12)


def play(to: PoolLedger[str], pods: list[Life], ticks: list[int], *, begin: int = 0, until: int) -> None:
    """Tell a ledger of starts and ends in their order, with ticks in between."""
    moments = sorted(
        [
            *((life.started, 1, life) for life in pods if begin <= life.started < until),
            *((life.ended, 0, life) for life in pods if begin < life.ended <= until),
            *((tick, 2, None) for tick in ticks if begin < tick <= until),
        ],
        key=lambda item: item[:2],
    )
    for moment, kind, life in moments:
        if life is None:
            to.advance(START + moment)
        elif kind == 1:
            life.begin(to, START + moment)
        else:
            to.end(life.name, now=START + moment)
    to.advance(START + until)


@given(lives(), ticks, st.integers(0, 120))
def test_the_total_is_the_sum_over_the_pods_however_time_is_cut(
    pods: list[Life], cuts: list[int], minimum: int
) -> None:
    whole, cut = ledger(minimum_seconds=minimum), ledger(minimum_seconds=minimum)
    play(whole, pods, [], until=1400)
    play(cut, pods, cuts, until=1400)
    expected = sum((life.cost(minimum, 1400) for life in pods), Decimal(0))
    assert whole.spent == cut.spent == expected
    collected = cut.collect()
    for account in "abc":
        of_account = sum((life.cost(minimum, 1400) for life in pods if life.account == account), Decimal(0))
        assert collected.get(account, 0) == of_account
    assert not cut.collect()
    assert cut.present == Usage()
    assert cut.owed == cut.spent


@given(lives(), ticks, st.integers(0, 120), st.integers(1, 1399))
def test_a_caller_that_takes_the_time_charges_the_same_as_one_that_collects(
    pods: list[Life], cuts: list[int], minimum: int, repriced: int
) -> None:
    one, whole, charged = ledger(minimum_seconds=minimum), ledger(minimum_seconds=minimum), dict[str, Decimal]()
    before, paid, now = 0, price(minimum_seconds=minimum), 0
    for now in sorted({*cuts, repriced, 1400}):
        for to in (one, whole):
            play(to, pods, [], begin=before, until=now)
        if one.unchanged:
            rates, seconds = one.rates(), one.pass_time()
            assert one.pass_time() == 0
            found = {
                account: per_hour(paid, usage.cpu_millis, usage.memory_bytes) * seconds / 3600
                for account, usage in rates.items()
            }
        else:
            found = dict(one.collect())
        for account, amount in found.items():
            charged[account] = charged.get(account, Decimal(0)) + amount
        if now == repriced:
            paid = price("7.2", minimum)
            for to in (one, whole):
                to.reprice(paid, time_zone("UTC"), now=START + now)
        before = now
    assert one.spent == whole.spent
    for account, amount in one.collect().items():
        charged[account] = charged.get(account, Decimal(0)) + amount
    assert {account: amount for account, amount in charged.items() if amount} == whole.collect()


def test_time_that_passes_is_taken_only_over_a_ledger_that_has_not_changed() -> None:
    one = ledger(minimum_seconds=60)
    Life("p", "a", 0, 9999, 1, 0).begin(one, START)
    one.advance(START + 100)
    with pytest.raises(ValueError, match="changed"):
        one.pass_time()
    assert one.collect() == {"a": Decimal("0.1")}
    one.advance(START + 130)
    assert (one.rates(), one.pass_time()) == ({"a": Usage(1, 1000, 0)}, 30)
    one.advance(START + 140)
    Life("q", "b", 140, 9999, 1, 0).begin(one, START + 140)
    assert not one.unchanged, "it has begun"
    assert one.collect() == {"a": Decimal("0.01")}, "the caller has charged the other thirty seconds"
    one.advance(START + 150)
    assert one.collect() == {"a": Decimal("0.01"), "b": Decimal("0.06")}
    one.advance(START + 180)
    assert one.unchanged
    one.advance(START + 210)
    assert not one.unchanged, "its minimum billing time is over"


def test_while_no_pod_changes_the_time_passes_without_a_look_at_each_account(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ledger(minimum_seconds=0)
    for number in range(50):
        Life(f"p{number}", f"a{number}", 0, 9999, 1, 0).begin(one, START)
    one.advance(START + 10)
    one.collect()
    asked: list[int] = []

    def counted(*arguments: Any) -> Decimal:
        asked.append(1)
        return per_hour(*arguments)

    monkeypatch.setattr("spillway.domain.budget.ledger.per_hour", counted)
    one.advance(START + 20)
    assert one.unchanged
    assert one.spent == one.owed == Decimal(1)
    assert len(asked) <= 3
    assert len(one.collect()) == 50


@given(lives(), st.integers(0, 120))
def test_the_total_never_falls(pods: list[Life], minimum: int) -> None:
    one = ledger(minimum_seconds=minimum)
    before = Decimal(0)
    for moment in range(0, 1400, 37):
        play(one, pods, [], begin=moment - 37, until=moment)
        assert one.spent >= before
        before = one.spent


@given(lives(), ticks, st.integers(1, 1300), st.integers(0, 120), st.integers(0, 8))
def test_a_restart_changes_nothing_for_pods_that_still_run(
    pods: list[Life], cuts: list[int], restart: int, minimum: int, late: int
) -> None:
    """Also for those that the ledger gets only after it was advanced."""
    first = ledger(minimum_seconds=minimum)
    play(first, pods, cuts, until=restart)
    second = ledger(at=first.at, spent=first.spent, minimum_seconds=minimum)
    stored, running = first.at, [life for life in pods if life.started < restart < life.ended]
    for number, life in enumerate(running):
        if number == late:
            second.advance(START + restart)
        life.resume(second, stored)
    play(second, pods, [], begin=restart, until=1400)
    assert second.spent == sum((life.cost(minimum, 1400) for life in pods), Decimal(0))


@given(lives(), st.integers(1, 600), st.integers(0, 600), st.integers(0, 120), st.integers(0, 8))
def test_a_gap_is_filled_from_the_starts(pods: list[Life], stopped: int, away: int, minimum: int, late: int) -> None:
    """Also for pods that the ledger gets only after it was advanced."""
    first = ledger(minimum_seconds=minimum)
    play(first, pods, [], until=stopped)
    back = stopped + away
    second = ledger(at=first.at, spent=first.spent, minimum_seconds=minimum)
    for number, life in enumerate(life for life in pods if life.started < back < life.ended):
        if number == late:
            second.advance(START + back)
        life.resume(second, first.at)
    play(second, pods, [], begin=back, until=1400)
    missed = [life for life in pods if stopped < life.ended <= back]
    expected = sum((life.cost(minimum, 1400) for life in pods if life not in missed), Decimal(0))
    # Of those that ended unseen it is known what they cost until the ledger was last written.
    assert second.spent == expected + sum((life.cost(minimum, stopped) for life in missed), Decimal(0))


@given(lives(), st.integers(1, 1399), st.integers(0, 120))
def test_a_pod_that_is_seen_late_is_charged_from_its_start(pods: list[Life], late: int, minimum: int) -> None:
    one = ledger(minimum_seconds=minimum)
    one.advance(START + late)
    for life in pods:
        life.begin(one, START + max(late, life.started))
    one.advance(START + 1400)
    assert one.spent == sum((replace(life, ended=9999).cost(minimum, 1400) for life in pods), Decimal(0))


def test_a_pod_that_ends_early_has_paid_the_minimum() -> None:
    one = ledger(minimum_seconds=60)
    Life("p", "a", 0, 10, 1, 0).begin(one, START)
    assert one.spent == 0
    assert one.owed == Decimal("0.06")
    one.advance(START + 1)
    assert one.owed == one.spent
    assert one.spent == Decimal("0.06")
    one.end("p", now=START + 10)
    one.advance(START + 500)
    assert one.spent == Decimal("0.06")


def test_a_pod_that_ends_in_the_second_in_which_it_starts_owes_the_minimum() -> None:
    one = ledger(minimum_seconds=60)
    Life("p", "a", 0, 0, 1, 0).begin(one, START)
    one.end("p", now=START)
    assert one.spent == one.owed == Decimal("0.06")
    assert one.collect() == {"a": Decimal("0.06")}


@given(st.integers(0, 900), st.integers(0, 400), st.integers(0, 120), st.integers(-500, 1300))
def test_a_life_that_nobody_saw_is_charged_as_if_somebody_had(
    started: int, runs: int, minimum: int, month: int
) -> None:
    end = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    life = Life("p", "a", started + end - START - month, started + runs + end - START - month, 1, 0)
    seen, unseen = (ledger(at=end - month - 1, minimum_seconds=minimum) for _ in range(2))
    life.begin(seen, START + life.started)
    seen.end("p", now=START + life.ended)
    later = max(START + life.ended, end - month + 1400)
    seen.advance(later)
    unseen.charge("a", started=START + life.started, ended=START + life.ended, billed=Usage(1, 1000, 0), now=later)
    assert seen.spent == unseen.spent


def test_a_price_counts_from_when_it_is_told() -> None:
    one = ledger(minimum_seconds=0)
    Life("p", "a", 0, 9999, 1, 0).begin(one, START)
    one.reprice(price("7.2", 0), time_zone("UTC"), now=START + 100)
    one.advance(START + 200)
    assert one.spent == Decimal("0.1") + Decimal("0.2")
    one.reprice(None, time_zone("UTC"), now=START + 300)
    one.advance(START + 1000)
    assert one.spent == Decimal("0.5")


@pytest.mark.parametrize(("currency", "another"), [("CNY", False), ("USD", True)])
def test_a_price_that_was_removed_comes_back(currency: str, *, another: bool) -> None:
    one, zone = ledger(minimum_seconds=0), time_zone("UTC")
    Life("p", "a", 0, 9999, 1, 0).begin(one, START)
    assert not one.reprice(None, zone, now=START + 100)
    assert one.reprice(price("3.6", 0, currency), zone, now=START + 200) is another
    assert not one.reprice(price("3.6", 0, currency), zone, now=START + 200)
    one.advance(START + 250)
    assert one.spent == Decimal("0.05") + (0 if another else Decimal("0.1"))


def test_a_bigger_size_counts_from_now_and_pays_no_second_minimum() -> None:
    one = ledger(minimum_seconds=60)
    Life("p", "a", 0, 9999, 1, 0).begin(one, START)
    one.resize("p", billed=Usage(1, 2000, 0), now=START + 100)
    one.advance(START + 200)
    assert one.spent == Decimal("0.1") + Decimal("0.2")
    assert one.present == Usage(1, 2000, 0)
    assert one.present_of() == {"a": Usage(1, 2000, 0)}


def test_a_clock_that_goes_back_charges_nothing() -> None:
    one = ledger(minimum_seconds=0)
    Life("p", "a", 0, 9999, 1, 0).begin(one, START)
    one.advance(START + 100)
    one.advance(START + 50)
    one.end("p", now=START + 40)
    one.advance(START + 100)
    assert one.spent == Decimal("0.1")


def test_a_month_ends_in_the_zone_of_the_pool() -> None:
    end = int(datetime(2026, 11, 30, 16, tzinfo=UTC).timestamp())  # midnight in Shanghai
    one = ledger(at=end - 100, zone="Asia/Shanghai", minimum_seconds=0)
    one.begin("p", "a", started=end - 100, billed=Usage(1, 1000, 0), now=end - 100)
    assert not one.advance(end - 1)
    assert one.spent == Decimal("0.099")
    assert one.advance(end)
    assert one.spent == 0
    one.advance(end + 30)
    assert one.spent == Decimal("0.03")
    assert one.collect() == {"a": Decimal("0.13")}


@given(lives(), ticks, st.integers(1, 1399), st.integers(0, 120))
def test_of_a_new_month_only_its_own_share_counts(
    pods: list[Life], cuts: list[int], boundary: int, minimum: int
) -> None:
    end = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    shift = end - START - boundary
    moved = [replace(life, started=life.started + shift, ended=life.ended + shift) for life in pods]
    one = ledger(at=START + shift, minimum_seconds=minimum)
    play(one, moved, [cut + shift for cut in cuts], begin=shift, until=1400 + shift)
    expected = sum(
        (life.cost(minimum, 1400 + shift) - life.cost(minimum, boundary + shift) for life in moved), Decimal(0)
    )
    assert one.spent == expected


def test_a_total_that_is_months_old_has_nothing_of_this_month() -> None:
    one = ledger(at=START, spent=Decimal(500), minimum_seconds=0)
    one.resume("p", "a", started=START - 50, billed=Usage(1, 1000, 0), charged_until=START)
    now = int(datetime(2027, 2, 1, 0, 0, 10, tzinfo=UTC).timestamp())
    assert one.advance(now)
    assert one.spent == Decimal("0.01")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York", "Africa/Cairo", "America/Havana"])
@given(moment=st.integers(1_700_000_000, 2_300_000_000))
@settings(max_examples=40)
def test_months_join_without_a_gap(zone: str, moment: int) -> None:
    month = month_of(moment, time_zone(zone))
    assert month.start <= moment < month.end
    assert month_of(month.end, time_zone(zone)).start == month.end
    assert month_of(month.start, time_zone(zone)) == month
    assert month_of(month.start - 1, time_zone(zone)).end == month.start


def test_a_month_with_a_change_of_clocks_is_longer_or_shorter_by_it() -> None:
    day = 86_400
    march = month_of(int(datetime(2026, 3, 15, tzinfo=UTC).timestamp()), time_zone("Europe/Berlin"))
    october = month_of(int(datetime(2026, 10, 15, tzinfo=UTC).timestamp()), time_zone("Europe/Berlin"))
    assert march.end - march.start == 31 * day - 3600
    assert october.end - october.start == 31 * day + 3600


def test_a_zone_that_is_none_counts_as_utc() -> None:
    assert time_zone("Mars/Olympus") is UTC
