"""Waiting pods after a policy, a budget or a selection is gone: which are replaced, when, and how often."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from spillway.controllers.pools.unstarted import UnstartedPods
from spillway.controllers.pools.withdrawn import WithdrawnController
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Pending, PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.domain.pools.withdrawn import SETTLED_SECONDS
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind
from spillway.state.mark_proof import MarkProof
from tests.builders import make_namespace, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter, answering
from tests.support.pools import budget, jobs, nodes, policy, sent
from tests.support.world import Record, make_world, resource


def waiting(name: str = "web-1", *, token: str = "", pools: str = "a,b", **changes: Any) -> PodRecord:
    pending = Pending(placement="virtual", pools=pools, reservation=token or f"token-{name}")
    return sent(name, **({"pending": pending} | changes))


class Rig:
    def __init__(
        self,
        *pods: PodRecord,
        answer: Callable[[str], bool] = lambda _: True,
        proof: MarkProof | None = None,
        policies: Iterable[Any] = (policy(),),
    ) -> None:
        self.clock = FakeClock(1000.0)
        records: list[Record] = [*nodes("a", "b"), make_replicaset(), *pods]
        self.world = make_world(records, [budget("a"), budget("b"), *policies], self.clock)
        self.world.membership.proof = proof
        self.writer, self.events = FakeWriter(answering(answer)), FakeRecorder()
        unstarted = UnstartedPods(self.world)
        self.controller = WithdrawnController(
            self.world, self.writer, self.events, jobs(), unstarted=unstarted, retries=Retries()
        )
        self._subscriptions = [*unstarted.subscribe(), *self.controller.subscribe()]

    async def settle(self, *pods: PodRecord) -> list[str]:
        """Reconcile, let the settling time pass, and reconcile again; the pods that were replaced by then."""
        for seconds in (SETTLED_SECONDS, 0.0):
            for pod in pods:
                await self.controller.reconcile(pod.uid)
            await self.clock.advance(seconds)
            self.world.state.mark_synced()
        return self.writer.names

    def delete(self, kind: Kind, name: str) -> None:
        self.world.catalog.delete(kind, name, 90)

    def change(self, *, pools: tuple[str, ...] = ("a", "b"), mode: str = "Enforce", **workload: Any) -> None:
        """Another version of the policy."""
        tiers = {"virtual": {"budgets": list(pools)}}
        workloads = [{"name": "default", "placement": {"spillAfter": "60s"}, **workload}]
        spec: dict[str, Any] = {"mode": mode, "tiers": tiers, "workloads": workloads}
        self.world.catalog.upsert(Kind.ELASTIC_POLICY, resource(Kind.ELASTIC_POLICY, "online", version=80, **spec))


CHANGES: list[Any] = [
    pytest.param(lambda rig: rig.delete(Kind.ELASTIC_POLICY, "online"), True, id="the policy is gone"),
    pytest.param(lambda rig: rig.delete(Kind.VIRTUAL_NODE_BUDGET, "b"), True, id="a budget is gone"),
    pytest.param(lambda rig: rig.change(pools=("a",)), True, id="the policy no longer lists a pool"),
    pytest.param(lambda rig: rig.change(mode="Recommend"), True, id="the policy only recommends"),
    pytest.param(lambda rig: rig.change(placement=None), True, id="the class places no pods any more"),
    pytest.param(
        lambda rig: rig.change(match={"labels": {"matchLabels": {"app": "other"}}}),
        True,
        id="the policy no longer selects the workload",
    ),
    pytest.param(lambda rig: rig.change(pools=("b", "a")), False, id="another order"),
    pytest.param(lambda _: None, False, id="nothing has changed"),
]


@pytest.mark.parametrize(("change", "replaced"), CHANGES)
async def test_a_waiting_pod_is_replaced_once_its_pools_are_withdrawn(
    change: Callable[[Rig], None], *, replaced: bool
) -> None:
    pod = waiting()
    rig = Rig(pod)
    change(rig)
    assert await rig.settle(pod) == (["web-1"] if replaced else [])
    assert rig.world.board.take_redirect(pod.owner_uid) is None, "the present policies place its successor"
    told = [("Deployment/web", "Normal PodsReplaced")] if replaced else []
    assert [(one.about, one.what) for one in rig.events.said] == told


async def test_a_namespace_that_is_no_longer_selected_has_the_same_effect() -> None:
    pod = waiting()
    rig = Rig(pod)
    here = {"namespaces": {"matchLabels": {"team": "shop"}}}
    rig.world.state.apply(make_namespace("shop", team="shop"))
    rig.change(match=here)
    assert await rig.settle(pod) == []
    rig.world.state.apply(make_namespace("shop", team="other"))
    assert await rig.settle(pod) == ["web-1"]


async def test_a_policy_that_comes_back_at_once_changes_nothing() -> None:
    pod = waiting()
    rig = Rig(pod)
    rig.delete(Kind.ELASTIC_POLICY, "online")
    wait = await rig.controller.reconcile(pod.uid)
    assert wait == pytest.approx(SETTLED_SECONDS)
    rig.world.catalog.upsert(Kind.ELASTIC_POLICY, policy() | {"metadata": {"name": "online", "resourceVersion": "99"}})
    assert await rig.settle(pod) == []
    rig.delete(Kind.ELASTIC_POLICY, "online")


async def test_a_pod_that_is_bound_stays() -> None:
    pod = waiting(node="a-1")
    rig = Rig(pod)
    rig.delete(Kind.ELASTIC_POLICY, "online")
    assert await rig.settle(pod) == []


async def test_one_that_starts_meanwhile_is_asked_for_again() -> None:
    pod = waiting()
    rig = Rig(pod, answer=lambda _: False)
    rig.delete(Kind.ELASTIC_POLICY, "online")
    await rig.controller.reconcile(pod.uid)
    await rig.clock.advance(SETTLED_SECONDS)
    assert await rig.controller.reconcile(pod.uid) == REFUSED_SECONDS


async def test_marks_that_a_template_copied_do_not_keep_pods_being_deleted() -> None:
    pods = [waiting(f"web-{number}", token="copied") for number in range(3)]
    rig = Rig(*pods)
    rig.delete(Kind.ELASTIC_POLICY, "online")
    assert await rig.settle(*pods) == ["web-0"]


async def test_a_jobs_retries_limit_the_number() -> None:
    pods = [waiting(f"job-{n}", owner_kind="Job", owner_name="job", owner_uid="job") for n in range(6)]
    rig = Rig(*pods)
    rig.delete(Kind.ELASTIC_POLICY, "online")
    assert len(await rig.settle(*pods)) == 3, "of four failures that are forgiven the last stays"


async def test_what_cannot_be_read_is_not_withdrawn() -> None:
    pod = waiting()
    rig = Rig(pod)
    rig.delete(Kind.ELASTIC_POLICY, "online")
    broken = resource(Kind.ELASTIC_POLICY, "online", version=95, mode="Newer")
    rig.world.catalog.upsert(Kind.ELASTIC_POLICY, broken)
    assert await rig.settle(pod) == []


async def test_every_waiting_pod_is_looked_at_when_the_policies_change() -> None:
    rig = Rig(waiting("web-1"), waiting("web-2"), waiting("web-3", node=NodeName("a-1")))
    rig.delete(Kind.ELASTIC_POLICY, "online")
    assert set(rig.controller.all_keys()) == {"uid-web-1", "uid-web-2"}
    assert len(rig.controller.queue) == 2


async def test_a_pod_that_spillway_did_not_mark_is_not_replaced() -> None:
    found = Rig(waiting("forged"))
    found.world.membership.proof = MarkProof()
    found.delete(Kind.ELASTIC_POLICY, "online")
    assert await found.settle(*found.world.state.pods.values()) == []


async def test_a_mark_that_is_proven_only_later_is_looked_at_then() -> None:
    """Pods of a replica whose secret this one does not know yet."""
    secret, proof, elsewhere = b"secret", MarkProof(), MarkProof()
    elsewhere.use(secret)
    pod = waiting(token=elsewhere.token("shop", OwnerUid("rs-web"), "a,b"))
    found = Rig(pod, proof=proof, policies=())
    assert await found.settle(pod) == []
    assert len(found.controller.queue) == 0
    proof.use(secret)
    assert len(found.controller.queue) == 1
    assert await found.settle(pod) == ["web-1"]
