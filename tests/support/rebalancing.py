"""The rebalancer in a world of three nodes, with answers of metrics.k8s.io."""

from typing import Any

import msgspec

from spillway.controllers.balance.descheduling import Deschedulers
from spillway.controllers.balance.readings import Readings
from spillway.controllers.balance.rebalance import RebalanceController
from spillway.controllers.surge.moves import MoveEnd, SurgeMovesController
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.domain.balance.load import Loads
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, SurgeOutcome
from spillway.kube.errors import UnreachableError
from spillway.kube.resource_metrics import NODE_METRICS
from spillway.kube.writer import Eviction
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_rights import FakeRights
from tests.support.fake_writer import FakeWriter
from tests.support.world import Record, make_world, resource

START = 10_000.0
SETTLE_SECONDS = 300.0
NODES = ("busy", "idle", "other")
APPS = ("web", "api", "cart")


class Metrics:
    """An API server that has the pods of metrics.k8s.io alone: each uses two cores, if nothing else is said."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False
        self.unreadable = ""
        """The namespace whose pods cannot be read."""
        self.names = [f"{app}-{index}" for app in APPS for index in range(1, 3)]
        self.cpu: dict[str, str] = {}

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        assert method == "GET"
        self.asked.append(path)
        if self.down or (self.unreadable and f"/namespaces/{self.unreadable}/" in path):
            raise UnreachableError("connection refused")
        if path == NODE_METRICS.everywhere:
            return msgspec.json.encode({"items": []})
        used = {name: {"cpu": self.cpu.get(name, "2"), "memory": "0"} for name in self.names}
        items = [{"metadata": {"name": name}, "containers": [{"usage": usage}]} for name, usage in used.items()]
        return msgspec.json.encode({"kind": "PodMetricsList", "items": items})


class Scene:
    """Three workloads with a replica each on a busy and on an idle node, and the balance of a test."""

    def __init__(
        self,
        *more: dict[str, Any],
        change: Any = None,
        nodes: Any = None,
        spec: dict[str, Any] | None = None,
        **rebalance: Any,
    ) -> None:
        self.clock = FakeClock(START)
        wanted: dict[str, Any] = {
            "load": {"weights": {"cpu": 100, "memory": 0}},
            "rebalance": {"mode": "DryRun", **rebalance},
        }
        self.balance = balance = resource(Kind.ZONAL_BALANCE, "even", **{**wanted, **(spec or {})})
        records: list[Record] = [
            make_node(name, **({"labels": {ZONE_LABEL: "a"}} | (nodes or {}).get(name, {}))) for name in NODES
        ]
        for app in APPS:
            records.append(make_replicaset(app, replicas=2))
            for index, node in ((1, "busy"), (2, "other")):
                pod = make_pod(
                    f"{app}-{index}", node=NodeName(node), owner_uid=make_replicaset(app).uid, ready_since=0.0
                )
                records.append(pod)
        self.world = make_world([], [balance, *more], self.clock)
        for record in records:
            self.world.state.apply(change(record) if change is not None else record)
        self.metrics = Metrics()
        self.evicted: list[str] = []
        self.answer = Eviction.EVICTED
        self.writer = FakeWriter(evict=lambda pod: self._evict(pod.name))
        self.events = FakeRecorder()
        self.template: dict[str, Any] = {}
        """The spec of the pods in the templates of all workloads."""
        self.annotations: dict[str, str] = {}
        """The annotations in these templates."""
        self.rolled_out: dict[str, Any] | None = None
        """The template of all Deployments while they are rolled out; None while none is."""
        self.spec: dict[str, Any] = {}
        """Other fields of the specs of all workloads."""
        self.workloads = FakeReader(self._read)
        scaler = SurgeScaler(self.world, self.writer, self.workloads)
        self.surges = SurgeMovesController(self.world, scaler, ready_seconds=300.0)
        reader = FakeReader(lambda path: {"spec": {"serviceAccountName": path.rpartition("/")[2]}})
        self.controller = RebalanceController(
            self.world,
            Readings(self.world, self.metrics, None),
            self.writer,
            self.events,
            self.surges,
            deschedulers=Deschedulers(self.world, reader, FakeRights("system:serviceaccount:shop:descheduler")),
        )
        self.unsubscribe = list(self.controller.subscribe())
        self.load(95.0, 20.0, 60.0)

    def _evict(self, name: str) -> Eviction:
        self.evicted.append(name)
        return self.answer

    def _read(self, path: str) -> dict[str, Any]:
        template = {"metadata": {"annotations": self.annotations}, "spec": self.template}
        status = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), 2) | {"observedGeneration": 1}
        for kind, prefix in (("/deployments/", "deploy"), ("/replicasets/", "rs")):
            _, _, name = path.partition(kind)
            if not name:
                continue
            if prefix == "deploy":
                status["updatedReplicas"] = 2 if self.rolled_out is None else 0
                template = self.rolled_out or template
            return {
                "metadata": {"name": name, "uid": f"{prefix}-{name}", "generation": 1},
                "spec": {"replicas": 2, "template": template, **self.spec},
                "status": status,
            }
        return {"items": []}

    def load(self, *percent: float) -> None:
        """A reading of the loads of the nodes; the state is fresh as well."""
        self.load_of(dict(zip(map(NodeName, NODES), percent, strict=True)))

    def load_of(self, percent: dict[NodeName, float]) -> None:
        """The same of other nodes."""
        self.world.state.mark_synced()
        self.world.board.set_loads("even", Loads(percent, self.clock.now()))

    @property
    def in_progress(self) -> int:
        return self.surges.in_progress(Purpose.REBALANCE, "even")

    def end(self, result: Left | SurgeOutcome, node: str = "busy", to: str = "") -> None:
        """Let the first move that was asked for end; its pod was last seen on `node`, and the new one came to `to`."""
        request = self.surges._asked.pop(next(iter(self.surges._asked)))
        replicaset = self.world.state.replicasets[request.owner]
        ends = NodeName(node), NodeName(to)
        self.surges.ended.emit(MoveEnd(replicaset, request.pod, request.purpose, request.asker, result, *ends))

    async def later(self, seconds: float = SETTLE_SECONDS, *, others: float = 60.0) -> None:
        await self.clock.advance(seconds)
        self.load(95.0, 20.0, others)
        await self.controller.reconcile("even")

    @property
    def planned(self) -> list[str]:
        plan = self.controller.plans.get("even")
        return [] if plan is None else [move.key for move in plan.moves]
