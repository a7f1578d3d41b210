"""Where metrics are created."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PACKAGE = PROJECT / "operator" / "spillway"
CREATES = re.compile(
    r"\bprometheus_client\b|\bPrerenderedGauge\(|import .*\b(?:counter|gauge|histogram)\b", re.MULTILINE
)


def test_metrics_are_created_in_telemetry_only() -> None:
    outside = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE / "telemetry" and CREATES.search(path.read_text())
    }
    assert outside == set(), "create the metric in the feature's module of spillway.telemetry"
