"""The output of `spillway doctor`, and its exit code."""

import json
from pathlib import Path

from typer.testing import CliRunner

from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.doctor_view import report_view
from spillway.domain.doctor.findings import Check, Finding, report
from spillway.domain.overview.attention import Severity

ERROR = Finding(Severity.ERROR, Check.TAINTS, "Node/n1", "a [bad] taint", "take it off")


def test_findings_have_their_remedies() -> None:
    found = report("https://here", [ERROR])

    table = live.text_of(found, live.Format.TABLE, report_view)
    assert "error Node/n1 (taints)\n  a [bad] taint\n  remedy: take it off\n" in table
    assert "1 error, 0 warnings" in table
    assert "REMEDY" in live.text_of(found, live.Format.WIDE, report_view)
    as_json = json.loads(live.text_of(found, live.Format.JSON, report_view))
    assert as_json["findings"][0]["remedy"] == "take it off"
    assert as_json["errors"] == 1


def test_a_good_report() -> None:
    text = live.text_of(report("https://here", []), live.Format.TABLE, report_view)

    assert "No problem was found." in text
    assert "checked: kubernetes, leader, clocks, webhooks, api-services, rights" in text


def test_a_cluster_that_cannot_be_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(application(), ["doctor", f"--kubeconfig={tmp_path / 'absent'}"])

    assert result.exit_code == live.UNREADABLE
