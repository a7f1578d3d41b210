"""The base of all API models, and helpers for what only a CRD can express.

Contract: an attribute's docstring is the field's description for users. What types cannot express is in
`json_schema_extra`, written with the helpers here; `openapi.py` turns both into a structural schema. The operator reads
tolerantly (a field that a newer CRD has is ignored); `strict()` refuses unknown fields, for files that people write.
"""

import ast
import inspect
import itertools
import textwrap
from typing import Any, Final, Self, cast

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

NO_SERVER_DEFAULT: Final = "x-spillway-no-server-default"
"""Marks a field whose default the API server must not write into the object, so that a value set by the user can be
recognised."""


class Model(BaseModel):
    """The base of all models of a manifest: frozen, camelCase on the wire, documented by attribute docstrings."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema with the attribute docstrings.

        pydantic's own `use_attribute_docstrings` parses the source of every model whenever it is imported, which takes
        as long as everything else about the models.
        """
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in _attribute_docstrings(cls).items():
            found = cls.model_fields.get(name)
            if found is not None and found.description is None:
                properties[found.alias or name]["description"] = text
        return schema

    @classmethod
    def strict(cls, raw: object) -> Self:
        """Parse a file that a person wrote: an unknown field is an error.

        Raises:
            pydantic.ValidationError: with the path of each bad field.
        """
        return cls.model_validate(raw, extra="forbid")

    def wire(self) -> dict[str, Any]:
        """The object in the form of Kubernetes: camelCase, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _attribute_docstrings(model: type[Model]) -> dict[str, str]:
    """The docstrings below the attributes of a model and of the models that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not issubclass(one, Model):
            continue
        [parsed] = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        for before, after in itertools.pairwise(cast("ast.ClassDef", parsed).body):
            match before, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


def cel(rule: str, message: str, *, field: str | None = None) -> dict[str, str]:
    """One CEL rule. `message` says what is allowed, with an example; `field` is the path that the error names."""
    return {"rule": rule, "message": message} | ({"fieldPath": field} if field else {})


def rules(*checks: dict[str, str], **extra: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON schema keyword
    """The `json_schema_extra` with these CEL rules and other keywords."""
    return {"x-kubernetes-validations": list(checks), **extra}


def bounded_name() -> dict[str, Any]:
    """A limit of 63 characters for the name of a kind, because the name is also the value of a taint."""
    return rules(
        cel(
            "size(self.metadata.name) <= 63",
            "must have at most 63 characters, for example online-services",
            field=".metadata.name",
        )
    )


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose entries are identified by these fields: merged by key, without duplicates."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def atomic_list(*checks: dict[str, str]) -> dict[str, Any]:
    """A list that has one owner, because its order matters."""
    return {"x-kubernetes-list-type": "atomic"} | (rules(*checks) if checks else {})


NO_DUPLICATES: Final = cel(
    "self.all(one, self.exists_one(other, other == one))", "must name each entry once, for example [eci-a, tke-b]"
)


def any_object(description: str) -> dict[str, Any]:
    """A Kubernetes object, kept as the user wrote it."""
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "description": description}
