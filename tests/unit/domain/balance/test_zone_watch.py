"""Zones that are down, and those that have just come back."""

import pytest

from spillway.domain.balance.zone_watch import GONE_SECONDS, WatchedNode, ZoneWatch
from spillway.domain.model.names import Zone

SETTLE = 300.0


def look(watch: ZoneWatch, now: float, *, ready: bool = True, **zones: bool) -> str:
    """The unsettled zones; each zone of one letter has one node, which takes pods, or is `ready` and does not."""
    watch.look((WatchedNode(Zone(name), takes, takes or ready) for name, takes in zones.items()), now)
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


def test_a_new_leader_knows_zones_that_went_down_before_it_and_no_cordoned_ones() -> None:
    watch = ZoneWatch()
    assert look(watch, 0.0) == "", "no nodes are known yet"
    assert look(watch, 1.0, ready=False, a=True, b=False) == "b"
    assert look(watch, 2.0, a=True, b=True) == "b"
    assert look(watch, 2.0 + SETTLE, ready=False, a=True, b=True, c=False) == "", "c is new, and has never taken pods"
    assert look(ZoneWatch(), 0.0, ready=True, a=True, b=False) == ""
    mixed = ZoneWatch()
    mixed.look(
        [WatchedNode(Zone("b"), takes_pods=False, ready=False), WatchedNode(Zone("b"), takes_pods=False, ready=True)],
        0.0,
    )
    assert mixed.unsettled(0.0, SETTLE) == (), "one of its nodes is ready, and cordoned"


def test_nodes_without_a_zone_do_not_count() -> None:
    watch = ZoneWatch()
    watch.look(
        [WatchedNode(Zone(""), takes_pods=True, ready=True), WatchedNode(Zone("a"), takes_pods=True, ready=True)], 0.0
    )
    watch.look([WatchedNode(Zone("a"), takes_pods=True, ready=True)], 1.0)
    assert watch.unsettled(1.0, SETTLE) == ()
