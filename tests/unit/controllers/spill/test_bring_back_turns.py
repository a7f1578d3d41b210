"""Many workloads of which most cannot be brought back: none keeps another from its turn."""

from typing import Any

import pytest

from spillway.controllers.spill.bring_back import ALL, BringBackController
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter
from tests.support.world import make_world, resource

HOLD, LOOK = 600.0, 5.0
AT_ONCE, STUCK = 5, 30
VIRTUAL = {"pool": "virtual"}


class Cluster(FakeWriter):
    """Deployments of two replicas, one of them virtual; `hindrance` says what keeps all but `healthy` from moving."""

    def __init__(self, hindrance: str) -> None:
        super().__init__()
        self.clock = FakeClock(1000.0)
        self.hindrance = hindrance
        self.asked: list[str] = []
        workload = {"name": "default", "threshold": {"mode": "Manual", "replicas": 10}}
        tiers = {"virtual": {"budgets": ["eci"]}}
        resources = [
            resource(Kind.ELASTIC_POLICY, "online", mode="Enforce", tiers=tiers, workloads=[workload]),
            resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": VIRTUAL}),
        ]
        nodes = [make_node("n1", cpu_millis=100_000), make_node("v1", labels=VIRTUAL, cpu_millis=100_000)]
        self.world = make_world(nodes, resources, self.clock)
        self.controller = BringBackController(
            self.world,
            SurgeScaler(self.world, self, FakeReader(self._object)),
            FakeRecorder(),
            hold_seconds=HOLD,
            at_once=AT_ONCE,
            ready_seconds=300.0,
        )

    def add(self, name: str) -> None:
        owner = OwnerUid(f"rs-{name}")
        records: list[ReplicaSetRecord | PodRecord] = [
            make_replicaset(name, replicas=2),
            make_pod(f"{name}-p", owner_uid=owner, node=NodeName("n1"), cpu_millis=250),
            make_pod(f"{name}-v", owner_uid=owner, node=NodeName("v1"), cpu_millis=250, pool="eci"),
        ]
        for record in records:
            self.world.state.apply(record)

    def _object(self, path: str) -> Any:
        if path.endswith("horizontalpodautoscalers"):
            targets = [{"kind": "Deployment", "name": f"stuck-{n}"} for n in range(STUCK)]
            full = self.hindrance == "autoscaler"
            return {"items": [{"spec": {"scaleTargetRef": one, "maxReplicas": 2}} for one in targets if full]}
        name = path.rpartition("/")[2]
        stuck = name != "healthy"
        self.asked.append(name)
        if stuck and self.hindrance == "error" and self.clock.now() > 1000.0 + HOLD / 2:
            return ApiError(403, "Forbidden", "no")
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), 2)
        return {
            "metadata": {"name": name, "uid": f"deploy-{name}", "generation": 1},
            "spec": {
                "replicas": 2,
                "paused": stuck and self.hindrance == "paused",
                "template": {"spec": {}},
            },
            "status": {"observedGeneration": 1, **status},
        }

    async def look(self) -> None:
        """One look, and what it has queued."""
        await self.clock.advance(LOOK)
        self.world.state.mark_synced()
        await self.controller.reconcile(ALL)
        for uid in [*self.controller._begins, *self.controller._room.unread]:
            try:
                await self.controller.reconcile(uid)
            except ApiError:
                assert self.hindrance == "error"


@pytest.mark.parametrize("hindrance", ["autoscaler", "paused", "error"])
async def test_thirty_that_cannot_move_keep_none_from_its_turn(hindrance: str) -> None:
    found = Cluster(hindrance)
    for number in range(STUCK):
        found.add(f"stuck-{number}")
    for _ in range(int(HOLD / LOOK / 4)):
        await found.look()
    found.add("healthy")
    looks = int(HOLD / LOOK)
    for _ in range(looks + 2):
        await found.look()
    # It is due now; everyone that was due before it has one turn at most.
    for _ in range(-(-STUCK // AT_ONCE)):
        await found.look()
    assert [one.name for one in found.done if one.verb == "scale"] == ["healthy"]


async def test_one_that_cannot_move_is_asked_less_and_less() -> None:
    found = Cluster("paused")
    found.add("stuck-0")
    for _ in range(int(2 * HOLD / LOOK)):
        await found.look()
    before = len(found.asked)
    assert before <= 1 + 5, "its template, then after 0, 30, 90, 210 and 450 seconds"
    for _ in range(int(10 * HOLD / LOOK)):
        await found.look()
    assert 9 <= len(found.asked) - before <= 11, "once in a hold"
