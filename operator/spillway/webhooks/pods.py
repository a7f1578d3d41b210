"""The webhook on CREATE `pods`: each new pod is placed on physical or virtual nodes.

Contract: only pods of a class that sets `threshold` or `placement` are placed. A ZonalBalance may choose the zone of
those that stay on physical nodes, and of pods that no class places. The additional replica of a move prefers the node
that the move was planned for. The answer for all others costs next to nothing.
The leader decides, because the counts have to be in one place. A replica that does not lead forwards the request; if it
gets no answer, or if a pod's workload cannot be found in time, the pod is created as its user wrote it. A new leader
answers once it has read what it takes over, or after `TAKE_OVER_SECONDS` without it: which pools have failed, what they
have cost, and for mode Auto the stored thresholds. Nothing is ever denied. A policy in Recommend counts what would have
been done and changes nothing.

Reinvoked because another webhook has changed the pod, it changes nothing more and reserves what the pod requests by
then. A dry run reserves nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.api.elasticpolicy import WorkloadClass
from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.fit.container_defaults import NO_DEFAULTS, Defaults
from spillway.domain.fit.suitability import claims_of, ephemeral_claims
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model.additions import Addition
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.owners import PER_NODE, OwnerReference, controller_of
from spillway.domain.model.places import Claim
from spillway.domain.placement.events import placement_events
from spillway.domain.placement.plan import NewPod, PodPlacement
from spillway.domain.surge.steps import replaced_pod
from spillway.kube.protocols import Recorder
from spillway.state.board import Board
from spillway.state.claims import claim_of_pods
from spillway.state.node_places import NodePlaces
from spillway.telemetry import placement as metrics
from spillway.webhooks.limit_ranges import LimitRanges
from spillway.webhooks.placer import Placer
from spillway.webhooks.workloads import Workload, Workloads
from spillway.webhooks.zones import Zones

FORWARDED: Final = "/forwarded/pods"
"""The path to which requests are forwarded."""

PATIENCE_SECONDS: Final = 0.25
"""How long to wait if an owner's controller knows more than the informer has shown."""

SETTLED_SECONDS: Final = 0.5
"""How long to wait for the watch to show which pods exist of an owner that had one refused."""
POLL_SECONDS: Final = 0.01

TAKE_OVER_SECONDS: Final = 0.8
"""How long to wait for what a new leader takes over; a pod that is placed without it stays in the wrong place for its
whole life."""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class _Pod(msgspec.Struct, frozen=True):
    """The part that is read of every pod."""

    metadata: _Metadata


_pods: Final = msgspec.json.Decoder(_Pod)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A pod to be placed."""

    controller: OwnerReference
    workload: Workload
    claim: Claim
    workload_class: WorkloadClass
    balance: ZonalBalance | None
    """The ZonalBalance that chooses its zone."""

    @property
    def owner(self) -> OwnerUid:
        return OwnerUid(self.controller.uid)


@dataclass(frozen=True, slots=True)
class _PreferenceSubject:
    """A pod that gets only a spread and preferences."""

    owner: OwnerUid
    workload: Workload
    balance: ZonalBalance | None
    """The ZonalBalance that chooses its zone."""
    moved: bool
    """Whether it may be the additional replica of a move."""


class PodWebhook:
    """The webhook that places pods at their creation."""

    def __init__(
        self,
        places: NodePlaces,
        workloads: Workloads,
        placer: Placer,
        board: Board,
        *,
        limit_ranges: LimitRanges,
        events: Recorder,
        forward: Callable[[AdmissionRequest, Deadline], Awaitable[Answer]] | None = None,
    ) -> None:
        self._places = places
        self._workloads = workloads
        self._placer = placer
        self._board = board
        self._zones = Zones(places, board)
        self._limit_ranges = limit_ranges
        self._events = events
        self._forward = forward

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        """Answer the API server."""
        subject = await self._subject(request, deadline)
        if isinstance(subject, Answer):
            return subject
        if self._board.leading():
            return await self._answer(request, subject, deadline)
        if isinstance(subject, _PreferenceSubject):
            return await self._prefer_by_leader(request, subject, deadline)
        if self._forward is None:
            raise LetGoError("not-leader")
        return await self._forward(request, deadline)

    async def forwarded(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        """Answer a request that another replica forwarded, only as the leader."""
        if not self._board.leading():
            raise LetGoError("not-leader")
        subject = await self._subject(request, deadline)
        return subject if isinstance(subject, Answer) else await self._answer(request, subject, deadline)

    async def _subject(self, request: AdmissionRequest, deadline: Deadline) -> _Subject | _PreferenceSubject | Answer:
        governance = self._places.governance
        new_pods = governance.places_pods or governance.balances_new_pods
        if not new_pods and not governance.moves_pods:
            return Answer("no-policy")
        if not self._places.state.synced:
            raise LetGoError("not-synced")
        metadata = _pods.decode(request.object).metadata
        owner = controller_of(metadata.owner_references)
        moved = owner is not None and self._moved(OwnerUid(owner.uid))
        if not new_pods and not moved:
            return Answer("no-policy")
        if owner is None or owner.kind in PER_NODE:
            return Answer("ungoverned")
        workload = await self._workloads.of(request.namespace, owner, metadata.labels or {}, deadline)
        if workload is None:
            raise LetGoError("unknown-owner")
        state = self._places.state
        claim = claim_of_pods(state, governance, request.namespace, workload.kind, workload.labels)
        balance = self._zones.balance(request.namespace, workload, claim)
        workload_class = governance.placing_class(claim)
        if claim is None or workload_class is None:
            if balance is not None or moved:
                return _PreferenceSubject(OwnerUid(owner.uid), workload, balance, moved)
            return Answer("ungoverned" if claim is None else "not-placed")
        return _Subject(owner, workload, claim, workload_class, balance)

    def _moved(self, owner: OwnerUid) -> bool:
        """Whether the next pod of this owner may be the additional replica of a move, which the leader alone knows."""
        if self._board.leading():
            return self._board.plans_node(owner)
        seen = self._places.state.replicasets.get(owner)
        return seen is not None and replaced_pod(seen.surge) is not None

    def _planned_node(self, request: AdmissionRequest, owner: OwnerUid) -> NodeName | None:
        """The node that the pod is to prefer, which no further pod then does."""
        return None if request.dry_run else self._board.take_planned_node(owner)

    def _prefer(self, request: AdmissionRequest, subject: _PreferenceSubject) -> Answer:
        pod: dict[str, Any] = msgspec.json.decode(request.object)
        planned = self._planned_node(request, subject.owner)
        additions = self._zones.additions(
            subject.balance, pod, subject.workload, subject.owner, planned=planned, created=not request.dry_run
        )
        return Answer("zone" if additions else "not-placed", additions)

    async def _prefer_by_leader(
        self, request: AdmissionRequest, subject: _PreferenceSubject, deadline: Deadline
    ) -> Answer:
        """The leader's answer where it needs what only the leader knows; the spread alone if there is none."""
        reads = subject.balance is not None and subject.balance.spec.needs_readings
        if (reads or subject.moved) and self._forward is not None:
            with suppress(LetGoError):
                return await self._forward(request, deadline)
        return self._prefer(request, subject)

    async def _answer(
        self, request: AdmissionRequest, subject: _Subject | _PreferenceSubject, deadline: Deadline
    ) -> Answer:
        if isinstance(subject, _PreferenceSubject):
            return self._prefer(request, subject)
        return await self._decide(request, subject, deadline)

    async def _decide(self, request: AdmissionRequest, subject: _Subject, deadline: Deadline) -> Answer:
        state, placer = self._places.state, self._placer
        if state.stale():
            raise LetGoError("stale")
        workload = subject.workload
        pod: dict[str, Any] = msgspec.json.decode(request.object)
        new = NewPod(
            pod,
            subject.owner,
            workload.owner.key,
            subject.claim,
            subject.workload_class,
            annotation=workload.annotation,
            numbered=workload.numbered,
            planned=workload.has_replicasets,
            position=workload.position(str((pod.get("metadata") or {}).get("name", ""))),
        )
        if placer.reinvoked(new):
            return Answer("reinvoked")
        act = subject.claim.enforced and not request.dry_run
        if act:
            await self._take_over(new, deadline)
        volumes = await self._volumes(request.namespace, new, deadline)
        defaults = await self._defaults(request.namespace, new, deadline)
        bound = await self._bound(request.namespace, subject, new, deadline) if act else None
        if not self._board.leading():
            raise LetGoError("not-leader")
        # From here on there is no await: the place is reserved before another request counts.
        followed = workload.record is not None
        placed = placer.place(
            new, volumes, defaults=defaults, act=act, counts_on_pools=bound is not None, followed=followed
        )
        if bound is not None:
            placer.usage.cap_pool_reservations(subject.owner, bound)
        counter = metrics.DECISIONS if subject.claim.enforced else metrics.RECOMMENDED
        if not request.dry_run:
            counter.labels(subject.claim.policy, placed.decision.nodes.value, placed.decision.reason.value).inc()
        if not subject.claim.enforced:
            return Answer("recommend")
        if act:
            placer.usage.refusals.placed(subject.owner, workload.owner)
            await self._report(request.namespace, subject, placed, deadline)
        planned = self._planned_node(request, subject.owner) if act else None
        prefers: tuple[Addition, ...] = ()
        if not placed.pools:
            prefers = self._zones.additions(
                subject.balance, pod, subject.workload, subject.owner, planned=planned, created=act
            )
        return Answer(placed.decision.nodes.value, (*placed.additions, *prefers))

    async def _take_over(self, new: NewPod, deadline: Deadline) -> None:
        """Wait until a new leader has what it goes on from."""
        board = self._board
        needed = [board.verdicts_read, board.spent_read]
        if _is_auto(new):
            needed.append(board.thresholds_read)
        if not all(event.is_set() for event in needed):
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline.patience(TAKE_OVER_SECONDS)):
                    for event in needed:
                        await event.wait()

    async def _volumes(self, namespace: str, new: NewPod, deadline: Deadline) -> Sequence[VolumeReach]:
        claims, ephemeral = claims_of(new.pod), ephemeral_claims(new.pod)
        if not (claims or ephemeral) or not self._placer.may_be_virtual(new):
            return ()
        volumes = await self._workloads.volumes(namespace, claims, deadline, ephemeral=ephemeral)
        if volumes is None:
            raise LetGoError("unknown-claim")
        return volumes

    async def _defaults(self, namespace: str, new: NewPod, deadline: Deadline) -> Defaults:
        """What the API server will add to the containers that a pool adds to the pod."""
        if not self._placer.adds_containers(new.claim.policy) or not self._placer.may_be_virtual(new):
            return NO_DEFAULTS
        return await self._limit_ranges.defaults(namespace, deadline)

    async def _bound(self, namespace: str, subject: _Subject, new: NewPod, deadline: Deadline) -> int | None:
        """How many reservations of this owner may count on pools.

        None if nothing shows that such an owner exists in the namespace: the caller may have invented it.
        """
        await self._settle(subject.owner, deadline)
        if subject.workload.record is not None:
            return await self._catch_up(subject, deadline)
        if not self._placer.may_be_virtual(new):
            return None
        pods = self._places.state.pods_of(subject.owner)
        seen = sum(pod.active for pod in pods if pod.namespace == namespace)
        if subject.controller.kind == "Job":
            return await self._workloads.parallelism(namespace, subject.controller, deadline, above=seen)
        # For other kinds no number is known: existing pods allow as many more.
        return seen or None

    async def _settle(self, owner: OwnerUid, deadline: Deadline) -> None:
        """Wait until it is known which of the owner's reservations are for pods that exist, if it has one refused.

        A ReplicaSet says so in its status before it tries again, so this does not depend on an Event in time.
        """
        reservations, seen = self._placer.usage.reservations, self._places.state.replicasets.get(owner)
        if seen is not None and seen.refused:
            reservations.refuse(owner)
        if reservations.unsettled_seconds(owner) > 0.0:
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline.patience(SETTLED_SECONDS)):
                    while reservations.unsettled_seconds(owner) > 0.0:  # noqa: ASYNC110 - the watch and the time end it
                        await asyncio.sleep(POLL_SECONDS)

    async def _catch_up(self, subject: _Subject, deadline: Deadline) -> int:
        """Wait until the watches are not behind the owner's controller, and return how many pods it wants.

        If the number cannot be read in time, it is at least the number of pods that are counted already.
        """
        usage, workload = self._placer.usage, subject.workload
        seconds = deadline.patience(PATIENCE_SECONDS)
        if not await usage.caught_up(subject.owner, lambda: self._workloads.wanted(workload), seconds):
            # The watch may be behind on the ReplicaSet: only its present number voids a reservation.
            wanted = await self._workloads.wanted_now(workload, deadline)
            usage.drop_reservations_beyond(subject.owner, wanted)
            if wanted is not None:
                return wanted
        return max(self._workloads.wanted(workload) or 0, usage.total(subject.owner))

    async def _report(self, namespace: str, subject: _Subject, placed: PodPlacement, deadline: Deadline) -> None:
        """Emit Events on the owner, if the API server has confirmed that there is one: anybody can name an owner."""
        events = tuple(placement_events(placed, subject.claim.workload_class))
        if not events:
            return
        if not await self._workloads.exists(namespace, subject.controller, subject.workload, deadline):
            return
        for event in events:
            self._events.record(subject.workload.owner.reference, event.type, event.reason, event.message)


def _is_auto(new: NewPod) -> bool:
    return new.planned and new.workload_class.plans_threshold
