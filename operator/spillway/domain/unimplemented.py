"""Which fields of a resource are accepted and do nothing in this version.

Contract: a field is named only where the user has set it, by its path as a manifest writes it, and a list's entry by
its name. When a field's behaviour is built, its line here goes, and nothing else has to change.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from spillway.api import Resource

NOT_BUILT: Final[dict[str, tuple[str, ...]]] = {
    "ElasticPolicy": (
        "workloads[].scaling.schedules",
        "workloads[].scaling.forecast",
        "headroom",
    ),
    "VirtualNodeBudget": (),
    "ZonalBalance": (
        "load",
        "target",
        "zonePreference",
        "hotNodes",
        "classes",
        "rebalance",
    ),
}
"""Paths under `spec`, by kind; `[]` is every entry of a list."""


def not_implemented(resource: Resource) -> tuple[str, ...]:
    """The fields under `spec` that the user has set and that do nothing, in the order of the schema."""
    return tuple(
        path
        for unbuilt in NOT_BUILT[type(resource).__name__]
        for path in _set_paths(resource.spec, unbuilt.split("."), "spec")
    )


def _set_paths(model: BaseModel, path: list[str], walked: str) -> Iterator[str]:
    head, *rest = path
    name = head.removesuffix("[]")
    attribute = next(key for key, field in type(model).model_fields.items() if field.alias == name)
    value = getattr(model, attribute)
    if attribute not in model.model_fields_set or value is None:
        return
    here = f"{walked}.{name}"
    if not rest:
        yield here
    elif head.endswith("[]"):
        for entry in value:
            yield from _set_paths(entry, rest, f"{here}[{entry.name}]")
    else:
        yield from _set_paths(value, rest, here)
