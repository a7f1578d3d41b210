"""The documents name only what exists: files and functions, metrics, flags, fields, reasons and marks."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest
import typer
import yaml

from demo.__main__ import main as demo
from localcluster.__main__ import app as localcluster
from spillway.api import KINDS
from spillway.api.condition_reasons import CONDITIONS
from spillway.api.crd import definition
from spillway.cli.commands import application
from spillway.reference import events, marks, metrics

pytestmark = pytest.mark.xdist_group("documented-names")

PROJECT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = PROJECT / "operator" / "spillway"
PAGE: Final = PROJECT / "docs" / "explanation" / "architecture.md"
TEXT: Final = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
SPANS: Final = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
PATHS: Final = [span for span in SPANS if re.fullmatch(r"[\w/]+(?:/|\.py)", span)]
FUNCTION: Final = re.compile(r"`([\w.]+)\(\)`")
FILE: Final = re.compile(r"`([\w/]+\.py)`")
STEPS: Final = [line for line in TEXT.splitlines() if line.startswith("|") and FUNCTION.search(line)]


@cache
def _functions(path: Path) -> frozenset[str]:
    """The functions of a module, and its methods as `Class.method`."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + member.name for member in members if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return frozenset(found)


def test_the_page_names_many() -> None:
    assert len(PATHS) > 40
    assert len(STEPS) > 20


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    assert (SOURCE / path).exists() or (PROJECT / path).exists() or any(SOURCE.rglob(path))


@pytest.mark.parametrize("step", STEPS)
def test_a_function_is_in_a_file_of_its_row(step: str) -> None:
    here = {name for file in FILE.findall(step) if (SOURCE / file).exists() for name in _functions(SOURCE / file)}
    assert [name for name in FUNCTION.findall(step) if name not in here] == []


DOCUMENTS: Final = [PROJECT / "README.md", *sorted(PROJECT.glob("docs/**/*.md"))]
OTHER_TOOLS: Final = frozenset(
    {
        "--type",
        "--raw",
        "--server-side",
        "--build-arg",
        "--admission-control-config-file",
        "--config",
        "--reset-then-reuse-values",
        "--reuse-values",
        "--balance-similar-node-groups",
        "--expendable-pods-priority-cutoff",
        "--ignore-daemonsets-utilization",
        "--scale-down-enabled",
        "--scale-down-unneeded-time",
        "--scale-down-utilization-threshold",
        "--skip-nodes-with-local-storage",
        "--skip-nodes-with-system-pods",
        "--unremovable-node-recheck-timeout",
    }
)
"""Flags of kubectl, helm, docker, the API server, the scheduler and cluster-autoscaler."""
OTHER_OBJECTS: Final = frozenset(
    {
        "spec.behavior",
        "spec.nodeName",
        "spec.podOverlay.sidecars[].volumeMounts[].name",
        "spec.ordinals.start",
        "spec.replicas",
        "spec.unschedulable",
        "status.allocatable",
        "status.nominatedNodeName",
        "status.startTime",
    }
)
"""Fields of Kubernetes' own kinds, also of the containers in an overlay."""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The text of every page, by its path."""
    return {str(page.relative_to(PROJECT)): page.read_text() for page in DOCUMENTS}


def test_pages_name_only_files_that_exist(pages: Mapping[str, str]) -> None:
    for page, text in pages.items():
        missing = [path for path in set(FILE.findall(text)) if not (PROJECT / path).exists()]
        assert [path for path in missing if not any(SOURCE.rglob(path))] == [], page


def test_pages_name_only_metrics_that_exist(pages: Mapping[str, str]) -> None:
    known = {one.name for found in metrics().values() for one in found}
    for page, text in pages.items():
        named = set(re.findall(r"(?<![:\w])spillway_[a-z_]+(?![:\w])", text))
        assert {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in named} <= known, page


def test_pages_name_only_flags_that_exist(pages: Mapping[str, str]) -> None:
    known = _flags() | OTHER_TOOLS
    for page, text in pages.items():
        named = {
            flag
            for span in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", span)
        }
        assert named <= known, page


def test_pages_name_only_fields_that_exist(pages: Mapping[str, str]) -> None:
    known = _fields() | OTHER_OBJECTS
    for page, text in pages.items():
        named = set(re.findall(r"`((?:spec|status)\.[\w.\[\]]+)", text)) - {"status.py"}
        assert {re.sub(r"\[\d+\]", "[]", name) for name in named} <= known, page


def test_pages_name_only_marks_that_exist(pages: Mapping[str, str]) -> None:
    known = {one.key for one in marks()} | {"spillway.dev/operator"}
    for page, text in pages.items():
        named = set(re.findall(r"(?<![\w.])(?:landing\.)?spillway\.dev/[a-z-]+(?![\w/])", text))
        assert {name.removesuffix("-") for name in named if not name.endswith("/env")} <= known, page


def test_pages_name_only_events_and_conditions_that_exist(pages: Mapping[str, str]) -> None:
    reasons = {one.reason for one in events()} | {reason.reason for one in CONDITIONS for reason in one.reasons}
    types = {one.type for one in CONDITIONS} | {"ReplicaFailure"}
    for page, text in pages.items():
        assert set(re.findall(r"Events? `(\w+)`", text)) <= reasons | {"FailedCreate"}, page
        assert set(re.findall(r"conditions? `(\w+)`", text)) <= types, page


@cache
def _flags() -> frozenset[str]:
    """The flags of every command of `spillway`, and of the local cluster and the demo."""
    alone = typer.Typer()
    alone.command()(demo)
    found, commands = set[str](), [typer.main.get_command(one) for one in (application(), localcluster, alone)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        found |= {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    return frozenset(found | {"--help"})


@cache
def _fields() -> frozenset[str]:
    """The fields of the three kinds, as the reference writes them."""
    return frozenset(path for schema in _kinds() for path in _paths(schema, ""))


@cache
def _kinds() -> tuple[Mapping[str, Any], ...]:
    """The schemas of the three kinds."""
    return tuple(definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS)


def _paths(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield path
    if "items" in schema:
        yield from _paths(schema["items"], f"{path}[]")
    for name, field in schema.get("properties", {}).items():
        yield from _paths(field, f"{path}.{name}".removeprefix("."))


def _samples() -> Iterator[tuple[str, Any]]:
    """The YAML blocks of the documents, without those of other kinds, with where each begins."""
    for page in DOCUMENTS:
        text = page.read_text()
        for found in re.finditer(r"^( *)```yaml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            where = f"{page.relative_to(PROJECT)}:{text.count(chr(10), 0, found.start()) + 1}"
            for body in yaml.safe_load_all(dedent(found[2])):
                if str(body.get("apiVersion", "spillway.dev")).startswith("spillway.dev"):
                    yield where, body


@pytest.mark.parametrize(("where", "body"), list(_samples()), ids=lambda one: one if isinstance(one, str) else "")
def test_a_sample_has_only_fields_that_exist(where: str, body: Any) -> None:
    if "kind" in body:
        schemas = [one for one in _kinds() if one["properties"]["kind"]["description"] == body["kind"]]
        body.pop("metadata", None)
    else:
        schemas = [*_schemas()]
    assert any(_fits(body, schema) for schema in schemas)


def test_the_sample_of_the_readme_only_recommends() -> None:
    [policy] = [body for where, body in _samples() if where.startswith("README.md")]
    assert policy["kind"] == "ElasticPolicy"
    assert policy["spec"]["mode"] == "Recommend"


def _schemas() -> Iterator[Mapping[str, Any]]:
    """Every object of the three kinds, and the values of the chart."""
    values = json.loads((PROJECT / "charts" / "spillway" / "values.schema.json").read_text())
    waiting = [values, *_kinds()]
    while waiting:
        schema = waiting.pop()
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield schema
        waiting += [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]


def _fits(body: Any, schema: Mapping[str, Any]) -> bool:
    """Whether every field of the body is in the schema."""
    kind = schema.get("type")
    if isinstance(body, list):
        return kind in {"array", None} and all(_fits(one, schema.get("items", {})) for one in body)
    if not isinstance(body, dict):
        return kind not in {"array", "object"}
    if "properties" not in schema:
        return kind in {"object", None}
    known = schema["properties"]
    free = schema.get("x-kubernetes-preserve-unknown-fields", False)
    return all(_fits(value, known[key]) if key in known else free for key, value in body.items())
