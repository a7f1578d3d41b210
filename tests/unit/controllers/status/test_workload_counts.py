"""Counts for statuses: what each change does to them."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.base import World
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.model.names import NodeName, OwnerUid, Tier
from spillway.domain.model.records import Phase, PodRecord
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.world import ELASTIC, make_world, policy_resource, resource, team_policy

VIRTUAL: dict[str, Any] = {"nodeSelector": {"matchLabels": {"pool": "virtual"}}}


@pytest.fixture
def world() -> World:
    nodes = [make_node("n1"), make_node("e1", labels={"pool": "elastic"}), make_node("v1", labels={"pool": "virtual"})]
    pods = [make_pod(f"web-{node}", node=NodeName(node)) for node in ("n1", "e1", "v1")]
    resources = [
        policy_resource(elastic=ELASTIC, virtual={"budgets": ["eci"]}),
        resource(Kind.VIRTUAL_NODE_BUDGET, "eci", **VIRTUAL),
    ]
    return make_world([*nodes, *pods, make_replicaset()], resources, FakeClock())


@pytest.fixture
async def counts(world: World) -> WorkloadCounts:
    found = WorkloadCounts(world)
    list(found.subscribe())
    await found.refresh()
    return found


async def tiers(counts: WorkloadCounts) -> tuple[int, int, int]:
    await counts.refresh()
    count = counts.policy("online").tiers
    return count[Tier.FIXED], count[Tier.ELASTIC], count[Tier.VIRTUAL]


def pod(world: World, name: str) -> PodRecord:
    found = world.state.pod("shop", name)
    assert found is not None
    return found


async def test_replicas_by_tier(counts: WorkloadCounts) -> None:
    assert await tiers(counts) == (1, 1, 1)
    assert list(counts.policy("online").workloads) == ["Deployment/shop/web"]
    assert counts.workloads_on("eci")["Deployment/shop/web"].pods == 1


async def test_pods_come_move_and_go(world: World, counts: WorkloadCounts) -> None:
    world.state.apply(make_pod("web-new", node=NodeName("n1")))
    assert await tiers(counts) == (2, 1, 1)
    world.state.apply(msgspec.structs.replace(pod(world, "web-e1"), phase=Phase.FAILED))
    assert await tiers(counts) == (2, 0, 1)
    world.state.remove(pod(world, "web-v1"))
    assert await tiers(counts) == (2, 0, 0)
    assert counts.workloads_on("eci") == {}


async def test_a_node_changes_tier(world: World, counts: WorkloadCounts) -> None:
    world.state.apply(make_node("e1"))
    assert await tiers(counts) == (2, 0, 1)


async def test_a_deployment_with_two_replicasets_is_one_workload(world: World, counts: WorkloadCounts) -> None:
    world.state.apply(make_replicaset("web-2", owner_uid=OwnerUid("deploy-web"), owner_name="web"))
    await counts.refresh()
    assert len(counts.policy("online").workloads) == 1
    for name in ("web", "web-2"):
        replicaset = world.state.replicaset("shop", name)
        assert replicaset is not None
        world.state.remove(replicaset)
    await counts.refresh()
    assert counts.policy("online").workloads == {}


async def test_a_policy_that_is_gone_counts_nothing(world: World, counts: WorkloadCounts) -> None:
    world.catalog.delete("ElasticPolicy", "online")
    assert await tiers(counts) == (0, 0, 0)


async def test_pods_of_other_owners_count_by_their_mark(world: World, counts: WorkloadCounts) -> None:
    job = {"owner_uid": OwnerUid("job-1"), "owner_kind": "Job", "owner_name": "nightly"}
    world.state.apply(make_pod("nightly-1", node=NodeName("v1"), policy="online", tier="virtual", pool="eci", **job))
    assert await tiers(counts) == (1, 1, 2)
    assert "Job/shop/nightly" in counts.policy("online").workloads


async def test_the_pods_of_a_statefulset_count_before_they_carry_a_mark(world: World, counts: WorkloadCounts) -> None:
    statefulset = make_statefulset(labels={"app": "web"})
    world.state.apply(statefulset)
    pod = make_pod("db-0", owner_uid=statefulset.uid, owner_kind="StatefulSet", owner_name="db", policy="")
    world.state.apply(pod)
    assert await tiers(counts) == (2, 1, 1)
    assert "StatefulSet/shop/db" in counts.policy("online").workloads


async def test_foreign_costs_count_only_where_we_would_write(world: World, counts: WorkloadCounts) -> None:
    world.state.apply(msgspec.structs.replace(pod(world, "web-n1"), deletion_cost=100))
    await counts.refresh()
    assert counts.policy("online").foreign == {"Deployment/shop/web": 1}
    assert counts.policy("online").foreign_pods == {"shop/web-n1": 1}
    world.catalog.upsert(
        "ElasticPolicy", policy_resource(mode="Recommend", version=51, elastic=ELASTIC, virtual={"budgets": ["eci"]})
    )
    await counts.refresh()
    assert counts.policy("online").foreign == {}
    assert counts.policy("online").foreign_pods == {}


async def test_the_pods_that_are_named_are_bounded(world: World, counts: WorkloadCounts) -> None:
    for index in range(20):
        world.state.apply(make_pod(f"web-{index:02}", node=NodeName("n1"), deletion_cost=100))
    await counts.refresh()
    assert counts.policy("online").foreign == {"Deployment/shop/web": 20}
    assert list(counts.policy("online").foreign_pods) == [f"shop/web-{index:02}" for index in range(5)]


async def test_the_younger_policy_hears_of_what_it_lost(world: World, counts: WorkloadCounts) -> None:
    world.catalog.upsert("ElasticPolicy", policy_resource("younger", version=2) | {})
    await counts.refresh()
    assert list(counts.policy("younger").lost) == [("Deployment/shop/web", "online")]
    assert counts.policy("younger").workloads == {}


async def test_zones_by_workload(world: World, counts: WorkloadCounts) -> None:
    for index, zone in enumerate("aab"):
        name = f"z{index}"
        world.state.apply(make_node(name, labels={"topology.kubernetes.io/zone": zone}))
        world.state.apply(make_pod(f"web-{name}", node=NodeName(name)))
    await counts.refresh()
    zones = counts.zones_by_workload(world.state.replicasets.values())
    assert zones["Deployment/shop/web"] == {"": 2, "a": 2, "b": 1}, "the one on a virtual node does not count"


async def test_the_counts_follow_a_namespace() -> None:
    world = make_world([make_node(), make_replicaset(replicas=1), make_pod()], [team_policy()], FakeClock())
    counts = WorkloadCounts(world)
    list(counts.subscribe())
    await counts.refresh()
    assert len(counts.policy("online").workloads) == 0
    for namespace, governed in ((make_namespace(team="a"), 1), (make_namespace(), 0)):
        world.state.apply(namespace)
        await counts.refresh()
        assert len(counts.policy("online").workloads) == governed
    world.state.remove(make_namespace("shop"))
    world.state.apply(make_namespace(team="a"))
    await counts.refresh()
    assert len(counts.policy("online").workloads) == 1, "a namespace that is seen later than its ReplicaSet"


async def test_what_a_status_counts_of_a_pod_is_announced_and_counted_again(
    world: World, counts: WorkloadCounts
) -> None:
    heard: list[int] = []
    counts.changed.subscribe(lambda: heard.append(1))
    on_pool = pod(world, "web-v1")
    world.state.apply(msgspec.structs.replace(on_pool, restarts=3))
    assert not heard, "no status shows restarts"
    world.state.apply(msgspec.structs.replace(on_pool, restarts=3, cpu_millis=on_pool.cpu_millis + 500))
    assert len(heard) == 1
    await counts.refresh()
    assert counts.workloads_on("eci")["Deployment/shop/web"].cpu_millis == on_pool.cpu_millis + 500


async def test_a_pod_that_another_owner_adopts_is_taken_from_the_first(world: World, counts: WorkloadCounts) -> None:
    world.state.apply(make_replicaset("other", uid="rs-other", owner_uid="d-other", owner_name="other"))
    world.state.apply(msgspec.structs.replace(pod(world, "web-v1"), owner_uid=OwnerUid("rs-other")))
    await counts.refresh()
    assert {name: usage.pods for name, usage in counts.workloads_on("eci").items()} == {"Deployment/shop/other": 1}
