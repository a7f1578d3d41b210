"""Why a pod that was sent to virtual nodes is made anew instead of being waited for.

Contract: only of pods that have not started, so nothing is lost. A provider that has no stock is believed at once; a
pool that has been given up is left at once; one that is bound and does not start gets `spillAfter`. (One that no node
of its pools takes is another matter: `spill.py`.) A pod that fails by its own fault (its image, its configuration)
would fail elsewhere as well and stays. Times are Unix seconds.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from spillway.domain.model.records import PodRecord

OWN_FAULT: Final = frozenset({
    "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull",
    "ImageInspectError", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable", "RunContainerError",
})  # fmt: skip
"""A container's waiting reasons that are no matter of the pool."""
SETTLED_SECONDS: Final = 1.0
"""How old a pod is before it is made anew because its pools are closed: its scheduling may be under way."""


class Cause(StrEnum):
    """Why."""

    STOCK_OUT = "StockOut"
    """The provider has no stock of the size that it asked for."""
    POOLS_CLOSED = "PoolsClosed"
    """None of the pools to which it may go takes pods any more."""
    NOT_STARTED = "NotStarted"
    """It is on a node of the pool and does not start."""


def cause_of(
    pod: PodRecord, *, bound_at: float, out_of_stock: bool, closed: bool, spill_after: float, now: float
) -> Cause | None:
    """Why the pod has to be made anew at `now`; None where it is waited for.

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
    return Cause.NOT_STARTED if bound_at and now - bound_at >= spill_after else None


def next_look(pod: PodRecord, *, bound_at: float, closed: bool, spill_after: float, now: float) -> float | None:
    """Seconds until time alone may give a cause; None where it cannot."""
    if pod.pending is None:
        return None
    if bound_at:
        return max(0.0, bound_at + spill_after - now)
    return max(0.0, pod.created + SETTLED_SECONDS - now) if closed else None


def stuck(pod: PodRecord, *, out_of_stock: bool) -> bool:
    """Whether a pod that is bound to a pool speaks against the pool as a whole by not having started."""
    return (
        pod.pending is not None
        and pod.active
        and not pod.started
        and not out_of_stock
        and pod.pending.reason not in OWN_FAULT
    )


def pools_to_avoid(cause: Cause, pools: Collection[str], *, another_size: bool) -> frozenset[str]:
    """The pools to which the successor is not sent again: those that did not take this one."""
    if cause is Cause.POOLS_CLOSED or (cause is Cause.STOCK_OUT and another_size):
        return frozenset()
    return frozenset(pools)
