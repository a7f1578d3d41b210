"""The spill controller: waiting physical pods without room spill, and waiting virtual pods that no pool took go back.

A pod that spills gets the pool's tolerations (and its overlay's metadata) by one patch; if its overlay needs more than
that, or only an affinity would keep it from another pool, it is replaced and its successor is sent to the pool. A pod
that finds no node there either spills once more, to the next pool. A virtual pod is always replaced, because an
affinity cannot be relaxed. Its successor tries the remaining pools, and physical nodes if there is none.

Contract: one key per waiting pod, reconciled when it is due and then less and less often. The pool's room is reserved
in the step that finds it, so no limit is exceeded. A pod is changed or deleted only in the version that was read.
Nothing is read or written for pods that are not due, nor for a policy in Recommend, for which the pods are counted.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import ClassVar, Final, NamedTuple

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.placement.placement_class import GovernedPlacement, governed
from spillway.controllers.placement.replacement import Replacement, ReplacementResult
from spillway.controllers.spill.reading import SpillReading
from spillway.domain.budget.price import billed
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.fit.room import NodeRoom
from spillway.domain.fit.suitability import unsuitable
from spillway.domain.fit.taint_toleration import is_initialising
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model import event_reasons
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.documents import Json
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.owners import has_successor, object_reference
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import Usage
from spillway.domain.placement.decide import NodeKind
from spillway.domain.placement.events import kept_physical
from spillway.domain.placement.job_retries import Retries
from spillway.domain.placement.pools import Pool, PoolFits, admit
from spillway.domain.spill.waiting_pods import (
    Direction,
    Due,
    SpillPlan,
    StayReason,
    Turns,
    due,
    is_starting,
    keeps,
    marked_pools,
    plan_spill,
    spill_additions,
)
from spillway.kube.protocols import ObjectWriter, Reader, Recorder
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.node_room import FreeNodes, PodFit
from spillway.state.open_pools import OpenPools, PodToFit
from spillway.telemetry import pools as pool_metrics
from spillway.telemetry import spill as metrics

SOON_SECONDS: Final = 0.05
FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 30.0
UNSCHEDULABLE: Final = "Unschedulable"
"""Why a pod was replaced for another pool."""
STARTING_SECONDS: Final = 1.0
"""Seconds for which the room of young nodes is cached."""

_FOR_GOOD: Final = frozenset({StayReason.EXPENDABLE, StayReason.UNSUITABLE})


class _Read(NamedTuple):
    """A waiting pod as the API server gave it."""

    pod: Json
    volumes: Sequence[VolumeReach]
    """Those that it claims."""
    fits: PoolFits


class SpillController(Controller):
    """The spill controller, with one key per waiting pod, its uid."""

    name: ClassVar = "spill"
    workers: ClassVar = 4

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        reader: Reader,
        events: Recorder,
        open_pools: OpenPools,
        *,
        retries: Retries,
    ) -> None:
        super().__init__(world)
        self._writer = writer
        self._reading = SpillReading(world, reader)
        self._events = events
        self._open_pools = open_pools
        self._replacement = Replacement(world, writer, reader, retries)
        self._turns = Turns()
        self._kept: dict[PodUid, tuple[StayReason, float, int]] = {}
        """Why a pod was kept, until when, and the pause after that."""
        self._spilled: dict[PodUid, tuple[tuple[str, ...], float]] = {}
        """The pools that a waiting pod's mark names, and since when that is seen."""
        self._planned: set[PodUid] = set()
        self._starting: tuple[float, FreeNodes] = (0.0, FreeNodes(world.state, NodeRoom({})))
        self._waiting: set[PodUid] = set()

    def subscribe(self) -> Iterable[Unsubscribe]:
        self._waiting = {pod.uid for pod in self.world.state.pods.values() if _waits(pod)}
        yield self.world.state.subscribe(PodRecord, self._pod_changed)
        yield self.world.catalog.subscribe(self.add_all)
        yield self.world.board.verdicts_changed.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return list(self._waiting)

    async def reconcile(self, key: str) -> float | None:
        pod = self.world.state.pods.get(PodUid(key))
        if pod is None or not _waits(pod):
            self._forget(PodUid(key))
            return None
        who = governed(self.world, pod)
        if who is None:
            return None
        found, now = self._due(pod, who), self.world.now()
        kept_until = self._kept[pod.uid][1] if pod.uid in self._kept else 0.0
        if found is None or kept_until == math.inf:
            return None
        if (wait := max(found.at, kept_until) - now) > 0:
            return wait + SOON_SECONDS
        if who.enforced:
            return await self._move(pod, who, found)
        self._plan(pod, who, found.move)
        return None

    def _due(self, pod: PodRecord, who: GovernedPlacement) -> Due | None:
        placement, named = who.placement, pod.marked_pools
        if not named:
            return due(pod, placement)
        if self._spilled.get(pod.uid, ((), 0.0))[0] != named:
            self._spilled[pod.uid] = (named, self.world.now())
        return due(
            pod,
            placement,
            spilled_at=self._spilled[pod.uid][1],
            closed=self._open_pools.takes_none(named, pod.namespace),
            everywhere={*named}.issuperset(self.world.governance.pools_of(who.policy)),
            initialising=self._are_initialising(named),
        )

    def _are_initialising(self, pools: Iterable[str]) -> bool:
        """Whether the pools have nodes, and all of them wait for their cloud to initialise them."""
        nodes = [node for pool in pools for node in self.world.membership.nodes(pool) if takes_pods(node)]
        return bool(nodes) and all(map(is_initialising, nodes))

    async def _move(self, pod: PodRecord, who: GovernedPlacement, found: Due) -> float | None:
        if found.move is Direction.RECALL:
            return await self._recall(pod, who)
        replicaset = self.world.state.replicasets.get(pod.owner_uid)
        if replicaset is not None and replicaset.surge:
            return self._keep(pod, who, StayReason.SURGING)
        return await self._spill(pod, who, found)

    # Spilling

    async def _spill(self, pod: PodRecord, who: GovernedPlacement, found: Due) -> float | None:
        raw = await self._reading.pod(pod)
        if raw is None or not _is_as_seen(pod, raw):
            return REFUSED_SECONDS
        if not await self._reading.may_spill(pod, raw):
            return None
        volumes = await self._reading.volumes(pod.namespace, raw)
        local = [one.claim for one in volumes if one.local]
        # From here on there is no await until the place is reserved.
        late = self.world.now() - found.at
        kept = keeps(raw, late_seconds=late, local_claims=local) or self._coming(pod, raw, volumes)
        if kept is not None:
            return self._keep(pod, who, kept, unsuitable(raw, local) or "" if kept is StayReason.UNSUITABLE else "")
        read = _Read(raw, volumes, PoolFits(raw.get("spec") or {}))
        chosen = self._plan_spill(pod, who, read)
        if chosen is None:
            return self._keep(pod, who, StayReason.NO_POOL, self._refusals(pod, who, read))
        if not chosen.in_place:
            tried = frozenset(pod.marked_pools)
            return await self._replace(pod, who, Direction.SPILL, pool=chosen.pools[0], tried=tried)
        return await self._patch(pod, who, raw, chosen)

    async def _patch(self, pod: PodRecord, who: GovernedPlacement, raw: Json, chosen: SpillPlan) -> float | None:
        reservations, used = self._open_pools.usage.reservations, pod.requests
        # On the pools in its mark it counts already.
        pools = tuple(name for name in chosen.pools if name not in pod.marked_pools)
        token = self.world.membership.token(pod.namespace, pod.owner_uid, ",".join(chosen.pools))
        reservations.reserve(
            _promised(pod),
            token=token,
            pools=pools,
            used=used,
            billed=self._billed(pod, pools),
            extended=pod.extended or {},
            namespace=pod.namespace,
            existing=None,
        )
        pool = self._open_pools.pool(chosen.pools[0])
        additions, conflicts = spill_additions(raw, chosen, pool.overlay, token)
        written = await self._writer.add_to_pod(pod, raw["metadata"]["resourceVersion"], additions)
        if not written:
            # After an error the patch may have been written: the reservation stays until it expires.
            reservations.settle(token)
            return REFUSED_SECONDS
        metrics.SPILLS.labels(who.policy, pool.name, "patched").inc()
        self.log.info("pod spilled", key=pod.key, policy=who.policy, pools=",".join(chosen.pools))
        message = f"no physical node had room for it; it may run on virtual nodes of {', '.join(chosen.pools)}"
        itself = object_reference("v1", "Pod", pod.name, pod.uid, namespace=pod.namespace)
        self._events.record(itself, "Normal", event_reasons.SPILLED, message)
        for conflict in conflicts:
            self._events.record(itself, "Warning", event_reasons.OVERLAY_CONFLICT, conflict)
        return None

    def _plan_spill(self, pod: PodRecord, who: GovernedPlacement, read: _Read) -> SpillPlan | None:
        governance, open_pools = self.world.governance, self._open_pools
        listed = governance.pools_of(who.policy)
        others = [open_pools.pool(name, pod.namespace) for name in governance.budgets if name not in listed]
        pools = open_pools.pools(who.policy, pod.namespace)
        avoided = self.world.board.avoided(pod.owner_uid)
        has_room = self._room_for(pod, read)
        # A pool that its owner's pods avoid is still better than none.
        left_out = open_pools.usage.refusals.pools(pod.owner_uid)
        choose = partial(plan_spill, read.pod, pools, has_room, others, left_out=left_out, fits=read.fits)
        return choose(avoid=avoided) or choose()

    def _refusals(self, pod: PodRecord, who: GovernedPlacement, read: _Read) -> str:
        """Why no pool takes it; empty for a pod that may already go to some pools."""
        if pod.marked_pools:
            return ""
        pools = self._open_pools.pools(who.policy, pod.namespace)
        left_out = self._open_pools.usage.refusals.pools(pod.owner_uid)
        admission = admit(pools, read.fits.mismatch, self._room_for(pod, read), left_out=left_out)
        return f"no pool takes it ({admission.because})"

    def _room_for(self, pod: PodRecord, read: _Read | None = None) -> Callable[[Pool], str]:
        """A function that says why a pool has no room for it; of a pod that was not read no nodes are looked at."""

        def refusal(pool: Pool) -> str:
            clause = self._open_pools.refusal_by_limits(pool, pod.requests, self._billed(pod, (pool.name,)))
            if clause or read is None:
                return clause
            nodes = read.fits.nodes(pool)
            candidate = PodToFit(
                read.pod, pod.namespace, pod.owner_uid, pod.requests, read.volumes, uid=pod.uid, nodes=nodes
            )
            return self._open_pools.refusal_by_nodes(candidate, pool)

        return refusal

    def _billed(self, pod: PodRecord, pools: Sequence[str]) -> Usage:
        return billed(pod.requests, self.world.membership.size_of(pod), self.world.governance.ladder(*pools))

    def _coming(self, pod: PodRecord, raw: Json, volumes: Sequence[VolumeReach]) -> StayReason | None:
        """Whether a young node will take it; each node's room is counted once."""
        now, nodes = self.world.now(), self.world.state.nodes
        at, free = self._starting
        if now - at >= STARTING_SECONDS:
            young = (node for node in nodes.values() if is_starting(node, now) and self._is_physical(node))
            room = NodeRoom({node.name: self.world.state.node_usage.free_on(node) for node in young})
            free = FreeNodes(self.world.state, room)
            self._starting = (now, free)
        fit = PodFit(raw.get("spec") or {}, volumes)
        return StayReason.NODE_STARTING if free.take(fit, pod.requests) else None

    def _is_physical(self, node: NodeRecord) -> bool:
        return not self.world.membership.pool_of_node(node.name)

    # Replacing

    async def _recall(self, pod: PodRecord, who: GovernedPlacement) -> float | None:
        """Replace it for another pool if one is left that did not fail to start it, else for physical nodes."""
        tried = frozenset(pod.marked_pools)
        if self._is_left(pod, who, tried | self.world.board.avoided(pod.owner_uid)):
            return await self._replace(pod, who, None, tried=tried)
        return await self._replace(pod, who, Direction.RECALL, tried=tried)

    def _is_left(self, pod: PodRecord, who: GovernedPlacement, tried: Collection[str]) -> bool:
        """Whether an open pool was not tried. Admission decides whether it suits the pod."""
        has_room = self._room_for(pod)
        pools = (pool for pool in self._open_pools.pools(who.policy, pod.namespace) if pool.name not in tried)
        return any(not pool.closed and pool.open_nodes and not has_room(pool) for pool in pools)

    async def _replace(
        self,
        pod: PodRecord,
        who: GovernedPlacement,
        move: Direction | None,
        *,
        pool: str = "",
        tried: frozenset[str] = frozenset(),
    ) -> float | None:
        """Delete the pod in the version that was read; its owner creates a successor, which changes sides.

        Without a move it stays on virtual nodes. It and those after it avoid the pools that were `tried`.
        """
        owner, now = pod.owner_uid, self.world.now()
        if not has_successor(pod):
            return self._keep(pod, who, StayReason.CANNOT_REPLACE)
        if move is not None and self._turns.wait(owner, move, now, who.spill_after) > 0:
            return self._keep(pod, who, StayReason.TURNED)
        nodes = NodeKind.PHYSICAL if move is Direction.RECALL else NodeKind.VIRTUAL
        result = await self._replacement.replace(pod, nodes=nodes, avoid=tried)
        if result is ReplacementResult.NO_RETRY:
            return self._keep(pod, who, StayReason.CANNOT_REPLACE)
        if (again := result.again_seconds) is not None:
            return again
        self._replacement.avoid(pod, tried, who.spill_after)
        if move is not None:
            self._turns.note(owner, move, now)
        self._report(pod, who, move, pool)
        return None

    def _report(self, pod: PodRecord, who: GovernedPlacement, move: Direction | None, pool: str) -> None:
        if move is Direction.SPILL:
            metrics.SPILLS.labels(who.policy, pool, "replaced").inc()
            reason = event_reasons.SPILLED
            message = f"pods that no physical node had room for are replaced by pods for virtual nodes of {pool}"
        elif move is Direction.RECALL:
            metrics.RECALLS.labels(who.policy).inc()
            reason = event_reasons.RECALLED
            message = "pods that no node of their virtual pools took are replaced by pods for physical nodes"
        else:
            pools = pod.marked_pools
            pool_metrics.REPLACED.labels(pools[0] if pools else "", UNSCHEDULABLE).inc()
            reason = event_reasons.PODS_REPLACED
            message = f"Pods that never started are replaced: no node of {', '.join(pools)} took them."
        side = "virtual" if move is None else move.value
        self.log.info("waiting pod replaced", key=pod.key, policy=who.policy, move=side, pool=pool)
        self._events.record(self.world.owner_of(pod).reference, "Normal", reason, message)

    # Keeping

    def _keep(self, pod: PodRecord, who: GovernedPlacement, reason: StayReason, because: str = "") -> float | None:
        """Keep the pod for now, and check less and less often. An Event on its owner says `because`, if given."""
        was = self._kept.get(pod.uid)
        if was is None or was[0] is not reason:
            metrics.KEPT.labels(who.policy, reason.value).inc()
            self.log.info("waiting pod kept", key=pod.key, policy=who.policy, reason=reason.value)
            if because:
                event = kept_physical(because, unsuitable=reason is StayReason.UNSUITABLE, waits=True)
                about = self.world.owner_of(pod).reference
                self._events.record(about, event.type, event.reason, event.message)
        if reason in _FOR_GOOD:
            self._kept[pod.uid] = (reason, math.inf, 0)
            return None
        checks = 1 if was is None else was[2] + 1
        pause = backoff_seconds(checks, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self._kept[pod.uid] = (reason, self.world.now() + pause, checks)
        return pause + SOON_SECONDS

    def _plan(self, pod: PodRecord, who: GovernedPlacement, move: Direction) -> None:
        if pod.uid not in self._planned:
            self._planned.add(pod.uid)
            metrics.RECOMMENDED.labels(who.policy, move.value).inc()

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if new is not None and _waits(new):
            self._waiting.add(new.uid)
            if old is None or old.pending != new.pending:
                self.queue.add(new.uid)
        elif (gone := new or old) is not None and gone.uid in self._waiting:
            self._forget(gone.uid)

    def _forget(self, uid: PodUid) -> None:
        self._waiting.discard(uid)
        self._kept.pop(uid, None)
        self._spilled.pop(uid, None)
        self._planned.discard(uid)
        self.queue.forget(uid)


def _waits(pod: PodRecord) -> bool:
    """Whether the scheduler has found no node for it."""
    return pod.unschedulable_since > 0


def _promised(pod: PodRecord) -> OwnerUid:
    """The owner of a spilled pod's reservation: its own owner already counts the pod.

    One for each owner: a reservation of one owner that expires says nothing about those of others.
    """
    return OwnerUid(f"spilled from {pod.owner_uid or pod.uid}")


def _is_as_seen(pod: PodRecord, raw: Json) -> bool:
    """Whether it still waits and has not spilled since, because the watch may be behind."""
    same = raw["metadata"]["uid"] == pod.uid and marked_pools(raw) == pod.marked_pools
    return same and not (raw.get("spec") or {}).get("nodeName")
