"""The reads and writes of a surge: one additional replica of a workload, and its removal.

Contract: the mark is written first, then the scale, so that an interrupted surge shows on the ReplicaSet and the next
leader ends it (`domain.surge.steps.next_step`). Anybody who may change a ReplicaSet can write such a mark, so only one
with Spillway's proof counts. Each scale names the number that it changes: a number that another
client has changed since stays. A scale whose answer is lost is not repeated: the mark stays, and the number of replicas
shows what was done (`SurgeScaler.may_still_scale`). A chosen pod gets the lowest deletion cost before the scale-down;
the order of scale-downs reads from the mark that it goes first (`domain.scale_down.ranking`).
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import aclosing
from typing import Final, NamedTuple

from spillway.controllers.base import World
from spillway.domain.model.documents import Json
from spillway.domain.model.names import SURGE, OwnerUid
from spillway.domain.model.owners import CAN_SURGE, workload_of
from spillway.domain.model.places import UNKNOWN
from spillway.domain.model.proofs import proof_in, with_proof
from spillway.domain.model.records import ReplicaSetRecord
from spillway.domain.scale_down.candidates import candidates_of
from spillway.domain.scale_down.costs import cost_writes
from spillway.domain.scale_down.foreign_writer import cost_annotations, foreign_pods
from spillway.domain.surge.steps import Surge, SurgeOutcome
from spillway.kube import paths
from spillway.kube.errors import ApiError, InvalidNameError, RequestError, TooSlowError
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.kube.invalid_names import warn_once
from spillway.kube.paths import ObjectKey
from spillway.kube.protocols import ListReader, ObjectWriter
from spillway.state.mark_proof import MarkProof

SEEN_SECONDS: Final = 1.0
"""Seconds after which a written cost counts as seen by the ReplicaSet controller."""
LATE_SECONDS: Final = 15.0
"""Seconds after a lost answer for which the API server may still carry out the scale: it gives the request up after the
timeout of the writer (4 s), and etcd a write that it has received after 7 s (its request timeout and two elections)."""
LIST_SECONDS: Final = 5.0
"""Whoever may create the objects of a namespace decides how long a list of them takes; it is given up after so long."""


class Target(NamedTuple):
    """The object that is scaled."""

    kind: str
    name: str
    uid: OwnerUid
    resource: str
    path: str


def target_of(replicaset: ReplicaSetRecord) -> Target | None:
    """The Deployment, or a ReplicaSet or ReplicationController without an owner.

    None if another kind owns it, or the owner cannot exist.
    """
    owner = workload_of(replicaset)
    if owner.kind not in CAN_SURGE:
        return None
    resource = paths.DEPLOYMENTS if owner.kind == "Deployment" else FOLLOWED_OWNERS[replicaset.kind].resource
    try:
        path = ObjectKey.of_owner(resource, owner.name, owner.namespace).path
    except InvalidNameError as error:
        warn_once(error)
        return None
    return Target(owner.kind, owner.name, owner.uid, resource.plural, path)


def itself(replicaset: ReplicaSetRecord) -> Target:
    """The ReplicaSet or ReplicationController, whatever owns it."""
    resource = FOLLOWED_OWNERS[replicaset.kind].resource
    path = resource.named(replicaset.name, namespace=replicaset.namespace)
    return Target(replicaset.kind, replicaset.name, replicaset.uid, resource.plural, path)


async def shrink(writer: ObjectWriter, target: Target, surge: Surge) -> bool:
    """Remove the replica of a surge; False if another client has scaled in the meantime, and its number stays."""
    return await writer.scale(target.resource, target.path, target.uid, seen=surge.replicas + 1, wanted=surge.replicas)


def proven_surge(world: World, replicaset: ReplicaSetRecord) -> Surge | None:
    """The surge that the mark of a ReplicaSet describes, if Spillway wrote it."""
    if not replicaset.surge or not _is_proven(world.membership.proof, replicaset):
        return None
    return Surge.parse(replicaset.surge)


def may_surge(world: World, replicaset: ReplicaSetRecord) -> bool:
    """Whether a ReplicaSet surges, by its mark; unless the keys are known that prove it, any mark counts."""
    keys = world.membership.proof
    known = keys is not None and keys.known
    return bool(replicaset.surge) and (not known or proven_surge(world, replicaset) is not None)


def _is_proven(keys: MarkProof | None, replicaset: ReplicaSetRecord) -> bool:
    mark, proof = proof_in(replicaset.surge)
    return keys is None or keys.proves_surge(proof, replicaset.namespace, replicaset.uid, mark)


class SurgeScaler:
    """The start and the end of surges, one for all purposes."""

    def __init__(self, world: World, writer: ObjectWriter, reader: ListReader) -> None:
        self._state = world.state
        self._now = world.now
        self._chosen: dict[OwnerUid, float] = {}
        """When the costs of a ReplicaSet whose surge is about to end were last written, or found as they should be."""
        self._refused: set[OwnerUid] = set()
        """The ReplicaSets for whose surge the API server answered the last request for a replica with an error."""
        self._unanswered: dict[OwnerUid, tuple[int, float]] = {}
        """The ReplicaSets for whose surge the answer to the last scale was lost: the number of replicas that it was to
        change, and until when it may still be carried out."""
        self._board = world.board
        self._proof = world.membership.proof
        self._writer = writer
        self._reader = reader
        self.busy: set[OwnerUid] = set()
        """The ReplicaSets that surge, for whatever purpose."""

    async def workload(self, target: Target) -> Json | None:
        """The present object of the workload; None if it is gone."""
        try:
            found: Json = await self._reader.get_json(target.path)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        return {"kind": target.kind, **found} if found["metadata"]["uid"] == target.uid else None

    async def autoscalers(self, namespace: str) -> list[Json]:
        """The HorizontalPodAutoscalers of a namespace, with what `cannot_surge` reads of them.

        Raises:
            TooSlowError: reading them takes longer than `LIST_SECONDS`.
        """
        return await self._list(paths.AUTOSCALERS, namespace, {"spec": ("scaleTargetRef", "maxReplicas")})

    async def quotas(self, namespace: str) -> list[Json]:
        """The ResourceQuotas of a namespace, with what `at_quota` reads of them.

        Raises:
            TooSlowError: reading them takes longer than `LIST_SECONDS`.
        """
        parts = {"spec": ("scopes", "scopeSelector", "hard"), "status": ("hard", "used")}
        return await self._list(paths.RESOURCE_QUOTAS, namespace, parts)

    async def _list(
        self, resource: paths.ApiResource, namespace: str, parts: Mapping[str, Collection[str]]
    ) -> list[Json]:
        """The objects with these fields alone: the rest of them may be large."""

        def kept(one: Json, part: str) -> Json:
            return {field: value for field, value in (one.get(part) or {}).items() if field in parts[part]}

        try:
            async with (
                asyncio.timeout(LIST_SECONDS),
                aclosing(self._reader.list_all(resource.within(namespace))) as found,
            ):
                return [{part: kept(one, part) for part in parts} async for one in found]
        except TimeoutError:
            raise TooSlowError(LIST_SECONDS) from None

    async def begin(self, replicaset: ReplicaSetRecord, target: Target, surge: Surge) -> SurgeOutcome | None:
        """Add one replica, for physical nodes; None once that is done, otherwise why not, and then without a mark.

        Raises:
            RequestError: it may have been done all the same; the mark shows that to the next step.
        """
        self._refused.discard(replicaset.uid)
        self._unanswered.pop(replicaset.uid, None)
        marked, outcome = False, None
        try:
            marked = await self._mark(replicaset, self.proven(replicaset, surge.mark))
            if not marked:
                return SurgeOutcome.OVERTAKEN
            if await self._add(replicaset.uid, target, surge):
                return None
        except ApiError as error:
            self._refused.add(replicaset.uid)
            if error.retryable:
                raise
            outcome = SurgeOutcome.REFUSED
        if marked:
            await self.forget(replicaset)
        return outcome or await self._why_not(target, surge)

    async def _add(self, uid: OwnerUid, target: Target, surge: Surge) -> bool:
        """Add the replica; False if another client was faster."""
        may_come = False
        self._board.redirect(uid, physical=True)
        try:
            may_come = added = await self._writer.scale(
                target.resource, target.path, target.uid, seen=surge.replicas, wanted=surge.replicas + 1
            )
        except RequestError as error:
            may_come = error.uncertain
            self._note_unanswered(uid, surge.replicas, error)
            raise
        finally:
            if not may_come:
                self._board.withdraw_redirect(uid)
        return added

    def _note_unanswered(self, uid: OwnerUid, seen: int, error: RequestError) -> None:
        if error.uncertain:
            self._unanswered[uid] = seen, self._now() + LATE_SECONDS

    async def _why_not(self, target: Target, surge: Surge) -> SurgeOutcome:
        """Why no replica was added: a policy may deny it with the status of a JSON patch whose tests failed."""
        try:
            present = await self.workload(target)
        except RequestError:
            return SurgeOutcome.OVERTAKEN
        unchanged = present is not None and present["spec"].get("replicas", 1) == surge.replicas
        return SurgeOutcome.REFUSED if unchanged else SurgeOutcome.OVERTAKEN

    def may_still_scale(self, uid: OwnerUid, asked: int) -> bool:
        """Whether a scale whose answer was lost may still change `asked`, the present number of replicas.

        If it is another number than the scale was to change, the scale was carried out, or can be no more.
        """
        if uid not in self._unanswered:
            return False
        seen, until = self._unanswered[uid]
        if asked != seen:
            del self._unanswered[uid]
        return asked == seen and self._now() < until

    def not_added(self, uid: OwnerUid) -> SurgeOutcome | None:
        """Why the workload has as many replicas as before the surge, if that is because of its own request."""
        lost = self._unanswered.pop(uid, None) is not None
        if lost:
            self._board.withdraw_redirect(uid)
        if uid in self._refused:
            return SurgeOutcome.REFUSED
        return SurgeOutcome.WITHDRAWN if lost else None

    def is_proven(self, replicaset: ReplicaSetRecord) -> bool:
        """Whether Spillway wrote the mark of this ReplicaSet; without keys every mark is believed."""
        return _is_proven(self._proof, replicaset)

    def proven(self, replicaset: ReplicaSetRecord, mark: str) -> str:
        """The mark of a surge with its proof."""
        if self._proof is None:
            return mark
        return with_proof(mark, self._proof.of_surge(replicaset.namespace, replicaset.uid, mark))

    async def choose(self, replicaset: ReplicaSetRecord, surge: Surge) -> bool:
        """Let Kubernetes delete the chosen pod next; False until that holds.

        It holds once the costs have been written for `SEEN_SECONDS`: the ReplicaSet controller chooses by what its own
        watch has shown. Nothing is written without a chosen pod, nor where it is gone or another client writes costs.
        """
        pods = {pod.uid: pod for pod in self._state.active_pods_of(replicaset.uid)}
        if surge.pod is None or surge.pod not in pods or foreign_pods(pods.values()):
            return True
        # Only the costs count here, not where the pods are.
        candidates = candidates_of(pods.values(), {}, lambda _: UNKNOWN, {}, related={})
        writes = cost_writes(candidates, {surge.pod})
        if writes:
            self._chosen[replicaset.uid] = self._now()
        for uid, cost in writes.items():
            await self._writer.annotate_pod(pods[uid], cost_annotations(cost))
        return self._now() >= self._chosen.setdefault(replicaset.uid, self._now()) + SEEN_SECONDS

    def stays(self, surge: Surge) -> bool:
        """Whether the chosen pod of a surge is not going yet; False without one."""
        pod = None if surge.pod is None else self._state.pods.get(surge.pod)
        return pod is not None and pod.active

    async def shrink(self, uid: OwnerUid, target: Target, surge: Surge) -> bool:
        """Remove the replica; False if another client has scaled in the meantime, and its number stays.

        Raises:
            RequestError: it may have been removed all the same; the number of replicas shows that to the next step.
        """
        self._unanswered.pop(uid, None)
        try:
            return await shrink(self._writer, target, surge)
        except RequestError as error:
            self._note_unanswered(uid, surge.replicas + 1, error)
            raise

    async def forget(self, replicaset: ReplicaSetRecord) -> bool:
        """Remove the mark."""
        self._chosen.pop(replicaset.uid, None)
        removed = await self._mark(replicaset, None)
        self._refused.discard(replicaset.uid)
        self._unanswered.pop(replicaset.uid, None)
        return removed

    def drop(self, uid: OwnerUid) -> None:
        """Forget a ReplicaSet that is gone."""
        self._chosen.pop(uid, None)
        self._refused.discard(uid)
        self._unanswered.pop(uid, None)

    async def _mark(self, replicaset: ReplicaSetRecord, mark: str | None) -> bool:
        target = itself(replicaset)
        return await self._writer.annotate(target.resource, target.path, target.uid, {SURGE: mark})
