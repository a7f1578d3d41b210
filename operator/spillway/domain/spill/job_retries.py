"""How many of a Job's pods may be deleted: the Job counts each as failed, and one too many fails the Job.

Contract: whoever deletes a Job's pod takes a retry first, in the same step in which it is found to be spare, and gives
it back if the pod was not deleted after all. So however many ask at once, a Job's last retry is its own. One account
for all who delete.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spillway.domain.model.names import OwnerUid

Json = Mapping[str, Any]

DEFAULT_BACKOFF_LIMIT: Final = 6
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class Retries:
    """By Job, the failures that it will have counted once all deletions are done."""

    _failed: dict[OwnerUid, int] = field(default_factory=dict)

    def take(self, uid: OwnerUid, job: Json) -> bool:
        """Whether one more pod of this Job may be deleted; then it counts as failed from now on."""
        spec, status = job.get("spec") or {}, job.get("status") or {}
        if spec.get("backoffLimitPerIndex") is not None:
            return False
        limit = spec.get("backoffLimit")
        # The Job's own count is behind: it is a status, and it was read before others took theirs.
        failed = max(status.get("failed") or 0, self._failed.get(uid, 0))
        if failed + 1 >= (DEFAULT_BACKOFF_LIMIT if limit is None else limit):
            return False
        self._failed.pop(uid, None)
        self._failed[uid] = failed + 1
        if len(self._failed) > _REMEMBERED:
            del self._failed[next(iter(self._failed))]
        return True

    def give_back(self, uid: OwnerUid) -> None:
        """The pod was not deleted."""
        if uid in self._failed:
            self._failed[uid] -= 1
