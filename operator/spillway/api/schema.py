"""What every model of ours has in common, and how a model says things that only the CRD can say.

Contract: an attribute's docstring is the field's description for users. What a model cannot express in types it says in
`json_schema_extra`, with the helpers here; `openapi.py` turns both into a structural schema. The operator reads
tolerantly (a field that a newer CRD has is ignored); `strict()` refuses unknown fields, for files that a person has
written.
"""

from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

GROUP: Final = "spillway.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "spillway.dev/v1alpha1"
CATEGORY: Final = "spillway"

NO_SERVER_DEFAULT: Final = "x-spillway-no-server-default"
"""Marks a field whose default the API server must not write into the object: so we can tell that the user asked for
it."""


class Model(BaseModel):
    """Base of everything in a manifest: frozen, camelCase on the wire, documented by attribute docstrings."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def strict(cls, raw: object) -> Self:
        """Parse what a person wrote: a field that we do not know is an error.

        Raises:
            pydantic.ValidationError: with the path of each bad field.
        """
        return cls.model_validate(raw, extra="forbid")

    def wire(self) -> dict[str, Any]:
        """The object as Kubernetes takes it: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(rule: str, message: str, *, field: str | None = None) -> dict[str, str]:
    """One CEL rule. `message` says what is allowed, with an example; `field` is the path that the error names."""
    return {"rule": rule, "message": message} | ({"fieldPath": field} if field else {})


def rules(*checks: dict[str, str], **extra: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON schema keyword
    """The `json_schema_extra` that carries these CEL rules, and other keywords."""
    return {"x-kubernetes-validations": list(checks), **extra}


def bounded_name() -> dict[str, Any]:
    """For a kind whose names are written where Kubernetes takes no more than 63 characters, as the value of a taint."""
    return rules(
        cel(
            "size(self.metadata.name) <= 63",
            "must have at most 63 characters, for example online-services",
            field=".metadata.name",
        )
    )


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose entries are known by these fields: merged by key by server-side apply, duplicates refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def atomic_list(*checks: dict[str, str]) -> dict[str, Any]:
    """A list that has one owner, because its order means something."""
    return {"x-kubernetes-list-type": "atomic"} | (rules(*checks) if checks else {})


NO_DUPLICATES: Final = cel(
    "self.all(one, self.exists_one(other, other == one))", "must name each entry once, for example [eci-a, tke-b]"
)


def any_object(description: str) -> dict[str, Any]:
    """An object of Kubernetes' own, kept as the user wrote it."""
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "description": description}
