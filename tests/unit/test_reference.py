"""The generated reference: up to date, and with every metric, Event, condition and mark of the code."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import pytest
import yaml

from spillway.api.condition_reasons import CONDITIONS
from spillway.api.conditions import METRIC_NOT_SERVED
from spillway.app.settings import Settings
from spillway.controllers.nodes.status import _BRIEF
from spillway.controllers.scaling.registration import REASONS
from spillway.domain.budget.alerts import AT, NEAR
from spillway.domain.forecast.refresh import NO_SAMPLES
from spillway.domain.model import event_reasons, names
from spillway.domain.policies.conflicts import BUDGET_NOT_FOUND, CONFLICT, TIER_CONFLICT
from spillway.domain.pools.health import HealthReason
from spillway.reference import events, main, marks, metrics, pages
from spillway.sources.prometheus import PrometheusError
from spillway.telemetry.prerendered import PRERENDERED
from spillway.telemetry.registry import REGISTRY

pytestmark = pytest.mark.xdist_group("reference")

PROJECT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = PROJECT / "operator"
MODULES: Final = sorted((SOURCE / "spillway").rglob("*.py"))
Pairs = set[tuple[str, str]]
"""Types of conditions, each with a reason."""


def _reasons_of_prometheus(attribute: str) -> set[str]:
    found, classes = set[str](), [*PrometheusError.__subclasses__()]
    while classes:
        one = classes.pop()
        classes += one.__subclasses__()
        found.add(getattr(one, attribute))
    return found - {""}


TROUBLES: Final = {"PlanTooSlow", "PlanFailed", "NoPrometheus"} | _reasons_of_prometheus("reason")
PROBLEMS: Final = {"InvalidDemand"} | _reasons_of_prometheus("query_reason")
LIMITS: Final = ("Pods", "Cpu", "Memory", "CostPerHour", "CostPerMonth")
CONFLICTS: Final = {CONFLICT, TIER_CONFLICT}
FROM_DATA: Final[dict[str, Pairs]] = {
    "report.trouble": {("StalePlan", one) for one in TROUBLES} | {("Learning", "NoPrometheus")},
    "_by_reason": {(kind, one) for kind in ("StalePlan", "Learning") for one in PROBLEMS},
    "found[0][0].reason": {
        ("LoadDataStale", one)
        for one in (
            {"MetricsUnreachable", "NoNodes", "PartialLoad", "PartialZoneLoad", "InvalidZone", "OldLoad", "AbsurdLoad"}
            | _reasons_of_prometheus("reason")
            | _reasons_of_prometheus("query_reason")
        )
    },
    "current.trouble": {
        ("ForecastStale", one)
        for one in {"ForecastTooSlow", "ForecastFailed", "NoPrometheus"} | _reasons_of_prometheus("reason")
    },
    "first.reason": {("DemandUnusable", one) for one in PROBLEMS | {NO_SAMPLES, "NoRequest", "PerReplicaIsZero"}},
    "health.reason": {("Healthy", one.value) for one in HealthReason},
    "alert.reason": {(kind, f"{limit}{kind}") for kind in (NEAR, AT) for limit in LIMITS}
    | {(kind, "WithinLimits") for kind in (NEAR, AT)},
    "state.problems[0].reason": {("Ready", one) for one in (*CONFLICTS, BUDGET_NOT_FOUND)}
    | {("Stalled", one) for one in CONFLICTS}
    | {("Reconciling", BUDGET_NOT_FOUND)},
    "trouble.reason": {(METRIC_NOT_SERVED, one) for one in REASONS},
    # The same object with another type.
    "replace(accepting, type=RECONCILING, holds=True)": {("Reconciling", one) for one in _BRIEF},
    # Copies of conditions that are made elsewhere.
    "condition.reason": set(),
    "of_kind[0].reason": set(),
    "one.reason": set(),
}
"""Where a reason is not written in the call: what stands there instead, and the conditions that come of it."""


@pytest.mark.parametrize("name", pages())
def test_the_page_is_current(name: str) -> None:
    path = PROJECT / "docs" / "reference" / name
    assert path.read_text(encoding="utf-8") == pages()[name], f"{path.name} is stale: run `make reference`"


def test_the_command_writes_every_page(tmp_path: Path) -> None:
    main([str(tmp_path)])
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == pages()


def test_every_metric_is_in_the_reference() -> None:
    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("spillway_")
    } | {gauge.name for gauge in PRERENDERED}
    listed = [one for found in metrics().values() for one in found]
    assert sorted(one.name for one in listed) == sorted(exported)
    assert [one.name for one in listed if not one.meaning.endswith(".")] == []


def test_every_event_is_in_the_reference() -> None:
    listed = {one.reason: one for one in events()}
    assert set(listed) == {value for name, value in vars(event_reasons).items() if name.isupper()}
    used = set[str]()
    for path in MODULES:
        events_of = [(call.args[1], call.args[2]) for call in _calls(path, "events.record")]
        events_of += [(call.args[0], call.args[1]) for call in _calls(path, "PlacementEvent")]
        for kind, argument in events_of:
            reason = ast.unparse(argument)
            if reason.startswith("event_reasons."):
                value = getattr(event_reasons, reason.removeprefix("event_reasons."))
                used.add(value)
                if isinstance(kind, ast.Constant):
                    assert kind.value in listed[value].type.split(" or "), f"{path.name}: {reason} is {kind.value!r}"
            else:
                # Chosen among several in the lines above, or a condition's.
                assert reason in {"reason", "event.reason"}, f"{path.name}: the reason {reason} of an Event"
    in_code = "\n".join(path.read_text() for path in MODULES)
    named = {getattr(event_reasons, name) for name in re.findall(r"event_reasons\.([A-Z_]+)", in_code)}
    assert used <= named == set(listed)


def test_every_mark_is_in_the_reference() -> None:
    listed = {one.key for one in marks()}
    declared = {value for value in vars(names).values() if isinstance(value, str) and value.startswith("spillway.dev/")}
    assert declared <= listed
    for path in MODULES:
        if path.name in {"names.py", "schema.py", "event_source.py"} or "api" in path.parts:
            continue  # the keys themselves, the group and version of its kinds, and the reporter of its Events
        texts = [
            node.value
            for node in ast.walk(_tree(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        ]
        own = [text for text in texts if re.fullmatch(r"(?:landing\.)?spillway\.dev/[a-z.-]+", text)]
        assert own == [], f"{path.name}: write the key in domain/model/names.py"


def test_every_condition_is_in_the_reference_and_no_other() -> None:
    listed = {(one.type, reason.reason): reason.holds for one in CONDITIONS for reason in one.reasons}
    found = Pairs().union(*FROM_DATA.values())
    for path in MODULES:
        for made in _made(path):
            where = f"{path.name}: {made}"
            if made.type is None:  # in a loop over types
                assert made.reason in {reason for _, reason in listed}, where
                found |= {pair for pair in listed if pair[1] == made.reason}
                continue
            pair = (made.type, made.reason)
            assert pair in listed, f"{where}: add it to api/condition_reasons.py, and run `make reference`"
            assert made.holds in {None, listed[pair]}, where
            found.add(pair)
    assert set(listed) - found == set(), "no code makes them: remove them from api/condition_reasons.py"
    assert found - set(listed) == set(), "add them to api/condition_reasons.py, and run `make reference`"


class Made(NamedTuple):
    """A condition that a call makes; None for what is not written there."""

    type: str | None
    reason: str
    holds: bool | None


def _made(path: Path) -> Iterator[Made]:
    module = importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    for scope in _scopes(path):
        for call in ast.walk(scope):
            name = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.Call) and name in {"ObservedCondition", "Condition.make"}:
                given = {one.arg: one.value for one in call.keywords}
                holds = bool(given["holds"].value) if isinstance(given["holds"], ast.Constant) else None
                for reason in _reasons(given["reason"], scope, module):
                    yield Made(_text(call.args[0], module), reason, holds)


def _scopes(path: Path) -> Iterator[ast.stmt]:
    """The functions and methods of a module, and its other statements."""
    for node in _tree(path).body:
        yield from node.body if isinstance(node, ast.ClassDef) else [node]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _reasons(node: ast.expr, scope: ast.stmt, module: ModuleType) -> Iterator[str]:
    """The texts that an expression can be; a variable is followed to where the scope sets it."""
    match node:
        case ast.IfExp():
            yield from _reasons(node.body, scope, module)
            yield from _reasons(node.orelse, scope, module)
        case ast.BoolOp():
            for one in node.values:
                yield from _reasons(one, scope, module)
        case ast.Call(func=ast.Name(id="_by_reason")):
            assert "_by_reason" in FROM_DATA
            yield from (str(_text(one.value, module)) for one in node.keywords if one.arg == "otherwise")
        case ast.Name() if _text(node, module) is None:
            values = [one.value for one in ast.walk(scope) if isinstance(one, ast.Assign) and _sets(one, node.id)]
            assert values, f"{module.__name__}: {node.id}"
            for value in values:
                yield from _reasons(value, scope, module)
        case ast.Tuple():
            yield from _reasons(node.elts[0], scope, module)
        case _ if (text := _text(node, module)) is not None:
            yield text
        case _:
            assert ast.unparse(node) in FROM_DATA, f"{module.__name__}: {ast.unparse(node)}: what reasons can it be?"


def _sets(assignment: ast.Assign, name: str) -> bool:
    """Whether the variable is the target, or the first of several."""
    target = assignment.targets[0]
    first = target.elts[0] if isinstance(target, ast.Tuple) else target
    return isinstance(first, ast.Name) and first.id == name


def _text(node: ast.expr, module: ModuleType) -> str | None:
    """A constant text: written here, or a constant of the module."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    value = getattr(module, node.id, None) if isinstance(node, ast.Name) else None
    return value if isinstance(value, str) else None


def _calls(path: Path, wanted: str) -> Iterator[ast.Call]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(wanted):
            yield node


def test_every_value_of_the_chart_and_every_flag_has_a_row() -> None:
    values = yaml.safe_load((PROJECT / "charts/spillway/values.yaml").read_text())
    rows = pages()["values.md"]
    for section in values:
        assert f"| `{section}" in rows, section
    assert "| `prometheus.tls.ca.configMap` | none |" in rows
    commands = pages()["command-line.md"]
    assert "| `--lease-seconds` | see meaning |" in commands
    assert "| `--webhooks`, `--no-webhooks` | on |" in commands
    assert "| `--drain` | off |" in commands
    for name in Settings.model_fields:
        assert f"`--{name.replace('_', '-').removesuffix('s')}" in commands, name
