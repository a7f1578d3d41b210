"""The replacement of a pod that waits: its Job's retry, the destination of its successor, and its deletion.

Contract: a pod is deleted only in the version that was read and only if none of its containers has run. A Job's retry
is taken first, and a Job that cannot be read has none. The successor is redirected before the deletion, away from the
pools that its owner's pods avoid. If the pod is not deleted, the redirect is withdrawn and the retry is given back; an
error of the API server is logged, and the caller tries again later.
"""

from collections.abc import Set as AbstractSet
from enum import StrEnum

import structlog

from spillway.controllers.base import World
from spillway.controllers.placement.job_retries import JOB_SECONDS, retry_taken
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.decide import NodeKind
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import RequestError
from spillway.kube.protocols import ObjectWriter, Reader
from spillway.kube.writer import REFUSED_SECONDS, Fenced
from spillway.state.board import avoid_seconds, redirect_seconds

log = structlog.get_logger(__name__)


class ReplacementResult(StrEnum):
    """The result of an attempt to replace a pod."""

    REPLACED = "replaced"
    REFUSED = "refused"
    """It has changed, has started or is gone, or the API server did not answer."""
    NO_RETRY = "no-retry"
    """Its Job would count it as failed, and has no retry left."""

    @property
    def again_seconds(self) -> float | None:
        """When it may be tried again; None if the pod was replaced."""
        if self is ReplacementResult.REPLACED:
            return None
        return JOB_SECONDS if self is ReplacementResult.NO_RETRY else REFUSED_SECONDS


class Replacement:
    """The replacement of waiting pods. All that replace pods share one account of the Jobs' retries."""

    def __init__(self, world: World, writer: ObjectWriter, reader: Reader, retries: Retries) -> None:
        self._board = world.board
        self._writer = writer
        self._reader = reader
        self._retries = retries

    async def replace(
        self, pod: PodRecord, *, nodes: NodeKind | None = None, avoid: AbstractSet[str] = frozenset()
    ) -> ReplacementResult:
        """Delete a pod whose successor is to run on these nodes (None: as admission decides) and to avoid these pools.

        The successor also avoids the pools that its owner's pods avoid already.
        """
        owner, board = pod.owner_uid, self._board
        async with retry_taken(self._reader, self._retries, pod) as deletion:
            if not deletion.allowed:
                return ReplacementResult.NO_RETRY
            if nodes is not None:
                board.redirect(
                    owner,
                    physical=nodes is NodeKind.PHYSICAL,
                    virtual=nodes is NodeKind.VIRTUAL,
                    avoid=board.avoided(owner) | avoid,
                    seconds=redirect_seconds(pod.owner_kind),
                )
            try:
                deletion.done = await self._writer.replace_unstarted(pod)
            except (RequestError, Fenced) as error:
                log.warning("waiting pod not replaced, retrying later", key=pod.key, error=str(error))
            finally:
                if nodes is not None and not deletion.done:
                    board.withdraw_redirect(owner)
        return ReplacementResult.REPLACED if deletion.done else ReplacementResult.REFUSED

    def avoid(self, pod: PodRecord, pools: AbstractSet[str], wait_seconds: float) -> None:
        """Let the next pods of this pod's owner avoid these pools, until all of them may have been tried.

        `wait_seconds` is how long each of them waits.
        """
        seconds = avoid_seconds(wait_seconds, pod.owner_kind)
        self._board.avoid(pod.owner_uid, pools, seconds, namespace=pod.namespace)
