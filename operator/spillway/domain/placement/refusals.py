"""The pools that are left out for an owner whose pods the API server refused, and for how long.

Contract: pure. After admission has placed a pod, the API server may still refuse it: the pod is invalid with the pool's
`podOverlay`, or it breaks a LimitRange, a ResourceQuota, a pod security level or the rule of another webhook. The pool
is held responsible unless the refusal would have met the pod without it as well: a pod for physical nodes was refused
at the same time or is since the last pod that was created, or a quota is full that the pool's changes do not fill.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from spillway.domain.model.backoff import backoff_seconds

FIRST_SECONDS: Final = 30.0
"""Seconds for which a pool is left out after the first refusal; each further one doubles them."""
LONGEST_SECONDS: Final = 1800.0
MESSAGE_LENGTH: Final = 300
"""The part of the API server's message that is repeated."""

_QUOTA: Final = re.compile(r"exceeded quota: [^,]*, requested: ([^ ]+)")
_AMOUNTS: Final = ("cpu", "memory")


class PoolChanges(NamedTuple):
    """What a pool changes of its pods, as far as the API server may refuse it."""

    size: str = ""
    """The size of the ladder, as `names.SIZE` writes it; empty at the pod's own."""
    overlay: bool = False
    """Whether the pool has a podOverlay."""
    larger: bool = False
    """Whether the pod requests more there than its user wrote."""

    @property
    def words(self) -> str:
        """A clause that names them; empty if there is nothing to name."""
        parts = [*(["its podOverlay"] if self.overlay else []), *([f"size {self.size}"] if self.size else [])]
        return f" with {' and '.join(parts)}" if parts else ""


NO_CHANGES: Final = PoolChanges()


class LostPod(NamedTuple):
    """A pod that was placed and never created."""

    pools: tuple[str, ...]
    """The pools for which it was made; empty for physical nodes."""
    changes: PoolChanges = NO_CHANGES


class LeftOut(NamedTuple):
    """A pool that an owner's pods avoid."""

    failures: int
    """Refusals without a created pod in between."""
    until: float
    changes: PoolChanges
    message: str
    """What the API server said; empty if the pods did not appear and nothing was said."""

    @property
    def because(self) -> str:
        """A clause that says why the pool takes no pod of this owner."""
        if self.message:
            return f"a pod{self.changes.words} was refused by the API server: {self.message}"
        return f"pods{self.changes.words} were not created"


def refused_anyway(lost: Iterable[LostPod]) -> bool:
    """Whether a pod was refused that no pool had changed."""
    return any(not pod.pools for pod in lost)


def responsible(lost: Collection[LostPod], message: str) -> dict[str, PoolChanges]:
    """The pools to be left out after these pods were refused, with what they had changed."""
    if refused_anyway(lost):
        return {}
    return {pool: pod.changes for pod in lost if _may_be_refused(pod.changes, message) for pool in pod.pools}


def left_out(before: LeftOut | None, changes: PoolChanges, message: str, now: float) -> LeftOut:
    """The pool's state after a refusal at `now`. One more while it is left out belongs to the same failure."""
    failures = 1 if before is None else before.failures if now < before.until else before.failures + 1
    until = now + backoff_seconds(failures, first=FIRST_SECONDS, longest=LONGEST_SECONDS)
    shortened = message if len(message) <= MESSAGE_LENGTH else f"{message[:MESSAGE_LENGTH]}…"
    return LeftOut(failures, until, changes, shortened or ("" if before is None else before.message))


def _may_be_refused(changes: PoolChanges, message: str) -> bool:
    full = _QUOTA.search(message)
    if full is None:
        return True
    resources = [one.split("=", 1)[0] for one in full[1].split(",")]
    return changes.larger and any(amount in resource for resource in resources for amount in _AMOUNTS)
