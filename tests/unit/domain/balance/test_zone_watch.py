"""Zones that are down, and those that have just come back."""

import pytest

from spillway.domain.balance.zone_watch import GONE_SECONDS, WatchedNode, ZoneWatch
from spillway.domain.model.names import NodeName, Zone

SETTLE = 300.0


def node(zone: str, *, takes: bool = True, ready: bool = True, name: str = "") -> WatchedNode:
    return WatchedNode(NodeName(name or f"n-{zone}"), Zone(zone), takes_pods=takes, ready=ready)


def look(watch: ZoneWatch, now: float, *, ready: bool = True, **zones: bool) -> str:
    """The unsettled zones; each zone of one letter has one node, which takes pods, or is `ready` and does not."""
    watch.look((node(zone, takes=takes, ready=takes or ready) for zone, takes in zones.items()), now)
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
        [node("b", takes=False, ready=False, name="n1"), node("b", takes=False, ready=True, name="n2")],
        0.0,
    )
    assert mixed.unsettled(0.0, SETTLE) == (), "one of its nodes is ready, and cordoned"


def test_nodes_without_a_zone_do_not_count() -> None:
    watch = ZoneWatch()
    watch.look([node(""), node("a")], 0.0)
    watch.look([node("a")], 1.0)
    assert watch.unsettled(1.0, SETTLE) == ()


def test_a_zone_whose_nodes_have_another_label_is_not_down() -> None:
    watch = ZoneWatch()
    watch.look([node("a", name="n1"), node("b", name="n2"), node("b", name="n3")], 0.0)
    watch.look([node("a", name="n1"), node("b", name="n2"), node("c", name="n3")], 1.0)
    watch.look([node("a", name="n1"), node("c", name="n2"), node("c", name="n3")], 2.0)
    assert watch.unsettled(2.0, SETTLE) == (), "one node after another"
    watch.look([node("a", name="n1"), node("c", name="n2")], 3.0)
    watch.look([node("a", name="n1")], 4.0)
    assert watch.unsettled(4.0, SETTLE) == ("c",), "its last node is gone"


def test_a_zone_that_is_down_and_renamed_is_down_no_longer() -> None:
    watch = ZoneWatch()
    watch.look([node("a"), node("b", name="n2")], 0.0)
    watch.look([node("a"), node("b", name="n2", takes=False)], 1.0)
    assert watch.unsettled(1.0, SETTLE) == ("b",)
    watch.look([node("a"), node("c", name="n2")], 2.0)
    assert watch.unsettled(2.0, SETTLE) == ()


def test_a_clock_that_is_set_back_keeps_no_zone_from_settling() -> None:
    watch = ZoneWatch()
    look(watch, 5000.0, a=True, b=True)
    look(watch, 5010.0, a=True, b=False)
    assert look(watch, 5020.0, a=True, b=True) == "b"
    assert look(watch, 1000.0, a=True, b=True) == "b"
    assert look(watch, 1000.0 + SETTLE, a=True, b=True) == ""
