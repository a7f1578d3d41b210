"""What needs attention: which conditions, how severe, and each cause once."""

from typing import Any

import pytest

from spillway.api import VirtualNodeBudget
from spillway.domain.overview.attention import STATUS_UNREAD, Severity, attention
from spillway.state.catalog import Kind
from tests.support.world import resource

SINCE = "2026-01-05T00:00:00Z"


def budget(*conditions: tuple[str, str, str], observed: int | None = 1, generation: int = 1) -> VirtualNodeBudget:
    raw: dict[str, Any] = resource(
        Kind.VIRTUAL_NODE_BUDGET, "eci-a", version=generation, nodeSelector={"matchLabels": {"pool": "a"}}
    )
    raw["status"] = {
        "observedGeneration": observed,
        "conditions": [
            {"type": kind, "status": holds, "reason": reason, "message": "words", "lastTransitionTime": SINCE}
            for kind, holds, reason in conditions
        ],
    }
    return VirtualNodeBudget.model_validate(raw)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param([("Ready", "True", "InForce"), ("Degraded", "False", "DataIsFresh")], [], id="all-is-well"),
        pytest.param([("Accepting", "False", "Held")], [("info", "Accepting")], id="held-by-the-user"),
        pytest.param([("Accepting", "False", "NoNodes")], [("warning", "Accepting")], id="no-nodes"),
        pytest.param(
            [("Accepting", "False", "Unhealthy"), ("Healthy", "False", "NodesNotReady")],
            [("error", "Healthy")],
            id="one-cause-once",
        ),
        pytest.param(
            [("Ready", "False", "Conflict"), ("Stalled", "True", "Conflict")], [("error", "Ready")], id="stalled"
        ),
        pytest.param(
            [("Ready", "True", "InForce"), ("Reconciling", "True", "Closing")], [("info", "Reconciling")], id="closing"
        ),
        pytest.param([("Healthy", "Unknown", "Healthy")], [("warning", "Healthy")], id="unknown"),
        pytest.param(
            [("AtLimit", "True", "PodsAtLimit"), ("Degraded", "True", "StaleData")],
            [("error", "Degraded"), ("warning", "AtLimit")],
            id="most-severe-first",
        ),
        pytest.param(
            [("AtLimit", "True", "PodsAtLimit"), ("NearLimit", "True", "PodsNearLimit")],
            [("warning", "AtLimit")],
            id="reached-and-so-near",
        ),
        pytest.param(
            [("AtLimit", "True", "PodsAtLimit"), ("NearLimit", "True", "PodsNearLimit,CpuNearLimit")],
            [("warning", "AtLimit"), ("warning", "NearLimit")],
            id="another-limit-is-near",
        ),
        pytest.param(
            [("AtLimit", "False", "WithinLimits"), ("NearLimit", "True", "PodsNearLimit")],
            [("warning", "NearLimit")],
            id="near",
        ),
        pytest.param(
            [("AtLimit", "True", "PodsAtLimit"), ("NearLimit", "True", "LaterNearLimit")],
            [("warning", "AtLimit"), ("warning", "NearLimit")],
            id="a-limit-of-a-later-version-is-near",
        ),
    ],
)
def test_conditions(conditions: list[tuple[str, str, str]], expected: list[tuple[str, str]]) -> None:
    found = attention([budget(*conditions)])

    assert [(one.severity.value, one.condition) for one in found] == expected
    assert all((one.kind, one.name, one.since) == ("VirtualNodeBudget", "eci-a", SINCE) for one in found)


@pytest.mark.parametrize(("observed", "words"), [(None, "no status yet"), (1, "generation 1")])
def test_a_status_of_an_older_spec(observed: int | None, words: str) -> None:
    [found] = attention([budget(observed=observed, generation=2)])

    assert (found.severity, found.condition) == (Severity.WARNING, STATUS_UNREAD)
    assert words in found.message
