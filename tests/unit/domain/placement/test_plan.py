"""The placement of one pod: which nodes, which pools, and what is added to the pod."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.elasticpolicy import WorkloadClass
from spillway.api.virtualnodebudget import VirtualNodeBudgetSpec
from spillway.domain.model import names
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.usage import Usage
from spillway.domain.placement.decide import NodeKind, PlacementReason
from spillway.domain.placement.plan import Facts, NewPod, plan
from spillway.domain.placement.pools import Pool
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason
from tests.builders import make_namespace, make_node
from tests.support.json_patch import applied
from tests.support.placement import incoming, labels_of, manual, placing, taint_of

GIB = 1 << 30
STEPS = [{"cpu": "1", "memory": "2Gi"}, {"cpu": "2", "memory": "4Gi"}]
STOCK_OUT = {"detect": [{"reason": "NoStock"}], "ladder": STEPS, "apply": {"resources": True}}


def pool(name: str, *, closed: str = "", step: int = 0, **spec: Any) -> Pool:
    parsed = VirtualNodeBudgetSpec.model_validate({"nodeSelector": {"matchLabels": labels_of(name)}, **spec})
    return Pool(name, parsed, (make_node(f"v-{name}", labels=labels_of(name), taints=(taint_of(name),)),), closed, step)


def new_pod(pod: Mapping[str, Any] | None = None, **workload_class: Any) -> NewPod:
    governance = placing({**manual(2), **workload_class})
    claim = governance.claim(make_namespace("shop"), "Deployment", {"app": "web"})
    assert claim is not None
    found = governance.class_of(claim)
    assert isinstance(found, WorkloadClass)
    return NewPod(pod or incoming(), OwnerUid("rs-web"), "Deployment/shop/web", claim, found)


def facts(*pools: Pool, physical: int = 2, full: str = "", **changes: Any) -> Facts:
    """The facts about a workload with a threshold of two; the pool named `full` has no room."""
    given: dict[str, Any] = {
        "physical": physical,
        "threshold": EffectiveThreshold(2, ThresholdReason.MANUAL),
        "landing": [(one.name, one.overlay) for one in pools],
        "pools": lambda: pools,
        "mismatch": lambda _pod, _pool, _tolerations: "",
        "refusal_by_nodes": lambda _pod, _pool, _used: "",
        "refusal_by_limits": lambda one, _used, _billed: "pods is full" if one.name == full else "",
        **changes,
    }
    return Facts(**given)


@pytest.mark.parametrize(
    ("given_facts", "reason", "pools"),
    [
        pytest.param(facts(pool("a"), physical=1), PlacementReason.BELOW_THRESHOLD, (), id="below the threshold"),
        pytest.param(facts(pool("a")), PlacementReason.BEYOND_THRESHOLD, ("a",), id="at the threshold"),
        pytest.param(facts(pool("a"), pool("b")), PlacementReason.BEYOND_THRESHOLD, ("a", "b"), id="two pools"),
        pytest.param(facts(pool("a"), pool("b"), full="a"), PlacementReason.BEYOND_THRESHOLD, ("b",), id="a is full"),
        pytest.param(facts(pool("a"), full="a"), PlacementReason.NO_POOL, (), id="all are full"),
        pytest.param(facts(), PlacementReason.NO_POOL, (), id="there is no pool"),
        pytest.param(facts(pool("a", closed="is held")), PlacementReason.NO_POOL, (), id="closed"),
        pytest.param(
            facts(pool("a"), pool("b"), avoid={"a"}), PlacementReason.BEYOND_THRESHOLD, ("b",), id="a failed recently"
        ),
        pytest.param(
            facts(pool("a"), physical=0, redirect="virtual"), PlacementReason.REPLACED, ("a",), id="redirected"
        ),
        pytest.param(
            facts(pool("a"), mismatch=lambda *_: "has no node of amd64"), PlacementReason.NO_POOL, (), id="fits no node"
        ),
    ],
)
def test_where_a_pod_goes(given_facts: Facts, reason: PlacementReason, pools: tuple[str, ...]) -> None:
    placed = plan(new_pod(), given_facts, token_for=lambda _: "r1")
    assert (placed.decision.reason, placed.pools) == (reason, pools)
    annotations = applied(incoming(), placed.additions)["metadata"]["annotations"]
    assert annotations[names.PLACEMENT] == ("virtual" if pools else "physical")
    assert annotations.get(names.POOLS, "") == ",".join(pools)
    assert annotations[names.POLICY] == "online"
    assert annotations[names.RESERVATION] == "r1"


def test_what_virtual_nodes_cannot_run_stays_physical_and_says_why() -> None:
    placed = plan(new_pod(incoming(hostNetwork=True)), facts(pool("a")))
    assert placed.decision == (NodeKind.PHYSICAL, PlacementReason.UNSUITABLE)
    assert "host" in placed.because
    assert applied(incoming(hostNetwork=True), placed.additions)["spec"] == incoming(hostNetwork=True)["spec"]


def test_a_dry_run_has_no_reservation() -> None:
    placed = plan(new_pod(), facts(pool("a")))
    assert names.RESERVATION not in applied(incoming(), placed.additions)["metadata"]["annotations"]


def test_a_pod_on_a_step_of_the_ladder_requests_and_costs_its_size() -> None:
    placed = plan(new_pod(), facts(pool("a", step=2, stockOut=STOCK_OUT)), token_for=lambda _: "r1")
    pod = applied(incoming(), placed.additions)
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    assert (placed.used.cpu_millis, placed.used.memory_bytes) == (2000, 4 * GIB)
    assert placed.billed == Usage(1, 2000, 4 * GIB)
    assert requests != incoming()["spec"]["containers"][0]["resources"]["requests"]
    assert pod["metadata"]["annotations"][names.SIZE]


def test_a_later_pool_that_wants_another_pod_is_not_admitted() -> None:
    other = pool("b", podOverlay={"env": [{"name": "POOL", "value": "b"}]})
    assert plan(new_pod(), facts(pool("a"), other)).pools == ("a",)
    assert plan(new_pod(), facts(other, pool("a"))).pools == ("b",)


def test_a_class_that_never_goes_there_names_the_pool_that_its_pod_tolerates() -> None:
    never = new_pod(placement={"virtual": "Never"})
    assert plan(never, facts(pool("a"))).tolerated == "a"
    intolerant = facts(pool("a"), mismatch=lambda *_: "has a taint")
    assert plan(never, intolerant).tolerated == ""


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=4),
    st.dictionaries(st.sampled_from(["mine", names.POLICY, names.PLACEMENT]), st.text(max_size=3), max_size=2),
)
def test_a_pod_is_virtual_only_with_a_pool_and_keeps_what_its_user_wrote(
    physical: int, rows: list[tuple[bool, bool]], annotations: dict[str, str]
) -> None:
    pools = [pool(f"p{index}", closed="is held" if closed else "") for index, (closed, _) in enumerate(rows)]
    full = {f"p{index}" for index, (_, one_is_full) in enumerate(rows) if one_is_full}
    pod = incoming()
    pod["metadata"]["annotations"] = annotations
    given_facts = facts(
        *pools, physical=physical, refusal_by_limits=lambda one, *_: "is full" if one.name in full else ""
    )

    placed = plan(new_pod(pod), given_facts, token_for=lambda _: "r1")

    open_pools = tuple(one.name for one in pools if not one.closed and one.name not in full)
    assert placed.pools == (open_pools if physical >= 2 else ())
    assert placed.decision.virtual is bool(placed.pools)
    result = applied(pod, placed.additions)
    assert result["metadata"]["annotations"].get("mine") == annotations.get("mine")
    assert result["spec"]["containers"] == pod["spec"]["containers"]
