"""The admission server in this process, in front of a real API server: what the component tests and benches ask.

Contract: it runs in a thread with an event loop of its own, so a test may block on kubectl while the API server asks
us. Its webhook configurations call it through a Service of type ExternalName, are named after the rig, and select only
namespaces labelled `rig=<name>`, so that tests sharing a cluster do not meet. The certificates are made and published
by the operator's own code. Where the API server cannot reach this machine, making one skips (`harness.reach`).
"""

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from harness.reach import webhook_host
from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from spillway.admission.authority import Lifetimes
from spillway.admission.certificates import CONFIGURATION_KINDS, Certificates
from spillway.admission.deadline import USUAL_TIMEOUT_SECONDS, Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import AdmissionServer, Webhook
from spillway.admission.tls import ServingTls
from spillway.domain.policies.governance import Governance
from spillway.kube.client import KubeClient
from spillway.kube.informer import Informers
from spillway.webhooks.assembly import Admission, build_admission
from tests.builders import make_state

T = TypeVar("T")

Wrap = Callable[[Webhook], Webhook]
_SERVICE = "spillway-webhook"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"


class AdmissionRig:
    """One admission server with its informers. `governance` may be replaced at any time."""

    def __init__(
        self,
        cluster: ClusterApi,
        governance: Governance,
        *,
        lifetimes: Lifetimes | None = None,
        poll_seconds: float = 10.0,
        replicas: int = 1,
        wrap: Wrap = lambda webhook: webhook,
        timeout_seconds: int = int(USUAL_TIMEOUT_SECONDS),
    ) -> None:
        """`timeout_seconds` is how long the API server waits for an answer."""
        self.cluster = cluster
        self._host = webhook_host(cluster)
        self.governance = governance
        self.name = f"rig-{uuid.uuid4().hex[:8]}"
        self.state = make_state()
        self.tls: list[ServingTls] = []
        self.port = 0
        self._lifetimes = lifetimes or Lifetimes()
        self._poll_seconds = poll_seconds
        self._replicas = replicas
        self._wrap = wrap
        self._timeout_seconds = timeout_seconds
        self._probe = f"{self.name}-probe"
        self._probed = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[AdmissionServer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.cluster.rest.create("/api/v1/namespaces", {"metadata": {"name": self.name}})
        self.run(self._start())
        service = {"type": "ExternalName", "externalName": self._host, "ports": [{"port": self.port}]}
        path = f"/api/v1/namespaces/{self.name}/services"
        self.cluster.rest.create(path, {"metadata": {"name": _SERVICE}, "spec": service})
        for body in self._configurations():
            plural = body["kind"].lower() + "s"
            self.cluster.rest.create(f"{_ADMISSION}/{plural}", body)
        self.run(self.certificates.ensure())
        self._tasks.append(self.run(self._spawn(self.certificates.run())))
        for tls in self.tls:
            self.run(tls.ready.wait())
        self.cluster.wait_until(self._is_called, "the API server to call the webhooks")
        return self

    def _is_called(self) -> bool:
        """Whether the API server knows the configuration, with the certificate: it takes both over a moment later."""
        node = {"metadata": {"name": self._probe, "labels": self.labels}}
        self.cluster.rest.request("POST", "/api/v1/nodes", body=node, params={"dryRun": "All"})
        return self._probed.is_set()

    def _noting_the_probe(self, webhook: Webhook) -> Webhook:
        async def handle(request: AdmissionRequest, deadline: Deadline) -> Answer:
            if request.name != self._probe:
                return await webhook.handle(request, deadline)
            self._probed.set()
            return Answer("unchanged")

        return replace(webhook, handle=handle)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for plural in CONFIGURATION_KINDS:
            self.cluster.rest.delete(f"{_ADMISSION}/{plural}/{self.name}")
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEFAULT_WAIT_SECONDS)
        self._loop.close()
        self.cluster.rest.delete(f"/api/v1/namespaces/{self.name}")

    @property
    def labels(self) -> dict[str, str]:
        """What a namespace has to carry to be served."""
        return {"rig": self.name}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the rig's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEFAULT_WAIT_SECONDS)

    @property
    def admission(self) -> Admission:
        return self._admission

    async def _start(self) -> None:
        self.client = await KubeClient.connect(str(self.cluster.kubeconfig))
        self._tasks.append(await self._spawn(Informers(self.client, self.state).run()))
        await self.state.wait_synced(DEFAULT_WAIT_SECONDS)
        self._admission = build_admission(self.state, lambda: self.governance, self.client)
        self._tasks.append(await self._spawn(self._admission.events.run()))
        for _ in range(self._replicas):
            tls = ServingTls()
            certificates = Certificates(
                self.client,
                tls,
                namespace=self.name,
                configuration=self.name,
                lifetimes=self._lifetimes,
                poll_seconds=self._poll_seconds,
                is_leader=(lambda: True) if not self.tls else (lambda: False),
            )
            if self.tls:
                self._tasks.append(await self._spawn(certificates.run()))
            else:
                self.certificates = certificates
            self.tls.append(tls)
            webhooks = [self._noting_the_probe(self._wrap(webhook)) for webhook in self._admission.webhooks]
            server = AdmissionServer(
                webhooks, tls=tls.context, port=self.port, timeout_seconds=float(self._timeout_seconds)
            )
            await server.start()
            self.port = server.port
            self._servers.append(server)

    async def stop_serving(self) -> None:
        """As when every replica is gone: the port is closed."""
        for server in self._servers:
            await server.stop()

    async def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            await server.stop()
        self._admission.close()
        await self.client.close()
        # Closing a TLS connection takes the loop a few more turns.
        await asyncio.sleep(0.25)

    def _configurations(self) -> list[dict[str, Any]]:
        mine = {"namespaceSelector": {"matchLabels": self.labels}}
        chosen = {"objectSelector": {"matchLabels": self.labels}}
        mutating = [
            self._webhook("bindings", "/mutate/bindings", "", "CREATE", "pods/binding", **mine),
            self._webhook(
                "replicasets",
                "/mutate/replicasets",
                "apps",
                "UPDATE",
                "replicasets",
                "replicasets/scale",
                sideEffects="NoneOnDryRun",
                matchConditions=[
                    {"name": "some-remain", "expression": "has(object.spec.replicas) && object.spec.replicas > 0"},
                    {"name": "down", "expression": "object.spec.replicas < oldObject.spec.replicas"},
                ],
                **mine,
            ),
            self._webhook("nodes", "/mutate/nodes", "", "CREATE", "nodes", **chosen),
        ]
        meta = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": self.name}}
        return [{**meta, "kind": "MutatingWebhookConfiguration", "webhooks": mutating}]

    def _webhook(
        self, name: str, path: str, group: str, operation: str, *resources: str, **more: Any
    ) -> dict[str, Any]:
        rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": [operation], "resources": list(resources)}
        return {
            "name": f"{name}.{self.name}.spillway.dev",
            "clientConfig": {
                "service": {"namespace": self.name, "name": _SERVICE, "port": self.port, "path": path},
            },
            "rules": [rule],
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "timeoutSeconds": self._timeout_seconds,
            "admissionReviewVersions": ["v1"],
            **more,
        }
