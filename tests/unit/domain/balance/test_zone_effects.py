"""Which moves for even zones helped."""

from collections.abc import Mapping

import pytest

from spillway.domain.balance.zone_effects import ZoneEffects
from spillway.domain.model.names import Zone

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
    effects.moved(WEB, before)
    assert effects.pending == {WEB}
    assert effects.helped(WEB, after) is helped
    assert not effects.pending


def test_pods_that_change_between_two_full_zones_by_turns_are_not_helped() -> None:
    effects, there, back = ZoneEffects(), zones(a=3, b=3), zones(a=2, b=4)
    for before, after in ((there, back), (back, there)) * 2:
        effects.moved(WEB, before)
        assert not effects.helped(WEB, after)
    effects.moved(WEB, there)
    assert effects.helped(WEB, zones(a=2, b=3, c=1))


def test_workloads_that_are_gone_are_forgotten() -> None:
    effects = ZoneEffects()
    effects.moved(WEB, zones(a=3))
    effects.keep(())
    assert effects == ZoneEffects()
