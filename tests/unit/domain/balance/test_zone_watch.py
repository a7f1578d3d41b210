"""Zones that are down, and those that have just come back."""

import pytest

from spillway.domain.balance.zone_watch import GONE_SECONDS, ZoneWatch
from spillway.domain.model.names import Zone

SETTLE = 300.0


def look(watch: ZoneWatch, now: float, **zones: bool) -> str:
    """The unsettled zones; each zone of one letter has one node, which takes pods or does not."""
    watch.look(((Zone(name), takes) for name, takes in zones.items()), now)
    return "".join(watch.unsettled(now, SETTLE))


@pytest.mark.parametrize("gone", [False, True], ids=["its nodes are not ready", "its nodes are gone"])
def test_a_zone_is_down_until_it_takes_pods_again_and_for_a_while_afterwards(*, gone: bool) -> None:
    watch = ZoneWatch()
    lost = {"a": True} if gone else {"a": True, "b": False}
    assert look(watch, 0.0, a=True, b=True) == ""
    assert look(watch, 10.0, **lost) == "b"
    assert look(watch, 20.0, **lost) == "b"
    assert look(watch, 30.0, a=True, b=True) == "b"
    assert look(watch, 30.0 + SETTLE - 1, a=True, b=True) == "b"
    assert look(watch, 30.0 + SETTLE, a=True, b=True) == ""


def test_a_zone_whose_nodes_stay_away_is_forgotten_and_one_with_nodes_is_not() -> None:
    watch = ZoneWatch()
    look(watch, 0.0, a=True, b=True, c=True)
    assert look(watch, 1.0, a=True, c=False) == "bc"
    assert look(watch, GONE_SECONDS, a=True, c=False) == "bc"
    assert look(watch, 1.0 + GONE_SECONDS, a=True, c=False) == "c"


def test_a_zone_that_never_took_pods_is_not_down_and_neither_is_a_new_one() -> None:
    watch = ZoneWatch()
    assert look(watch, 0.0, a=True, b=False) == ""
    assert look(watch, 1.0, a=True, b=True, c=True) == ""


def test_nodes_without_a_zone_do_not_count() -> None:
    watch = ZoneWatch()
    watch.look([(Zone(""), True), (Zone("a"), True)], 0.0)
    watch.look([(Zone("a"), True)], 1.0)
    assert watch.unsettled(1.0, SETTLE) == ()
