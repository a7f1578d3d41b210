"""The retries of Jobs: how many pods of a Job may be deleted, because the Job counts each deleted pod as failed.

Contract: before a Job's pod is deleted, a retry is taken, in the same step in which it is found to be available; it is
given back if the pod is not deleted. So the last retry of a Job is never used, even with concurrent callers. All
controllers that delete pods share one account.
"""

from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.documents import Json
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.remember import FairMemory

DEFAULT_BACKOFF_LIMIT: Final = 6
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class Retries:
    """For each Job, the failures that it will have counted once all deletions are done."""

    _failed: FairMemory[OwnerUid, int] = field(default_factory=lambda: FairMemory(_REMEMBERED))

    def last(self, uid: OwnerUid, job: Json, *, failed: int) -> bool:
        """Whether the Job fails with the next of its pods that fails; `failed` counts its failed pods that are seen."""
        spec, status = job.get("spec") or {}, job.get("status") or {}
        if spec.get("backoffLimitPerIndex") is not None:
            return True
        return max(failed, status.get("failed") or 0, (self._failed.get(uid) or 0)) >= _limit(spec)

    def take(self, uid: OwnerUid, job: Json) -> bool:
        """Whether one more pod of this Job may be deleted; then it counts as failed from now on."""
        spec, status = job.get("spec") or {}, job.get("status") or {}
        if spec.get("backoffLimitPerIndex") is not None:
            return False
        # The Job's own count is late: it is a status, and it was read before other retries were taken.
        failed = max(status.get("failed") or 0, (self._failed.get(uid) or 0))
        if failed + 1 >= _limit(spec):
            return False
        self._failed.put(uid, failed + 1, share=str((job.get("metadata") or {}).get("namespace", "")))
        return True

    def give_back(self, uid: OwnerUid) -> None:
        """Give a retry back, because the pod was not deleted."""
        self._failed.update(uid, (self._failed.get(uid) or 0) - 1)


def _limit(spec: Json) -> int:
    limit: int | None = spec.get("backoffLimit")
    return DEFAULT_BACKOFF_LIMIT if limit is None else limit
