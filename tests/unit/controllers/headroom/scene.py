"""A scene for the controller of headroom: a policy, elastic nodes with governed replicas, and the objects written."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from spillway.api.elasticpolicy import ElasticPolicyStatus
from spillway.controllers.headroom.controller import (
    HeadroomController,
    Mechanism,
)
from spillway.controllers.headroom.objects import HeadroomObjects
from spillway.controllers.headroom.status import HeadroomContributor
from spillway.domain.headroom.leaving import BALLOON_COST
from spillway.domain.headroom.manifests import Look
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.scaling.demand import DemandForecast
from spillway.state.autoscalers import Autoscalers
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter, Write
from tests.support.world import ELASTIC, make_world, resource

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00").timestamp()
CART = "Deployment/shop/cart"
SYSTEM = "spillway-system"
UNIT = {"cpu": "1", "memory": "1Gi"}
FIXED = {"from": "Fixed", "unit": UNIT}
HOLD = 600.0
JOBS = [{"name": "jobs", "match": {"kinds": ["Job"]}}]


def policy(
    headroom: Mapping[str, Any] | None, *, name: str = "online", mode: str = "Enforce", version: int = 1, **more: Any
) -> Any:
    spec: dict[str, Any] = {"mode": mode, "tiers": {"elastic": ELASTIC}, **more}
    scaling = {"target": {"metric": "cpu", "utilization": 60}, "forecast": {"mode": "Active"}}
    spec.setdefault("workloads", [{"name": "default", "scaling": scaling}])
    if headroom is not None:
        spec["headroom"] = headroom
    return resource(Kind.ELASTIC_POLICY, name, version=version, **spec)


def elastic(name: str, zone: str = "a", **given: Any) -> NodeRecord:
    labels = {"pool": "elastic", ZONE_LABEL: zone}
    return make_node(name, labels=labels, cpu_millis=4000, memory_bytes=16 << 30, **given)


class Server(FakeReader):
    """The objects of the operator's namespace, by the writes that reach them."""

    def __init__(self, clock: FakeClock, *, buffers: bool) -> None:
        super().__init__(self._list)
        self._clock = clock
        self._buffers = buffers
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    async def get_json(self, path: str, **params: Any) -> Any:
        assert params == {"labelSelector": "spillway.dev/headroom"}
        return await super().get_json(path, **params)

    def _list(self, path: str) -> dict[str, Any] | None:
        plural = path.rsplit("/", 1)[-1]
        if plural == "capacitybuffers" and not self._buffers:
            return None
        return {"items": [item for (kind, _), item in sorted(self.items.items()) if kind == plural]}

    async def write(self, write: Write) -> bool:
        if write.verb == "apply":
            plural = f"{write.body['kind'].lower()}s"
            created = datetime.fromtimestamp(self._clock.now(), UTC).isoformat()
            before = self.items.get((plural, write.name), {}).get("metadata", {}).get("creationTimestamp", created)
            metadata = {**write.body["metadata"], "uid": write.name, "creationTimestamp": before}
            self.items[plural, write.name] = {**write.body, "metadata": metadata}
        if write.verb == "delete":
            self.items.pop((str(write.body["resource"]), write.name), None)
        return True

    def replicas(self, kind: str = "deployments") -> dict[str, int]:
        """By zone, as the objects' names tell it."""
        return {
            name.split("-")[-2]: item["spec"]["replicas"]
            for (plural, name), item in self.items.items()
            if plural == kind
        }

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.items)


def _cart(replicas: int, node_rules: str | None = "") -> ReplicaSetRecord:
    return make_replicaset(
        "cart-1",
        owner_kind="Deployment",
        owner_name="cart",
        owner_uid="d",
        desired=replicas,
        replicas=replicas,
        node_rules=node_rules,
    )


class Scene:
    """Two elastic nodes in two zones, with four governed replicas of a core each."""

    def __init__(
        self,
        policy: Any,
        *,
        by: Mechanism = "balloons",
        buffers: bool = False,
        nodes: tuple[NodeRecord, ...] = (elastic("e1"), elastic("e2", "b")),
        items: Server | None = None,
        node_rules: str | None = "",
    ) -> None:
        self.clock = FakeClock(NOON)
        cart = _cart(4, node_rules)
        pods = [
            make_pod(
                f"cart-{index}",
                owner_uid=OwnerUid("rs-cart-1"),
                owner_name="cart-1",
                node=nodes[index % len(nodes)].name if nodes else "",
                cpu_millis=1000,
                memory_bytes=1 << 30,
            )
            for index in range(4)
        ]
        self.world = make_world([make_namespace(SYSTEM), *nodes, cart, *pods], [policy], self.clock)
        self.server = items or Server(self.clock, buffers=buffers)
        self.writer, self.recorder = FakeWriter(self.server.write), FakeRecorder()
        objects = HeadroomObjects(self.server, self.writer, Look("pause", "spillway-headroom"), SYSTEM)
        self.controller = HeadroomController(
            self.world,
            self.writer,
            self.recorder,
            objects,
            Autoscalers(),
            namespace=SYSTEM,
            mechanism=by,
            hold_seconds=HOLD,
        )

    async def look(self, seconds: float = 0.0) -> float | None:
        await self.clock.advance(seconds)
        return await self.controller.reconcile("*")

    def change(self, policy: Any) -> None:
        self.world.catalog.replace(Kind.ELASTIC_POLICY, [policy] if policy is not None else [], 60)

    def forecast(self, highest: float, later: float = 0.0) -> None:
        made = DemandForecast(self.clock.now(), 4.0, highest, predictable=True, later=later)
        self.world.board.forecasts, self.world.board.forecasts_published = {CART: made}, self.clock.now()

    def scale(self, replicas: int) -> None:
        """The workload asks for so many replicas; their pods are not there yet."""
        self.world.state.apply(_cart(replicas))

    def balloon(self, name: str, node: str, *, zone: str = "a", **given: Any) -> PodRecord:
        """A balloon of the object of this zone, on a node or waiting for one."""
        held = next(one for one in self.server.names if one.split("-")[-2] == zone)
        pod = make_pod(
            name,
            namespace=SYSTEM,
            owner_uid=OwnerUid(f"rs-{held}"),
            owner_name=f"{held}-5d8f",
            node=NodeName(node),
            cpu_millis=1000,
            memory_bytes=1 << 30,
            deletion_cost=BALLOON_COST,
            **given,
        )
        self.world.state.apply(pod)
        return pod

    def leave(self, namespace: str, name: str) -> None:
        """A pod is gone."""
        pod = self.world.state.pod(namespace, name)
        assert pod is not None
        self.world.state.remove(pod)

    @property
    def status(self) -> ElasticPolicyStatus:
        model = self.world.governance.policies["online"]
        part = HeadroomContributor(self.controller).part(model, model.status, datetime.fromtimestamp(NOON, UTC))
        return model.status.model_copy(update=dict(part.fields))

    @property
    def condition(self) -> tuple[bool, str]:
        model = self.world.governance.policies["online"]
        part = HeadroomContributor(self.controller).part(model, model.status, datetime.fromtimestamp(NOON, UTC))
        [found] = part.conditions
        return found.holds, found.reason
