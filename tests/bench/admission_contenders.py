"""The contenders of `bench_admission`, and what the machine and each process spend while one of them answers.

*none*: no webhook at all. *noop*: a webhook in Go that allows everything, with the very rules of the chart: the floor
of what any webhook costs. *spillway*: the operator. All three are installed all the time and the operator follows the
cluster in each slice; only which webhook is called changes, by the namespace selectors of the two configurations.
"""

import base64
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psutil

from harness.operator import Installation
from localcluster.binaries import find
from localcluster.layout import LOOPBACK
from localcluster.ports import free_ports
from localcluster.processes import Process
from tests.bench.admission_cluster import AdmissionCluster
from tests.bench.ran_on import cpu_seconds
from tests.support.certificates import write_certificates

CONTENDERS: Final = ("none", "noop", "spillway")
_CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_NAMES: Final = {"noop": "bench-noop", "spillway": "spillway"}
_NODES: Final = "nodes.spillway.dev"
"""The webhook of nodes, which no load here calls and no namespace selector can switch."""
_PROPAGATION_SECONDS: Final = 1.5
"""The API server follows its webhook configurations by a watch."""


@dataclass(frozen=True)
class Spent:
    """CPU seconds of each process, and of the whole machine, between two readings or since the start."""

    by_process: Mapping[str, float]
    idle: float
    total: float

    def __sub__(self, other: Self) -> "Spent":
        processes = {name: seconds - other.by_process[name] for name, seconds in self.by_process.items()}
        return Spent(processes, self.idle - other.idle, self.total - other.total)

    @property
    def idle_percent(self) -> float:
        return 100 * self.idle / self.total


class Contenders:
    """Switches between the webhooks and reads the clocks of the processes behind them."""

    def __init__(self, cluster: AdmissionCluster, operator: Installation, noop_pid: int) -> None:
        self._rest = cluster.api.rest
        leader = operator.wait_leader()
        self._processes = {
            "api_server": _process(cluster.processes.pid("kube-apiserver")),
            "noop": psutil.Process(noop_pid),
            "leader": _process(operator.pid(leader)),
        } | {
            f"follower-{index}" if len(operator.running) > 2 else "follower": _process(operator.pid(index))
            for index in operator.running
            if index != leader
        }

    def switch(self, contender: str) -> None:
        """Let only this contender's webhooks be called; returns once the API server has seen it."""
        for name, configuration in _NAMES.items():
            self._enable(configuration, on=name == contender)
        time.sleep(_PROPAGATION_SECONDS)

    def spent(self) -> Spent:
        """CPU seconds until now."""
        seconds = {name: cpu_seconds(process) for name, process in self._processes.items()}
        machine = psutil.cpu_times()
        return Spent(seconds, machine.idle + machine.iowait, sum(machine[:8]))

    def _enable(self, configuration: str, *, on: bool) -> None:
        path = f"{_CONFIGURATIONS}/{configuration}"
        patch = [
            {
                "op": "add",
                "path": f"/webhooks/{index}/namespaceSelector",
                "value": {
                    "matchExpressions": (webhook.get("namespaceSelector") or {}).get("matchExpressions", []),
                    "matchLabels": {} if on else {"bench/none": "has-it"},
                },
            }
            for index, webhook in enumerate(self._rest.get(path)["webhooks"])
            if webhook["name"] != _NODES
        ]
        self._rest.raw("PATCH", path, body=patch, content_type="application/json-patch+json")


def start_noop(stack: ExitStack, cluster: AdmissionCluster, folder: Path) -> int:
    """Start the webhook that allows everything, and register it, not called yet; its process id."""
    files = write_certificates(folder, "localhost", LOOPBACK)
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    argv = [str(find("noop-webhook")), address, str(files.certificate), str(files.key)]
    pid = cluster.processes.start(Process("noop-webhook", argv))
    stack.callback(cluster.processes.end, "noop-webhook", kill=True)
    authority = base64.b64encode(files.ca.read_bytes()).decode()
    webhooks: list[dict[str, Any]] = [
        {
            **webhook,
            "name": webhook["name"].replace("spillway.dev", "noop.spillway.dev"),
            "clientConfig": {"url": f"https://{address}{webhook['clientConfig']['service']['path']}"}
            | {"caBundle": authority},
            "namespaceSelector": {"matchLabels": {"bench/none": "has-it"}},
        }
        for webhook in cluster.api.rest.get(f"{_CONFIGURATIONS}/{_NAMES['spillway']}")["webhooks"]
        if webhook["name"] != _NODES
    ]
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    body = {**meta, "metadata": {"name": _NAMES["noop"]}, "webhooks": webhooks}
    cluster.api.rest.create(_CONFIGURATIONS, body)
    return pid


def _process(pid: int | None) -> psutil.Process:
    if pid is None:
        raise SystemExit("a process that is measured has ended")
    return psutil.Process(pid)
