"""`spillway simulate`: the files that it reads, and its tables."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.simulate_view import proposal_view
from spillway.cli.simulating import documents_in
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.overview.attention import Severity
from spillway.domain.proposal.answers import (
    Proposal,
    ProposedCost,
    ProposedMoves,
    ProposedPool,
    ProposedTier,
    ProposedWorkload,
)

POLICY = """
apiVersion: spillway.dev/v1alpha1
kind: ElasticPolicy
metadata: {name: online, uid: abc, resourceVersion: "5", managedFields: [{manager: kubectl}], labels: {a: b}}
spec: {mode: Enforce}
status: {conditions: []}
"""


def test_what_the_api_server_adds_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"---\n{POLICY}\n---\n")
    [found] = documents_in(file)
    assert found["metadata"] == {"name": "online", "labels": {"a": "b"}}
    assert set(found) == {"apiVersion", "kind", "metadata", "spec"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no resource"),
        ("a: [", "is not YAML"),
        ("kind: ElasticPolicy", "document 1: metadata.name: required"),
        (POLICY.replace("ElasticPolicy", "Deployment"), "document 1: kind: must be ElasticPolicy, VirtualNodeBudget"),
        (POLICY.replace("v1alpha1", "v2"), "not ElasticPolicy of spillway.dev/v2"),
        (f"{POLICY}---{POLICY}", "document 2: ElasticPolicy/online occurs twice"),
    ],
)
def test_a_bad_file_is_refused_by_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=told) as refused:
        CliRunner().invoke(application("simulate"), ["simulate", "-f", str(file)], catch_exceptions=False)
    assert str(refused.value).startswith("--filename: ")


@pytest.mark.parametrize(
    ("now", "reason_now", "shown"),
    [(None, None, "- -> 3"), (None, "LearningHistory", "all -> 3"), (2, "Manual", "2 -> 3"), (3, "Manual", "3")],
    ids=["placed by the scheduler alone", "all on physical nodes", "another number", "unchanged"],
)
def test_the_tables(now: int | None, reason_now: str | None, shown: str) -> None:
    workload = ProposedWorkload(
        "Deployment/shop/web",
        7,
        None,
        "online/default (Enforce)",
        now,
        reason_now,
        3,
        "Manual",
        0,
        4,
        "shop/a",
        "shop/b",
        "virtual: x",
    )
    found = Proposal(
        cluster="https://here",
        resources=("ElasticPolicy/online (new)",),
        enforced=False,
        governed=1,
        to_virtual=4,
        to_physical=0,
        costs_written=7,
        owned_nodes_advised=3,
        workloads=(workload,) * 25,
        tiers=(ProposedTier("online", "fixed", None, 2, None),),
        pools=(ProposedPool("eci-a", 1, 1, "is held", 3, 9, "1.5", "CNY"),),
        costs=(ProposedCost("CNY", "0", "2", None),),
        moves=(
            ProposedMoves("even", 55, 14, 3, "Load", ("shop/web-1: n1 (92 % to 71 %) to n4",), (), None),
            ProposedMoves("blind", None, None, 0, None, (), (), "metrics.k8s.io: not found"),
        ),
        risks=(Finding(Severity.WARNING, Check.SELECTORS, "ElasticPolicy/online", "something", "Do it."),),
    )
    text = live.text_of(found, live.Format.TABLE, proposal_view)
    for words in (
        "- -> online/default (Enforce)",
        f"  {shown}  ",
        "0 -> 4",
        "and 5 more",
        "3/9",
        "only recommended",
        "55 -> 14",
        "n1 (92 % to 71 %) to n4",
        "not planned: metrics.k8s.io: not found",
        "RISK",
    ):
        assert words in text
    assert "shop/a -> shop/b" in live.text_of(found, live.Format.WIDE, proposal_view)
