"""What becomes of waiting pods: when they are looked at, what is written, and what is promised before it is."""

from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.owners import Owner
from spillway.domain.model.records import PodRecord
from spillway.domain.model.usage import Usage
from spillway.domain.placement.refusals import PoolChanges
from spillway.domain.pools.verdict import PoolVerdict
from spillway.domain.spill.waiting_pods import StayReason
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind
from spillway.state.reservations import SETTLE_SECONDS
from tests.builders import make_node, make_pod
from tests.support.spilling import NOW, OWNER, Cluster, policy, toleration, waiting
from tests.support.world import resource


async def test_a_pod_spills_when_it_is_due_and_not_before() -> None:
    found = Cluster(waiting(since=NOW - 59))
    wait = await found.look()
    assert wait is not None
    assert 1.0 <= wait < 1.1
    assert found.reader.read == []

    assert await found.look(seconds=1) is None
    pod = found.patched["web-1"]
    assert pod["spec"]["tolerations"] == [toleration("a")]
    assert pod["metadata"]["annotations"]["spillway.dev/pools"] == "a"
    token = pod["metadata"]["annotations"]["spillway.dev/reservation"]
    assert found.usage.on("a").used.pods == 1, "promised"
    assert found.usage.reservations.get(token) is not None
    found.show()
    assert found.usage.reservations.get(token) is None
    assert found.usage.on("a").used.pods == 1, "and handed over"


async def test_one_that_has_spilled_and_found_no_node_there_may_go_to_the_next_pool() -> None:
    found = Cluster(waiting())
    await found.look()
    assert found.pools_of() == "a"
    assert await found.look() == REFUSED_SECONDS, "the informer does not show it yet"
    found.show()
    wait = await found.look(seconds=1)
    assert wait == pytest.approx(60.0, abs=0.1), "the pool has its time too"
    assert found.pools_of() == "a"
    assert await found.look(seconds=60) is None
    assert found.pools_of() == "b,a"
    assert found.patched["web-1"]["spec"]["tolerations"] == [toleration("a"), toleration("b")]
    assert (found.usage.on("a").used.pods, found.usage.on("b").used.pods) == (1, 1), "no place is promised twice"
    found.show()
    assert (found.usage.on("a").used.pods, found.usage.on("b").used.pods) == (1, 1)
    assert await found.look(seconds=600) is None
    assert found.pools_of() == "b,a"


@pytest.mark.parametrize("reason", ["Held", "Unhealthy", "OutOfStock", "NoNodes"])
async def test_one_whose_pool_closes_before_it_is_bound_goes_to_the_next_at_once(reason: str) -> None:
    found = Cluster(waiting())
    await found.look()
    found.show()
    found.world.board.verdicts = {"a": PoolVerdict(takes=False, reason=reason)}
    assert await found.look(seconds=1) is None
    assert found.pools_of() == "b,a"


async def test_one_that_needs_another_pod_for_the_next_pool_is_replaced() -> None:
    sidecar = {"podOverlay": {"sidecars": [{"name": "logs", "image": "shipper:1"}]}}
    found = Cluster(waiting(pools="a"), resources=policy(b=sidecar))
    await found.look()
    await found.look(seconds=60)
    assert found.deleted == ["web-1"]
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.virtual
    assert redirect.avoid == {"a"}


async def test_a_pool_that_did_not_take_the_owners_pods_comes_last() -> None:
    found = Cluster(waiting(), resources=policy(b={"limits": {"pods": 0}}))
    other = Cluster(waiting())
    for one in (found, other):
        one.world.board.avoid(OWNER, {"a"}, 600.0, namespace="shop")
        await one.look()
    assert (found.pools_of(), other.pools_of()) == ("a", "b")


async def test_a_pool_for_which_the_api_server_refused_pods_of_the_owner_is_left_out() -> None:
    found = Cluster(waiting(), replicas=3)
    usage = found.usage
    usage.refusals.placed(OWNER, Owner("apps/v1", "Deployment", "shop", "web", OwnerUid("d-web")))
    usage.reservations.reserve(OWNER, pools=("a",), used=Usage(1), changes=PoolChanges(overlay=True))
    usage.refusals.report(OWNER, "shop", 'Pod "web-2" is invalid: spec.dnsConfig')
    await found.clock.advance(SETTLE_SECONDS)
    usage.reservations.expire()
    await found.look()
    assert found.pools_of() == "b"


async def test_a_burst_of_spills_never_breaks_a_limit() -> None:
    pods = [waiting(f"web-{n}") for n in range(10)]
    found = Cluster(*pods, resources=policy(a={"limits": {"pods": 4}}, b={"limits": {"cpu": "1500m"}}))
    for pod in pods:
        await found.look(pod.name)
    to = [one["metadata"]["annotations"]["spillway.dev/pools"] for one in found.patched.values()]
    assert to == ["a"] * 4 + ["b"] * 3
    assert [found.kept(f"web-{n}") for n in (7, 8, 9)] == [StayReason.NO_POOL] * 3


async def test_what_was_not_written_is_not_promised() -> None:
    found = Cluster(waiting())
    found.answer = False
    assert await found.look() is not None
    assert found.usage.on("a").used.pods == 0


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param({"spec": {"priority": -10}}, StayReason.EXPENDABLE, id="balloon"),
        pytest.param({"spec": {"hostNetwork": True}}, StayReason.UNSUITABLE, id="unsuitable"),
        pytest.param({"status": {"nominatedNodeName": "n1"}}, StayReason.NOMINATED, id="a balloon makes room"),
        pytest.param({"spec": {"nodeSelector": {"pool": "owned"}}}, StayReason.NO_POOL, id="it must not leave"),
    ],
)
async def test_who_is_kept_and_how_often_it_is_looked_at(raw: dict[str, Any], reason: StayReason) -> None:
    found = Cluster(waiting())
    found.raw = raw
    pauses = [await found.look()]
    assert found.kept() is reason
    for_good = reason in {StayReason.EXPENDABLE, StayReason.UNSUITABLE}
    for _ in range(6):
        pauses.append(await found.look(seconds=pauses[-1] or 60.0))
    assert len(found.reader.read) == (1 if for_good else 7)
    assert pauses == [None] * 7 if for_good else pauses == sorted(pauses, key=lambda one: one or 0.0)
    assert found.patched == {}
    assert found.deleted == []


KEPT = "kept on physical nodes, which have no room for it, because "


async def test_the_workload_is_told_why_its_pod_stays_where_it_finds_no_room() -> None:
    found = Cluster(waiting(), resources=policy(a={"limits": {"pods": 0}}, b={"cordon": "Hold"}), owner_name="web")
    await found.look()
    clause = "no pool takes it (a: is at its limit (pods); b: is held)"
    assert found.events.said == [("Deployment/web", "Warning KeptPhysical", KEPT + clause)]
    for _ in range(5):
        await found.look(seconds=60)
    assert len(found.events.said) == 1, "once for each pod and reason"

    found = Cluster(waiting())
    found.raw = {"spec": {"hostNetwork": True}}
    await found.look()
    assert [one[1] for one in found.events.said] == ["Normal KeptPhysical"]
    assert "hostNetwork" in found.events.said[0][2]


@pytest.mark.parametrize(
    ("pod", "raw"),
    [
        pytest.param(waiting(), {"status": {"nominatedNodeName": "n1"}}, id="help is under way"),
        pytest.param(waiting(), {"spec": {"priority": -10}}, id="a balloon"),
        pytest.param(waiting(pools="a", since=0.5), {}, id="it may go to some already"),
    ],
)
async def test_of_these_nothing_is_told(pod: PodRecord, raw: dict[str, Any]) -> None:
    found = Cluster(pod, resources=policy(b={"cordon": "Hold"}))
    found.raw = raw
    await found.look()
    await found.look(seconds=60)
    assert found.kept() is not None
    assert found.events.said == []


async def test_a_young_node_is_given_its_turn_for_as_many_as_it_holds() -> None:
    pods = [waiting(f"web-{n}", cpu_millis=500) for n in range(3)]
    found = Cluster(*pods)
    found.world.state.apply(make_node("n2", ready=False, created=NOW - 30, cpu_millis=1000))
    for pod in pods:
        await found.look(pod.name)
    assert [found.kept(pod.name) for pod in pods] == [StayReason.NODE_STARTING, StayReason.NODE_STARTING, None]
    assert list(found.patched) == ["web-2"]
    await found.look("web-0", seconds=200)
    assert list(found.patched) == ["web-2", "web-0"], "it was waited for long enough"


async def test_a_young_node_without_what_the_pod_requests_is_not_waited_for() -> None:
    gpu = "gpu.example.com/a"
    found = Cluster(*(waiting(f"web-{n}", cpu_millis=100, extended={gpu: 1}) for n in range(2)))
    found.raw = {"spec": {"containers": [{"name": "main", "resources": {"requests": {gpu: "1"}}}]}}
    found.world.state.apply(make_node("n2", ready=False, created=NOW - 30, extended={gpu: 2}))
    found.world.state.apply(make_pod("other", node=NodeName("n2"), cpu_millis=100, extended={gpu: 1}))
    for name in ("a", "b"):
        node = found.world.state.nodes[NodeName(f"v-{name}")]
        found.world.state.apply(msgspec.structs.replace(node, extended={gpu: 8}))
    for number in range(2):
        await found.look(f"web-{number}")
    assert found.kept("web-0") is StayReason.NODE_STARTING, "it takes the last that is free"
    assert list(found.patched) == ["web-1"]


async def test_a_pod_of_a_surge_is_not_sent_where_it_should_bring_one_back_from() -> None:
    found = Cluster(waiting(), surge="replicas=3 placed=2 since=2026-01-01T00:00:00Z")
    assert await found.look() is not None
    assert found.kept() is StayReason.SURGING


async def test_an_overlay_that_a_patch_cannot_give_needs_another_pod() -> None:
    sidecar = {"podOverlay": {"sidecars": [{"name": "logs", "image": "shipper:1"}]}}
    found = Cluster(waiting(), resources=policy(a=sidecar))
    assert await found.look() is None
    assert found.deleted == ["web-1"]
    redirect = found.world.board.take_redirect(OWNER)
    assert redirect is not None
    assert redirect.virtual


async def test_a_held_pool_is_passed_over() -> None:
    found = Cluster(waiting())
    found.world.board.verdicts = {"a": PoolVerdict(takes=False, reason="Held")}
    await found.look()
    assert found.patched["web-1"]["metadata"]["annotations"]["spillway.dev/pools"] == "b"


@pytest.mark.parametrize(
    ("resources", "pod"),
    [
        pytest.param(policy("Recommend"), waiting(), id="Recommend"),
        pytest.param(policy("Recommend"), waiting(placement="virtual", pools="a"), id="Recommend a recall"),
        pytest.param(policy(virtual="Never"), waiting(), id="Never"),
        pytest.param(policy(), waiting(pools="a,b"), id="spilled to every pool already"),
        pytest.param(policy(), waiting(since=0.0), id="not tried yet"),
        pytest.param(policy(), waiting(terminating=True), id="leaving"),
        pytest.param([], waiting(), id="no policy governs it"),
    ],
)
async def test_who_is_not_touched(resources: Any, pod: PodRecord) -> None:
    nothing = [resource(Kind.VIRTUAL_NODE_BUDGET, "a", nodeSelector={"matchLabels": {"pool": "a"}})]
    found = Cluster(pod, resources=resources or nothing)
    assert await found.look(seconds=3600) is None
    assert (found.reader.read, found.patched, found.deleted) == ([], {}, [])


async def test_every_waiting_pod_is_looked_at_again_when_the_policies_change() -> None:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "a", nodeSelector={"matchLabels": {"pool": "a"}})
    found = Cluster(waiting(), make_pod("web-2"), resources=[budget])
    unsubscribe = list(found.controller.subscribe())
    assert found.controller.all_keys() == ["uid-web-1"]
    assert await found.look() is None
    assert found.controller.all_keys() == ["uid-web-1"], "no policy governs it yet"
    found.world.state.apply(make_pod("web-1"))
    assert found.controller.all_keys() == []
    found.world.state.apply(waiting("web-2"))
    assert found.controller.all_keys() == ["uid-web-2"]
    for one in unsubscribe:
        one()
