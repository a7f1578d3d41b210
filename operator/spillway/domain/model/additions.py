"""Additions to a Kubernetes object: the one form in which a change travels from a planner to the API server.

Contract: an addition is an RFC 6902 `add` whose path is kept as segments, so nothing is escaped or parsed on the way;
`json_patch` renders additions for the API server and nothing else does. Additions hold for the object from which they
were planned and are applied in their order. Documents are plain JSON and are never changed in place.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

Path = tuple[str, ...]

_ANNOTATIONS: Path = ("metadata", "annotations")


class Addition(msgspec.Struct, frozen=True):
    """One `add`. A segment is a key of a map, an index of a list, or `-` for the end of a list."""

    path: Path
    value: Any


def json_patch(additions: Iterable[Addition]) -> list[dict[str, Any]]:
    """The additions as a JSON Patch."""
    return [{"op": "add", "path": pointer(*one.path), "value": one.value} for one in additions]


def pointer(*segments: str) -> str:
    """A JSON pointer (RFC 6901) with its segments escaped."""
    return "".join("/" + segment.replace("~", "~0").replace("/", "~1") for segment in segments)


def annotation_additions(present: Mapping[str, str] | None, wanted: Mapping[str, str]) -> tuple[Addition, ...]:
    """Give an object the wanted annotations, whatever stands there now; all others stay.

    `present` are those of the object, None where it has no `metadata.annotations` at all.
    """
    if present is None:
        return (Addition(_ANNOTATIONS, dict(wanted)),) if wanted else ()
    return tuple(Addition((*_ANNOTATIONS, key), value) for key, value in wanted.items() if present.get(key) != value)
