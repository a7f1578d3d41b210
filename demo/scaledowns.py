"""The scale-downs in a stream of pod and ReplicaSet changes: what each deleted, compared with a plan. No I/O, no clock.

Contract: a scale-down begins when a ReplicaSet asks for fewer replicas and ends when that many are left and it was
quiet for a moment; a further decrease in between belongs to it. Its victims are the pods of the ReplicaSet that stopped
being active in that time. The two watches are not ordered against each other: a victim that was seen before its
ReplicaSet's change still counts. All contenders are compared with the same planner, on the pods and nodes as they were
seen.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from demo.contenders import Contender, contender_of, owner_of, place_of, tier_of
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.domain.model.records import NodeRecord, Phase, PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.candidates import candidates_of, related_pods
from spillway.domain.scale_down.node_order import emptying_order
from spillway.domain.scale_down.ranking import plan_scale_down

MAX_SKEW = 1
QUIET_SECONDS = 1.0
"""With no change for that long, a scale-down whose pods are gone is over."""
GIVE_UP_SECONDS = 20.0
EARLY_SECONDS = 3.0
"""A pod that left that shortly before its ReplicaSet's change was seen belongs to it."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A pod that a scale-down deleted."""

    uid: PodUid
    name: str
    node: NodeName
    tier: Tier | None
    zone: Zone
    ready: bool
    cost: int
    planned: bool
    """Whether Spillway's planner, asked at that moment, would have chosen it."""
    virtual_survived: bool
    """Whether a ready virtual pod of its ReplicaSet was still there when the scale-down was over."""
    reason: str
    """The planner's rule for it; empty where the planner would have kept it."""

    @property
    def violates_virtual_first(self) -> bool:
        return self.ready and self.tier is not None and self.tier is not Tier.VIRTUAL and self.virtual_survived


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """One finished scale-down."""

    contender: Contender
    namespace: str
    workload: str
    replicaset: str
    uid: OwnerUid
    began: float
    ended: float
    before: int
    """Active pods when it began."""
    after: int
    """Replicas asked for when it was over."""
    victims: tuple[Victim, ...]
    missed: tuple[PodUid, ...]
    """Ready pods that the planner would have chosen and that stayed."""
    missed_unready: int
    """Pods that were not ready, were to go by Kubernetes' own first rules, and stayed: they became ready in between."""
    skew: int
    """Zone skew of the pods that stayed."""
    skew_possible: int
    """The smallest skew that the victims before the zone rule (not ready, virtual) leave possible."""


@dataclass(slots=True)
class _Open:
    """A scale-down under way. `pods` are those from which Kubernetes chooses, as they were before any of them left."""

    contender: Contender
    replicaset: ReplicaSetRecord
    began: float
    pods: dict[PodUid, PodRecord]
    nodes: dict[NodeName, NodeRecord]
    on_node: Mapping[NodeName, int]
    quiet_since: float
    gone: dict[PodUid, PodRecord] = field(default_factory=dict)


class ScaleDownTracker:
    """Fed with every change by the observer; `finished` grows."""

    def __init__(self) -> None:
        self.finished: list[ScaleDown] = []
        self.nodes: dict[NodeName, NodeRecord] = {}
        self._active: dict[OwnerUid, dict[PodUid, PodRecord]] = defaultdict(dict)
        self._sets: dict[OwnerUid, ReplicaSetRecord] = {}
        self._early: dict[OwnerUid, list[tuple[float, PodRecord]]] = defaultdict(list)
        self._open: dict[OwnerUid, _Open] = {}

    @property
    def open(self) -> int:
        """Scale-downs that are not finished."""
        return len(self._open)

    def replicasets(self) -> Mapping[OwnerUid, ReplicaSetRecord]:
        return self._sets

    def active(self, owner: OwnerUid) -> Mapping[PodUid, PodRecord]:
        """The active pods of a ReplicaSet."""
        return self._active.get(owner, {})

    def node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is not None:
            if owner_of(new) is not None:
                self.nodes[new.name] = new
        elif old is not None:
            self.nodes.pop(old.name, None)

    def pod_changed(self, old: PodRecord | None, new: PodRecord | None, now: float) -> None:
        pod = new or old
        if pod is None or not pod.owner_uid or contender_of(pod.namespace) is None:
            return
        pods = self._active[pod.owner_uid]
        if new is not None and new.active:
            pods[new.uid] = new
            return
        last = pods.pop(pod.uid, None)
        if last is None:
            return
        down = self._open.get(pod.owner_uid)
        if down is None:
            self._early[pod.owner_uid].append((now, last))
            return
        # The deletion may be seen after the pod became ready: the record before it is what Kubernetes chose by.
        down.gone[pod.uid] = last
        down.pods.setdefault(pod.uid, last)
        down.quiet_since = now

    def replicaset_changed(self, old: ReplicaSetRecord | None, new: ReplicaSetRecord | None, now: float) -> None:
        if new is None:
            if old is not None:
                self._sets.pop(old.uid, None)
                self._open.pop(old.uid, None)
            return
        contender = contender_of(new.namespace)
        if contender is None:
            return
        self._sets[new.uid] = new
        if old is None or new.replicas >= old.replicas or new.replicas == 0:
            return
        down = self._open.get(new.uid)
        if down is not None:
            down.replicaset, down.quiet_since = new, now
            return
        early = {pod.uid: pod for at, pod in self._early.pop(new.uid, []) if now - at < EARLY_SECONDS}
        self._open[new.uid] = _Open(
            contender=contender,
            replicaset=new,
            began=now,
            pods={**self._active[new.uid], **early},
            nodes={name: node for name, node in self.nodes.items() if owner_of(node) is contender},
            on_node=Counter(pod.node for pods in self._active.values() for pod in pods.values()),
            quiet_since=now,
            gone=early,
        )

    def tick(self, now: float) -> list[ScaleDown]:
        """Close what is over; returns what was closed."""
        closed = []
        for uid, down in list(self._open.items()):
            asked = down.replicaset.replicas
            over = len(self._active[uid]) <= asked and now - down.quiet_since >= QUIET_SECONDS
            if over or now - down.began > GIVE_UP_SECONDS:
                del self._open[uid]
                if down.gone:
                    closed.append(
                        judge(
                            contender=down.contender,
                            replicaset=down.replicaset,
                            pods=down.pods,
                            gone=down.gone,
                            nodes=down.nodes,
                            on_node=down.on_node,
                            began=down.began,
                            ended=now,
                        )
                    )
        self.finished += closed
        return closed


def judge(
    *,
    contender: Contender,
    replicaset: ReplicaSetRecord,
    pods: Mapping[PodUid, PodRecord],
    gone: Mapping[PodUid, PodRecord],
    nodes: Mapping[NodeName, NodeRecord],
    on_node: Mapping[NodeName, int],
    began: float,
    ended: float,
) -> ScaleDown:
    """Compare what went with what the planner chooses from the same pods; `on_node` counts all pods of each node."""
    known = dict(nodes)
    places = {name: place_of(node) for name, node in known.items()}
    order = emptying_order(known.values(), places, pods=on_node)
    # The demo rolls nothing out: its Deployments have one ReplicaSet each.
    related = related_pods(replicaset, [replicaset], lambda _: pods.values())
    plan = plan_scale_down(
        candidates_of(pods.values(), known, place_of, order, related=related), len(gone), max_skew=MAX_SKEW, now=began
    )
    reasons = {victim.uid: victim.reason.value for victim in plan.victims}
    stayed = [pod for uid, pod in pods.items() if uid not in gone]
    virtual_survived = any(pod.ready and tier_of(known, pod.node) is Tier.VIRTUAL for pod in stayed)
    victims = tuple(
        Victim(
            uid=pod.uid,
            name=pod.name,
            node=pod.node,
            tier=tier_of(known, pod.node),
            zone=places[pod.node].zone if pod.node in places else Zone(""),
            ready=is_ready(pod),
            cost=pod.deletion_cost or 0,
            planned=pod.uid in reasons,
            virtual_survived=virtual_survived,
            reason=reasons.get(pod.uid, ""),
        )
        for pod in gone.values()
    )
    zones = sorted({place.zone for place in places.values() if place.zone})
    return ScaleDown(
        contender=contender,
        namespace=replicaset.namespace,
        workload=replicaset.owner_name or replicaset.name,
        replicaset=replicaset.name,
        uid=replicaset.uid,
        began=began,
        ended=ended,
        before=len(pods),
        after=replicaset.replicas,
        victims=victims,
        missed=tuple(uid for uid in reasons if uid not in gone and is_ready(pods[uid])),
        missed_unready=sum(uid not in gone and not is_ready(pods[uid]) for uid in reasons),
        skew=zone_skew((places[pod.node].zone for pod in stayed if pod.node in places), zones),
        skew_possible=_possible_skew(pods.values(), len(gone), known, zones),
    )


def is_ready(pod: PodRecord) -> bool:
    """Whether Kubernetes' rules before the deletion cost put it last."""
    return bool(pod.node) and pod.phase is Phase.RUNNING and pod.ready


def zone_skew(occupied: Iterable[Zone], zones: Iterable[Zone]) -> int:
    """The largest minus the smallest number of pods over `zones`; 0 without zones."""
    counts = Counter(occupied)
    numbers = [counts[zone] for zone in zones]
    return max(numbers) - min(numbers) if numbers else 0


def _possible_skew(
    pods: Iterable[PodRecord], count: int, nodes: dict[NodeName, NodeRecord], zones: Iterable[Zone]
) -> int:
    """The least skew that `count` deletions can leave when unready and virtual pods must go first.

    Independent of the planner: what has to go goes, then the fullest zone loses a pod as long as one is to be lost.
    """
    ready = [pod for pod in pods if is_ready(pod)]
    count -= sum(1 for pod in pods if not is_ready(pod))
    tiers: dict[bool, Counter[Zone]] = {True: Counter(), False: Counter()}
    for pod in ready:
        if pod.node in nodes:
            place = place_of(nodes[pod.node])
            tiers[place.tier is Tier.VIRTUAL][place.zone] += 1
    names = list(zones)
    for virtual in (True, False):
        for _ in range(max(min(count, tiers[virtual].total()), 0)):
            fullest = max(
                (zone for zone in names if tiers[virtual][zone]), key=lambda z: tiers[True][z] + tiers[False][z]
            )
            tiers[virtual][fullest] -= 1
            count -= 1
    return zone_skew((tiers[True] + tiers[False]).elements(), names)
