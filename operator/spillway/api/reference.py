"""The reference page of a kind in Markdown, generated from its CustomResourceDefinition."""

from collections.abc import Iterator, Mapping
from typing import Any

_HEADER = "<!-- Generated from operator/spillway/api by `python -m spillway.api.crd`. Do not edit. -->\n"


def page(definition: Mapping[str, Any]) -> str:
    """The page: the kind's purpose, its columns in `kubectl get`, and every field with type, default and rules."""
    names = definition["spec"]["names"]
    version = definition["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [
        _HEADER,
        f"# {names['kind']}\n",
        f"{schema['description']}\n",
        (
            f"`{definition['spec']['group']}/{version['name']}`, cluster-scoped, short name "
            f"`{names['shortNames'][0]}`, category `{names['categories'][0]}` "
            f"(`kubectl get {names['categories'][0]}` shows all three kinds).\n"
        ),
        *(f"`{path.removeprefix('.')}` {message}.\n" for path, message in _own_rules(schema, "")),
        "## Columns of `kubectl get`\n",
        "| column | shows | only with `-o wide` |",
        "|---|---|---|",
    ]
    lines += [
        f"| {column['name'].upper()} | {column.get('description', 'Time since it was created')} "
        f"| {'yes' if column.get('priority') else ''} |"
        for column in version["additionalPrinterColumns"]
    ]
    for part in ("spec", "status"):
        lines += ["", f"## {part}\n", "| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(*entry) for entry in _fields(schema["properties"][part], part)]
        checks = list(_rules(schema["properties"][part], part))
        if checks:
            lines += ["", f"### What `{part}` must fulfil\n"]
            lines += [f"- `{path}` {message}" for path, message in checks]
    return "\n".join(lines) + "\n"


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, field, name in required
        yield from _fields(field, here)
        yield from _fields(field.get("items", {}), f"{here}[]")


def _own_rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path + rule.get("fieldPath", ""), rule["message"]


def _rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    yield from _own_rules(schema, path)
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _row(path: str, field: Mapping[str, Any], required: bool) -> str:  # noqa: FBT001 - a row of a table
    default = f"`{_plain(field['default'])}`" if "default" in field else "required" if required else ""
    return f"| `{path}` | {_type(field)} | {default} | {_cell(field['description'])} |"


def _type(field: Mapping[str, Any]) -> str:
    if "x-kubernetes-int-or-string" in field:
        return "quantity"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}{_bounds(field, 'minItems', 'maxItems')}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}{_bounds(field, 'minProperties', 'maxProperties')}"
    if field.get("format") == "date-time":
        return "time"
    return f"{field['type']}{_bounds(field, 'minimum', 'maximum')}"


def _bounds(field: Mapping[str, Any], low: str, high: str) -> str:
    if low in field and high in field:
        return f", {field[low]} to {field[high]}"
    if low in field:
        return f", at least {field[low]}"
    return f", at most {field[high]}" if high in field else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
