"""What stands on each virtual pool at every moment, when that is beyond a limit, and what the stays cost. Pure.

Contract: a pod is on a pool from the moment that a watch shows it bound there until it is gone or finished, also while
it is being deleted: the provider bills it, and a limit means what is used. Its size is what it requests, or what was
asked of the provider for it where that is more. Times are hours of the day's clock, given by the caller.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GIB: Final = 1 << 30
SECONDS_PER_HOUR: Final = 3600.0
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Size:
    """What a pod takes of a pool."""

    cpu_millis: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Price:
    """Of a pool, per hour."""

    cpu: float
    memory_gib: float
    minimum_seconds: float = 0.0

    def of(self, size: Size) -> float:
        """What such a pod costs in an hour."""
        return self.cpu * size.cpu_millis / 1000 + self.memory_gib * size.memory_bytes / GIB


@dataclass(frozen=True, slots=True)
class Limits:
    """None where there is no limit."""

    pods: int | None = None
    cpu_millis: int | None = None
    memory_bytes: int | None = None
    cost_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """One VirtualNodeBudget as the bench lays it."""

    name: str
    price: Price
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Stay:
    """One pod on one pool; `left` is None while it is there."""

    pool: str
    size: Size
    came: float
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Breach:
    """A moment at which a pool went beyond a limit."""

    pool: str
    limit: str
    used: float
    allowed: float
    at_hours: float


class Tenants:
    """Who is on which pool; breaches and highest use are kept."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self.pools: Mapping[str, Pool] = {pool.name: pool for pool in pools}
        self.breaches: list[Breach] = []
        self.past: list[Stay] = []
        self._here: dict[str, Stay] = {}
        self._used: dict[str, dict[str, float]] = {name: _amounts(None, None) for name in self.pools}
        self._most: dict[str, dict[str, float]] = {name: _amounts(None, None) for name in self.pools}
        self._beyond: dict[str, set[str]] = defaultdict(set)

    def move(self, uid: str, pool: str | None, size: Size, now: float) -> None:
        """The pod is on that pool now, or on none. What did not change may be told again."""
        stay = self._here.get(uid)
        if stay is not None and (stay.pool, stay.size) == (pool, size):
            return
        if stay is not None:
            del self._here[uid]
            self.past.append(Stay(stay.pool, stay.size, stay.came, now))
            self._add(stay.pool, stay.size, -1, now)
        if pool is not None:
            self._here[uid] = Stay(pool, size, now)
            self._add(pool, size, 1, now)

    def stays(self) -> list[Stay]:
        """Everyone who was ever on a pool."""
        return [*self.past, *self._here.values()]

    def on(self, pool: str) -> int:
        """Pods on it now."""
        return round(self._used[pool]["pods"])

    def figures(self) -> dict[str, dict[str, Any]]:
        """The highest use of each pool beside its limits."""
        found = {}
        for name, pool in self.pools.items():
            limits = {what: limit for what, limit in _limits(pool).items() if limit is not None}
            most = {what: round(amount, 4) for what, amount in self._most[name].items()}
            found[name] = {"most_used": most, "limits": limits}
        return found

    def _add(self, name: str, size: Size, sign: int, now: float) -> None:
        pool, used, most = self.pools[name], self._used[name], self._most[name]
        for what, amount in _amounts(size, pool.price).items():
            used[what] += sign * amount
            most[what] = max(most[what], used[what])
        for what, limit in _limits(pool).items():
            if limit is None or used[what] <= limit + _ROUNDING * max(limit, 1.0):
                self._beyond[name].discard(what)
            elif what not in self._beyond[name]:
                self._beyond[name].add(what)
                self.breaches.append(Breach(name, what, used[what], limit, now))


def cost(stays: Iterable[Stay], pools: Mapping[str, Pool], *, until: float) -> dict[str, float]:
    """What stays between hour 0 and `until` cost, by pool; a pod is billed for the pool's minimum at least."""
    total = dict.fromkeys(pools, 0.0)
    for stay in stays:
        price = pools[stay.pool].price
        end = until if stay.left is None else min(stay.left, until)
        came = max(stay.came, 0.0)
        if end <= came:
            continue
        whole = stay.left is not None and stay.came >= 0 and stay.left <= until
        hours = max(end - came, price.minimum_seconds / SECONDS_PER_HOUR) if whole else end - came
        total[stay.pool] += hours * price.of(stay.size)
    return total


def parse_size(text: str, requested: Size) -> Size:
    """The size in the annotation `spillway.dev/size` (`4000m-8589934592`) where it is bigger, else as requested."""
    cpu, _, memory = text.partition("-")
    if not cpu.endswith("m") or not memory.isdecimal():
        return requested
    return Size(max(int(cpu[:-1]), requested.cpu_millis), max(int(memory), requested.memory_bytes))


def _amounts(size: Size | None, price: Price | None) -> dict[str, float]:
    if size is None or price is None:
        return {"pods": 0.0, "cpu_millis": 0.0, "memory_bytes": 0.0, "cost_per_hour": 0.0}
    return {
        "pods": 1.0,
        "cpu_millis": float(size.cpu_millis),
        "memory_bytes": float(size.memory_bytes),
        "cost_per_hour": price.of(size),
    }


def _limits(pool: Pool) -> dict[str, float | None]:
    limits = pool.limits
    return {
        "pods": limits.pods,
        "cpu_millis": limits.cpu_millis,
        "memory_bytes": limits.memory_bytes,
        "cost_per_hour": limits.cost_per_hour,
    }
