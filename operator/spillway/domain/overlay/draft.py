"""A pod while additions to it are planned: every addition is recorded, and nothing that the user set is ever replaced.

Contract: pods are plain JSON as in an AdmissionReview and are never changed; a draft copies what it touches. Its
operations are RFC 6902 `add`s, to be applied in their order. Something that is there already, the same and perhaps with
more in it (the API server fills in defaults, other webhooks add entries), counts as added, so a second round adds
nothing. Something else in its place is the user's: it stays, and `False` tells the caller to say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

Path = tuple[str, ...]

_KEYS: Final = ("mountPath", "name", "containerPort")
"""By which entries of a pod's lists are known, as in Kubernetes' strategic merge."""


class Operation(NamedTuple):
    """One `add` of a JSON patch: `webhooks.review.pointer(*path)` is its path."""

    path: Path
    value: Any


class OverlayPlan(NamedTuple):
    """What to add to a pod, and what of it the user had set otherwise."""

    operations: tuple[Operation, ...] = ()
    conflicts: tuple[str, ...] = ()
    """A sentence each: the field that was kept as the user set it, and the pool whose wish it was not."""

    def onto(self, pod: Mapping[str, Any]) -> Mapping[str, Any]:
        """The pod with the additions: what the next plan has to be made from."""
        for operation in self.operations:
            pod = added(pod, operation.path, operation.value)
        return pod


class Draft:
    """One pod and the additions planned so far."""

    def __init__(self, pod: Mapping[str, Any]) -> None:
        self.pod = pod
        self._operations: list[Operation] = []
        self._conflicts: dict[str, None] = {}

    def plan(self) -> OverlayPlan:
        """Everything so far; sentences once each."""
        return OverlayPlan(tuple(self._operations), tuple(self._conflicts))

    def conflict(self, sentence: str) -> None:
        """Something was kept as the user set it."""
        self._conflicts[sentence] = None

    def at(self, *path: str) -> Any:  # noqa: ANN401 - a pod is any JSON
        """What stands at a path; None where there is nothing."""
        found: Any = self.pod
        for part in path:
            if found is None:
                return None
            found = found[int(part)] if isinstance(found, Sequence) else found.get(part)
        return found

    def member(self, path: Path, key: str, value: Any) -> bool:  # noqa: ANN401
        """Give the object at `path` a member. False where it has another already."""
        parent = self.at(*path)
        if parent is None:
            self._add(path, {key: value})
            return True
        present = parent.get(key)
        if present is None:
            self._add((*path, key), value)
            return True
        return covers(present, value)

    def entry(self, path: Path, value: Mapping[str, Any], *, key: str = "name") -> bool:
        """Give the list at `path` an entry. False where another entry has its `key`."""
        entries = self.at(*path)
        if not entries:
            self._add(path, [value])
            return True
        present = next((one for one in entries if one.get(key) == value[key]), None)
        if present is None:
            self._add((*path, "-"), value)
            return True
        return covers(present, value)

    def fill(self, path: Path, key: str, value: str, *, default: str) -> None:
        """Give a member in place of what the API server fills in; anything else stays as it is."""
        if (self.at(*path) or {}).get(key, default) == default:
            self._add((*path, key), value)

    def containers(self, *fields: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Each container in these fields of the spec with its path, as the draft has it when asked."""
        for field in fields:
            for index, container in enumerate(self.at("spec", field) or ()):
                yield ("spec", field, str(index)), container

    def _add(self, path: Path, value: Any) -> None:  # noqa: ANN401
        self._operations.append(Operation(path, value))
        self.pod = added(self.pod, path, value)


def added(document: Mapping[str, Any], path: Path, value: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """The document after an RFC 6902 `add`; what is not on the path is shared with the old one."""
    result: Mapping[str, Any] = _added(document, path, value)
    return result


def _added(node: Any, path: Path, value: Any) -> Any:  # noqa: ANN401
    head, *rest = path
    if isinstance(node, Mapping):
        return {**node, head: _added(node[head], tuple(rest), value) if rest else value}
    entries = list(node)
    if rest:
        entries[int(head)] = _added(entries[int(head)], tuple(rest), value)
    else:
        entries.insert(len(entries) if head == "-" else int(head), value)
    return entries


def covers(present: Any, wanted: Any) -> bool:  # noqa: ANN401
    """Whether everything that is wanted stands in what is present, perhaps with more beside it."""
    if isinstance(wanted, Mapping):
        return isinstance(present, Mapping) and all(
            key in present and covers(present[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(present, Sequence) or isinstance(present, str):
            return False
        key = next(
            (key for key in _KEYS if wanted and all(isinstance(one, Mapping) and key in one for one in wanted)), None
        )
        if key is None:
            return len(present) == len(wanted) and all(map(covers, present, wanted))
        known = {one[key]: one for one in present if isinstance(one, Mapping) and key in one}
        return all(one[key] in known and covers(known[one[key]], one) for one in wanted)
    return bool(present == wanted)
