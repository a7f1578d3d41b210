"""Waiting pods whose pools were withdrawn: they were sent to pools that no policy gives them any more.

Contract: pure. The policy or a VirtualNodeBudget was deleted, the policy no longer lists the pool or no longer selects
the workload, or it only recommends. Such a pod has a required affinity for the pool's nodes, which cannot be loosened,
and no policy spills or recalls it, so it would wait for ever. It has never started, so it is replaced without a loss of
work. Only pods that Spillway has sent are replaced. Each of these carries a token of its own; a template that was
copied from a pod gives all its pods the same one, and no token is replaced twice.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.owners import has_successor
from spillway.domain.model.records import PodRecord
from spillway.domain.model.remember import FairMemory

SETTLED_SECONDS: Final = 5.0
"""How long pools have to be withdrawn before a pod is replaced: a policy may be deleted and created again."""
_REMEMBERED: Final = 8192


def waits_for_pools(pod: PodRecord) -> bool:
    """Whether Spillway has sent this pod to pools, it is on no node, and its owner creates a successor for it."""
    return (
        pod.pending is not None
        and pod.active
        and not pod.node
        and bool(pod.pending.reservation and pod.marked_pools)
        and has_successor(pod)
    )


def withdrawn(pod: PodRecord, given: Collection[str]) -> bool:
    """Whether a pod waits for a pool that is not among those `given` to it by its policy now."""
    return waits_for_pools(pod) and not set(given).issuperset(pod.marked_pools)


@dataclass(slots=True)
class Tokens:
    """The tokens of the pods that were replaced."""

    _known: FairMemory[str, None] = field(default_factory=lambda: FairMemory(_REMEMBERED))

    def new(self, pod: PodRecord) -> bool:
        """Whether no pod with this token was replaced."""
        return pod.pending is not None and pod.pending.reservation not in self._known

    def note(self, pod: PodRecord) -> None:
        """Record that the pod was replaced."""
        if pod.pending is not None:
            self._known.put(pod.pending.reservation, None, share=pod.namespace)
