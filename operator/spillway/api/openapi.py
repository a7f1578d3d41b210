"""Conversion of a pydantic model to the structural schema of a CustomResourceDefinition.

Contract: `structural(Model)` gives the OpenAPI v3 schema with every reference inlined and nothing that Kubernetes
refuses in a structural schema (titles, `const`, `additionalProperties: false`, null types, exclusive bounds).
Descriptions are the attribute docstrings in one line. Only the defaults that the API server may write into the object
remain. The same model gives the same schema, in the order of the model.
"""

from typing import Any, Final

from pydantic import BaseModel

from spillway.api.schema import NO_SERVER_DEFAULT

Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "const", "examples", NO_SERVER_DEFAULT, "$defs"})
_RULES: Final = "x-kubernetes-validations"
_ORDER: Final = ("type", "description", "format", "default", "enum", "nullable")


def structural(model: type[BaseModel]) -> Schema:
    """The model's structural schema.

    Raises:
        ValueError: a field has no description, or a shape that a structural schema cannot hold.
    """
    raw = model.model_json_schema(by_alias=True)
    return _convert(raw, raw.get("$defs", {}), model.__name__)


def without_rules(schema: Schema) -> Schema:
    """The schema without its CEL rules, for a status: only the operator writes it."""
    kept = {key: value for key, value in schema.items() if key != _RULES}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = without_rules(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: without_rules(value) for name, value in kept["properties"].items()}
    return kept


def _convert(raw: Schema, defs: Schema, path: str) -> Schema:
    flat = _inline(raw, defs)
    converted = {key: value for key, value in flat.items() if key not in _DROPPED}
    if "const" in flat:
        converted |= {"type": "string", "enum": [flat["const"]]}
    if flat.get(NO_SERVER_DEFAULT) or flat.get("default") in (None, [], {}):
        converted.pop("default", None)
    if "description" in flat:
        converted["description"] = " ".join(str(flat["description"]).split())
    if "properties" in flat:
        converted["properties"] = {
            name: _property(value, defs, f"{path}.{name}") for name, value in flat["properties"].items()
        }
    if "items" in flat:
        converted["items"] = _convert(flat["items"], defs, f"{path}[]")
    extra = flat.get("additionalProperties")
    if isinstance(extra, dict):
        converted["additionalProperties"] = _convert(extra, defs, f"{path}.*")
    else:
        converted.pop("additionalProperties", None)
    _check(converted, path)
    return dict(sorted(converted.items(), key=lambda item: _rank(item[0])))


def _property(raw: Schema, defs: Schema, path: str) -> Schema:
    converted = _convert(raw, defs, path)
    if not converted.get("description"):
        raise ValueError(f"{path} has no description: give the attribute a docstring")
    return converted


def _inline(raw: Schema, defs: Schema) -> Schema:
    """Resolve a reference and an optional type; keywords beside them win, and CEL rules are combined."""
    flat = dict(raw)
    choices = flat.get("anyOf")
    if choices is not None and {"type": "null"} in choices:
        (only,) = [choice for choice in choices if choice != {"type": "null"}]
        del flat["anyOf"]
        flat = _over(_inline(only, defs), flat)
    reference = flat.pop("$ref", None)
    if reference is not None:
        flat = _over(_inline(defs[reference.removeprefix("#/$defs/")], defs), flat)
    return flat


def _over(base: Schema, beside: Schema) -> Schema:
    both = [*base.get(_RULES, ()), *beside.get(_RULES, ())]
    return base | beside | ({_RULES: both} if both else {})


def _rank(key: str) -> int:
    if key in _ORDER:
        return _ORDER.index(key)
    return len(_ORDER) + (key == _RULES) + 2 * (key == "required") + 3 * (key == "properties")


def _check(schema: Schema, path: str) -> None:
    if "x-kubernetes-int-or-string" in schema:
        return
    if "type" not in schema:
        raise ValueError(f"{path} has no type: {schema}")
    for refused in ("oneOf", "anyOf", "allOf", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "prefixItems"):
        if refused in schema:
            raise ValueError(f"{path} has {refused}, which a structural schema cannot hold")
