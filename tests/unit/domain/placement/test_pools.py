"""Which pools take a pod, which of them together, and why the others do not."""

from typing import Any

import pytest

from spillway.api.virtualnodebudget import VirtualNodeBudgetSpec
from spillway.domain.model.names import ZONE_LABEL
from spillway.domain.model.records import Taint
from spillway.domain.placement.pools import Pool, PoolAdmission, PoolFits, admit, mismatch, pool_fit, together
from tests.builders import make_node

TAINT = Taint("virtual-kubelet.io/provider", "NoSchedule", "eci")
LADDER = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": "2", "memory": "4Gi"}]}


def _pool(name: str, *, closed: str = "", step: int = 0, nodes: Any = None, **spec: Any) -> Pool:
    body = {"nodeSelector": {"matchLabels": {"provider": name}}, **spec}
    found = (make_node(name, labels={"provider": name}, taints=(TAINT,)),) if nodes is None else tuple(nodes)
    return Pool(name, VirtualNodeBudgetSpec.model_validate(body), found, closed, step)


def _admitted(*pools: Pool, avoid: frozenset[str] = frozenset(), full: tuple[str, ...] = ()) -> PoolAdmission:
    return admit(
        pools, lambda pool: _mismatch({}, pool), lambda pool: "is full" if pool.name in full else "", avoid=avoid
    )


def _mismatch(pod: dict[str, Any], pool: Pool) -> str:
    return PoolFits(pod.get("spec") or {}).mismatch(pool)


def _names(admission: PoolAdmission) -> list[str]:
    return [pool.name for pool in admission.pools]


def test_pools_that_want_the_same_of_a_pod_are_open_to_it_together_in_order() -> None:
    assert _names(_admitted(_pool("b"), _pool("a"), _pool("c", podOverlay={}))) == ["b", "a", "c"]


@pytest.mark.parametrize("later", [{"podOverlay": {"labels": {"x": "y"}}}, {"step": 1, "stockOut": LADDER}])
def test_a_pool_that_wants_another_change_waits_for_its_turn(later: dict[str, Any]) -> None:
    admission = _admitted(_pool("a"), _pool("b", **later), _pool("c"))
    assert _names(admission) == ["a", "c"]
    assert admission.refusals == (("b", "needs other additions to the pod than a"),)
    assert _names(_admitted(_pool("a"), _pool("b", **later), _pool("c"), full=("a", "c"))) == ["b"]


def test_a_ladder_that_is_not_climbed_sets_nobody_apart() -> None:
    assert together(_pool("a"), _pool("b", stockOut=LADDER))
    assert together(_pool("a", step=1, stockOut=LADDER), _pool("b", step=1, stockOut=LADDER))


@pytest.mark.parametrize(
    ("first", "avoid", "full", "clause"),
    [
        (_pool("a", closed="is held"), frozenset[str](), (), "is held"),
        (_pool("a"), frozenset({"a"}), (), "did not take one of its workload's pods"),
        (_pool("a"), frozenset[str](), ("a",), "is full"),
        (_pool("a", nodes=()), frozenset[str](), (), "has no node that is ready and open"),
        (_pool("a", nodes=[make_node("v", ready=False)]), frozenset[str](), (), "has no node that is ready and open"),
        (
            _pool("a", nodes=[make_node("v", unschedulable=True)]),
            frozenset[str](),
            (),
            "has no node that is ready and open",
        ),
    ],
)
def test_the_next_pool_takes_what_the_first_does_not(
    first: Pool, avoid: frozenset[str], full: tuple[str, ...], clause: str
) -> None:
    admission = _admitted(first, _pool("b"), avoid=avoid, full=full)
    assert _names(admission) == ["b"]
    assert admission.refusals == (("a", clause),)


def test_where_no_pool_takes_it_every_reason_is_given() -> None:
    admission = _admitted(_pool("a", closed="is held"), _pool("b"), full=("b",))
    assert not admission.pools
    assert admission.because == "a: is held; b: is full"
    assert _admitted().because == "its policy lists no pool"


def test_room_is_asked_only_of_a_pool_that_could_take_the_pod() -> None:
    asked: list[str] = []

    def has_room(pool: Pool) -> str:
        asked.append(pool.name)
        return ""

    pools = [_pool("a", closed="is held"), _pool("b", nodes=()), _pool("c")]
    admit(pools, lambda pool: _mismatch({}, pool), has_room)
    assert asked == ["c"]


def _spread(key: str, when: str | None = "DoNotSchedule") -> dict[str, Any]:
    return {"topologySpreadConstraints": [{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": when}]}


@pytest.mark.parametrize(
    ("spec", "clause"),
    [
        ({}, ""),
        (_spread("provider"), ""),
        (_spread(ZONE_LABEL, "ScheduleAnyway"), ""),
        (_spread(ZONE_LABEL), f"label {ZONE_LABEL}"),
        (_spread(ZONE_LABEL, None), f"label {ZONE_LABEL}"),
        ({"nodeSelector": {"provider": "a"}}, ""),
        ({"nodeSelector": {"provider": "z"}}, "node selector or affinity"),
        ({"nodeSelector": {"type": "fixed"}}, "node selector or affinity"),
    ],
)
def test_a_pod_that_no_node_of_the_pool_can_take_is_kept_away(spec: dict[str, Any], clause: str) -> None:
    found = _mismatch({"spec": spec}, _pool("a"))
    assert clause in found
    assert bool(found) == bool(clause)


def test_one_node_with_everything_is_enough() -> None:
    zoned = make_node("v2", labels={"provider": "a", ZONE_LABEL: "z1"})
    assert not _mismatch({"spec": _spread(ZONE_LABEL)}, _pool("a", nodes=[make_node("v1"), zoned]))


def test_an_overlay_whose_tolerations_fit_no_node_is_told() -> None:
    pool = _pool("a", podOverlay={"tolerations": [{"key": "other", "operator": "Exists"}]})
    assert "podOverlay.tolerations" in _mismatch({}, pool)
    assert not _mismatch({"spec": {"tolerations": [{"operator": "Exists"}]}}, pool)


def test_a_pod_may_reach_a_pool_as_it_is() -> None:
    assert mismatch(pool_fit({}, ()), _pool("a"))
    assert not mismatch(pool_fit({"tolerations": [{"operator": "Exists"}]}, ()), _pool("a"))
