"""Fields without effect say so wherever their description is read."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from spillway.api import KINDS, Resource
from spillway.api.crd import definition
from spillway.api.not_built import NOT_BUILT, PREFIX, mark


def fields(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        yield here, field["description"]
        yield from fields(field, here)
        yield from fields(field.get("items", {}), f"{here}[]")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_these_fields_and_no_others_say_that_they_are_not_implemented(kind: type[Resource]) -> None:
    spec = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    listed = NOT_BUILT[kind.__name__]

    for path, description in fields(spec):
        without_effect = any(path == one or path.startswith((f"{one}.", f"{one}[]")) for one in listed)
        assert description.startswith(PREFIX) == without_effect, path
        assert description.count(PREFIX) <= 1, path


def test_a_path_that_the_kind_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError):
        mark({"properties": {}}, "ZonalBalance")
