"""The parts of a status that follow from governance."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.controllers.policies.status import ResourceState, lost_workloads, policy_part, resource_part
from spillway.controllers.status.merge import merged_status
from spillway.controllers.status.workload_counts import PolicyCount
from spillway.domain.model.names import Tier
from spillway.domain.policies.conflicts import ResourceProblem
from tests.support.world import policy_resource


def problem(kind: str, reason: str, message: str = "It is wrong.") -> ResourceProblem:
    return ResourceProblem("ElasticPolicy", "online", kind, reason, message)


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        pytest.param(
            ResourceState(),
            {"NotImplemented": (False, "AllFieldsImplemented"), "Degraded": (False, "DataIsFresh")},
            id="nothing is wrong, and the feature says what is ready",
        ),
        pytest.param(
            ResourceState(rejected="spec.mode: bad", problems=(problem("Ready", "Conflict"),)),
            {
                "Ready": (False, "Invalid"),
                "Stalled": (True, "Invalid"),
                "NotImplemented": (False, "AllFieldsImplemented"),
                "Degraded": (False, "DataIsFresh"),
            },
            id="what cannot be parsed comes before problems",
        ),
        pytest.param(
            ResourceState(problems=(problem("Ready", "BudgetNotFound"), problem("Ready", "Conflict")), stale="pods"),
            {
                "Ready": (False, "BudgetNotFound"),
                "Stalled": (True, "BudgetNotFound"),
                "NotImplemented": (False, "AllFieldsImplemented"),
                "Degraded": (True, "StaleData"),
            },
            id="the first problem is the reason",
        ),
        pytest.param(
            ResourceState(without_effect=("spec.headroom",), problems=(problem("TierConflict", "SameNodes"),)),
            {
                "Ready": (False, "SameNodes"),
                "Stalled": (True, "SameNodes"),
                "NotImplemented": (True, "FieldsWithoutBehaviour"),
                "Degraded": (False, "DataIsFresh"),
                "TierConflict": (True, "SameNodes"),
            },
            id="a problem with a condition of its own",
        ),
    ],
)
def test_the_conditions_of_a_resource(state: ResourceState, conditions: dict[str, tuple[bool, str]]) -> None:
    found = resource_part(state).conditions
    assert {one.type: (one.holds, one.reason) for one in found} == conditions


def test_every_problem_is_in_the_message() -> None:
    state = ResourceState(problems=(problem("Ready", "Conflict", "One."), problem("Ready", "Conflict", "Two.")))
    assert resource_part(state).conditions[0].message == "One. Two."


@pytest.mark.parametrize(("mode", "reason"), [("Enforce", "Enforcing"), ("Recommend", "Recommending")])
def test_a_policy_says_what_it_governs_and_whether_it_acts(mode: str, reason: str) -> None:
    policy = ElasticPolicy.model_validate(policy_resource(mode=mode))
    count = PolicyCount(Counter({"Deployment/shop/web": 2, "Job/shop/b": 1}), Counter({Tier.FIXED: 2, Tier.VIRTUAL: 1}))
    part = policy_part(policy, count, {Tier.ELASTIC: 4})
    status = merged_status(ElasticPolicyStatus(), [part], generation=1, now=datetime(2026, 1, 2, tzinfo=UTC)).wire()
    assert status["workloads"] == {"governed": 2, "onFixed": 2, "onElastic": 0, "onVirtual": 1}
    assert status["nodes"] == {"fixed": 0, "elastic": 4, "virtual": 0}
    assert [(one.type, one.holds, one.reason) for one in part.conditions] == [("Ready", True, reason)]


def test_lost_workloads_name_the_winner() -> None:
    (problem,) = lost_workloads("younger", [("Deployment/shop/web", "online")])
    assert (problem.type, problem.reason) == ("Ready", "Conflict")
    assert "Deployment/shop/web" in problem.message
    assert "online" in problem.message
    assert lost_workloads("younger", []) == ()
