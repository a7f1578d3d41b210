"""Growth: by how much pods are bigger when they appear than they were when they were measured.

Contract: webhooks that run later, and what the API server fills in for them, make a pod bigger after it was decided.
What one pod of an owner showed is expected of its next ones; for an owner of which none was seen, what was last seen in
its namespace, because injectors are set up by namespace. Only pods that the informer shows teach anything, so no caller
of the webhook can. Growth is never negative.
"""

from collections import OrderedDict
from typing import Final

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.remember import FairMemory, remember
from spillway.domain.model.usage import NOTHING, Usage

_REMEMBERED: Final = 4096


class Growth:
    """The growth of the pods of each owner."""

    def __init__(self) -> None:
        self._owners: FairMemory[OwnerUid, Usage] = FairMemory(_REMEMBERED)
        self._namespaces: OrderedDict[str, Usage] = OrderedDict()

    def learn(self, namespace: str, owner: OwnerUid, *, measured: Usage, seen: Usage) -> None:
        """A pod of this owner has appeared with `seen`, and was measured as `measured`."""
        grown = grown_by(measured, seen)
        self._owners.put(owner, grown, share=namespace)
        remember(self._namespaces, namespace, grown, most=_REMEMBERED)

    def expected(self, namespace: str, owner: OwnerUid) -> Usage:
        """What the next pod of this owner will be bigger than it is measured."""
        seen = self._owners.get(owner)
        return self._namespaces.get(namespace, NOTHING) if seen is None else seen


def grown_by(measured: Usage, seen: Usage) -> Usage:
    """By how much more a pod requests; resources of which it requests less count 0."""
    more = seen - measured
    return Usage(0, max(0, more.cpu_millis), max(0, more.memory_bytes))
