"""A kubelet for Spillway's own pods: they run as processes of this machine, so that Helm can install the operator here.

Contract: it runs the pods of one node, to which only pods with its `values` are bound, and which kwok leaves alone. A
process has the arguments, the variables and the rights of its pod's container, and ports of its own. Start, readiness,
restarts, the grace period, the exit code and the log are as with a kubelet; volumes, limits and port-forwards are not
there. Webhooks and aggregated APIs are called through a Service that learns late which pods are ready, as with
kube-proxy. A Prometheus of the cluster scrapes the replicas. The tag of an image says which version of the operator
runs. The processes end with their owner, even if it is killed.
"""

import contextlib
import http.server
import re
import shutil
import signal
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from harness.chart import IMAGE, PROJECT
from harness.closing import Closing
from harness.proxy import ServiceProxy
from harness.reach import listen_flags, webhook_host
from localcluster import Cluster, ClusterApi
from localcluster.certificates import Authority
from localcluster.nodes import FAILED, KUBELET
from localcluster.ports import free_ports
from localcluster.processes import Process, Processes
from localcluster.rest import Object, RestError

NODE: Final = "this-machine"
SERVICE_SECONDS: Final = 0.5
"""Until the Service knows which pods are ready: what EndpointSlices and kube-proxy take."""
_SYNC_SECONDS: Final = 0.25
_RESTART_SECONDS: Final = 2.0
_LOOPBACK: Final = "127.0.0.1"
_VARIABLE: Final = re.compile(r"\$\((\w+)\)")
_WEBHOOK: Final = "--webhook"
_SERVERS: Final = {
    "--external-metrics": "externalMetrics",
    "--keda-scaler": "kedaScaler",
    "--scheduler-extender": "schedulerExtender",
    "--explain-api": "explainApi",
}
"""The flags that turn a server of the operator on, and the values of the chart that do. With `-port` at the end, each
(and `_WEBHOOK`) is the flag for the port of that server."""


@dataclass(slots=True)
class _Running:
    """The process of one pod."""

    name: str
    container: str
    metrics_port: int
    """0 for a pod that is no replica of the operator."""
    ports: Mapping[str, int]
    """The ports of its servers, by the flag that turns each on."""
    started: str
    ready: bool = False
    """Whether the Service leads to it."""
    restarts: int = 0
    ended: float = 0.0
    """When its end was seen, by the monotonic clock; 0 while it runs."""
    asked_to_end: float = 0.0
    """When it got SIGTERM."""
    told: Object | None = None
    """The status that was written last."""


class Kubelet(Closing):
    """The node, its thread and its processes, from construction to `close`."""

    def __init__(self, cluster: ClusterApi, sources: Mapping[str, Path] | None = None) -> None:
        """`sources` are checkouts, by the tag of the image that stands for each; of any other tag, this one."""
        self._cluster = cluster
        self._sources = dict(sources or {})
        self._logs_port, *service_ports = free_ports(2 + len(_SERVERS))
        self._service_ports: Final = dict(zip((_WEBHOOK, *_SERVERS), service_ports, strict=True))
        self._host = webhook_host(cluster)
        self.folder: Final = Path(tempfile.mkdtemp(prefix="spillway-kubelet-"))
        self._processes = Processes(self.folder, remove_when_orphaned=[self.folder])
        self._pods: dict[str, _Running] = {}
        self._ending = threading.Event()
        self._logs = self._serve_logs()
        self._services = {flag: self._service(flag, port) for flag, port in self._service_ports.items()}
        self._scraped: frozenset[int] = frozenset()
        self._register()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Kill what runs."""
        self._ending.set()
        self._thread.join()
        for service in self._services.values():
            service.close()
        self._logs.shutdown()
        self._logs.server_close()
        self._processes.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def values(self) -> Object:
        """The values with which the chart's pods run here."""
        service = {"type": "ExternalName", "externalName": self._host, "port": self._service_ports[_WEBHOOK]}
        return {
            "image": dict(IMAGE),
            "nodeSelector": {KUBELET: "real"},
            "tolerations": [{"key": KUBELET, "operator": "Exists"}],
            "webhook": {"service": service},
        }

    @property
    def server_values(self) -> Object:
        """The values for the optional servers of this version, which need not be turned on."""
        return {value: {"servicePort": self._service_ports[flag]} for flag, value in _SERVERS.items()}

    def _service(self, flag: str, port: int) -> ServiceProxy:
        """The Service's port for one server of the replicas."""

        def ready() -> frozenset[int]:
            return frozenset(one.ports[flag] for one in tuple(self._pods.values()) if one.ready and flag in one.ports)

        return ServiceProxy(port, ready, delay_seconds=SERVICE_SECONDS)

    # The node

    def _register(self) -> None:
        self._cluster.rest.create(
            "/api/v1/nodes",
            {
                "metadata": {
                    "name": NODE,
                    "labels": {"kubernetes.io/hostname": NODE, KUBELET: "real"},
                    # kwok brings every other node to life.
                    "annotations": {FAILED: "true"},
                },
                "spec": {"taints": [{"key": KUBELET, "value": "real", "effect": "NoSchedule"}]},
            },
        )
        room = {"cpu": "2", "memory": "4Gi", "pods": "20"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": _now()}
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": _LOOPBACK}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._logs_port}},
        }
        self._cluster.rest.merge(f"/api/v1/nodes/{NODE}/status", {"status": status})
        self._cluster.wait_nodes_ready([NODE])

    # The pods

    def _run(self) -> None:
        while not self._ending.wait(_SYNC_SECONDS):
            # The API server may be away; the next round repeats what failed.
            with contextlib.suppress(RestError, OSError):
                self._sync()

    def _sync(self) -> None:
        pods = self._cluster.rest.items("/api/v1/pods", fieldSelector=f"spec.nodeName={NODE}")
        by_uid = {pod["metadata"]["uid"]: pod for pod in pods}
        for uid in self._pods.keys() - by_uid.keys():
            self._kill(self._pods.pop(uid))
        for uid, pod in by_uid.items():
            if "deletionTimestamp" in pod["metadata"]:
                self._end(uid, pod)
            elif KUBELET in pod["spec"].get("nodeSelector", {}) and pod["status"].get("phase") not in (
                "Succeeded",
                "Failed",
            ):
                self._keep_running(uid, pod)
        self._scrape()

    def _scrape(self) -> None:
        """Tell the cluster's Prometheus, if there is one, which replicas run."""
        ports = frozenset(one.metrics_port for one in self._pods.values() if one.metrics_port)
        if isinstance(self._cluster, Cluster) and "prometheus" in self._cluster.features and ports != self._scraped:
            self._cluster.scrape("spillway", [f"{_LOOPBACK}:{port}" for port in sorted(ports)])
            self._scraped = ports

    def _keep_running(self, uid: str, pod: Object) -> None:
        running = self._pods.get(uid)
        if running is None:
            running = self._pods[uid] = self._start(pod)
        code = self._processes.return_code(running.name)
        if code is not None and pod["spec"].get("restartPolicy", "Always") == "Always":
            running.ended = running.ended or time.monotonic()
            if time.monotonic() - running.ended > _RESTART_SECONDS:
                self._processes.restart(running.name)
                running.ended, running.started, running.restarts = 0.0, _now(), running.restarts + 1
                code = None
        ready = code is None and self._ready(running)
        running.ready = ready
        status = _status(pod, running, code, ready=ready)
        if status != running.told:
            self._cluster.rest.merge(f"{_path(pod)}/status", {"status": status})
            running.told = status

    def _start(self, pod: Object) -> _Running:
        metadata, spec = pod["metadata"], pod["spec"]
        [container] = spec["containers"]
        name = f"{metadata['name']}-{metadata['uid'][:8]}"
        kubeconfig = self.folder / f"{name}.kubeconfig"
        self._cluster.service_account_kubeconfig(metadata["namespace"], spec["serviceAccountName"], kubeconfig)
        env = dict(_variables(pod, container))
        args = [_VARIABLE.sub(lambda found: env.get(found[1], found[0]), arg) for arg in container["args"]]
        argv = [sys.executable, "-m", "spillway", *args, f"--kubeconfig={kubeconfig}"]
        metrics_port = 0
        ports: dict[str, int] = {}
        if args[0] == "run":
            flags = [_WEBHOOK, *(flag for flag in _SERVERS if flag in args)]
            metrics_port, *found = free_ports(1 + len(flags))
            ports = dict(zip(flags, found, strict=True))
            argv += [f"--metrics-port={metrics_port}", *(f"{flag}-port={port}" for flag, port in ports.items())]
            argv += ["--peer-port=0", *listen_flags()]
        tag = container["image"].rpartition(":")[2]
        process_env = {
            **env,
            "PYTHONPATH": str(self._sources.get(tag, PROJECT) / "operator"),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.folder),
        }
        self._processes.start(Process(name, argv, process_env))
        return _Running(name, container["name"], metrics_port, ports, _now())

    def _ready(self, running: _Running) -> bool:
        if not running.metrics_port:
            return True
        try:
            with urllib.request.urlopen(f"http://{_LOOPBACK}:{running.metrics_port}/readyz", timeout=2) as answer:
                return bool(answer.status == http.HTTPStatus.OK)
        except OSError:
            return False

    def _end(self, uid: str, pod: Object) -> None:
        running = self._pods.get(uid)
        if running is not None and self._processes.return_code(running.name) is None:
            now = time.monotonic()
            if not running.asked_to_end:
                running.asked_to_end, running.ready = now, False
                self._processes.send(running.name, signal.SIGTERM)
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
            if now - running.asked_to_end < grace:
                return
            self._kill(running)
        self._pods.pop(uid, None)
        self._cluster.rest.raw("DELETE", _path(pod), body={"gracePeriodSeconds": 0})

    def _kill(self, running: _Running) -> None:
        if self._processes.return_code(running.name) is None:
            self._processes.end(running.name, kill=True)

    # The logs

    def _serve_logs(self) -> http.server.ThreadingHTTPServer:
        """The part of a kubelet's API that `kubectl logs` needs."""
        server = http.server.ThreadingHTTPServer((_LOOPBACK, self._logs_port), self._log_handler())
        certificate, key = Authority("kubelet").server("kubelet", [_LOOPBACK]).write(self.folder, "kubelet")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        # A client that sends nothing holds up its own thread alone.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, name="kubelet-logs", daemon=True).start()
        return server

    def _log_handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        kubelet = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                parts = address.path.strip("/").split("/")
                running = kubelet.named(parts[2]) if parts[0] == "containerLogs" else None
                if running is None:
                    self.send_error(http.HTTPStatus.NOT_FOUND)
                    return
                self.send_response(http.HTTPStatus.OK)
                self.end_headers()
                wanted = {key: values[-1] for key, values in parse_qs(address.query).items()}
                with contextlib.suppress(OSError):
                    for piece in kubelet.log(running, wanted):
                        self.wfile.write(piece)

            def log_message(self, *_: object) -> None:
                """The playground's terminal is for its user."""

        return Handler

    def named(self, pod: str) -> str | None:
        """The name of the process of a pod, the last one of this name."""
        names = [name for name in self._processes.names() if name.rpartition("-")[0] == pod]
        return names[-1] if names else None

    def log(self, name: str, wanted: Mapping[str, str]) -> Iterator[bytes]:
        """What a process has written: its last `tailLines`, and with `follow` what it writes until it ends."""
        with self._processes.log(name).open("rb") as file:
            text = file.read()
            tail = int(wanted.get("tailLines", "-1"))
            yield b"".join(text.splitlines(keepends=True)[-tail:]) if tail > 0 else text if tail else b""
            while wanted.get("follow") == "true" and not self._ending.is_set():
                ended = self._processes.return_code(name) is not None
                yield file.read()
                if ended:
                    return
                time.sleep(_SYNC_SECONDS)


def _variables(pod: Object, container: Object) -> Iterator[tuple[str, str]]:
    fields = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "status.podIP": _LOOPBACK,
    }
    for one in container.get("env") or ():
        yield one["name"], one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]


def _status(pod: Object, running: _Running, code: int | None, *, ready: bool) -> Object:
    restarts = pod["spec"].get("restartPolicy", "Always") == "Always"
    phase = "Running" if code is None or restarts else "Failed" if code else "Succeeded"
    state: Object = {"running": {"startedAt": running.started}}
    if code is not None:
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    flags = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    since = {one["type"]: one for one in pod["status"].get("conditions") or ()}
    return {
        "phase": phase,
        "startTime": running.started if running.told is None else running.told["startTime"],
        "hostIP": _LOOPBACK,
        "podIP": _LOOPBACK,
        "podIPs": [{"ip": _LOOPBACK}],
        "conditions": [_condition(kind, since.get(kind), met=met) for kind, met in flags.items()],
        "containerStatuses": [
            {
                "name": running.container,
                "image": pod["spec"]["containers"][0]["image"],
                "imageID": "",
                "ready": ready,
                "started": code is None,
                "restartCount": running.restarts,
                "state": state,
            }
        ],
    }


def _condition(kind: str, before: Mapping[str, Any] | None, *, met: bool) -> Object:
    status = str(met)
    if before is not None and before["status"] == status:
        return {"type": kind, "status": status, "lastTransitionTime": before["lastTransitionTime"]}
    return {"type": kind, "status": status, "lastTransitionTime": _now()}


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
