"""A second mutating webhook beside Spillway's: it adds a container to each new pod, as a service mesh does.

Contract: its configuration comes after Spillway's by name, so the API server calls it later. It serves one namespace,
from a thread of its own, until it is closed.
"""

import base64
import json
import ssl
import tempfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.reach import webhook_host
from localcluster import ClusterApi
from localcluster.certificates import Authority

_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
NAME = "proxy"


class Injector:
    """The webhook; `cpu` is what its container requests."""

    def __init__(self, cluster: ClusterApi, namespace: str, cpu: str) -> None:
        self.cluster = cluster
        self.name = f"z-injector-{uuid.uuid4().hex[:6]}"
        self._namespace = namespace
        container = {"name": NAME, "image": "proxy:1", "resources": {"requests": {"cpu": cpu}}}
        self._server = ThreadingHTTPServer(("", 0), _handler(container))
        host = webhook_host(cluster)
        authority = Authority(self.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(*authority.server(self.name, [host]).write(Path(folder), "serving"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, name=self.name, daemon=True)
        self._client = {
            "url": f"https://{host}:{self._server.server_address[1]}/",
            "caBundle": base64.b64encode(authority.pair.certificate).decode(),
        }

    def __enter__(self) -> Self:
        self._thread.start()
        webhook = {
            "name": "injector.example.com",
            "clientConfig": self._client,
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "admissionReviewVersions": ["v1"],
        }
        self.cluster.rest.create(_CONFIGURATIONS, {"metadata": {"name": self.name}, "webhooks": [webhook]})
        self.cluster.wait_until(self._serves, "the injector")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cluster.rest.delete(f"{_CONFIGURATIONS}/{self.name}")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10.0)

    def _serves(self) -> bool:
        """Whether the API server knows the configuration: a while after it was written."""
        pod = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "main", "image": "probe:1"}]}}
        made = self.cluster.rest.create(f"/api/v1/namespaces/{self._namespace}/pods?dryRun=All", pod)
        return any(one["name"] == NAME for one in made["spec"]["containers"])


def _handler(container: dict[str, Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            present = {one["name"] for one in request["object"]["spec"]["containers"]}
            patch = [] if NAME in present else [{"op": "add", "path": "/spec/containers/-", "value": container}]
            body = json.dumps({
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {
                    "uid": request["uid"],
                    "allowed": True,
                    "patchType": "JSONPatch",
                    "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
                },
            }).encode()  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing: pytest would show a line for each pod."""

    return Handler
