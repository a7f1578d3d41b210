"""The excess of a pool over its limits: which pods that never started have to go elsewhere until the limits hold again.

Contract: pure. A pod can grow after it was admitted, a limit can be lowered, and pods can come without placement; so a
sum can pass its limit. Pods that run are left alone. Of those that never started the newest go first, and only ones
that help. The limit of a month is left out: it is passed by pods that run on, and closes the pool for new ones.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import NamedTuple

from spillway.domain.budget.limits import LimitRoom
from spillway.domain.budget.price import EXACT, per_hour
from spillway.domain.model.names import PodUid
from spillway.domain.model.usage import Usage


class Unstarted(NamedTuple):
    """A pod on the pool that has not started."""

    uid: PodUid
    created: float
    used: Usage
    billed: Usage


def passed(left: LimitRoom) -> tuple[str, ...]:
    """The limits that the sums exceed, as the manifest names them."""
    rooms: dict[str, int | Decimal | None] = {
        "pods": left.pods,
        "cpu": left.cpu_millis,
        "memory": left.memory_bytes,
        "costPerHour": left.cost_per_hour,
    }
    return tuple(name for name, room in rooms.items() if room is not None and room < 0)


def beyond(left: LimitRoom, unstarted: Iterable[Unstarted]) -> tuple[PodUid, ...]:
    """The pods that have to go, the newest first; none where every limit holds."""
    going: list[PodUid] = []
    for pod in sorted(unstarted, key=lambda pod: (pod.created, pod.uid), reverse=True):
        limits = passed(left)
        if not limits:
            break
        if any(_use(pod, name) for name in limits):
            going.append(pod.uid)
            left = _without(left, pod)
    return tuple(going)


def _use(pod: Unstarted, limit: str) -> int:
    """How much of a limited sum the pod is; of the cost, whether it is any of it."""
    uses = {"pods": 1, "cpu": pod.used.cpu_millis, "memory": pod.used.memory_bytes}
    return uses.get(limit, pod.billed.cpu_millis + pod.billed.memory_bytes)


def _without(left: LimitRoom, pod: Unstarted) -> LimitRoom:
    cost = left.cost_per_hour
    if cost is not None and left.price is not None:
        with localcontext(EXACT):
            cost += per_hour(left.price, pod.billed.cpu_millis, pod.billed.memory_bytes)
    return replace(
        left,
        pods=None if left.pods is None else left.pods + 1,
        cpu_millis=None if left.cpu_millis is None else left.cpu_millis + pod.used.cpu_millis,
        memory_bytes=None if left.memory_bytes is None else left.memory_bytes + pod.used.memory_bytes,
        cost_per_hour=cost,
    )
