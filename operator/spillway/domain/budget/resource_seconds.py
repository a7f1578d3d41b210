"""Resource-seconds: millicores and bytes times seconds, for the metrics of consumption. What they cost is in `ledger`.

Contract: pure, in whole Unix seconds. A `Meter` integrates sums that change; its result does not depend on when it is
read. While nothing is added or removed, a reader that keeps the rates need not read every key again: it takes the time
that has passed (`pass_time`), and multiplies.
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
        self._collected_at: int | None = None
        """The time until which all sums are collected; None if they have changed since, or differ in it."""
        self._passed_at = 0
        """The time until which `pass_time` has been called."""

    @property
    def unchanged(self) -> bool:
        """Whether nothing was added or removed since the last `collect`."""
        return self._collected_at is not None

    def add(self, key: K, cpu_millis: int, memory_bytes: int, *, now: int) -> None:
        """Count one more pod from now on."""
        self._change(key, cpu_millis, memory_bytes, 1, now)

    def remove(self, key: K, cpu_millis: int, memory_bytes: int, *, now: int) -> None:
        """Count one pod less from now on; it must have been added."""
        self._change(key, -cpu_millis, -memory_bytes, -1, now)

    def present(self) -> Mapping[K, Consumed]:
        """What counts now, by key: the consumption of each second from now on."""
        return {key: Consumed(one.cpu_millis, one.memory_bytes) for key, one in self._sums.items()}

    def collect(self, now: int) -> Mapping[K, Consumed]:
        """The consumption since the last call; a key without pods is forgotten after that."""
        collected: dict[K, Consumed] = {}
        for key, one in list(self._sums.items()):
            self._advance(one, now)
            if one.consumed != (0, 0):
                collected[key] = one.consumed
                one.consumed = Consumed()
            if not one.pods:
                del self._sums[key]
        self._collected_at = now if all(one.at == now for one in self._sums.values()) else None
        return collected

    def pass_time(self, now: int) -> int:
        """The seconds since the last call or `collect`, which the caller charges at the rates of `present` itself.

        Only while the meter is `unchanged`.
        """
        if self._collected_at is None:
            raise ValueError("the meter has changed since it was collected")
        seconds = max(0, now - self._collected_at)
        self._collected_at += seconds
        self._passed_at = self._collected_at
        return seconds

    def _change(self, key: K, cpu_millis: int, memory_bytes: int, pods: int, now: int) -> None:
        one = self._sums.get(key)
        if one is None:
            one = self._sums[key] = _Sum(now)
        self._collected_at = None
        self._advance(one, now)
        one.cpu_millis += cpu_millis
        one.memory_bytes += memory_bytes
        one.pods += pods

    def _advance(self, one: _Sum, now: int) -> None:
        one.at = max(one.at, self._passed_at)
        seconds = now - one.at
        if seconds <= 0:
            return
        one.consumed = Consumed(
            one.consumed.cpu_millis_seconds + one.cpu_millis * seconds,
            one.consumed.memory_byte_seconds + one.memory_bytes * seconds,
        )
        one.at = now
