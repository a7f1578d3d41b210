"""The price of a pod: exact, and of a bigger size only where Spillway could have asked for it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.virtualnodebudget import PodSpecSize, PoolPrice
from spillway.domain.budget.price import EXACT, billed, per_hour, shown, size_asked
from spillway.domain.model.units import GIB
from spillway.domain.model.usage import Usage
from spillway.domain.pools.sizes import Size

PRICE = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"})
LADDER = [PodSpecSize.model_validate({"cpu": cpu, "memory": memory}) for cpu, memory in (("500m", "9Gi"), ("4", "8Gi"))]
millis, amounts = st.integers(0, 10**6), st.integers(0, 10**13)


@pytest.mark.parametrize(
    ("cpu_millis", "memory_bytes", "cost"),
    [
        (0, 0, "0"),
        (1000, 0, "0.35"),
        (0, GIB, "0.044"),
        (1500, 2 * GIB, "0.613"),
        (1, 1, f"{EXACT.add(Decimal('0.00035'), EXACT.divide(Decimal('0.044'), Decimal(GIB)))}"),
    ],
)
def test_an_hour_costs_the_cores_and_the_gibibytes(cpu_millis: int, memory_bytes: int, cost: str) -> None:
    assert per_hour(PRICE, cpu_millis, memory_bytes) == Decimal(cost)


@given(millis, amounts, millis, amounts)
def test_two_pods_cost_what_each_costs_to_the_last_digit(cpu: int, memory: int, more: int, much: int) -> None:
    together = per_hour(PRICE, cpu + more, memory + much)
    assert together == EXACT.add(per_hour(PRICE, cpu, memory), per_hour(PRICE, more, much))


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param("999999999m-1", id="someone's own"),
        pytest.param("4000m-8589934593", id="beside the ladder"),
        pytest.param(f"500m-{9 * GIB}", id="on the ladder, and too small for the pod"),
        pytest.param("by another client", id="no size"),
        pytest.param("9" * 5000 + "m-1", id="a number that is no number"),
    ],
)
def test_a_size_that_was_not_asked_of_the_provider_costs_nothing(mark: str) -> None:
    """Anybody who may change a pod may write one."""
    asked = Usage(1, 1000, 2 * GIB)
    assert billed(asked, mark, LADDER) == asked


@given(st.builds(Usage, st.just(1), millis, amounts), st.sampled_from(["", "4000m-8589934592", f"500m-{9 * GIB}"]))
def test_a_bill_is_never_smaller_than_the_requests(asked: Usage, mark: str) -> None:
    bill = billed(asked, mark, LADDER)
    assert (bill.cpu_millis, bill.memory_bytes) >= (asked.cpu_millis, asked.memory_bytes)
    assert bill.cpu_millis >= asked.cpu_millis
    assert bill.memory_bytes >= asked.memory_bytes
    assert bill.pods == 1


@pytest.mark.parametrize(
    ("mark", "size"),
    [("", Size(1000, GIB)), ("4000m-8589934592", Size(4000, 8 * GIB)), (f"2000m-{4 * GIB}", Size(1000, GIB))],
)
def test_a_size_is_the_marked_step_of_the_ladder_or_the_requests(mark: str, size: Size) -> None:
    assert size_asked(Usage(1, 1000, GIB), mark, LADDER) == size


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("12", "12"),
        ("1.50", "1.5"),
        ("0.0000004", "0"),
        ("0.1234565", "0.123456"),
        ("100", "100"),
        ("1e15", "999999999999.999999"),
    ],
)
def test_an_amount_is_shown_with_six_decimals_at_most(amount: str, text: str) -> None:
    assert shown(Decimal(amount)) == text
