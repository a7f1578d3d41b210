"""Which moves for even zones helped."""

from collections.abc import Mapping

import pytest

from spillway.domain.balance.zone_effects import LASTING_SECONDS, ZoneEffects
from spillway.domain.model.names import Zone

NOW = 1000.0
WEB = "Deployment/shop/web"


def zones(**pods: int) -> Mapping[Zone, int]:
    return {Zone(name): count for name, count in pods.items()}


@pytest.mark.parametrize(
    ("before", "after", "helped"),
    [
        pytest.param(zones(a=3), zones(a=2, b=1), True, id="to an empty zone"),
        pytest.param(zones(a=3), zones(a=3), False, id="back to the same zone"),
        pytest.param(zones(a=3, b=3, c=0, d=0), zones(a=2, b=3, c=1, d=0), True, id="with the same skew"),
        pytest.param(zones(a=3, b=3, c=0), zones(a=2, b=4, c=0), False, id="to another full zone"),
        pytest.param(zones(a=3), zones(a=6), False, id="scaled in the meantime"),
        pytest.param(zones(a=3), {}, True, id="without pods"),
    ],
)
def test_a_move_helps_if_pods_are_less_concentrated(
    before: Mapping[Zone, int], after: Mapping[Zone, int], *, helped: bool
) -> None:
    effects = ZoneEffects()
    effects.moved(WEB, before, NOW)
    assert effects.pending == {WEB}
    assert effects.helped(WEB, after, NOW) is helped
    assert not effects.pending


def test_pods_that_change_between_two_full_zones_by_turns_are_not_helped() -> None:
    effects, there, back = ZoneEffects(), zones(a=3, b=3), zones(a=2, b=4)
    for before, after in ((there, back), (back, there)) * 2:
        effects.moved(WEB, before, NOW)
        assert not effects.helped(WEB, after, NOW)
    effects.moved(WEB, there, NOW)
    assert effects.helped(WEB, zones(a=2, b=3, c=1), NOW)


@pytest.mark.parametrize(
    ("seconds", "helped"),
    [
        pytest.param(0.0, False, id="at once"),
        pytest.param(LASTING_SECONDS - 1.0, False, id="within an hour"),
        pytest.param(LASTING_SECONDS, True, id="later"),
    ],
)
def test_a_workload_whose_zones_are_as_uneven_again_is_not_helped(seconds: float, *, helped: bool) -> None:
    effects, uneven, even = ZoneEffects(), zones(a=2), zones(a=1, b=1)
    effects.moved(WEB, uneven, NOW)
    assert effects.helped(WEB, even, NOW)
    effects.keep((), NOW + seconds)
    effects.moved(WEB, uneven, NOW + seconds)
    assert effects.helped(WEB, even, NOW + seconds) is helped


def test_the_rest_after_such_a_move_does_not_count_as_time_in_which_zones_stayed_even() -> None:
    effects, uneven, even, now = ZoneEffects(), zones(a=2), zones(a=1, b=1), NOW
    found = []
    for rest in (0.0, 600.0, 6 * LASTING_SECONDS, 6 * LASTING_SECONDS + LASTING_SECONDS):
        effects.moved(WEB, uneven, now)
        found.append(effects.helped(WEB, even, now))
        effects.rests(WEB, now + min(rest, 6 * LASTING_SECONDS))
        now += rest
        effects.keep((), now)
    effects.moved(WEB, uneven, now)
    found.append(effects.helped(WEB, even, now))
    assert found == [True, False, False, False, True]


def test_each_of_the_moves_that_a_workload_needs_to_become_even_helps() -> None:
    effects, now = ZoneEffects(), NOW
    for moved in range(5):
        effects.moved(WEB, zones(a=10 - moved, b=moved), now)
        now += 300.0
        assert effects.helped(WEB, zones(a=9 - moved, b=moved + 1), now)
    # Replicas that were added to the fullest zone since undo less than one move has reached.
    effects.moved(WEB, zones(a=6, b=5), now)
    assert effects.helped(WEB, zones(a=5, b=6, c=1), now)


def test_workloads_that_are_gone_are_forgotten() -> None:
    effects = ZoneEffects()
    effects.moved(WEB, zones(a=3), NOW)
    effects.keep((), NOW)
    assert effects == ZoneEffects()
