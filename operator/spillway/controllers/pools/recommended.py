"""The account of recommended replacements: the pods that would have been replaced, had their policy been in Enforce.

Contract: a pod counts once, whichever controller recommends it first and for whatever reason, and is forgotten once it
is gone. All controllers that replace pods of failed pools share one account.
"""

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import PodRecord
from spillway.telemetry import pools as metrics


class RecommendedReplacements:
    """The pods whose replacement was recommended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._counted: set[PodUid] = set()

    def subscribe(self) -> Unsubscribe:
        """Forget pods that are gone, from now on."""
        return self._world.state.subscribe(PodRecord, self._pod_changed)

    def count(self, pod: PodRecord, policy: str, reason: str) -> None:
        """Count the pod, unless it was counted before."""
        if pod.uid not in self._counted:
            self._counted.add(pod.uid)
            metrics.RECOMMENDED.labels(policy, reason).inc()

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is not None and new is None:
            self._counted.discard(old.uid)
