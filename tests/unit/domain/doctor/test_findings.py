"""The report: order and sums, and remedies that exist."""

import re
from pathlib import Path

from spillway.api.condition_reasons import CONDITIONS
from spillway.domain.doctor.conditions import REMEDIES, condition_findings
from spillway.domain.doctor.findings import Check, Finding, not_checked, report
from spillway.domain.overview.attention import STATUS_UNREAD, Attention, Severity

PROJECT = Path(__file__).resolve().parents[4]


def finding(severity: Severity, check: Check) -> Finding:
    return Finding(severity, check, "Node/n1", "words", "do this")


def test_the_most_severe_comes_first() -> None:
    info = not_checked(Check.LEADER, "Lease/x", "no permission")
    warning, error = finding(Severity.WARNING, Check.TAINTS), finding(Severity.ERROR, Check.TAINTS)

    found = report("https://here", [info, warning, error, finding(Severity.WARNING, Check.WEBHOOKS)])

    assert [(one.severity.value, one.check.value) for one in found.findings] == [
        ("error", "taints"),
        ("warning", "webhooks"),
        ("warning", "taints"),
        ("info", "leader"),
    ]
    assert (found.errors, found.warnings) == (1, 2)
    assert found.checks == tuple(Check)


def test_conditions_have_their_remedies() -> None:
    known = Attention(Severity.ERROR, "VirtualNodeBudget", "a", "Healthy", "NodesNotReady", "words")
    other = Attention(Severity.WARNING, "ElasticPolicy", "a", "Unheard", "Of", "words")

    first, second = condition_findings([known, other])

    assert (first.object, first.message) == ("VirtualNodeBudget/a", "Healthy (NodesNotReady): words")
    assert "SpillwayPoolUnhealthy" in first.remedy
    assert "conditions.md" in second.remedy


def test_every_remedy_is_for_a_condition_and_names_a_runbook_that_exists() -> None:
    assert set(REMEDIES) <= {one.type for one in CONDITIONS} | {STATUS_UNREAD}
    sources = [PROJECT / "operator/spillway" / part for part in ("domain/doctor", "app/doctor")]
    named = {
        name
        for source in sources
        for path in source.glob("*.py")
        for name in re.findall(r"runbook (Spillway\w+)", path.read_text())
    }
    assert len(named) > 10
    assert [name for name in named if not (PROJECT / "docs/runbooks" / f"{name}.md").exists()] == []
