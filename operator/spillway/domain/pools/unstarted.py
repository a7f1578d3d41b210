"""Pods that never started on their pool: why such a pod is replaced instead of being waited for.

Contract: only pods that have not started are replaced, so no work is lost. A stock-out or a failed pool is a cause at
once, and so is a limit that is passed (`domain.budget.excess` chooses the pods); a pod that is bound and does not start
is replaced after the `failover.startAfter` of its pool. (`domain.spill` decides about a pod that no node of its pools
takes.) A pod that fails for a reason of its own (its image, its configuration) would fail elsewhere
too and is not replaced. Times are Unix seconds.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from spillway.domain.model.records import PodRecord

OWN_FAULT: Final = frozenset({
    "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull",
    "ImageInspectError", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable", "RunContainerError",
})  # fmt: skip
"""Waiting reasons of a container that the pool does not cause."""
SETTLED_SECONDS: Final = 1.0
"""The minimum age in seconds of a pod that is replaced because its pools are closed: it may be being scheduled."""


class Cause(StrEnum):
    """Why a pod is replaced."""

    STOCK_OUT = "StockOut"
    """The provider is out of stock for the requested size."""
    POOLS_CLOSED = "PoolsClosed"
    """None of the pools to which it may go takes pods any more."""
    NOT_STARTED = "NotStarted"
    """It is on a node of the pool and does not start."""
    OVER_LIMIT = "OverLimit"
    """A limit of the pool is passed, and it is among the newest that have not started."""


def cause_of(
    pod: PodRecord, *, bound_at: float, out_of_stock: bool, closed: bool, start_after: float, now: float
) -> Cause | None:
    """Why the pod has to be replaced at `now`; None if it is waited for.

    `bound_at` is 0.0 while it is on no node; `closed` says that its node's pool has failed, or that none of the pools
    to which it may go takes pods.
    """
    if pod.pending is None or not pod.active:
        return None
    if bound_at and out_of_stock:
        return Cause.STOCK_OUT
    if bound_at and (pod.started or pod.pending.reason in OWN_FAULT):
        return None
    if closed and (bound_at or now - pod.created >= SETTLED_SECONDS):
        return Cause.POOLS_CLOSED
    return Cause.NOT_STARTED if bound_at and now - bound_at >= start_after else None


def next_look(pod: PodRecord, *, bound_at: float, closed: bool, start_after: float, now: float) -> float | None:
    """Seconds until time alone may give a cause; None if it cannot."""
    if pod.pending is None:
        return None
    if bound_at:
        return max(0.0, bound_at + start_after - now)
    return max(0.0, pod.created + SETTLED_SECONDS - now) if closed else None


def stuck(pod: PodRecord, *, out_of_stock: bool) -> bool:
    """Whether a pod that is bound to a pool and has not started counts against the pool."""
    return (
        pod.pending is not None
        and pod.active
        and not pod.started
        and not out_of_stock
        and pod.pending.reason not in OWN_FAULT
    )


def pools_to_avoid(cause: Cause, pools: Collection[str], *, another_size: bool) -> frozenset[str]:
    """The pools that the replacement avoids: those that did not start this pod."""
    if cause is Cause.POOLS_CLOSED or (cause is Cause.STOCK_OUT and another_size):
        return frozenset()
    return frozenset(pools)
