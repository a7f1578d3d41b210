"""The generated CRDs and pages: fresh, structural, documented, and without words that YAML reads otherwise."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import yaml
from pydantic import Field

from spillway.api import KINDS, Resource
from spillway.api.crd import definition, main, manifests, pages
from spillway.api.openapi import structural
from spillway.api.schema import Model, cel, rules

ROOT = Path(__file__).parents[3]
STALE = "is stale: run `make crds`"


@pytest.mark.parametrize("name", manifests())
def test_committed_crds_are_fresh(name: str) -> None:
    assert (ROOT / "crds" / name).read_text(encoding="utf-8") == manifests()[name], f"crds/{name} {STALE}"


@pytest.mark.parametrize("name", pages())
def test_committed_reference_pages_are_fresh(name: str) -> None:
    path = ROOT / "docs/reference" / name
    assert path.read_text(encoding="utf-8") == pages()[name], f"docs/reference/{name} {STALE}"


def test_nothing_else_lies_among_the_crds() -> None:
    listed = "kustomization.yml"  # for gitops/kustomize
    assert {path.name for path in (ROOT / "crds").iterdir()} == {*manifests(), listed}
    assert set(yaml.safe_load((ROOT / "crds" / listed).read_text())["resources"]) == set(manifests())


def test_the_command_writes_into_every_folder_it_is_given(tmp_path: Path) -> None:
    main([str(tmp_path / "a"), str(tmp_path / "b"), "--reference", str(tmp_path / "pages")])
    for folder in ("a", "b"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == set(manifests())
    assert {path.name for path in (tmp_path / "pages").iterdir()} == set(pages())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_documented(kind: type[Resource]) -> None:
    for path, schema in walk(schema_of(kind), kind.__name__):
        if not path.endswith(("[]", "*", ".metadata")):
            assert schema.get("description"), path


def test_every_field_of_a_spec_is_read() -> None:
    """A field that nothing reads has no behaviour, and its description would promise some."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "operator/spillway").rglob("*.py")]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    models = {model for kind in KINDS for model in models_in(kind.model_fields["spec"].annotation)}
    fields = {f"{model.__name__}.{name}" for model in models for name in model.model_fields}
    assert len(fields) > 100
    assert [field for field in sorted(fields) if field.rpartition(".")[2] not in read] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_enum_value_is_a_truth_value_or_nothing_in_yaml(kind: type[Resource]) -> None:
    # YAML 1.1, which Kubernetes' tools read: On, Off, Yes, No and so on are booleans.
    for path, schema in walk(schema_of(kind), kind.__name__):
        for value in schema.get("enum", ()):
            if ".conditions[]" not in path:
                assert yaml.safe_load(value) == value, f"{path}: {value}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_list_in_spec_says_how_it_merges_and_is_bounded(kind: type[Resource]) -> None:
    for path, schema in walk(schema_of(kind)["properties"]["spec"], "spec"):
        if schema.get("type") == "array":
            assert schema["x-kubernetes-list-type"] in {"map", "atomic"}, path
            assert "maxItems" in schema, path
        if schema.get("type") == "string" and "enum" not in schema and "format" not in schema:
            assert "maxLength" in schema, path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_rule_says_what_is_allowed(kind: type[Resource]) -> None:
    for path, schema in walk(schema_of(kind), kind.__name__):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert "for example" in rule["message"] or "must be either" in rule["message"], f"{path}: {rule['message']}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_conventions(kind: type[Resource]) -> None:
    spec = definition(kind)["spec"]
    version = spec["versions"][0]
    status = schema_of(kind)["properties"]["status"]["properties"]
    assert spec["scope"] == "Cluster"
    assert spec["names"]["categories"] == ["spillway"]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]][-1] == "Age"
    assert status["observedGeneration"]["format"] == "int64"
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    condition = status["conditions"]["items"]
    assert set(condition["required"]) == {"type", "status", "lastTransitionTime", "reason"}


def test_an_optional_reference_is_inlined_and_its_rules_add_up() -> None:
    class Inner(Model):
        """What it is."""

        size: Annotated[int, Field(json_schema_extra=rules(cel("self > 0", "must be above 0, for example 1")))]
        """How big."""

    class Outer(Model):
        """What holds it."""

        inner: Annotated[Inner | None, Field(json_schema_extra=rules(cel("true", "never, for example")))] = None
        """What is in it."""

    inner = structural(Outer)["properties"]["inner"]
    assert inner["type"] == "object"
    assert inner["description"] == "What is in it."
    assert inner["required"] == ["size"]
    assert "default" not in inner
    assert inner["x-kubernetes-validations"][0]["rule"] == "true"


def test_a_field_without_words_is_an_error() -> None:
    class Silent(Model):
        """What it is."""

        size: int

    with pytest.raises(ValueError, match=r"Silent\.size has no description"):
        structural(Silent)


def test_what_a_structural_schema_cannot_hold_is_an_error() -> None:
    class Either(Model):
        """What it is."""

        size: int | bool
        """One of two types."""

    with pytest.raises(ValueError, match=r"Either\.size"):
        structural(Either)


def schema_of(kind: type[Resource]) -> dict[str, Any]:
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def models_in(annotation: Any) -> Iterator[type[Model]]:
    """The models of a field, with those of their fields."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


def walk(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*")
