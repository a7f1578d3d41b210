"""The replay of one contender: a loop over HPA, the controllers, the scheduler and the node autoscaler."""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from spillway.domain.model.names import NodeName, PodUid
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import NodeRecord
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import kubernetes_victims
from spillway.domain.scale_down.ranking import plan_scale_down
from spillway.simulate.autoscaler import SCAN_SECONDS, AutoscalerRules, NodeAutoscaler
from spillway.simulate.cluster import SimCluster, SimPod, SimReplicaSet
from spillway.simulate.contenders import Contender, shared_order
from spillway.simulate.course import Course
from spillway.simulate.headroom import SimHeadroom
from spillway.simulate.hpa import Hpa
from spillway.simulate.measure import Measures
from spillway.simulate.moves import SimMove, SimMoves
from spillway.simulate.scenario import ZONES, Scenario
from spillway.simulate.scheduler import Scheduler

_GRACE_SECONDS: Final = 30.0
_SPILL_SECONDS: Final = 60.0
_REST_SECONDS: Final = 60.0
"""The time without a change after which a workload is stable and its next victims are marked."""
_ORDER_SECONDS: Final = 60.0
"""The maximum age of the pod counts by which nodes are ordered."""
_IDLE_SECONDS: Final = 300.0
_SURGE: Final = 0.25
_MAX_SKEW: Final = 1


def replay(scenario: Scenario, contender: Contender, rules: AutoscalerRules, course: Course | None = None) -> Measures:
    """Replay the days of the scenario once; `course` is filled in at each step.

    With a course, scale-downs are not compared with what should have been deleted: it measures the cluster alone.
    """
    return _Replay(scenario, contender, rules, course).run()


class _Replay:
    def __init__(self, scenario: Scenario, contender: Contender, rules: AutoscalerRules, course: Course | None) -> None:
        self._scenario = scenario
        self._course = course
        self._contender = contender
        self._cluster = SimCluster(scenario)
        random = np.random.default_rng([scenario.seed, 1])
        self._uids = np.random.default_rng([scenario.seed, 2])
        self._scheduler = Scheduler(self._cluster, random, soft_taint=contender.soft_taint)
        self._autoscaler = NodeAutoscaler(self._cluster, self._scheduler, rules)
        self._hpa = Hpa(scenario)
        count = len(scenario.workloads)
        self._current = [SimReplicaSet(workload=w, revision=1) for w in range(count)]
        self._old: list[list[SimReplicaSet]] = [[] for _ in range(count)]
        self._desired = self._hpa.initial()
        self._pending: list[SimPod] = []
        self._waiting = 0
        """Pods that found no node in this step; those that are evicted after it are looked at in the next one."""
        self._starting: defaultdict[int, list[SimPod]] = defaultdict(list)
        self._leaving: deque[tuple[int, SimPod]] = deque()
        self._changed = np.zeros(count, dtype=np.int64)
        self._order: dict[NodeName, int] = {}
        self._order_of = (-1, -1)
        self._step = 0
        rules_of_moves = contender.moves
        self._moves = (
            None if rules_of_moves is None else SimMoves(scenario, self._cluster, rules_of_moves, self._is_whole)
        )
        self._headroom = (
            None if contender.headroom is None else SimHeadroom(scenario, self._cluster, contender.headroom)
        )
        self._measures = Measures(step_seconds=scenario.step_seconds)
        self._grace, self._spill, self._rest_steps, order, self._idle = map(
            scenario.steps_in, (_GRACE_SECONDS, _SPILL_SECONDS, _REST_SECONDS, _ORDER_SECONDS, _IDLE_SECONDS)
        )
        self._order_steps = max(order, 1)
        self._scans = max(round(scenario.step_seconds / SCAN_SECONDS), 1)

    def run(self) -> Measures:
        for step in range(self._scenario.steps):
            self._step = step
            self._free_room()
            self._become_ready()
            self._autoscaler.join(step)
            self._roll_out()
            self._scale()
            self._schedule()
            self._move()
            self._take_nodes_away()
            self._rest()
            self._account()
        return self._measures

    def _free_room(self) -> None:
        while self._leaving and self._leaving[0][0] <= self._step:
            self._cluster.release(self._leaving.popleft()[1])

    # Workloads

    def _become_ready(self) -> None:
        for pod in self._starting.pop(self._step, ()):
            if pod.uid in (replicaset := self._replicaset_of(pod)).pods:
                replicaset.ready += 1

    def _scale(self) -> None:
        replicasets = self._current
        ready = np.array([one.ready for one in replicasets])
        for index, old in enumerate(self._old):
            for one in old:
                ready[index] += one.ready
        recommended = self._contender.recommended(self._step)
        self._desired = self._hpa.desired(self._step, self._desired, ready, recommended)
        moves = self._moves
        for index, wanted in enumerate(self._desired.tolist()):
            replicaset = replicasets[index]
            desired = wanted if moves is None else wanted + self._surging(index, moves)
            count = len(replicaset.pods)
            if self._old[index]:
                self._continue_rollout(index, desired)
            elif count < desired:
                self._create(replicaset, desired - count)
            elif count > desired:
                self._scale_down(replicaset, count - desired)

    # Moves

    def _surging(self, index: int, moves: SimMoves) -> int:
        """The additional replica of a move; a workload that is scaled or rolled out in between gives its move up."""
        move = moves.running.get(index)
        if move is None:
            return 0
        if move.desired == int(self._desired[index]) and not self._old[index]:
            return 1
        self._give_up(index)
        return 0

    def _give_up(self, index: int) -> None:
        if self._moves is not None:
            del self._moves.running[index]
            self._measures.moves_given_up += 1

    def _is_whole(self, index: int) -> bool:
        replicaset = self._current[index]
        return not self._old[index] and replicaset.ready == len(replicaset.pods) == int(self._desired[index])

    def _move(self) -> None:
        moves = self._moves
        if moves is None:
            return
        for index, move in list(moves.running.items()):
            replicaset = self._current[index]
            if replicaset.ready == len(replicaset.pods) == move.desired + 1 and move.pod.uid in replicaset.pods:
                self._delete(replicaset, move.pod.uid)
                del moves.running[index]
                self._measures.moves += 1
                self._measures.dips += replicaset.ready < move.desired
            elif self._step - move.began > moves.patience or move.pod.uid not in replicaset.pods:
                self._give_up(index)
        for pod in moves.begin(self._step, self._nodes_order(), self._is_active):
            moves.running[pod.workload] = SimMove(pod, pod.node, int(self._desired[pod.workload]), self._step)

    def _roll_out(self) -> None:
        for index, workload in enumerate(self._scenario.workloads):
            if self._step in workload.rollouts and not self._old[index]:
                old = self._current[index]
                self._old[index] = [old]
                self._current[index] = SimReplicaSet(workload=index, revision=old.revision + 1)

    def _continue_rollout(self, index: int, desired: int) -> None:
        """Continue a rollout as the Deployment controller does with its defaults of 25 % surge and 25 % unavailable."""
        new, (old,) = self._current[index], self._old[index]
        if len(new.pods) > desired:
            self._scale_down(new, len(new.pods) - desired)
        room = desired + math.ceil(desired * _SURGE) - len(new.pods) - len(old.pods)
        self._create(new, min(room, desired - len(new.pods)))
        spare = new.ready + old.ready - (desired - int(desired * _SURGE))
        unready = len(old.pods) - old.ready
        self._scale_down(old, min(max(spare, 0) + unready, len(old.pods)), mirror=True)
        if not old.pods:
            self._old[index] = []

    def _create(self, replicaset: SimReplicaSet, count: int) -> None:
        physical = sum(not pod.virtual for pod in replicaset.pods.values())
        for _ in range(count):
            uid = PodUid(f"{self._uids.integers(2**63):016x}")
            pod = SimPod(uid, replicaset.workload, replicaset.revision, self._step, pending_since=self._step)
            pod.virtual = self._contender.goes_virtual(replicaset.workload, physical, self._step)
            physical += not pod.virtual
            replicaset.pods[uid] = pod
            self._pending.append(pod)
            self._changed[replicaset.workload] = self._step

    def _scale_down(self, replicaset: SimReplicaSet, count: int, *, mirror: bool = False) -> None:
        if count <= 0:
            return
        now, measures = self._scenario.time_of(self._step), self._measures
        candidates = self._candidates(replicaset)
        planned: tuple[PodUid, ...] = ()
        if self._contender.exact or self._course is None:
            planned = plan_scale_down(candidates, count, max_skew=_MAX_SKEW, mirror=mirror, now=now).uids
        writes = self._contender.before_scale_down(candidates, planned)
        if writes:
            for uid, cost in writes.items():
                replicaset.pods[uid].deletion_cost = cost
            candidates = self._candidates(replicaset)
        gone = [c.uid for c in kubernetes_victims(candidates, count, now=now)]
        if mirror:
            measures.rollout_victims += len(gone)
            measures.writes_rollout += len(writes)
        else:
            if self._course is None:
                measures.scale_down(candidates, gone, planned)
            measures.writes_scale_down += len(writes)
            measures.scale_downs_without_write += not writes
        for uid in gone:
            self._delete(replicaset, uid)

    def _delete(self, replicaset: SimReplicaSet, uid: PodUid) -> None:
        pod = replicaset.pods.pop(uid)
        replicaset.ready -= pod.assigned and pod.ready_from <= self._step
        self._changed[pod.workload] = self._step
        if pod.assigned:
            self._cluster.leave(pod)
            if self._grace:
                self._leaving.append((self._step + self._grace, pod))
            else:
                self._cluster.release(pod)
        else:
            self._pending.remove(pod)

    def _replicaset_of(self, pod: SimPod) -> SimReplicaSet:
        """The ReplicaSet of a pod; if the pod is already gone, any ReplicaSet of its workload."""
        current, old = self._current[pod.workload], self._old[pod.workload]
        return old[0] if old and old[0].revision == pod.revision else current

    # Nodes

    def _nodes_order(self) -> dict[NodeName, int]:
        as_of = (self._cluster.elastic_changes, self._step // self._order_steps)
        if self._order_of != as_of:
            self._order_of = as_of
            names = self._cluster.names
            slots = {names[slot]: slot for slot in self._cluster.elastic_slots}
            pods = {name: len(self._cluster.on_node[slot]) for name, slot in slots.items()}

            def place(node: NodeRecord) -> NodePlace:
                return self._place(slots[node.name])

            self._order = shared_order(self._cluster.elastic_records(), place, pods)
        return self._order

    def _place(self, node: int) -> NodePlace:
        cluster = self._cluster
        return NodePlace(tier=cluster.tier[node], zone=cluster.zone_of(node), price_rank=cluster.price_rank[node])

    def _candidates(self, replicaset: SimReplicaSet) -> list[Candidate]:
        return self._cluster.candidates(replicaset, self._step, self._nodes_order())

    def _schedule(self) -> None:
        waiting: list[SimPod] = []
        hopeless: set[int] = set()
        for pod in self._pending:
            if pod.virtual:
                self._bind(pod, self._scheduler.virtual_node(pod))
                continue
            node = None if pod.workload in hopeless else self._physical_node(pod)
            if node is None:
                hopeless.add(pod.workload)
                waiting.append(pod)
            else:
                self._bind(pod, node)
        if self._headroom is not None:
            self._headroom.keep(self._step, self._desired, waiting, self._nodes_order())
        if waiting or any(self._cluster.balloons_waiting):
            self._autoscaler.scale_up(waiting, self._step)
        self._pending = []
        for pod in waiting:
            if self._step - pod.pending_since >= self._spill and not self._autoscaler.can_help(pod):
                self._bind(pod, self._scheduler.virtual_node(pod))
            else:
                self._pending.append(pod)
        self._waiting = len(self._pending)

    def _physical_node(self, pod: SimPod) -> int | None:
        node = self._scheduler.physical_node(pod)
        return self._scheduler.node_after_eviction(pod) if node is None and self._headroom is not None else node

    def _bind(self, pod: SimPod, node: int) -> None:
        cluster = self._cluster
        zones = cluster.zone_names
        siblings = self._replicaset_of(pod).pods.values()
        in_zone = (one.deletion_cost for one in siblings if one.assigned and zones[one.node] == zones[node])
        order = self._nodes_order().get(cluster.names[node], 0)
        pod.deletion_cost, writes = self._contender.initial_cost(self._place(node), order, in_zone)
        cluster.bind(pod, node, self._step)
        pod.virtual = node >= cluster.physical
        if pod.ready_from > self._step:
            self._starting[pod.ready_from].append(pod)
        else:
            self._replicaset_of(pod).ready += 1
        self._changed[pod.workload] = pod.ready_from
        self._measures.created += 1
        self._measures.writes_born += writes

    def _take_nodes_away(self) -> None:
        for _ in range(self._scans):
            if not self._take_one_away():
                return

    def _take_one_away(self) -> bool:
        """Drain one node, if one is due."""
        evicted = self._autoscaler.scale_down(self._step)
        if not evicted:
            return False
        slot = evicted[0].node
        for pod in evicted:
            replicaset = self._replicaset_of(pod) if self._is_active(pod) else None
            if replicaset is not None:
                self._measures.evictions += 1
                self._delete(replicaset, pod.uid)
                self._measures.dips += replicaset.ready < int(self._desired[pod.workload])
                self._create(replicaset, 1)
        self._leaving = deque(entry for entry in self._leaving if entry[1].node != slot)
        if self._grace:
            for pod in evicted:
                self._cluster.release(pod)
        self._autoscaler.remove(slot)
        return True

    def _is_active(self, pod: SimPod) -> bool:
        replicasets: Sequence[SimReplicaSet] = [self._current[pod.workload], *self._old[pod.workload]]
        return any(pod.uid in replicaset.pods for replicaset in replicasets)

    # Books

    def _rest(self) -> None:
        """Let the contender process workloads that have just become stable; unchanged ones are skipped."""
        if not self._contender.looks_after:
            return
        quiet = self._step - self._changed
        for index in np.flatnonzero(quiet == self._rest_steps):
            replicaset = self._current[index]
            if self._old[index] or not replicaset.pods:
                continue
            writes = self._contender.at_rest(self._candidates(replicaset))
            for uid, cost in writes.items():
                replicaset.pods[uid].deletion_cost = cost
            self._measures.writes_at_rest += len(writes)
            self._measures.idle_writes += len(writes) * int(quiet[index] > self._idle)

    def _account(self) -> None:
        measures = self._measures
        nodes = self._autoscaler.nodes
        measures.steps += 1
        measures.elastic_node_steps += nodes
        measures.elastic_nodes.append(nodes)
        cluster, scenario = self._cluster, self._scenario
        alive = cluster.alive[: cluster.physical]
        zones = cluster.zone[: cluster.physical][alive]
        cpu, memory = (
            np.bincount(zones, (whole - free[: cluster.physical])[alive], minlength=len(ZONES)).tolist()
            for whole, free in ((scenario.node_cpu, cluster.cpu_free), (scenario.node_memory, cluster.memory_free))
        )
        measures.requested.append(tuple(zip(cpu, memory, strict=True)))
        measures.virtual_pod_steps += sum(self._cluster.pool_pods)
        measures.pending_steps += len(self._pending)
        if self._course is not None:
            ready = np.array([one.ready for one in self._current])
            self._course.evictions[self._step] = measures.evictions
            self._course.replicas[:, self._step] = self._desired
            self._course.note(self._step, self._cluster, nodes, ready, waiting=self._waiting)
