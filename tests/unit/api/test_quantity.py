"""Quantities, durations and money: Kubernetes' own examples, and what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.quantity import cpu_millis, duration_seconds, memory_bytes, money, parse_quantity


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("2", 2000),
        ("500m", 500),
        ("0.5", 500),
        (".5", 500),
        ("1.", 1000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("1k", 1_000_000),
        ("100u", 1),  # rounded up, as Kubernetes does
        ("1n", 1),
        ("+2", 2000),
        ("0", 0),
        ("0.0001", 1),
    ],
)
def test_cpu_in_millis(text: str, millis: int) -> None:
    assert cpu_millis(text) == millis


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4Gi", 4 << 30),
        ("512Mi", 512 << 20),
        ("1.5Gi", 3 << 29),
        ("40Ti", 40 << 40),
        ("1Ei", 1 << 60),
        ("1E", 10**18),
        ("129M", 129_000_000),
        ("128974848", 128_974_848),
        ("129e6", 129_000_000),
        ("128974848000m", 128_974_848),
        ("100m", 1),
    ],
)
def test_memory_in_bytes(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "ten", "1 Gi", "1GiB", "1e", "--1", "1.2.3", "Gi", "1K", "0x10", "1e999", "1" * 99]
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="for example"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1e99", "10e99", "9" * 30, "9223372036854775808", "8Ei", "-1e30"])
def test_an_amount_that_kubernetes_cannot_count_is_refused(text: str) -> None:
    for parse in (cpu_millis, memory_bytes):
        with pytest.raises(ValueError, match="more than Kubernetes can count"):
            parse(text)


def test_the_largest_amount_that_kubernetes_counts() -> None:
    assert memory_bytes(str(2**63 - 1)) == 2**63 - 1
    assert cpu_millis("9e15") == 9 * 10**18


@given(st.integers(0, 10**9))
def test_millis_are_read_back_exactly(millis: int) -> None:
    assert cpu_millis(f"{millis}m") == millis
    assert cpu_millis(f"{Decimal(millis) / 1000:f}") == millis


@given(st.decimals(0, 10**6, allow_nan=False, places=4), st.sampled_from(["", "m", "k", "Ki", "Mi", "G", "Ti"]))
def test_rounding_is_up_and_by_less_than_one(number: Decimal, suffix: str) -> None:
    exact = parse_quantity(f"{number}{suffix}")
    assert 0 <= memory_bytes(f"{number}{suffix}") - exact < 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("5m", 300), ("5h", 18_000), ("14d", 1_209_600), ("1h30m", 5400), ("1d2h3m4s", 93_784), ("0s", 0)],
)
def test_durations(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "5 m", "30m1h", "1w", "-5m", "1.5h", "m", "\u0665m"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="for example"):
        duration_seconds(text)


def test_money_stays_exact() -> None:
    assert money("0.1") + money("0.2") == money("0.3")


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,5", ".5", "1.", "NaN", "1.0000000001"])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        money(text)
