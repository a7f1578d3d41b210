"""The health of a pool: when it counts as failed, when it is tried again, and how the delay grows.

Contract: a function of the present observations and of a small memory that fits in a status. A pool fails when no node
of it was ready for `unhealthyAfter`, or when pods that were bound to it have not started for `startAfter` and none has
started since (`start_failures` has the rule). It is tried again after `retryAfter`, twice that after the next failure,
and so on up to 64 times: but not before a node is ready. While it is being tried it takes `PROBE_PODS` pods at a time;
the first one that starts makes it healthy. A failure is forgotten once the pool was healthy for as long as it was held
for it, so a pool that flaps is held longer and longer, and two falls are at least `retryAfter` apart. Times are Unix
seconds.

The same rules give the health of a pool for the pods of one namespace, which fails by the start failures of that
namespace alone.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.pools.start_failures import FOR_ALL, StartFailure, closed_from

PROBE_PODS: Final = 5
"""The number of pods that may be sent to a pool that is being tried again, until one has started."""
FAILED_PODS: Final = 3
"""The number of pods that have to fail to start before a healthy pool fails."""
RETRYING_PODS: Final = 2
"""The same while it is tried again."""
MOST_DOUBLINGS: Final = 6


class HealthReason(StrEnum):
    """The cause of a pool's failure."""

    NODES_NOT_READY = "NodesNotReady"
    PODS_NOT_STARTING = "PodsNotStarting"


class State(StrEnum):
    """The state of a pool."""

    HEALTHY = "Healthy"
    FAILED = "Failed"
    RETRYING = "Retrying"


@dataclass(frozen=True, slots=True)
class Health:
    """The memory of one pool."""

    state: State = State.HEALTHY
    failures: int = 0
    """Failures in a row that are not yet forgotten."""
    since: float = 0.0
    """When the state was reached."""
    retry_at: float = 0.0
    """While failed: the earliest time of the next try."""
    reason: HealthReason | None = None
    """While failed, and while it is tried again: the cause of the failure."""


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """The observations of one pool; None if one does not apply."""

    down_since: float | None = None
    """The time since which none of its nodes is ready."""
    failures: tuple[StartFailure, ...] = ()
    """Pods that did not start on it, or will not have from a later time on, since the last one started."""
    last_start: float = 0.0
    """When a pod last started there."""


@dataclass(frozen=True, slots=True)
class FailoverTimes:
    """The times in seconds of the budget's `failover`."""

    unhealthy_after: float
    retry_after: float
    start_after: float

    def held(self, failures: int) -> float:
        """How long a pool is held after this number of failures in a row."""
        longest = self.retry_after * 2.0**MOST_DOUBLINGS
        return backoff_seconds(failures, first=self.retry_after, longest=longest)


def judge(
    health: Health, seen: PoolObservation, times: FailoverTimes, now: float, *, namespaces: int = FOR_ALL
) -> Health:
    """The health at `now`. Idempotent. `namespaces` is the number of namespaces whose pods have to fail to start."""
    failed = _failing(health, seen, times, now, namespaces)
    if health.state is State.FAILED:
        if now < health.retry_at or seen.down_since is not None:
            return health
        return replace(health, state=State.RETRYING, since=now)
    if failed is not None:
        failures = _not_forgotten(health, times, now) + 1
        return Health(State.FAILED, failures, now, now + times.held(failures), failed)
    if health.state is State.RETRYING and seen.down_since is None and seen.last_start > health.since:
        return Health(State.HEALTHY, health.failures, now)
    if health.state is State.HEALTHY and _not_forgotten(health, times, now) != health.failures:
        return Health(since=health.since)
    return health


def next_look(
    health: Health, seen: PoolObservation, times: FailoverTimes, now: float, *, namespaces: int = FOR_ALL
) -> float | None:
    """Seconds until time alone may change the result of `judge`; None if it cannot."""
    dues: list[float] = []
    if health.state is State.FAILED:
        if seen.down_since is None:
            dues.append(health.retry_at)
    else:
        if seen.down_since is not None:
            dues.append(seen.down_since + times.unhealthy_after)
        if (closed := _closed_from(health, seen, times, namespaces)) is not None:
            dues.append(closed)
        if health.state is State.HEALTHY and health.failures:
            dues.append(health.since + times.held(health.failures))
    return max(0.0, min(dues) - now) if dues else None


def _failing(
    health: Health, seen: PoolObservation, times: FailoverTimes, now: float, namespaces: int
) -> HealthReason | None:
    if seen.down_since is not None and now - seen.down_since >= times.unhealthy_after:
        return HealthReason.NODES_NOT_READY
    closed = _closed_from(health, seen, times, namespaces)
    if closed is not None and now >= closed:
        return HealthReason.PODS_NOT_STARTING
    return None


def _closed_from(health: Health, seen: PoolObservation, times: FailoverTimes, namespaces: int) -> float | None:
    """The time from which the pods that do not start close the pool, if there are enough of them."""
    if health.state is not State.RETRYING:
        return closed_from(seen.failures, pods=FAILED_PODS, namespaces=namespaces)
    closed = closed_from(seen.failures, pods=RETRYING_PODS, namespaces=namespaces)
    # Pods that wait since before the try belong to the failure before it.
    return None if closed is None else max(closed, health.since + times.start_after)


def _not_forgotten(health: Health, times: FailoverTimes, now: float) -> int:
    """The failures that still count."""
    healthy = health.state is State.HEALTHY
    return 0 if healthy and now - health.since >= times.held(health.failures) else health.failures
