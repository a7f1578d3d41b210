from demo.contenders import CONTENDER_LABEL, TIER_LABEL, Contender
from demo.scaledowns import QUIET_SECONDS, ScaleDownTracker, zone_skew
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.domain.model.records import NodeRecord, Phase, PodRecord, ReplicaSetRecord


def node(name: str, tier: Tier, zone: str) -> NodeRecord:
    return NodeRecord(
        uid=name,
        name=NodeName(name),
        labels={CONTENDER_LABEL: "plain", TIER_LABEL: tier.value, ZONE_LABEL: zone},
        created=1.0,
        ready=True,
        unschedulable=False,
        deleting=False,
        taints=(),
        cordoned_by="",
        cpu_millis=8000,
        memory_bytes=0,
        pods_allocatable=110,
    )


def pod(name: str, on: str, *, ready: bool = True, terminating: bool = False, created: float = 1.0) -> PodRecord:
    return PodRecord(
        uid=PodUid(name),
        namespace="day-plain",
        name=name,
        node=NodeName(on),
        owner_uid=OwnerUid("rs"),
        owner_kind="ReplicaSet",
        owner_name="svc-1",
        phase=Phase.RUNNING if ready else Phase.PENDING,
        ready=ready,
        ready_since=created if ready else 0.0,
        created=created,
        restarts=0,
        terminating=terminating,
        deletion_cost=None,
        cost_written=None,
        policy="",
        tier="",
        pool="",
        cpu_millis=100,
        memory_bytes=0,
    )


def replicaset(replicas: int) -> ReplicaSetRecord:
    return ReplicaSetRecord(
        uid=OwnerUid("rs"),
        namespace="day-plain",
        name="svc-1",
        owner_uid=OwnerUid("d"),
        owner_kind="Deployment",
        owner_name="svc",
        replicas=replicas,
        revision=1,
        labels={},
    )


def tracker(*pods: PodRecord) -> ScaleDownTracker:
    made = ScaleDownTracker()
    for one in (
        node("fixed-a", Tier.FIXED, "a"),
        node("fixed-b", Tier.FIXED, "b"),
        node("elastic-a", Tier.ELASTIC, "a"),
        node("virtual-b", Tier.VIRTUAL, "b"),
    ):
        made.node_changed(None, one)
    made.replicaset_changed(None, replicaset(len(pods)), 0.0)
    for each in pods:
        made.pod_changed(None, each, 0.0)
    return made


PODS = (pod("p1", "fixed-a"), pod("p2", "fixed-b"), pod("p3", "elastic-a", created=5.0), pod("p4", "virtual-b"))


def end(of: ScaleDownTracker, *names: str, at: float = 1.0) -> None:
    for one in PODS:
        if one.name in names:
            of.pod_changed(one, pod(one.name, one.node, terminating=True), at)


def test_a_scale_down_as_planned() -> None:
    watched = tracker(*PODS)
    watched.replicaset_changed(replicaset(4), replicaset(3), 1.0)
    end(watched, "p4")
    assert watched.tick(1.0) == []
    (down,) = watched.tick(1.0 + QUIET_SECONDS)
    assert down.contender is Contender.PLAIN
    assert (down.before, down.after) == (4, 3)
    assert [(v.name, v.tier, v.planned, v.violates_virtual_first) for v in down.victims] == [
        ("p4", Tier.VIRTUAL, True, False)
    ]
    assert down.missed == ()
    assert watched.open == 0


def test_a_physical_victim_before_a_virtual_one_is_a_violation_and_no_planned_victim() -> None:
    watched = tracker(*PODS)
    watched.replicaset_changed(replicaset(4), replicaset(3), 1.0)
    end(watched, "p1")
    (down,) = watched.tick(5.0)
    assert [(v.name, v.planned, v.violates_virtual_first) for v in down.victims] == [("p1", False, True)]
    assert down.missed == (PodUid("p4"),)


def test_victims_seen_before_their_replicaset_count() -> None:
    watched = tracker(*PODS)
    end(watched, "p4", at=0.9)
    watched.replicaset_changed(replicaset(4), replicaset(2), 1.0)
    end(watched, "p3")
    (down,) = watched.tick(5.0)
    assert sorted(v.name for v in down.victims) == ["p3", "p4"]
    assert all(v.planned for v in down.victims)
    assert down.before == 4


def test_a_further_decrease_belongs_to_the_same_scale_down() -> None:
    watched = tracker(*PODS)
    watched.replicaset_changed(replicaset(4), replicaset(3), 1.0)
    end(watched, "p4")
    watched.replicaset_changed(replicaset(3), replicaset(2), 1.5)
    assert watched.tick(1.0 + QUIET_SECONDS) == []
    end(watched, "p3", at=2.5)
    (down,) = watched.tick(5.0)
    assert [v.name for v in down.victims] == ["p4", "p3"]
    assert (down.before, down.after) == (4, 2)


def test_a_pod_that_never_was_ready_goes_first_and_is_not_judged_by_cost() -> None:
    watched = tracker(*PODS, pod("p5", "fixed-a", ready=False))
    watched.replicaset_changed(replicaset(5), replicaset(4), 1.0)
    watched.pod_changed(pod("p5", "fixed-a", ready=False), None, 1.0)
    (down,) = watched.tick(5.0)
    assert [(v.name, v.ready, v.planned, v.violates_virtual_first) for v in down.victims] == [
        ("p5", False, True, False)
    ]


def test_a_scale_up_and_the_end_of_a_replicaset_are_no_scale_downs() -> None:
    watched = tracker(*PODS)
    watched.replicaset_changed(replicaset(4), replicaset(6), 1.0)
    watched.replicaset_changed(replicaset(4), replicaset(0), 1.0)
    assert watched.open == 0
    watched.replicaset_changed(replicaset(4), None, 1.0)
    assert watched.tick(10.0) == []


def test_skew_that_virtual_first_forces_is_called_possible() -> None:
    # Two zones, two virtual pods in b: after they went, a has two pods more than b, and nothing could help it.
    pods = (pod("a1", "fixed-a"), pod("a2", "fixed-a"), pod("b1", "virtual-b"), pod("b2", "virtual-b"))
    watched = tracker(*pods)
    watched.replicaset_changed(replicaset(4), replicaset(2), 1.0)
    for one in pods[2:]:
        watched.pod_changed(one, None, 1.0)
    (down,) = watched.tick(5.0)
    assert (down.skew, down.skew_possible) == (2, 2)


def test_zone_skew_counts_empty_zones() -> None:
    zones = [Zone("a"), Zone("b"), Zone("c")]
    assert zone_skew([Zone("a"), Zone("a"), Zone("b")], zones) == 2
    assert zone_skew([], []) == 0
