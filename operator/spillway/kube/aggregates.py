"""Sums over pods that are asked for often, kept by delta: nobody walks 150,000 pods for a number.

Contract: a pod counts from being seen until it is finished (Succeeded, Failed) or gone, as the scheduler counts it; a
terminating pod still takes its room. Reading a sum costs the same whatever the cluster's size.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from spillway.domain.names import NodeName, OwnerUid
from spillway.domain.records import Phase, PodRecord

_FINISHED = (Phase.SUCCEEDED, Phase.FAILED)


class Usage(NamedTuple):
    """How many pods, and what they request together."""

    pods: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0


_NOTHING = Usage()
K = TypeVar("K")


class Aggregates:
    """Usage per node, and per policy by tier and pool; pods per owner by tier."""

    def __init__(self) -> None:
        self._nodes: dict[NodeName, Usage] = {}
        self._policies: dict[str, dict[tuple[str, str], Usage]] = {}
        self._owners: dict[tuple[OwnerUid, str], int] = {}

    def on_node(self, node: NodeName) -> Usage:
        return self._nodes.get(node, _NOTHING)

    def of_policy(self, policy: str) -> Mapping[tuple[str, str], Usage]:
        """By (tier, pool) as stamped on the pods; the pool is empty but for virtual nodes."""
        return self._policies.get(policy, {})

    def by_tier(self, policy: str) -> dict[str, int]:
        """Pods of a policy by the tier that was stamped on them."""
        counts: dict[str, int] = {}
        for (tier, _), usage in self.of_policy(policy).items():
            counts[tier] = counts.get(tier, 0) + usage.pods
        return counts

    def of_owner(self, owner: OwnerUid, tier: str) -> int:
        """Pods of one owner that carry this tier's mark (the empty tier: no mark)."""
        return self._owners.get((owner, tier), 0)

    def replace(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """One pod changed, came (`old` is None) or went (`new` is None)."""
        if old is not None and new is not None and _counted_alike(old, new):
            return
        if old is not None and old.phase not in _FINISHED:
            self._count(old, -1)
        if new is not None and new.phase not in _FINISHED:
            self._count(new, 1)

    def _count(self, pod: PodRecord, sign: int) -> None:
        if pod.node:
            _add(self._nodes, pod.node, pod, sign)
        if pod.policy:
            pools = self._policies.setdefault(pod.policy, {})
            _add(pools, (pod.tier, pod.pool), pod, sign)
            if not pools:
                del self._policies[pod.policy]
        if pod.owner_uid:
            key = (pod.owner_uid, pod.tier)
            count = self._owners.get(key, 0) + sign
            if count:
                self._owners[key] = count
            else:
                self._owners.pop(key, None)


def _counted_alike(old: PodRecord, new: PodRecord) -> bool:
    return (
        old.node == new.node
        and (old.phase in _FINISHED) == (new.phase in _FINISHED)
        and (old.policy, old.tier, old.pool) == (new.policy, new.tier, new.pool)
        and old.owner_uid == new.owner_uid
        and (old.cpu_millis, old.memory_bytes) == (new.cpu_millis, new.memory_bytes)
    )


def _add(sums: dict[K, Usage], key: K, pod: PodRecord, sign: int) -> None:
    was = sums.get(key, _NOTHING)
    pods = was.pods + sign
    if pods:
        sums[key] = Usage(pods, was.cpu_millis + sign * pod.cpu_millis, was.memory_bytes + sign * pod.memory_bytes)
    else:
        sums.pop(key, None)
