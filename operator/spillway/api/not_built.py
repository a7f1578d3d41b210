"""The list of fields that are accepted and have no effect in this version.

Contract: the descriptions of these fields and of all fields under them begin with `PREFIX`, in the CRDs and in the
reference; the condition `NotImplemented` of an object names those that its manifest sets.
"""

from typing import Any, Final

NOT_BUILT: Final[dict[str, tuple[str, ...]]] = {
    "ElasticPolicy": (),
    "VirtualNodeBudget": (),
    "ZonalBalance": ("classes",),
}
"""Paths under `spec`, by kind; `[]` is every entry of a list."""

PREFIX: Final = "Not implemented yet. "


def mark(spec: dict[str, Any], kind: str) -> None:
    """Begin the descriptions of a kind's fields without effect with `PREFIX`; `spec` is the schema of its `spec`.

    Raises:
        KeyError: the list names a field that the schema does not have.

    """
    for path in NOT_BUILT[kind]:
        schema = spec
        for step in path.split("."):
            schema = schema["properties"][step.removesuffix("[]")]
            if step.endswith("[]"):
                schema = schema["items"]
        _mark(schema)


def _mark(schema: dict[str, Any]) -> None:
    if "description" in schema:
        schema["description"] = PREFIX + schema["description"]
    _mark_fields(schema)


def _mark_fields(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        _mark(field)
    if "items" in schema:
        _mark_fields(schema["items"])
