"""The API server's part of a JSON patch: a document after the additions of a plan."""

from collections.abc import Iterable, Mapping
from typing import Any

from spillway.domain.model.additions import Addition, Path
from spillway.domain.model.documents import Json


def applied(document: Json, additions: Iterable[Addition]) -> Json:
    """The document with the additions; what is not on their paths is shared with the given one."""
    for addition in additions:
        document = added(document, addition.path, addition.value)
    return document


def added(document: Json, path: Path, value: Any) -> Json:
    """The document after one RFC 6902 `add`."""
    result: Json = _added(document, path, value)
    return result


def _added(node: Any, path: Path, value: Any) -> Any:
    head, *rest = path
    if isinstance(node, Mapping):
        return {**node, head: _added(node[head], tuple(rest), value) if rest else value}
    entries = list(node)
    if rest:
        entries[int(head)] = _added(entries[int(head)], tuple(rest), value)
    else:
        entries.insert(len(entries) if head == "-" else int(head), value)
    return entries
