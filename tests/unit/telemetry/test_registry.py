"""Where metrics are created, and that each one is documented."""

import importlib
import pkgutil
import re
from pathlib import Path

from spillway import telemetry
from spillway.telemetry.prerendered import PRERENDERED
from spillway.telemetry.registry import REGISTRY

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


def test_every_metric_is_in_the_reference_and_no_other() -> None:
    for module in pkgutil.iter_modules(telemetry.__path__, "spillway.telemetry."):
        importlib.import_module(module.name)
    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("spillway_")
    } | {gauge.name for gauge in PRERENDERED}
    page = (PROJECT / "docs/reference/observability.md").read_text()

    assert set(re.findall(r"^\| `(spillway_\w+)` \|", page, re.MULTILINE)) == exported
