"""Pods that wait, and the controller that moves them, without an API server: two pools, `a` before `b`."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from spillway.controllers.spill.controller import SpillController
from spillway.domain.model.names import POOLS, RESERVATION, NodeName, OwnerUid, PodUid
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord, ReplicaSetRecord, Taint
from spillway.domain.placement.job_retries import Retries
from spillway.domain.spill.waiting_pods import StayReason
from spillway.state.catalog import Kind
from spillway.state.open_pools import OpenPools
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter
from tests.support.json_patch import applied
from tests.support.world import make_world, resource

OWNER = OwnerUid("rs-web")
NOW = 2000.0
KEY = "virtual-kubelet.io/provider"


def waiting(name: str = "web-1", *, since: float = NOW - 60, **changes: Any) -> PodRecord:
    marks = {"placement": changes.pop("placement", "physical"), "pools": changes.pop("pools", "")}
    pending = Pending(unschedulable_since=since, **marks)
    return make_pod(name, node=NodeName(""), phase=Phase.PENDING, ready=False, pending=pending, **changes)


class Cluster(FakeWriter):
    """The API server's side: pods as it would give them, and what the controller does to them."""

    def __init__(self, *pods: PodRecord, resources: list[dict[str, Any]] | None = None, **replicaset: Any) -> None:
        super().__init__()
        self.clock = FakeClock(NOW)
        records: list[NodeRecord | PodRecord | ReplicaSetRecord] = [
            make_node("n1", cpu_millis=1000),
            *(
                make_node(f"v-{pool}", labels={"pool": pool}, taints=(Taint(KEY, "NoSchedule", pool),))
                for pool in ("a", "b")
            ),
            make_replicaset(**replicaset),
            *pods,
        ]
        self.world = make_world(records, resources or policy(), self.clock)
        self.usage = LiveUsage(self.world.state, self.world.membership, Reservations(self.clock.now))
        self.raw: dict[str, Any] = {}
        self.reader = FakeReader(self._pod)
        self.patched: dict[str, Mapping[str, Any]] = {}
        self.deleted: list[str] = []
        self.answer = True
        self.retries = Retries()
        self.events = FakeRecorder()
        self.open_pools = OpenPools(self.usage, self.world.board, lambda: self.world.governance)
        self.controller = SpillController(
            self.world,
            self,
            self.reader,
            self.events,
            self.open_pools,
            retries=self.retries,
        )

    def json(self, name: str) -> dict[str, Any]:
        if name in self.patched:
            return dict(self.patched[name])
        pod = self.world.state.pods.get(PodUid(f"uid-{name}"))
        metadata: dict[str, Any] = {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "labels": {"app": "web"},
        }
        if pod is not None and pod.pending is not None and pod.pending.pools:
            metadata["annotations"] = {POOLS: pod.pending.pools}
        return {"metadata": metadata, "spec": {}, "status": {}} | self.raw

    def show(self, name: str = "web-1") -> None:
        """The informer shows what was patched."""
        marks = self.patched[name]["metadata"]["annotations"]
        pod = self.world.state.pods[PodUid(f"uid-{name}")]
        pending = Pending(
            placement="physical",
            pools=marks[POOLS],
            reservation=marks[RESERVATION],
            unschedulable_since=pod.pending.unschedulable_since if pod.pending is not None else 0.0,
        )
        self.world.state.apply(msgspec.structs.replace(pod, pending=pending))

    def pools_of(self, name: str = "web-1") -> str:
        """The pools that the pod may go to by now."""
        found: str = self.patched[name]["metadata"]["annotations"][POOLS]
        return found

    def _pod(self, path: str) -> dict[str, Any] | None:
        return self.json(path.rsplit("/", 1)[-1]) if "/pods/" in path else None

    async def add_to_pod(self, pod: PodRecord, resource_version: str, additions: Any) -> bool:
        assert resource_version == "7"
        if self.answer:
            self.patched[pod.name] = applied(self.json(pod.name), additions)
        return self.answer

    async def replace_unstarted(self, pod: PodRecord) -> bool:
        await asyncio.sleep(0)  # others get their turn meanwhile
        if self.answer:
            self.deleted.append(pod.name)
        return self.answer

    async def look(self, name: str = "web-1", seconds: float = 0.0) -> float | None:
        await self.clock.advance(seconds)
        return await self.controller.reconcile(f"uid-{name}")

    def kept(self, name: str = "web-1") -> StayReason | None:
        found = self.controller._kept.get(PodUid(f"uid-{name}"))
        return None if found is None else found[0]


def policy(mode: str = "Enforce", a: Any = None, b: Any = None, **placement: Any) -> list[dict[str, Any]]:
    workloads = [
        {"name": "home", "match": {"labels": {"matchLabels": {"app": "home"}}}, "placement": {"virtual": "Never"}},
        {"name": "default", "placement": {"spillAfter": "60s", **placement}},
    ]
    tiers = {"virtual": {"budgets": ["a", "b"]}}
    return [
        resource(Kind.ELASTIC_POLICY, "online", mode=mode, tiers=tiers, workloads=workloads),
        *(
            resource(Kind.VIRTUAL_NODE_BUDGET, name, nodeSelector={"matchLabels": {"pool": name}}, **(spec or {}))
            for name, spec in (("a", a), ("b", b))
        ),
    ]


def toleration(pool: str) -> dict[str, str]:
    return {"key": KEY, "operator": "Equal", "value": pool, "effect": "NoSchedule"}
