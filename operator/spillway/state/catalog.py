"""The catalog of Spillway's own resources, and the governance compiled from them.

Contract: fed by events (kopf) and by lists (`replace`), from the event loop's thread alone. Both may arrive late or
twice: an object's resourceVersion decides, so that an old list does not restore an object that an event removed. The
governance is compiled on demand, once after any number of changes; a change of status alone has no effect. An object
that does not parse keeps its last good form and is reported in `rejected`, without an effect on the others.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import ValidationError

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.policies.governance import Governance
from spillway.state.signal import Signal, Unsubscribe
from spillway.telemetry.logs import Logger

log = Logger(__name__)


class Kind(StrEnum):
    """The kinds of Spillway's API group."""

    ELASTIC_POLICY = "ElasticPolicy"
    VIRTUAL_NODE_BUDGET = "VirtualNodeBudget"
    ZONAL_BALANCE = "ZonalBalance"

    @property
    def plural(self) -> str:
        return _MODELS[self].plural


Model = ElasticPolicy | VirtualNodeBudget | ZonalBalance

_MODELS: Final[Mapping[Kind, type[Model]]] = {
    Kind.ELASTIC_POLICY: ElasticPolicy,
    Kind.VIRTUAL_NODE_BUDGET: VirtualNodeBudget,
    Kind.ZONAL_BALANCE: ZonalBalance,
}

Raw = Mapping[str, Any]


@dataclass(slots=True)
class Entry:
    """One resource: its newest form, and its last form that could be parsed."""

    kind: Kind
    name: str
    uid: str
    generation: int
    resource_version: int
    status: Raw
    model: Model | None
    error: str = ""
    """Why the newest form was refused; empty if it was accepted."""


@dataclass(slots=True)
class _Shelf:
    entries: dict[str, Entry] = field(default_factory=dict)
    buried: dict[str, int] = field(default_factory=dict)
    """Deleted names with the version of the deletion: an older list does not restore them."""
    listed: bool = False


class Catalog:
    """The parsed resources of the three kinds and their compiled governance."""

    def __init__(self, compile_governance: Callable[..., Governance] = Governance.compile) -> None:
        self._compile = compile_governance
        self._shelves = {kind: _Shelf() for kind in Kind}
        self._governance: Governance | None = None
        self._specs_changed: Signal[()] = Signal("Catalog")

    @property
    def loaded(self) -> bool:
        """Whether each kind was listed once: before that, an absent resource may not have been read yet."""
        return all(shelf.listed for shelf in self._shelves.values())

    @property
    def governance(self) -> Governance:
        """The governance of all resources together."""
        if self._governance is None:
            self._governance = self._compile(
                self._models(Kind.ELASTIC_POLICY),
                self._models(Kind.VIRTUAL_NODE_BUDGET),
                self._models(Kind.ZONAL_BALANCE),
            )
        return self._governance

    def entries(self, kind: Kind) -> Mapping[str, Entry]:
        """The resources of one kind by name."""
        return self._shelves[kind].entries

    def unreadable(self, kind: Kind) -> frozenset[str]:
        """Names of existing resources that could never be parsed: their content is unknown, not empty."""
        return frozenset(name for name, entry in self._shelves[kind].entries.items() if entry.model is None)

    def subscribe(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call `callback` after every change of the resources' specs (not of their status)."""
        return self._specs_changed.subscribe(callback)

    def copied(self) -> "Catalog":
        """A catalog of the same resources by name, which does not change any more; see `with_statuses`."""
        made = Catalog(self._compile)
        for kind, shelf in self._shelves.items():
            entries = {name: replace(entry) for name, entry in sorted(shelf.entries.items())}
            made._shelves[kind] = _Shelf(entries, listed=shelf.listed)
        return made

    def with_statuses(self) -> Self:
        """Let the governance have the statuses that were read last: a change of status alone does not compile it again.

        A status that does not parse stays as it was when the spec last changed.
        """
        for entry in (entry for shelf in self._shelves.values() for entry in shelf.entries.values()):
            if entry.model is not None:
                with suppress(ValidationError):
                    status = type(entry.model.status).model_validate(entry.status)
                    entry.model = entry.model.model_copy(update={"status": status})
        self._governance = None
        return self

    def status_written(self, entry: Entry, status: Raw) -> None:
        """Note a status that this process has written to the resource as it was read; its event comes later."""
        entry.status = status

    def upsert(self, kind: str, raw: Raw) -> None:
        """Add or replace one object from an event."""
        if self._put(Kind(kind), raw):
            self._changed()

    def delete(self, kind: str, name: str, resource_version: str | int = 0) -> None:
        """Remove one object; `resource_version` is that of its deletion if it is known."""
        shelf = self._shelves[Kind(kind)]
        entry = shelf.entries.get(name)
        version = _version(resource_version)
        if version:
            shelf.buried[name] = max(version, shelf.buried.get(name, 0))
        if entry is None or (version and entry.resource_version > version):
            return
        del shelf.entries[name]
        self._changed()

    def replace(self, kind: str, raws: Iterable[Raw], resource_version: str | int) -> None:
        """Replace all objects by a list read at `resource_version`: an absent object that is not newer was deleted."""
        shelf = self._shelves[Kind(kind)]
        version = _version(resource_version)
        changed = not shelf.listed
        shelf.listed = True
        seen: set[str] = set()
        for raw in raws:
            seen.add(raw["metadata"]["name"])
            changed |= self._put(Kind(kind), raw)
        for name, entry in list(shelf.entries.items()):
            if name not in seen and entry.resource_version <= version:
                del shelf.entries[name]
                changed = True
        shelf.buried = {name: at for name, at in shelf.buried.items() if at > version}
        if changed:
            self._changed()

    def _put(self, kind: Kind, raw: Raw) -> bool:
        metadata = raw["metadata"]
        name: str = metadata["name"]
        version = _version(metadata.get("resourceVersion", 0))
        shelf = self._shelves[kind]
        if version and version <= shelf.buried.get(name, 0):
            return False
        old = shelf.entries.get(name)
        if old is not None and version and version < old.resource_version:
            return False
        same = (
            old is not None
            and old.uid == metadata.get("uid", "")
            and old.generation == metadata.get("generation", 0)
            and old.generation > 0
        )
        entry = Entry(
            kind=kind,
            name=name,
            uid=metadata.get("uid", ""),
            generation=metadata.get("generation", 0),
            resource_version=version,
            status=raw.get("status") or {},
            model=old.model if old is not None else None,
            error=old.error if same and old is not None else "",
        )
        shelf.entries[name] = entry
        if same:
            return False
        try:
            entry.model = _MODELS[kind].model_validate(raw)
        except ValidationError as error:
            entry.error = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)[:5]
            )
            log.warning("resource refused, its last good form stays in force", key=f"{kind}/{name}", error=entry.error)
        return True

    def _models(self, kind: Kind) -> tuple[Any, ...]:
        return tuple(entry.model for entry in self._shelves[kind].entries.values() if entry.model is not None)

    def _changed(self) -> None:
        self._governance = None
        self._specs_changed.emit()


def _version(raw: str | int) -> int:
    """A resourceVersion as a number (comparable for these kinds); 0 if it is not one."""
    try:
        return int(raw)
    except ValueError:
        return 0
