"""The excess of a pool over its limits: which pods that never started have to go elsewhere because of it.

Contract: pure. A pod can grow after it was admitted, a limit can be lowered, and pods can come without placement; so a
sum can pass its limit. A pod that never started goes if it passes a limit together with those that were there before
it; what has come or grown since makes only pods of its own owner go. Pods that run are left alone. The limit of a month
is left out: it is passed by pods that run on, and closes the pool for new ones.
"""

from collections.abc import Iterable
from typing import NamedTuple

from spillway.domain.budget.limits import LimitRoom, PoolDemand
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.usage import Usage


class Resident(NamedTuple):
    """A pod that counts on the pool."""

    uid: PodUid
    owner: OwnerUid
    """Empty for a bare pod."""
    arrival: tuple[float, int]
    """When it was created, or grew since (Unix seconds, and the order within one); infinite while it asks for more than
    its node has granted."""
    used: Usage
    billed: Usage
    may_leave: bool = True
    """Whether it was placed, has not started, and would be replaced."""


def passed(left: LimitRoom) -> tuple[str, ...]:
    """The limits that the sums exceed, as the manifest names them."""
    return tuple(use.name for use in left.uses if use.passed)


def beyond(left: LimitRoom, residents: Iterable[Resident]) -> tuple[PodUid, ...]:
    """The pods that have to go, the newest first; none where every limit holds."""
    newest_first = sorted(residents, key=lambda pod: (pod.arrival, pod.uid), reverse=True)
    leavers: dict[OwnerUid, list[Resident]] = {}
    for pod in newest_first:
        if pod.may_leave:
            leavers.setdefault(pod.owner, []).append(pod)
    going: dict[PodUid, None] = {}
    for pod in newest_first:
        if not passed(left):
            break
        # One that stays lets those of its owner go first. Once it has, none of them is left while a limit is passed.
        of_owner = () if pod.may_leave or not pod.owner else leavers.pop(pod.owner, ())
        for one in (*of_owner, pod):
            if one.uid in going:
                continue
            amounts = left.demand(one.used, one.billed)
            if _helps(amounts, left):
                left = LimitRoom(tuple(use.without(amounts) for use in left.uses), left.price)
                if one.may_leave:
                    going[one.uid] = None
    return tuple(going)


def _helps(pod: PoolDemand, left: LimitRoom) -> bool:
    """Whether a limit is passed of which the pod uses something."""
    return any(use.limit.amount(pod) for use in left.uses if use.passed)
