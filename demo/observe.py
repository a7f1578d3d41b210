"""The observer: it watches the cluster during the day and keeps the time series. It writes nothing.

Contract: uses the operator's informers with a connection of its own (so it sees what any client sees), feeds every
change to the `ScaleDownTracker`, and takes a `Sample` of each contender at every `tick`. Times are the caller's clock,
in seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from demo.audit import AuditLog
from demo.contenders import Contender, contender_of, owner_of, place_of
from demo.dips import Dips
from demo.foresight import Foreseen
from demo.measure import Lifetime, PodWait, Sample
from demo.scaledowns import ScaleDown, ScaleDownTracker, zone_skew
from demo.scenario import REQUEST_MILLIS, Day
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.state.cluster import ClusterState

UNASSIGNED: Final = "unassigned"


class Observer:
    """One run's observations."""

    def __init__(self, state: ClusterState, contenders: Sequence[Contender], audit: AuditLog | None) -> None:
        self.state = state
        self.contenders = tuple(contenders)
        self.audit = audit
        self.tracker = ScaleDownTracker()
        self.dips = Dips(state)
        self.samples: dict[Contender, list[Sample]] = {contender: [] for contender in contenders}
        self.now = 0.0
        """Seconds since the day began; negative before. Set by `tick`."""
        self.foreseen: dict[Contender, Foreseen] = {}
        """What the operator foresaw when it was asked last."""
        self._elastic: dict[Contender, dict[NodeName, Lifetime]] = defaultdict(dict)
        self._waits: dict[Contender, dict[PodUid, PodWait]] = defaultdict(dict)
        self._stop = [
            state.subscribe(PodRecord, self._pod),
            state.subscribe(NodeRecord, self._node),
            state.subscribe(ReplicaSetRecord, self._replicaset),
        ]

    def close(self) -> None:
        """Stop receiving changes."""
        for unsubscribe in self._stop:
            unsubscribe()

    def _pod(self, old: PodRecord | None, new: PodRecord | None) -> None:
        self.tracker.pod_changed(old, new, self.now)
        pod = new or old
        contender = None if pod is None else contender_of(pod.namespace)
        if pod is None or contender is None or pod.namespace != contender.namespace:
            return
        self.dips.pod_changed(contender, old, new, self.now)
        waits = self._waits[contender]
        if old is None and self.now > 0.0:
            waits[pod.uid] = PodWait(self.now)
        wait = waits.get(pod.uid)
        if wait is not None and wait.ended is None and (new is None or new.ready):
            waits[pod.uid] = replace(wait, ended=self.now)

    def _replicaset(self, old: ReplicaSetRecord | None, new: ReplicaSetRecord | None) -> None:
        self.tracker.replicaset_changed(old, new, self.now)

    def _node(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        self.tracker.node_changed(old, new)
        node = new or old
        owner = None if node is None else owner_of(node)
        if node is None or owner is None or place_of(node).tier is not Tier.ELASTIC:
            return
        known = self._elastic[owner]
        if new is None:
            if node.name in known:
                known[node.name] = replace(known[node.name], gone=self.now)
        elif node.name not in known:
            known[node.name] = Lifetime(node.name, place_of(node).zone, self.now)

    def lifetimes(self, contender: Contender) -> list[Lifetime]:
        """The elastic nodes of a contender that were ever seen."""
        return list(self._elastic[contender].values())

    def waits(self, contender: Contender) -> list[PodWait]:
        """How long each pod of a contender's day waited that was created since it began."""
        return list(self._waits[contender].values())

    def deaths(self) -> list[ScaleDown]:
        """The finished scale-downs, the last one last."""
        return self.tracker.finished

    def ready_replicas(self, contender: Contender) -> dict[str, list[PodRecord]]:
        """The ready pods of a contender's day by workload."""
        found: dict[str, list[PodRecord]] = defaultdict(list)
        for pod in self.state.pods_in(contender.namespace):
            if pod.active and pod.ready:
                owner = self.state.replicasets.get(pod.owner_uid)
                if owner is not None:
                    found[owner.owner_name].append(pod)
        return found

    def follow(self, now: float) -> list[ScaleDown]:
        """Close the scale-downs that are over and read the audit log, without taking a sample."""
        self.now = now
        if self.audit is not None:
            self.audit.read()
        self.dips.tick(now)
        return self.tracker.tick(now)

    def tick(self, now: float, day: Day) -> list[ScaleDown]:
        """Take a sample of every contender and close the scale-downs that are over; returns those."""
        closed = self.follow(now)
        hour = day.hour_at(now)
        for contender in self.contenders:
            self.samples[contender].append(self._sample(contender, now, hour, day))
        return closed

    def _sample(self, contender: Contender, now: float, hour: float, day: Day) -> Sample:
        nodes = {node.name: place_of(node) for node in self.tracker.nodes.values() if owner_of(node) is contender}
        zones = sorted({place.zone for place in nodes.values()})
        pods: Counter[str] = Counter()
        by_set: dict[OwnerUid, list[PodRecord]] = defaultdict(list)
        for pod in self.state.pods_in(contender.namespace):
            if not pod.active:
                continue
            place = nodes.get(pod.node)
            pods[place.tier.value if place is not None else UNASSIGNED] += 1
            by_set[pod.owner_uid].append(pod)
        skews = []
        for uid, members in by_set.items():
            owner = self.tracker.replicasets().get(uid)
            at_rest = owner is not None and owner.replicas == len(members) and all(pod.node in nodes for pod in members)
            if at_rest:
                skews.append(zone_skew((nodes[pod.node].zone for pod in members), zones))
        ready = self.ready_replicas(contender)
        requested = {workload: len(members) * REQUEST_MILLIS / 1000 for workload, members in ready.items()}
        foreseen = self.foreseen.get(contender)
        return Sample(
            at=now,
            hour=hour,
            pods={tier: pods[tier] for tier in (*Tier, UNASSIGNED)},
            elastic_nodes=sum(place.tier is Tier.ELASTIC for place in nodes.values()),
            skews=tuple(skews),
            load_cores=day.total_load(hour),
            ready_cores=sum(requested.values()),
            unmet_cores=sum(max(one.load(hour) - requested.get(one.name, 0.0), 0.0) for one in day.workloads),
            forecast_cores=None if foreseen is None else foreseen.cores,
            headroom_cores=0.0 if foreseen is None else foreseen.headroom * REQUEST_MILLIS / 1000,
        )
