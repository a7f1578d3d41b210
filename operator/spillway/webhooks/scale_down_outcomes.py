"""The outcomes of planned scale-downs, counted for the status by the leader, whichever replica planned them.

Contract: only the leader counts, because pods of one ReplicaSet may be planned by several replicas in a row; the others
report their plans to it after they have answered, in one message for all waiting plans. A plan that does not reach the
leader is not counted: no request waits, and nothing is sent twice, for this figure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import msgspec
import structlog

from spillway.admission.deadline import Clock, Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.owners import LIKE_REPLICASETS
from spillway.domain.model.records import PodRecord
from spillway.domain.scale_down.outcome import Following, Gone, ScaleDowns
from spillway.state.board import Board
from spillway.state.cluster import ClusterState
from spillway.telemetry import scale_down as metrics

log: Final = structlog.get_logger(__name__)

FORWARDED: Final = "/forwarded/plans"
"""The path on which plans are reported to the leader."""
REPORT_SECONDS: Final = 2.0


class FollowedPlan(msgspec.Struct, frozen=True, array_like=True):
    """The part of a plan that the leader needs. `at` is in Unix seconds."""

    owner: OwnerUid
    policy: str
    at: float
    victims: tuple[PodUid, ...]


_plans: Final = msgspec.json.Decoder(tuple[FollowedPlan, ...])


class Outcomes:
    """The follower of plans. `policies` are the existing names; `forward` reports to another leader."""

    def __init__(
        self,
        state: ClusterState,
        board: Board,
        *,
        policies: Callable[[], Collection[str]],
        forward: Callable[[AdmissionRequest, Deadline], Awaitable[Answer]] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._state = state
        self._board = board
        self._policies = policies
        self._forward = forward
        self._clock = clock
        self._following = Following()
        self._unreported: list[FollowedPlan] = []
        self._some = asyncio.Event()
        self.close = state.subscribe(PodRecord, self._pod_changed)

    def follow(self, plan: FollowedPlan) -> None:
        """Follow a scale-down that this replica planned; never waits."""
        if self._board.leading():
            self._follow((plan,))
        elif self._forward is not None:
            self._unreported.append(plan)
            self._some.set()

    async def reported(self, request: AdmissionRequest, _: Deadline) -> Answer:
        """Follow the plans of another replica."""
        if not self._board.leading():
            raise LetGoError("not-leader")
        # A plan of a policy or an owner that is not known here is not followed: names become labels of metrics.
        policies = self._policies()
        plans = _plans.decode(request.object)
        self._follow([plan for plan in plans if plan.policy in policies and self._state.pods_of(plan.owner)])
        return Answer("followed")

    async def run(self) -> None:
        """Report this replica's plans to the leader until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            plans, self._unreported = self._unreported, []
            await self._report(plans)

    async def _report(self, plans: list[FollowedPlan]) -> None:
        if self._forward is None:
            return
        request = AdmissionRequest(uid="plans", object=msgspec.Raw(msgspec.json.encode(plans)))
        try:
            await self._forward(request, Deadline(self._clock, REPORT_SECONDS))
        except LetGoError as error:
            log.info(
                "scale-downs were not reported to the leader and are not counted", plans=len(plans), why=error.reason
            )

    def _follow(self, plans: Collection[FollowedPlan]) -> None:
        for plan in plans:
            now = self._board.now()
            gone = self._following.plan(plan.owner, plan.policy, frozenset(plan.victims), at=plan.at, now=now)
            for one in gone:
                self._count(one)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is None or not old.active or (new is not None and new.active):
            return
        if old.owner_kind in LIKE_REPLICASETS and self._board.leading():
            gone = self._following.gone(OwnerUid(old.owner_uid), old.uid, now=self._board.now())
            if gone is not None:
                self._count(gone)

    def _count(self, gone: Gone) -> None:
        metrics.VICTIMS.labels(gone.policy, str(gone.as_planned).lower()).inc()
        self._board.count_scale_downs(gone.policy, ScaleDowns(1, int(gone.as_planned)))
