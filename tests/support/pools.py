"""Two pools of virtual nodes, `a` before `b`, and the controllers that judge them, without an API server."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from spillway.controllers.base import Unsubscribe, World
from spillway.controllers.pools.controller import PoolsController
from spillway.controllers.pools.failover import FailoverController
from spillway.controllers.pools.nodes import PoolNodes
from spillway.controllers.pools.recommended import RecommendedReplacements
from spillway.controllers.pools.replace_unstarted import ReplaceUnstartedController
from spillway.controllers.pools.unstarted import UnstartedPods
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Failure, NodeRecord, Pending, Phase, PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.state.catalog import Kind
from spillway.state.open_pools import OpenPools
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_watch import FakeWatch
from tests.support.fake_writer import FakeWriter, Respond, Write, answering
from tests.support.world import make_world, resource

POOLS = ("a", "b")
FAILOVER = {"unhealthyAfter": "60s", "retryAfter": "5m", "startAfter": "60s"}
STOCK_OUT = {
    "detect": [{"reason": "NoStock"}],
    "ladder": [{"cpu": "2", "memory": "4Gi"}, {"cpu": "4", "memory": "8Gi"}],
    "forgetAfter": "30m",
}


def deleting(answer: Callable[[str], bool]) -> Respond:
    """Answer by the pod's name, after others had their turn."""

    async def respond(write: Write) -> bool:
        await asyncio.sleep(0)
        return answer(write.name)

    return respond


def jobs() -> FakeReader:
    """Every Job forgives four failures. The uid of all of them is `job`, that of the owner of other pods `rs-web`."""

    def respond(path: str) -> dict[str, Any]:
        assert path.startswith("/apis/batch/v1/namespaces/shop/jobs/")
        return job("rs-web" if path.endswith("/web") else "job", 4)

    return FakeReader(respond)


def job(uid: str, backoff_limit: int) -> dict[str, Any]:
    """A Job as the API server shows it."""
    return {"metadata": {"uid": uid}, "spec": {"backoffLimit": backoff_limit}, "status": {}}


def budget(name: str, *, version: int = 1, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pool of the nodes that are labelled with its name."""
    selector = {"matchLabels": {"pool": name}}
    body = resource(Kind.VIRTUAL_NODE_BUDGET, name, version=version, nodeSelector=selector, **spec)
    return body | ({"status": status} if status else {})


def policy(mode: str = "Enforce", **workload: Any) -> dict[str, Any]:
    """Places every workload, on `a` before `b`."""
    tiers = {"virtual": {"budgets": list(POOLS)}}
    workloads = [{"name": "default", "placement": {"spillAfter": "60s"}, **workload}]
    return resource(Kind.ELASTIC_POLICY, "online", mode=mode, tiers=tiers, workloads=workloads)


def nodes(*pools: str, ready: bool = True) -> list[NodeRecord]:
    """One node for each name: `a-1`, `a-2`, `b-1` and so on; `owned` is in no pool."""
    counted: dict[str, int] = {}
    found = []
    for pool in pools:
        counted[pool] = counted.get(pool, 0) + 1
        found.append(make_node(f"{pool}-{counted[pool]}", labels={"pool": pool}, ready=ready))
    return found


def sent(name: str, *, node: str = "", pools: str = "a,b", reason: str = "", **changes: Any) -> PodRecord:
    """A pod that admission sent to virtual nodes and that has not started."""
    given: dict[str, Any] = {
        "node": NodeName(node),
        "phase": Phase.PENDING,
        "ready": False,
        "ready_since": 0.0,
        "policy": "online",
        "pending": Pending(placement="virtual", pools=pools, reason=reason),
        "created": 1000.0,
    }
    return make_pod(name, **(given | changes))


def failed(pod: PodRecord, node: str, *told: tuple[str, str]) -> PodRecord:
    """The same pod as its provider sets it to Failed on that node, without a start."""
    failure = Failure(told or (("NoStock", "no stock"),))
    return msgspec.structs.replace(pod, node=NodeName(node), phase=Phase.FAILED, pending=None, failure=failure)


def lost(name: str, node: str, **changes: Any) -> PodRecord:
    """A pod that ran on that node and is not ready any more."""
    return make_pod(name, **{"node": NodeName(node), "ready": False, "ready_since": 0.0, "policy": "online"} | changes)


@dataclass
class Rig:
    """All of it. Nothing runs by itself: a test asks a controller for what it does next."""

    clock: FakeClock
    world: World
    writer: FakeWriter
    nodes: PoolNodes
    unstarted: UnstartedPods
    pools: PoolsController
    watch: FakeWatch
    """The watch of Events about pods."""
    failover: FailoverController
    replacer: ReplaceUnstartedController
    _subscriptions: list[Unsubscribe] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        records: Iterable[Any],
        resources: Iterable[dict[str, Any]],
        *,
        clock: FakeClock | None = None,
        answer: Callable[[str], bool] = lambda _: True,
    ) -> "Rig":
        clock = clock or FakeClock(1000.0)
        world = make_world([make_replicaset(), *records], resources, clock)
        writer = FakeWriter(answering(answer))
        events = FakeRecorder()
        usage = LiveUsage(world.state, world.membership, Reservations(clock.now))
        seen, unstarted = PoolNodes(world), UnstartedPods(world)
        recommended = RecommendedReplacements(world)
        watch = FakeWatch()
        pools = PoolsController(world, seen, unstarted, usage, watch)
        open_pools = OpenPools(usage, world.board, lambda: world.governance)
        rig = cls(
            clock,
            world,
            writer,
            seen,
            unstarted,
            pools,
            watch,
            FailoverController(world, writer, events, seen, recommended),
            ReplaceUnstartedController(
                world,
                writer,
                events,
                jobs(),
                pools=pools,
                open_pools=open_pools,
                unstarted=unstarted,
                retries=Retries(),
                recommended=recommended,
            ),
        )
        # As the leader starts them.
        rig._subscriptions = [*pools.subscribe(), *rig.failover.subscribe(), *rig.replacer.subscribe()]
        return rig

    def apply(self, *records: Any) -> None:
        """As the informer does."""
        for record in records:
            self.world.state.apply(record)

    def fall(self, *names: str) -> None:
        """These nodes are not ready any more."""
        self._set_ready(names, ready=False)

    def rise(self, *names: str) -> None:
        self._set_ready(names, ready=True)

    def start(self, pod: PodRecord) -> None:
        """The pod runs now."""
        now = self.clock.now()
        self.apply(msgspec.structs.replace(pod, phase=Phase.RUNNING, ready=True, started=now, pending=None))

    async def advance(self, seconds: float) -> None:
        """Let time pass; the data stays fresh."""
        await self.clock.advance(seconds)
        self.world.state.mark_synced()

    async def judge(self, pool: str = "a") -> tuple[bool, str]:
        """Judge the pool; whether it takes pods, and why."""
        await self.pools.reconcile(pool)
        verdict = self.world.board.verdict(pool)
        return verdict.takes, verdict.reason

    def _set_ready(self, names: Iterable[str], *, ready: bool) -> None:
        for name in names:
            self.apply(msgspec.structs.replace(self.world.state.nodes[NodeName(name)], ready=ready))
