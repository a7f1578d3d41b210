"""`spillway explain` on a world of records: places, ranks, the next pod, prices, and 10,000 pods."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from spillway.app.explain.nodes import explain_node
from spillway.app.explain.pods import explain_pod
from spillway.app.explain.pools import explain_pool
from spillway.app.explain.ranking import ranking
from spillway.app.explain.snapshot import Snapshot, owners_of
from spillway.app.explain.workloads import NextTemplate, explain_workload
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.state.catalog import Kind
from spillway.state.cluster import Record
from spillway.webhooks.scale_down import plan_request
from tests.builders import VAST, make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.world import ELASTIC, make_world, resource

PRICE = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"}
ZONES = ("a", "b", "c")
NODE_PRICE = {"nodeHour": "1.60", "currency": "CNY"}


def policy(mode: str = "Enforce", **workload: Any) -> dict[str, Any]:
    return resource(
        Kind.ELASTIC_POLICY,
        "online",
        mode=mode,
        tiers={
            "fixed": {"price": NODE_PRICE},
            "elastic": {**ELASTIC, "price": {"nodeHour": "2"}},
            "virtual": {"budgets": ["eci-a"]},
        },
        workloads=[{"name": "default", "threshold": {"mode": "Manual", "replicas": 4}, **workload}],
    )


def budget(**spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"pool": "eci-a"}}
    return resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector=selector, price=PRICE, **spec)


def nodes() -> list[Record]:
    made: list[Record] = []
    for zone in ZONES:
        for tier in ("fixed", "elastic", "eci-a"):
            size = VAST if tier == "eci-a" else {}
            made.append(make_node(f"{tier}-{zone}", labels={"pool": tier, ZONE_LABEL: zone}, **size))
    return made


def pod(number: int, tier: str, **changes: Any) -> PodRecord:
    node = NodeName(f"{tier}-{ZONES[number % 3]}")
    return make_pod(f"web-{tier}-{number:05}", node=node, created=100.0 + number, **changes)


def pods(**counts: int) -> list[PodRecord]:
    return [pod(number, tier.replace("_", "-")) for tier, count in counts.items() for number in range(count)]


def snapshot(
    records: Iterable[Record], *, replicas: int, resources: Sequence[dict[str, Any]] | None = None
) -> Snapshot:
    web = make_replicaset(replicas=replicas)
    world = make_world(
        [*nodes(), web, *records], [policy(), budget()] if resources is None else resources, FakeClock(5_000.0)
    )
    return Snapshot.of(world)


def template() -> NextTemplate:
    container = {"name": "main", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}
    return NextTemplate({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}})


def test_the_ranks_of_all_pods_are_the_plan_of_the_webhook() -> None:
    found = snapshot(pods(fixed=4, elastic=3, eci_a=5), replicas=12)
    owner = found.world.state.replicasets[OwnerUid("rs-web")]

    ranked = ranking(found, owner)

    assert [one.rank.rank for one in ranked] == list(range(1, 13))
    assert [one.tier for one in ranked] == ["virtual"] * 5 + ["elastic"] * 3 + ["fixed"] * 4
    assert {one.rank.decided_by for one in ranked} == {"Spillway"}
    claim = found.world.claim_of(owner)
    assert claim is not None
    for left in range(1, 12):
        plan = plan_request(
            found.world.places,
            claim,
            owner,
            old_replicas=12,
            new_replicas=left,
            scale_in=True,
            unseen={},
            now=found.world.now(),
        )
        victims = {f"shop/{plan.candidates[one.uid].name}" for one in plan.victims}
        assert victims == {one.pod for one in ranked[: 12 - left]}


def test_a_pod_on_a_pool() -> None:
    found = snapshot(pods(fixed=4, eci_a=2), replicas=6)
    [mine] = [one for one in found.world.state.pods.values() if one.name == "web-eci-a-00000"]

    answer = explain_pod(found, mine, {"spillway.dev/placement": "virtual", "spillway.dev/pools": "eci-a"})

    assert (answer.workload, answer.tier, answer.pool, answer.zone) == ("Deployment/shop/web", "virtual", "eci-a", "a")
    assert answer.scale_down is not None
    # Zone a has most pods of the workload.
    assert (answer.scale_down.rank, answer.scale_down.pods, answer.scale_down.reason) == (1, 6, "Virtual")
    # Half a core at 0.35 and one GiB at 0.044.
    assert answer.price is not None
    assert (answer.price.per_hour, answer.price.currency) == ("0.219", "CNY")
    assert any("decided for virtual nodes" in one for one in answer.why)
    assert any("A threshold of 6 or more" in one for one in answer.changes)
    assert any("scaled to 5 replicas or fewer" in one for one in answer.changes)


def test_a_pod_on_a_fixed_node_has_its_share_of_the_price() -> None:
    found = snapshot(pods(fixed=1), replicas=1)
    [mine] = found.world.state.pods.values()

    answer = explain_pod(found, mine, {})

    # 500m of 8 cores is more than 1 of 32 GiB.
    assert answer.price is not None
    assert answer.price.per_hour == "0.1"
    assert any("no annotation spillway.dev/placement" in one for one in answer.why)


def test_pods_that_no_scale_down_deletes_have_no_rank() -> None:
    bare = make_pod("bare", owner_uid=OwnerUid(""), owner_kind="", owner_name="", node=NodeName("fixed-a"))
    leaving = pod(0, "fixed", terminating=True)
    found = snapshot([bare, leaving], replicas=1)

    assert explain_pod(found, bare, {}).scale_down is None
    assert explain_pod(found, leaving, {}).scale_down is None
    assert explain_pod(found, bare, {}).workload == "Pod/shop/bare"


def test_a_pod_of_a_job_is_governed_by_its_own_labels() -> None:
    job = make_pod("run-1", owner_uid=OwnerUid("job"), owner_kind="Job", owner_name="run", labels={"app": "run"})
    governing = policy(match={"kinds": ["CronJob"], "labels": {"matchLabels": {"app": "run"}}})
    found = snapshot([job], replicas=1, resources=[governing, budget()])

    answer = explain_pod(found, job, {})

    assert answer.governed is not None
    assert answer.scale_down is None
    assert any("its class has no threshold" in one for one in answer.why)


@pytest.mark.parametrize(
    ("resources", "changes", "decided_by"),
    [
        pytest.param([policy(), budget()], {}, "Spillway", id="enforced"),
        pytest.param([policy("Recommend"), budget()], {}, "Kubernetes", id="recommended"),
        pytest.param([], {}, "Kubernetes", id="no-policy"),
        pytest.param([policy(), budget()], {"deletion_cost": -7}, "OtherClient", id="another-writer"),
    ],
)
def test_who_decides(resources: list[dict[str, Any]], changes: dict[str, Any], decided_by: str) -> None:
    records = [pod(0, "fixed", **changes), pod(1, "fixed"), pod(2, "eci-a", ready=False)]
    found = snapshot(records, replicas=3, resources=resources)

    ranked = ranking(found, found.world.state.replicasets[OwnerUid("rs-web")])

    assert {one.rank.decided_by for one in ranked} == {decided_by}
    assert ranked[0].pod == "shop/web-eci-a-00002", "Kubernetes deletes what is not ready first, whoever decides"
    if decided_by == "OtherClient":
        assert ranked[1].pod == "shop/web-fixed-00000", "the lowest cost"


@pytest.mark.parametrize(
    ("resources", "planned"),
    [
        pytest.param([policy("Recommend"), budget()], (2, 1), id="recommended"),
        pytest.param([policy(), budget()], (None, None), id="enforced"),
        pytest.param([], (None, None), id="no-policy"),
    ],
)
def test_what_spillway_plans_where_it_does_not_decide(
    resources: list[dict[str, Any]], planned: tuple[int | None, int | None]
) -> None:
    found = snapshot([pod(0, "fixed"), pod(1, "eci-a")], replicas=2, resources=resources)

    ranked = ranking(found, found.world.state.replicasets[OwnerUid("rs-web")])

    by_name = {one.pod: one.rank.planned for one in ranked}
    assert (by_name["shop/web-fixed-00000"], by_name["shop/web-eci-a-00001"]) == planned


def test_a_statefulset_goes_by_ordinal() -> None:
    database = make_statefulset(replicas=3)
    members = [
        make_pod(f"db-{one}", owner_uid=database.uid, owner_kind="StatefulSet", node=NodeName("eci-a-a"))
        for one in (0, 2, 1)
    ]
    found = snapshot([database, *members], replicas=0)

    ranked = ranking(found, database)

    assert [one.pod for one in ranked] == ["shop/db-2", "shop/db-1", "shop/db-0"]
    assert ranked[0].rank.decided_by == "Ordinal"


def test_a_pod_more_than_wanted_is_surplus() -> None:
    found = snapshot(pods(fixed=3), replicas=2)

    ranked = ranking(found, found.world.state.replicasets[OwnerUid("rs-web")])

    assert [one.rank.reason for one in ranked] == ["Surplus", "Fixed", "Fixed"]


def test_a_workload_and_its_next_pod() -> None:
    found = snapshot(pods(fixed=3, eci_a=2), replicas=5)

    answer = explain_workload(found, owners_of(found.world, "Deployment/shop/web"), template())

    assert (answer.on_fixed, answer.on_elastic, answer.on_virtual, answer.on_no_node) == (3, 0, 2, 0)
    assert answer.threshold is not None
    assert (answer.threshold.replicas, answer.threshold.reason) == (4, "Manual")
    assert answer.next_pod is not None
    assert (answer.next_pod.nodes, answer.next_pod.reason) == ("physical", "BelowThreshold")
    [price] = answer.price
    assert price.currency == "CNY"
    assert price.per_hour == "0.738"  # 3 x 0.1 and 2 x 0.219


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        pytest.param({}, "BeyondThreshold", "as many pods as the threshold", id="open"),
        pytest.param({"cordon": "Hold"}, "NoPool", "eci-a: is held", id="held"),
        pytest.param({"limits": {"pods": 1}}, "NoPool", "is at its limit", id="full"),
    ],
)
def test_the_next_pod_beyond_the_threshold(spec: dict[str, Any], reason: str, words: str) -> None:
    found = snapshot(pods(fixed=4, eci_a=1), replicas=6, resources=[policy(), budget(**spec)])

    answer = explain_workload(found, owners_of(found.world, "Deployment/shop/web"), template())

    assert answer.next_pod is not None
    assert answer.next_pod.reason == reason
    assert words in answer.next_pod.because
    assert (answer.next_pod.pools == ("eci-a",)) == (reason == "BeyondThreshold")


def test_the_threshold_of_mode_auto_is_read_from_the_status() -> None:
    planned = policy(threshold={"mode": "Auto"})
    planned["status"] = {"thresholds": [{"workload": "Deployment/shop/web", "replicas": 7, "reason": "Auto"}]}
    found = snapshot(pods(fixed=3), replicas=3, resources=[planned, budget()])

    answer = explain_workload(found, owners_of(found.world, "Deployment/shop/web"), template())

    assert answer.threshold is not None
    assert (answer.threshold.replicas, answer.threshold.reason) == (7, "Auto")


def test_nodes() -> None:
    bare = make_pod("bare", owner_uid=OwnerUid(""), owner_kind="", owner_name="", node=NodeName("elastic-a"))
    found = snapshot([*pods(fixed=1, elastic=3), bare], replicas=4)
    by_name = found.world.state.nodes

    kept = explain_node(found, by_name[NodeName("elastic-a")])
    assert [one.tier for one in kept.tiers] == ["elastic"]
    assert "shop/bare" in kept.staying
    assert kept.elastic_nodes == 3
    assert kept.price is not None
    assert kept.price.per_hour == "2"
    assert sorted(explain_node(found, by_name[NodeName(f"elastic-{one}")]).emptied or 0 for one in ZONES) == [1, 2, 3]

    virtual = explain_node(found, by_name[NodeName("eci-a-b")])
    assert (virtual.pool, virtual.emptied) == ("eci-a", None)
    cordoned = msgspec.structs.replace(by_name[NodeName("eci-a-b")], unschedulable=True, cordoned_by="eci-a")
    assert "uncordon eci-a" in explain_node(found, cordoned).changes[0]


@pytest.mark.parametrize(
    ("spec", "takes", "words"),
    [
        pytest.param({}, True, "cordon eci-a", id="open"),
        pytest.param({"cordon": "Hold"}, False, "uncordon eci-a", id="held"),
        pytest.param({"limits": {"pods": 2}}, False, "higher limits", id="full"),
    ],
)
def test_pools(spec: dict[str, Any], *, takes: bool, words: str) -> None:
    found = snapshot(pods(eci_a=2), replicas=2, resources=[policy(), budget(**spec)])

    answer = explain_pool(found, "eci-a")

    assert answer.takes_pods is takes
    assert words in answer.changes[0]
    assert answer.workloads == (("Deployment/shop/web", 2),)
    [user] = answer.policies
    assert (user.policy, user.preference, user.emptied) == ("online", 1, 1)


def test_a_pool_without_a_ready_node_takes_no_pods_before_it_has_failed() -> None:
    found = snapshot(pods(eci_a=2), replicas=2, resources=[policy(), budget()])
    for zone in ZONES:
        node = found.world.state.nodes[NodeName(f"eci-a-{zone}")]
        found.world.state.apply(msgspec.structs.replace(node, ready=False))

    answer = explain_pool(Snapshot.of(found.world), "eci-a")

    assert (answer.takes_pods, answer.closed_because) == (False, "has no node that is ready and open")
    assert "once one of its nodes is ready" in answer.changes[0]


def test_ten_thousand_pods_are_ranked() -> None:
    """It takes 0.2 s of the CPU; a plan that has become quadratic would take longer than a test may."""
    found = snapshot(pods(fixed=4_000, elastic=3_000, eci_a=3_000), replicas=10_000)
    mine = next(iter(found.world.state.pods.values()))

    answer = explain_pod(found, mine, {})

    assert answer.scale_down is not None
    assert answer.scale_down.pods == 10_000
