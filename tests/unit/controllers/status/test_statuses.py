"""What the statuses of our resources say."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spillway.api.conditions import find
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.virtualnodebudget import DrainProgress, VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.policies.status import ResourceState
from spillway.controllers.status.node_summary import PoolCount
from spillway.controllers.status.workload_counts import PolicyCount
from spillway.domain.model.names import Tier
from spillway.domain.model.usage import Usage
from spillway.domain.policies.conflicts import ResourceProblem
from spillway.domain.scale_down.outcome import ScaleDowns
from spillway.state.catalog import Kind
from tests.builders import make_node
from tests.support.statuses import FINE, budget_status, policy_status
from tests.support.world import policy_resource, resource

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def policy_of(**changes: Any) -> ElasticPolicy:
    return ElasticPolicy.model_validate(policy_resource(**changes))


def status_of(
    state: ResourceState = FINE,
    *,
    count: PolicyCount | None = None,
    current: ElasticPolicyStatus | None = None,
    now: datetime = NOW,
    mode: str = "Enforce",
    scale_downs: ScaleDowns = ScaleDowns(),  # noqa: B008  # immutable
) -> ElasticPolicyStatus:
    return policy_status(
        policy_of(mode=mode, version=7),
        current=current or ElasticPolicyStatus(),
        count=count or PolicyCount(),
        nodes={Tier.ELASTIC: 2},
        state=state,
        now=now,
        scale_downs=scale_downs,
    )


def said(status: Any, kind: str) -> tuple[str, str] | None:
    return next(((one.status.value, one.reason) for one in status.conditions if one.type == kind), None)


def test_a_policy_that_works() -> None:
    count = PolicyCount(Counter({"Deployment/shop/web": 2}), Counter({Tier.FIXED: 3, Tier.VIRTUAL: 1}))
    wire = status_of(count=count).wire()
    assert wire["workloads"] == {"governed": 1, "onFixed": 3, "onElastic": 0, "onVirtual": 1}
    assert wire["nodes"] == {"fixed": 0, "elastic": 2, "virtual": 0}
    assert wire["observedGeneration"] == 7
    assert [condition["type"] for condition in wire["conditions"]] == ["Ready"]
    assert "saving" not in wire, "nothing is claimed that was not measured"


def test_scale_downs_add_up_over_leaders() -> None:
    assert status_of().scale_down is None, "nothing to tell"
    first = status_of(scale_downs=ScaleDowns(5, 4))
    assert first.wire()["scaleDown"] == {"since": "2026-01-02T00:00:00Z", "victims": 5, "asPlanned": 4}
    # The next leader begins with what stands there.
    then = ElasticPolicyStatus.model_validate(first.wire())
    assert status_of(current=then, now=LATER).scale_down == first.scale_down
    more = status_of(current=then, now=LATER, scale_downs=ScaleDowns(2, 2))
    assert more.wire()["scaleDown"] == {"since": "2026-01-02T00:00:00Z", "victims": 7, "asPlanned": 6}


@pytest.mark.parametrize(
    ("state", "mode", "ready"),
    [
        pytest.param(FINE, "Enforce", ("True", "Enforcing"), id="enforces"),
        pytest.param(FINE, "Recommend", ("True", "Recommending"), id="recommends"),
        pytest.param(
            ResourceState(
                problems=(ResourceProblem("ElasticPolicy", "online", "Ready", "BudgetNotFound", "No eci-b."),)
            ),
            "Enforce",
            ("False", "BudgetNotFound"),
            id="a problem",
        ),
        pytest.param(ResourceState(rejected="spec.mode: bad"), "Enforce", ("False", "Invalid"), id="does not parse"),
        pytest.param(
            ResourceState(without_effect=("spec.headroom",)),
            "Enforce",
            ("True", "Enforcing"),
            id="without effect",
        ),
    ],
)
def test_ready(state: ResourceState, mode: str, ready: tuple[str, str]) -> None:
    some = PolicyCount(Counter({"Deployment/shop/web": 2}), Counter({Tier.FIXED: 2}))
    assert said(status_of(state, mode=mode, count=some), "Ready") == ready


def test_a_policy_that_selects_nothing_says_so_and_is_ready() -> None:
    assert said(status_of(), "Ready") == ("True", "NoWorkloads")


@pytest.mark.parametrize(
    ("state", "waits", "stalls"),
    [
        pytest.param(FINE, None, None, id="fine"),
        pytest.param(
            ResourceState(
                problems=(ResourceProblem("ElasticPolicy", "online", "Ready", "BudgetNotFound", "No eci-b."),)
            ),
            ("True", "BudgetNotFound"),
            None,
            id="a budget that may still be applied",
        ),
        pytest.param(
            ResourceState(problems=(ResourceProblem("ElasticPolicy", "online", "Ready", "Conflict", "Twice."),)),
            None,
            ("True", "Conflict"),
            id="a conflict",
        ),
        pytest.param(ResourceState(rejected="spec.mode: bad"), None, ("True", "Invalid"), id="does not parse"),
    ],
)
def test_what_comes_by_itself_reconciles_and_what_needs_another_spec_stalls(
    state: ResourceState, waits: tuple[str, str] | None, stalls: tuple[str, str] | None
) -> None:
    first = status_of(state)
    assert (said(first, "Reconciling"), said(first, "Stalled")) == (waits, stalls)
    after = status_of(current=first, now=LATER)
    for kind, before in (("Reconciling", waits), ("Stalled", stalls)):
        assert said(after, kind) == (("False", "Resolved") if before else None)


def test_the_unusual_comes_and_is_then_said_to_be_over() -> None:
    foreign = PolicyCount(
        foreign=Counter({f"Deployment/shop/{name}": 3 for name in "abcdefg"}),
        foreign_pods=Counter({f"shop/{name}-{index}": 1 for name in "abcdefg" for index in range(3)}),
    )
    first = status_of(ResourceState(stale="pods", without_effect=("spec.headroom",)), count=foreign, now=NOW)
    assert said(first, "ForeignWriter") == ("True", "DeletionCostNotOurs")
    assert said(first, "Degraded") == ("True", "StaleData")
    assert said(first, "NotImplemented") == ("True", "FieldsWithoutBehaviour")
    message = next(one.message for one in first.conditions if one.type == "ForeignWriter")
    assert "shop/e and 2 more" in message
    assert "The pods are shop/a-0, shop/a-1, shop/a-2, shop/b-0, shop/b-1 and 16 more." in message
    assert "annotation controller.kubernetes.io/pod-deletion-cost is removed" in message

    after = status_of(current=first, now=LATER)
    assert said(after, "ForeignWriter") == ("False", "NoForeignWriter")
    assert said(after, "Degraded") == ("False", "DataIsFresh")
    assert said(after, "NotImplemented") == ("False", "AllFieldsImplemented")


def test_fields_that_do_nothing_are_named() -> None:
    status = status_of(ResourceState(without_effect=("spec.headroom", "spec.limits")))
    told = find(status.conditions, "NotImplemented")
    assert told is not None
    assert told.status == "True"
    assert "spec.headroom, spec.limits" in told.message
    over = find(status_of(current=status).conditions, "NotImplemented")
    assert over is not None
    assert over.status == "False"


def test_a_problem_with_a_condition_of_its_own_is_resolved_once_it_is_gone() -> None:
    problem = ResourceProblem("ElasticPolicy", "online", "TierConflict", "ElasticAndVirtual", "Node n1.")
    first = status_of(ResourceState(problems=(problem,)))
    assert said(first, "TierConflict") == ("True", "ElasticAndVirtual")
    assert said(status_of(current=first, now=LATER), "TierConflict") == ("False", "Resolved")


def test_the_same_again_changes_nothing() -> None:
    first = status_of(now=NOW)
    assert status_of(current=ElasticPolicyStatus.model_validate(first.wire()), now=LATER).wire() == first.wire()


def budget_of(**spec: Any) -> VirtualNodeBudget:
    selector: dict[str, Any] = {"nodeSelector": {"matchLabels": {"pool": "v"}}}
    return VirtualNodeBudget.model_validate(resource(Kind.VIRTUAL_NODE_BUDGET, "eci", **selector, **spec))


@pytest.mark.parametrize(
    ("cordon", "count", "remaining", "accepting"),
    [
        pytest.param("None", PoolCount(nodes=2, ready=2), 0, ("True", "Open"), id="open"),
        pytest.param(
            "None", PoolCount(nodes=2, ready=2, unschedulable=1), 0, ("True", "Open"), id="cordoned by others"
        ),
        pytest.param("None", PoolCount(nodes=2, unschedulable=1, cordoned=1), 0, ("False", "Opening"), id="opening"),
        pytest.param("Hold", PoolCount(nodes=2, unschedulable=1, cordoned=1), 0, ("False", "Closing"), id="closing"),
        pytest.param("Hold", PoolCount(nodes=2, unschedulable=2, cordoned=1), 0, ("False", "Held"), id="held"),
        pytest.param("HoldAndDrain", PoolCount(nodes=1, unschedulable=1), 3, ("False", "Draining"), id="draining"),
        pytest.param("HoldAndDrain", PoolCount(nodes=1, unschedulable=1), 0, ("False", "Drained"), id="drained"),
        pytest.param("Hold", PoolCount(), 0, ("False", "Held"), id="held without nodes"),
        pytest.param("None", PoolCount(), 0, ("False", "NoNodes"), id="no nodes"),
        pytest.param("None", PoolCount(nodes=2), 0, ("False", "NoNodes"), id="none is ready"),
        pytest.param("None", PoolCount(nodes=2, ready=2, unschedulable=2), 0, ("False", "Held"), id="all cordoned"),
    ],
)
def test_a_pool(cordon: str, count: PoolCount, remaining: int, accepting: tuple[str, str]) -> None:
    status = budget_status(
        budget_of(cordon=cordon),
        current=VirtualNodeBudgetStatus(),
        count=count,
        drain=DrainProgress(remaining=remaining) if cordon == "HoldAndDrain" else None,
        now=NOW,
    )
    assert said(status, "Accepting") == accepting
    assert said(status, "Ready") == ("True", "InForce"), "what the cluster does is not what the spec asks for"
    brief = accepting[1] in {"Opening", "Closing"}
    assert (find(status.conditions, "Reconciling") is not None) == brief


@pytest.mark.parametrize("remaining", [0, 2])
@pytest.mark.parametrize(
    ("spared", "end"), [(1, ": shop/p0."), (3, ": shop/p0, shop/p1, shop/p2."), (5, "shop/p2 and 2 more.")]
)
def test_a_drain_names_the_pods_that_it_spares(remaining: int, spared: int, end: str) -> None:
    names = tuple(f"shop/p{n}" for n in range(spared))
    status = budget_status(
        budget_of(cordon="HoldAndDrain"),
        current=VirtualNodeBudgetStatus(),
        count=PoolCount(nodes=1, unschedulable=1),
        drain=DrainProgress(remaining=remaining, spared=spared, spared_pods=names),
        now=NOW,
    )
    accepting = find(status.conditions, "Accepting")
    assert accepting is not None
    assert accepting.message.endswith(end)


def test_a_node_that_is_being_deleted_is_not_one_of_the_pool() -> None:
    count = PoolCount.of([make_node("a", deleting=True), make_node("b", ready=False)])
    assert (count.nodes, count.ready) == (1, 0)


def test_what_a_pool_holds() -> None:
    nodes = [
        make_node("a", unschedulable=True, cordoned_by="eci"),
        make_node("b", unschedulable=True),
        make_node("c", ready=False),
    ]
    workloads = {f"Deployment/shop/w{i}": Usage(1, i, 1 << 30) for i in range(30)}
    status = budget_status(
        budget_of(),
        current=VirtualNodeBudgetStatus(),
        count=PoolCount.of(nodes),
        used=Usage(3, 1500, 3 << 30),
        workloads=workloads,
        now=NOW,
    ).wire()
    assert (status["nodes"], status["nodesReady"], status["cordoned"]) == (3, 2, 1)
    assert status["used"] == {"pods": 3, "cpu": "1500m", "memory": "3Gi"}
    assert len(status["perWorkloadTop"]) == 20
    assert "Deployment/shop/w29" in [entry["workload"] for entry in status["perWorkloadTop"]]
