"""Twin of tests/bench/placement_pools.py."""

import pytest

from tests.bench.placement_pools import GIB, Limits, Pool, Price, Size, Stay, Tenants, cost, parse_size

SMALL = Size(1000, 2 * GIB)
PRICE = Price(cpu=0.2, memory_gib=0.1, minimum_seconds=3600)


def test_a_price_is_per_core_and_gib() -> None:
    assert PRICE.of(SMALL) == pytest.approx(0.4)


def test_every_limit_is_held_at_every_moment() -> None:
    tenants = Tenants([Pool("a", PRICE, Limits(pods=2, cpu_millis=2500, memory_bytes=5 * GIB, cost_per_hour=0.9))])
    tenants.move("1", "a", SMALL, 0.0)
    tenants.move("2", "a", SMALL, 0.1)
    assert tenants.breaches == []
    tenants.move("3", "a", SMALL, 0.2)
    assert {breach.limit for breach in tenants.breaches} == {"pods", "cpu_millis", "memory_bytes", "cost_per_hour"}
    assert tenants.figures()["a"]["most_used"] == {
        "pods": 3,
        "cpu_millis": 3000,
        "memory_bytes": 6 * GIB,
        "cost_per_hour": 1.2,
    }


def test_a_breach_counts_when_it_begins() -> None:
    tenants = Tenants([Pool("a", PRICE, Limits(pods=1))])
    for uid in "123":
        tenants.move(uid, "a", SMALL, 1.0)
    assert [(breach.limit, breach.used, breach.at_hours) for breach in tenants.breaches] == [("pods", 2, 1.0)]
    tenants.move("1", None, SMALL, 2.0)
    tenants.move("2", None, SMALL, 2.0)
    tenants.move("4", "a", SMALL, 3.0)
    assert len(tenants.breaches) == 2


def test_full_is_no_breach() -> None:
    tenants = Tenants([Pool("a", PRICE, Limits(cost_per_hour=1.2))])
    for uid in "123":
        tenants.move(uid, "a", SMALL, 0.0)
    assert tenants.breaches == []
    assert tenants.on("a") == 3


def test_a_stay_ends_when_the_pod_goes_or_moves() -> None:
    tenants = Tenants([Pool("a", PRICE), Pool("b", PRICE)])
    tenants.move("1", "a", SMALL, 1.0)
    tenants.move("1", "a", SMALL, 2.0)
    tenants.move("1", "b", SMALL, 3.0)
    tenants.move("1", None, SMALL, 5.0)
    tenants.move("1", None, SMALL, 6.0)
    assert tenants.stays() == [Stay("a", SMALL, 1.0, 3.0), Stay("b", SMALL, 3.0, 5.0)]


def test_a_bigger_size_is_used_instead_of_the_smaller() -> None:
    tenants = Tenants([Pool("a", PRICE, Limits(cpu_millis=3000))])
    tenants.move("1", "a", SMALL, 0.0)
    tenants.move("1", "a", Size(4000, 8 * GIB), 1.0)
    assert [breach.used for breach in tenants.breaches] == [4000]


@pytest.mark.parametrize(
    ("stay", "hours"),
    [
        pytest.param(Stay("a", SMALL, 1.0, 4.0), 3.0, id="whole"),
        pytest.param(Stay("a", SMALL, 1.0, 1.1), 1.0, id="billed-for-the-minimum"),
        pytest.param(Stay("a", SMALL, 23.9), 0.1, id="still-there-when-the-day-ends"),
        pytest.param(Stay("a", SMALL, -2.0, 0.5), 0.5, id="there-before-the-day"),
        pytest.param(Stay("a", SMALL, 25.0, 26.0), 0.0, id="after-the-day"),
        pytest.param(Stay("a", SMALL, -2.0, -1.0), 0.0, id="before-the-day"),
    ],
)
def test_cost_of_a_day(stay: Stay, hours: float) -> None:
    pools = {"a": Pool("a", PRICE), "b": Pool("b", PRICE)}
    assert cost([stay], pools, until=24.0) == pytest.approx({"a": hours * 0.4, "b": 0.0})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", SMALL, id="none"),
        pytest.param("4000m-8589934592", Size(4000, 8 * GIB), id="bigger"),
        pytest.param("500m-1", SMALL, id="smaller"),
        pytest.param("4-8Gi", SMALL, id="not-ours"),
    ],
)
def test_parse_size(text: str, expected: Size) -> None:
    assert parse_size(text, SMALL) == expected
