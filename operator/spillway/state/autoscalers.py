"""The HorizontalPodAutoscalers in memory, by the workload that each scales.

Contract: changed by their watch alone. Of several that scale one workload, which Kubernetes does not support, the first
by name counts. Empty, and not `known`, while nothing needs them.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.state.signal import Signal


class Autoscalers:
    """The autoscalers of the cluster."""

    def __init__(self) -> None:
        self._by_uid: dict[str, AutoscalerRecord] = {}
        self._by_workload: dict[str, dict[str, AutoscalerRecord]] = {}
        self.known = False
        """Whether they were listed completely."""
        self.changed: Signal[()] = Signal("AutoscalerRecord")
        """Emitted when one was created, changed or deleted, and when all of them are known."""

    @property
    def all(self) -> Mapping[str, AutoscalerRecord]:
        """By uid."""
        return MappingProxyType(self._by_uid)

    def of(self, workload: str) -> AutoscalerRecord | None:
        """The one that scales the workload `Deployment/shop/cart`; None without one."""
        found = self._by_workload.get(workload)
        return min(found.values(), key=lambda one: one.name) if found else None

    @property
    def some_are_ours(self) -> bool:
        """Whether Spillway created some of them."""
        return any(one.ours for one in self._by_uid.values())

    def apply(self, record: AutoscalerRecord) -> None:
        """Add or replace one."""
        old = self._by_uid.get(record.uid)
        if old == record:
            return
        self._forget(old)
        self._by_uid[record.uid] = record
        self._by_workload.setdefault(record.workload, {})[record.uid] = record
        self.changed.emit()

    def remove(self, uid: str) -> None:
        """Remove one."""
        if uid in self._by_uid:
            self._forget(self._by_uid[uid])
            self.changed.emit()

    def keep(self, uids: Iterable[str]) -> None:
        """Remove all others: a complete list has had these."""
        for uid in self._by_uid.keys() - set(uids):
            self.remove(uid)
        if not self.known:
            self.known = True
            self.changed.emit()

    def clear(self) -> None:
        """Forget all of them, because nothing needs them."""
        self._by_uid.clear()
        self._by_workload.clear()
        self.known = False

    def _forget(self, record: AutoscalerRecord | None) -> None:
        if record is None:
            return
        del self._by_uid[record.uid]
        group = self._by_workload[record.workload]
        del group[record.uid]
        if not group:
            del self._by_workload[record.workload]
