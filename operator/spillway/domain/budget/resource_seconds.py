"""Resource-seconds: millicores and bytes times seconds, for the metrics of consumption. What they cost is in `ledger`.

Contract: pure, in whole Unix seconds. A `Meter` integrates sums that change; its result does not depend on when it is
read.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from spillway.domain.model.names import Tier
from spillway.domain.model.records import PodRecord

K = TypeVar("K", bound=Hashable)


def counts_as_physical(pod: PodRecord) -> bool:
    """Whether a pod counts by the tier in its marks; every other pod counts on the pool of its node."""
    return pod.tier in {Tier.FIXED, Tier.ELASTIC}


class Consumed(NamedTuple):
    """Millicores and bytes, each times the seconds for which they were requested."""

    cpu_millis_seconds: int = 0
    memory_byte_seconds: int = 0


@dataclass(slots=True)
class _Sum:
    at: int
    cpu_millis: int = 0
    memory_bytes: int = 0
    pods: int = 0
    consumed: Consumed = field(default_factory=Consumed)


class Meter(Generic[K]):
    """Sums of requests over time, by key."""

    def __init__(self) -> None:
        self._sums: dict[K, _Sum] = {}

    def add(self, key: K, cpu_millis: int, memory_bytes: int, *, now: int) -> None:
        """Count one more pod from now on."""
        self._change(key, cpu_millis, memory_bytes, 1, now)

    def remove(self, key: K, cpu_millis: int, memory_bytes: int, *, now: int) -> None:
        """Count one pod less from now on; it must have been added."""
        self._change(key, -cpu_millis, -memory_bytes, -1, now)

    def present(self) -> Mapping[K, int]:
        """The millicores that count now, by key."""
        return {key: one.cpu_millis for key, one in self._sums.items()}

    def collect(self, now: int) -> Mapping[K, Consumed]:
        """The consumption since the last call; a key without pods is forgotten after that."""
        collected: dict[K, Consumed] = {}
        for key, one in list(self._sums.items()):
            _advance(one, now)
            if one.consumed != (0, 0):
                collected[key] = one.consumed
                one.consumed = Consumed()
            if not one.pods:
                del self._sums[key]
        return collected

    def clear(self, now: int) -> Mapping[K, Consumed]:
        """Collect and reset: all pods that count will be added again."""
        collected = self.collect(now)
        self._sums.clear()
        return collected

    def _change(self, key: K, cpu_millis: int, memory_bytes: int, pods: int, now: int) -> None:
        one = self._sums.get(key)
        if one is None:
            one = self._sums[key] = _Sum(now)
        _advance(one, now)
        one.cpu_millis += cpu_millis
        one.memory_bytes += memory_bytes
        one.pods += pods


def _advance(one: _Sum, now: int) -> None:
    seconds = now - one.at
    if seconds <= 0:
        return
    one.consumed = Consumed(
        one.consumed.cpu_millis_seconds + one.cpu_millis * seconds,
        one.consumed.memory_byte_seconds + one.memory_bytes * seconds,
    )
    one.at = now
