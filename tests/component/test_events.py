"""Events as a user sees them: `kubectl describe` and `kubectl get events` on a real API server."""

import asyncio
import time
from contextlib import suppress

from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from spillway.kube.client import KubeClient
from spillway.kube.events import EventRecorder


async def test_events_are_told_by_kubectl(cluster: ClusterApi, namespace: str) -> None:
    now = time.time()
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        recorder = EventRecorder(client, clock=lambda: now)
        running = asyncio.create_task(recorder.run())
        namespace_object = await client.get_json(f"/api/v1/namespaces/{namespace}")
        involved = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "name": namespace,
            "uid": namespace_object["metadata"]["uid"],
        }
        recorder.record(involved, "Warning", "Odd", "something is odd")
        now += 61
        recorder.record(involved, "Warning", "Odd", "something is odd")
        told = ""
        async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
            while "x2" not in told:
                told = await asyncio.to_thread(
                    cluster.kubectl, "events", "-n", "default", "--for", f"namespace/{namespace}"
                )
                await asyncio.sleep(0.1)
        assert "Odd" in told
        assert "something is odd" in told
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
