"""The health of a pool: when it counts as failed, when it is tried again, and how the delay grows.

Contract: a function of the present observations and of a small memory that fits in a status. A pool fails when for
`unhealthyAfter` no node of it was ready, or pods that were bound to it have waited that long and none has started. It
is tried again after `retryAfter`, twice that after the next failure, and so on up to 64 times: but not before a node is
ready. While it is being tried it takes `PROBE_PODS` pods at a time; the first one that starts makes it healthy. A
failure is forgotten once the pool was healthy for as long as it was held for it, so a pool that flaps is held longer
and longer, and two falls are at least `retryAfter` apart. Times are Unix seconds.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from spillway.domain.model.backoff import backoff_seconds

PROBE_PODS: Final = 5
"""The number of pods that may be sent to a pool that is being tried again, until one has started."""
STUCK_PODS: Final = 3
"""The number of pods that have to be stuck before a healthy pool fails: one or two may be the cause themselves."""
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
    stuck: int = 0
    """Pods bound to it that have not started, without a fault of their own, since the last one started."""
    stuck_since: float | None = None
    """Since when the first of these waits."""
    last_start: float = 0.0
    """When a pod last started there."""


@dataclass(frozen=True, slots=True)
class Times:
    """The times in seconds of the budget's `failover`."""

    unhealthy_after: float
    retry_after: float

    def held(self, failures: int) -> float:
        """How long a pool is held after this number of failures in a row."""
        longest = self.retry_after * 2.0**MOST_DOUBLINGS
        return backoff_seconds(failures, first=self.retry_after, longest=longest)


def judge(health: Health, seen: PoolObservation, times: Times, now: float) -> Health:
    """The health at `now`. Idempotent."""
    failed = _failing(health, seen, times, now)
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


def next_look(health: Health, seen: PoolObservation, times: Times, now: float) -> float | None:
    """Seconds until time alone may change the result of `judge`; None if it cannot."""
    dues = []
    if health.state is State.FAILED:
        if seen.down_since is None:
            dues.append(health.retry_at)
    else:
        dues += [since + times.unhealthy_after for since in (seen.down_since, _stuck_since(health, seen)) if since]
        if health.state is State.HEALTHY and health.failures:
            dues.append(health.since + times.held(health.failures))
    return max(0.0, min(dues) - now) if dues else None


def _failing(health: Health, seen: PoolObservation, times: Times, now: float) -> HealthReason | None:
    if seen.down_since is not None and now - seen.down_since >= times.unhealthy_after:
        return HealthReason.NODES_NOT_READY
    since = _stuck_since(health, seen)
    if since is not None and now - since >= times.unhealthy_after:
        return HealthReason.PODS_NOT_STARTING
    return None


def _stuck_since(health: Health, seen: PoolObservation) -> float | None:
    """The time since which pods are stuck, if there are enough of them."""
    enough = 1 if health.state is State.RETRYING else STUCK_PODS
    if seen.stuck < enough or seen.stuck_since is None:
        return None
    # Pods that wait since before the try belong to the failure before it.
    return max(seen.stuck_since, health.since) if health.state is State.RETRYING else seen.stuck_since


def _not_forgotten(health: Health, times: Times, now: float) -> int:
    """The failures that still count."""
    healthy = health.state is State.HEALTHY
    return 0 if healthy and now - health.since >= times.held(health.failures) else health.failures
