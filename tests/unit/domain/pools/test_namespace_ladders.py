"""The steps of a pool by namespace: which hold for one namespace, which for everyone, and when they are forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.pools.namespace_ladders import EVERYONE, NO_LADDERS, NamespaceLadders
from spillway.domain.pools.size_ladder import BOTTOM, Position


def ladders(**steps: int) -> NamespaceLadders:
    """Positions by namespace, the first reached at 100 s and each later one ten seconds after."""
    return NamespaceLadders({name: Position(step, 100.0 + 10 * at) for at, (name, step) in enumerate(steps.items())})


@pytest.mark.parametrize(
    ("found", "for_all", "ahead"),
    [
        (ladders(), 0, set()),
        (ladders(shop=3), 0, {"shop"}),
        (ladders(shop=1, bank=1), 1, set()),
        (ladders(shop=3, bank=1), 1, {"shop"}),
        (ladders(shop=3, bank=1, den=2), 2, {"shop"}),
        (NamespaceLadders({EVERYONE: Position(2, 100.0)}), 2, set()),
        (NamespaceLadders({EVERYONE: Position(2, 100.0), "shop": Position(3, 100.0)}), 2, {"shop"}),
    ],
)
def test_what_two_namespaces_have_seen_holds_for_everyone(
    found: NamespaceLadders, for_all: int, ahead: set[str]
) -> None:
    assert found.for_all.step == found.of("new").step == for_all
    assert set(found.ahead) == ahead


@given(steps=st.dictionaries(st.sampled_from(("shop", "bank", "den")), st.integers(1, 3)))
def test_no_namespace_alone_moves_another(steps: dict[str, int]) -> None:
    found = ladders(**steps)
    for name in steps:
        without = NamespaceLadders({one: position for one, position in found.positions.items() if one != name})
        for other in ("shop", "bank", "den", "new"):
            if other != name:
                assert found.of(other).step <= max(without.highest.step, without.of(other).step)
        assert found.of(name).step >= found.positions[name].step


def test_a_stock_out_moves_its_own_namespace() -> None:
    found = NO_LADDERS.moved("shop", Position(1, 100.0))
    assert (found.of("shop").step, found.of("bank").step, found.highest.step) == (1, 0, 1)
    assert found.moved("shop", found.of("shop")) is found, "nothing new"


def test_each_position_is_forgotten_by_itself() -> None:
    found = ladders(shop=1, bank=1)
    assert found.seconds_to_decay(60.0, 150.0) == 10.0
    assert found.decayed(60.0, 159.0) is found
    later = found.decayed(60.0, 165.0)
    assert (later.of("shop"), later.of("bank").step) == (BOTTOM, 1)
    assert later.decayed(60.0, 170.0) == NO_LADDERS
    assert NO_LADDERS.seconds_to_decay(60.0, 0.0) is None
