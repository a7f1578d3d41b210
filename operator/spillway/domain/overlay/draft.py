"""A pod while it is being changed: the additions so far, the pod with them, and the wishes that its user overrules.

Contract: pods are plain JSON as in an AdmissionReview (dicts and lists); the pod that is given is never changed, and a
draft copies what it touches once. Nothing that the user set is replaced: what is there already, the same and perhaps
with more in it (the API server fills in defaults, other webhooks add entries), counts as added, so a second round adds
nothing. Something else in its place stays, and `False` tells the caller to report it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from spillway.domain.model.additions import Addition, Path
from spillway.domain.model.documents import Json

_KEYS: Final = ("mountPath", "name", "containerPort")
"""By which entries of a pod's lists are known, as in Kubernetes' strategic merge."""


class Draft:
    """One pod and the additions to it so far. `pod` is the pod with them; callers read it and never change it."""

    def __init__(self, pod: Json) -> None:
        self.pod = pod
        self._additions: list[Addition] = []
        self._conflicts: dict[str, None] = {}
        self._owned: dict[int, Any] = {}
        """By identity: the copies that are this draft's own and may be changed in place."""

    @property
    def additions(self) -> tuple[Addition, ...]:
        """Everything added so far, in order."""
        return tuple(self._additions)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """A sentence for each field that was kept as the user set it; each sentence once."""
        return tuple(self._conflicts)

    def conflict(self, sentence: str) -> None:
        """Report that something was kept as the user set it."""
        self._conflicts[sentence] = None

    def at(self, *path: str) -> Any:  # noqa: ANN401 - a pod is any JSON
        """The value at a path; None where there is nothing."""
        found: Any = self.pod
        for segment in path:
            if found is None:
                return None
            found = found[int(segment)] if isinstance(found, list) else found.get(segment)
        return found

    def member(self, path: Path, key: str, value: Any) -> bool:  # noqa: ANN401
        """Give the object at `path` a member. False where it has another already."""
        parent = self.at(*path)
        if parent is None:
            self.add(Addition(path, {key: value}))
            return True
        present = parent.get(key)
        if present is None:
            self.add(Addition((*path, key), value))
            return True
        return covers(present, value)

    def entry(self, path: Path, value: Json, *, key: str = "name") -> bool:
        """Give the list at `path` an entry. False where another entry has its `key`."""
        entries = self.at(*path)
        if not entries:
            self.add(Addition(path, [value]))
            return True
        wanted = value[key]
        for present in entries:
            if present.get(key) == wanted:
                return covers(present, value)
        self.add(Addition((*path, "-"), value))
        return True

    def fill(self, path: Path, key: str, value: str, *, default: str) -> None:
        """Give a member in place of what the API server fills in; anything else stays as it is."""
        if (self.at(*path) or {}).get(key, default) == default:
            self.add(Addition((*path, key), value))

    def containers(self, *fields: str) -> Iterator[tuple[Path, Json]]:
        """Each container in these fields of the spec with its path, as the draft has it when asked."""
        for field in fields:
            for index, container in enumerate(self.at("spec", field) or ()):
                yield ("spec", field, str(index)), container

    def add_all(self, additions: Iterable[Addition]) -> None:
        """Take over additions that were planned from the pod as it is now."""
        for addition in additions:
            self.add(addition)

    def add(self, addition: Addition) -> None:
        """Take over one addition. Its value is the addition's own and is copied before anything is added within it."""
        self._additions.append(addition)
        *parents, last = addition.path
        node = self.pod = self._own(self.pod)
        for segment in parents:
            at = int(segment) if isinstance(node, list) else segment
            node[at] = self._own(node[at])
            node = node[at]
        if not isinstance(node, list):
            node[last] = addition.value
        else:
            node.insert(len(node) if last == "-" else int(last), addition.value)

    def _own(self, node: Any) -> Any:  # noqa: ANN401
        if id(node) in self._owned:
            return node
        own = list(node) if isinstance(node, list) else dict(node)
        self._owned[id(own)] = own
        return own


def covers(present: Any, wanted: Any) -> bool:  # noqa: ANN401
    """Whether everything that is wanted stands in what is present, perhaps with more beside it."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            key in present and covers(present[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(present, list):
            return False
        key = next(
            (key for key in _KEYS if wanted and all(isinstance(one, dict) and key in one for one in wanted)), None
        )
        if key is None:
            return len(present) == len(wanted) and all(map(covers, present, wanted))
        known = {one[key]: one for one in present if isinstance(one, dict) and key in one}
        return all(one[key] in known and covers(known[one[key]], one) for one in wanted)
    return bool(present == wanted)


def kept(field: str, pool: str) -> str:
    """The sentence about a field that stays as its user set it."""
    return f"{field} is set by the pod and was kept: pool {pool} asks for another"
