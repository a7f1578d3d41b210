"""References whose names are paths of other objects, against a real API server: nothing of the other object changes."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from localcluster import ClusterApi
from spillway.admission.deadline import Deadline
from spillway.app.restore import Restore
from spillway.controllers.spill.bring_back import BringBackController
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.domain.model.names import SURGE, OwnerUid
from spillway.domain.model.owners import OwnerReference
from spillway.domain.surge.steps import Surge
from spillway.kube import decode
from spillway.kube.client import KubeClient
from spillway.kube.events import EventRecorder
from spillway.kube.writer import Writer
from spillway.state.catalog import Kind
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.workloads import Workloads
from tests.support.fake_clock import FakeClock
from tests.support.installed import annotations, deployment
from tests.support.world import make_world, resource

REVISION = "deployment.kubernetes.io/revision"


class Recording(KubeClient):
    """A client that remembers which requests left."""

    sent: list[str]

    async def _open(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        self.sent.append(f"{method} {path}")
        return await super()._open(method, path, **options)


@pytest.fixture
async def client(cluster: ClusterApi) -> AsyncIterator[Recording]:
    async with await Recording.connect(str(cluster.kubeconfig)) as client:
        client.sent = []
        yield client


class Victim:
    """A Deployment of another client."""

    def __init__(self, cluster: ClusterApi) -> None:
        self._cluster = cluster
        self.namespace = cluster.create_namespace(f"victim-{uuid.uuid4().hex[:6]}")
        cluster.apply(deployment(self.namespace, "web", 1, nodeSelector={"no": "node"}))
        self.path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/web"
        cluster.wait_until(lambda: REVISION in self.now["annotations"], "the Deployment's own controller")
        self.uid = self.now["uid"]
        self.traversal = f"../../{self.namespace}/deployments/web"

    @property
    def now(self) -> dict[str, Any]:
        """What a write would change."""
        found = self._cluster.rest.get(self.path)
        return {
            "uid": found["metadata"]["uid"],
            "generation": found["metadata"]["generation"],
            "replicas": found["spec"]["replicas"],
            "annotations": annotations(found),
        }

    def close(self) -> None:
        self._cluster.rest.delete(f"/api/v1/namespaces/{self.namespace}")


@pytest.fixture
def victim(cluster: ClusterApi) -> Any:
    found = Victim(cluster)
    yield found
    found.close()


async def forged(client: KubeClient, namespace: str, victim: Victim, *, since: float = 1000.0) -> Any:
    """A ReplicaSet that says that the victim owns it and that it runs one replica more, as the API server stored it."""
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": victim.traversal,
        "uid": victim.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {"app": "forged"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    body = {
        "metadata": {
            "name": "forged",
            "annotations": {SURGE: Surge(0, 0, since).mark},
            "ownerReferences": [owner],
        },
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    raw = await client.request("POST", f"/apis/apps/v1/namespaces/{namespace}/replicasets", body=body)
    found = decode.REPLICASETS.one(raw)
    assert (found.owner_name, found.owner_uid) == (victim.traversal, victim.uid)
    return found


async def test_a_surge_of_a_forged_owner_reaches_no_other_namespace(
    client: Recording, victim: Victim, namespace: str
) -> None:
    replicaset = await forged(client, namespace, victim)
    before = victim.now
    policy = resource(
        Kind.ELASTIC_POLICY,
        "online",
        mode="Enforce",
        tiers={"virtual": {"budgets": ["eci"]}},
        workloads=[{"name": "default", "threshold": {"mode": "Manual", "replicas": 10}}],
    )
    clock = FakeClock(2000.0)
    world = make_world([replicaset], [policy], clock)
    controller = BringBackController(
        world,
        SurgeScaler(world, Writer(client, rate=1000, burst=100), client),
        EventRecorder(client),
        hold_seconds=0.0,
        at_once=5,
        ready_seconds=1.0,
    )
    client.sent.clear()
    await controller.reconcile(replicaset.uid)
    await controller.reconcile(replicaset.uid)
    assert {request.split(" ")[1] for request in client.sent} <= {
        f"/apis/apps/v1/namespaces/{namespace}/replicasets/forged"
    }
    assert victim.now == before


async def test_restore_leaves_the_victim_alone(client: Recording, victim: Victim, namespace: str) -> None:
    await forged(client, namespace, victim, since=time.time())
    before = victim.now
    client.sent.clear()
    await Restore(client, say=lambda _: None).run()
    assert not [request for request in client.sent if victim.namespace in request or ".." in request]
    assert victim.now == before


async def test_an_admission_asks_for_no_path_that_a_reference_invents(
    client: Recording, victim: Victim, namespace: str
) -> None:
    world = make_world(
        [],
        [
            resource(
                Kind.ELASTIC_POLICY,
                "jobs",
                mode="Enforce",
                tiers={"virtual": {"budgets": ["eci"]}},
                workloads=[{"name": "default", "match": {"kinds": ["Job"]}}],
            )
        ],
        FakeClock(2000.0),
    )
    lookup = Lookup(world.state, client)
    workloads = Workloads(world.state, lookup, lambda: world.governance)
    deadline = Deadline(FakeClock(0.0).now, 1.0)
    watch = "../../../../../../api/v1/pods?watch=true"
    job = OwnerReference("batch/v1", "Job", watch, "u-1", controller=True)
    replicaset = OwnerReference("apps/v1", "ReplicaSet", victim.traversal, "u-2", controller=True)

    assert await workloads.of(namespace, job, {}, deadline) is None
    assert await workloads.of(namespace, replicaset, {}, deadline) is None
    assert await workloads.volumes(namespace, [watch], deadline) is None
    assert await lookup.replicaset(namespace, victim.traversal, OwnerUid("u-3"), deadline) is None
    lookup.close()
    assert client.sent == []
