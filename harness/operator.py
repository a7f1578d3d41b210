"""An installation of the chart in a cluster, with the operator as local processes.

Contract: the processes have exactly the chart's permissions. They share one webhook port (`SO_REUSEPORT`), to which the
chart's Service, of type ExternalName, leads the API server. They end with their owner, even if it is killed; their logs
are files in `Installation.folder`.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from harness.chart import PROJECT, Chart
from harness.reach import listen_flags, webhook_host
from harness.samples import Samples
from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi, ClusterError
from localcluster.ports import free_ports
from localcluster.processes import Process, Processes
from localcluster.rest import Object, RestError

NAMESPACE: Final = "spillway-system"
NAME: Final = "spillway"
READER: Final = "spillway-reader"
"""The chart's ClusterRole for readers, and a ServiceAccount that has it here."""

_REPLACED_KINDS: Final = ("Deployment", "PodDisruptionBudget")
"""kwok would simulate the pods; the processes take their place."""
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 60.0


class Installation:
    """Spillway in one cluster: the chart's objects, and any number of operator processes."""

    def __init__(
        self,
        cluster: ClusterApi,
        values: Mapping[str, Any] | None = None,
        *,
        flags: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.cluster = cluster
        self.namespace = NAMESPACE
        self.webhook_port, self.metrics_api_port, self.keda_port, self.extender_port, self.explain_port = free_ports(5)
        self.values: Final = self._values(values or {})
        """The chart's values, which lead the API server to the processes."""
        self.chart = Chart.render(self.values, namespace=NAMESPACE)
        self.folder = folder or Path(tempfile.mkdtemp(prefix="spillway-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self._keep_folder = folder is not None
        self._flags = tuple(flags)
        self._served = tuple(self._serving_flags(values or {}))
        self._env = {
            **(env or {}),
            "PYTHONPATH": str(PROJECT / "operator"),
            "PYTHONUNBUFFERED": "1",
            # A process that is killed leaves its temporary files.
            "TMPDIR": str(self.folder),
        }
        self.reader_token = ""
        """Of a ServiceAccount that may read `/debug/plans` and `/metrics`; there once the chart is applied."""
        self._processes = Processes(self.folder)
        self._metrics_ports: dict[int, int] = {}
        self._pods: dict[int, str] = {}

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        # The chart is rendered as `helm template` does, and its hook is run by `restore`.
        values = {"restoreOnUninstall": {"render": "Always"}, **values}
        webhook = values.get("webhook", {})
        if not webhook.get("enabled", True):
            return dict(values)
        service = {"type": "ExternalName", "externalName": webhook_host(self.cluster), "port": self.webhook_port}
        found = {**values, "webhook": {**webhook, "service": service}}
        ports = {
            "externalMetrics": self.metrics_api_port,
            "kedaScaler": self.keda_port,
            "schedulerExtender": self.extender_port,
            "explainApi": self.explain_port,
        }
        for name, port in ports.items():
            if _enabled(values, name):
                found[name] = {**values[name], "servicePort": port}
        return found

    def _serving_flags(self, values: Mapping[str, Any]) -> Iterator[str]:
        if (timeout := values.get("webhook", {}).get("timeoutSeconds")) is not None:
            yield f"--webhook-timeout-seconds={timeout}"
        if _enabled(values, "externalMetrics"):
            yield from ("--external-metrics", f"--external-metrics-port={self.metrics_api_port}")
        if _enabled(values, "kedaScaler"):
            yield from ("--keda-scaler", f"--keda-scaler-port={self.keda_port}")
        if _enabled(values, "report"):
            yield "--report-page"
        if _enabled(values, "schedulerExtender"):
            yield from ("--scheduler-extender", f"--scheduler-extender-port={self.extender_port}")
        if _enabled(values, "explainApi"):
            yield from ("--explain-api", f"--explain-api-port={self.explain_port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep_logs=error is not None)

    # The chart's objects

    def apply(self) -> None:
        """Install the chart's objects and write the ServiceAccount's kubeconfig."""
        self._apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
        crds = self.chart.kinds("CustomResourceDefinition")
        self._apply(crds)
        self.cluster.wait_established(crd["metadata"]["name"] for crd in crds)
        self._apply(self.chart.without("CustomResourceDefinition", *_REPLACED_KINDS))
        self.identify()
        self._apply(_reader())
        self.reader_token = self.cluster.service_account_token(NAMESPACE, READER)

    def identify(self) -> None:
        """Let the processes be the chart's ServiceAccount, which has to exist."""
        self.cluster.service_account_kubeconfig(NAMESPACE, NAME, self.kubeconfig)

    def _apply(self, objects: list[Object]) -> None:
        if objects:
            self.cluster.apply(objects, "--server-side", "--force-conflicts")

    def restore(self, *flags: str, timeout_seconds: float = 60.0) -> str:
        """Run `spillway restore` as the pre-delete hook does, under the hook's rights; what it printed."""
        rights = self.chart.hooks(
            "pre-delete", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"
        )
        self._apply(rights)
        kubeconfig = self.folder / "restore-kubeconfig"
        account = next(item["metadata"]["name"] for item in rights if item["kind"] == "ServiceAccount")
        self.cluster.service_account_kubeconfig(NAMESPACE, account, kubeconfig)
        try:
            done = subprocess.run(
                [*_command(), "restore", "--yes", "--kubeconfig", str(kubeconfig), *flags],
                env={**os.environ, **self._env},
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
        finally:
            self.cluster.delete(rights, "--wait=false")
        if done.returncode:
            raise ClusterError(f"spillway restore ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def uninstall(self) -> None:
        """Stop, restore and delete, as `helm uninstall` does: the CRDs stay."""
        self.stop()
        self.restore(f"--forget={NAMESPACE}/{NAME}")
        objects = self.chart.without("CustomResourceDefinition", *_REPLACED_KINDS)
        self.cluster.delete([*objects, *_reader()], "--wait=false")

    # The processes

    def start(self, count: int = 2) -> None:
        """Start processes 0 to `count` - 1; they are not ready yet (`wait_ready`)."""
        for index in range(count):
            self.start_one(index)

    def start_one(
        self,
        index: int,
        *,
        kubeconfig: Path | None = None,
        flags: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start one process, or restart one that was killed. `flags` are added to the installation's."""
        if index not in self._metrics_ports:
            [self._metrics_ports[index]] = free_ports(1)
        argv = [
            *_command(),
            "run",
            f"--kubeconfig={kubeconfig or self.kubeconfig}",
            f"--namespace={NAMESPACE}",
            f"--webhook-port={self.webhook_port}",
            f"--metrics-port={self._metrics_ports[index]}",
            "--peer-port=0",
            # No Endpoints move here: the processes share one port, and whoever is left answers.
            "--drain-seconds=0.5",
            f"--lease-name={NAME}",
            *listen_flags(),
            *self._served,
            *self._flags,
            *flags,
        ]
        # As with pods no name comes twice: a Lease may outlive the process that held it.
        pod = self._pods[index] = f"{_name(index)}-{secrets.token_hex(3)}"
        self._processes.start(Process(_name(index), argv, {**self._env, "POD_NAME": pod, **(env or {})}))

    @property
    def running(self) -> tuple[int, ...]:
        """Indexes of the processes that run."""
        return tuple(index for index in self._metrics_ports if self.pid(index) is not None)

    def pid(self, index: int) -> int | None:
        return self._processes.pid(_name(index))

    def return_code(self, index: int) -> int | None:
        """None while it runs."""
        return self._processes.return_code(_name(index))

    def log(self, index: int) -> Path:
        return self._processes.log(_name(index))

    def kill(self, index: int, number: signal.Signals = signal.SIGKILL, *, wait: bool = True) -> None:
        """Send a signal; wait for the end unless it is one that does not end a process."""
        self._processes.send(_name(index), number)
        if wait and number not in (signal.SIGSTOP, signal.SIGCONT):
            self._await(lambda: self.pid(index) is None, f"the end of {_name(index)}", _STOP_SECONDS)

    def restart(self, index: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill the process and start it again, as the kubelet would."""
        if self.pid(index) is not None:
            self.kill(index, number)
        self.start_one(index)

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL for those that do not end in time."""
        running = self.running
        for index in running:
            self._processes.send(_name(index), signal.SIGTERM)
        for index in running:
            self._processes.end(_name(index), timeout_seconds=_STOP_SECONDS)

    def close(self, *, keep_logs: bool = False) -> None:
        """Kill what runs; remove the folder unless its logs are to be kept."""
        self._processes.close()
        if not keep_logs and not self._keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    # Looking

    def pod(self, index: int) -> str:
        """The name of the process as a pod, with which its identity in the Lease begins."""
        return self._pods[index]

    def metrics_port(self, index: int) -> int:
        """Where the process serves `/metrics`, `/debug/plans` and its health."""
        return self._metrics_ports[index]

    def ready(self, index: int) -> bool:
        """Whether it answers 200 on `/readyz`."""
        try:
            return self._get(index, "/readyz")[0] == 200
        except OSError:
            return False

    def wait_ready(self, *indexes: int, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        """Until these (or all) are ready. Raises `ClusterError` with the logs' tails."""
        wanted = indexes or tuple(self._metrics_ports)

        def check() -> bool:
            self._check_alive(wanted)
            return all(self.ready(index) for index in wanted)

        self._await(check, "operator processes to be ready", timeout_seconds)

    def _check_alive(self, indexes: Iterable[int], *, all_of_them: bool = True) -> None:
        ended = [index for index in indexes if self.pid(index) is None]
        if ended and (all_of_them or not self.running):
            codes = ", ".join(f"{_name(index)} ended with {self.return_code(index)}" for index in ended)
            raise ClusterError(f"{codes}\n{self.log_tails()}")

    def leader(self) -> int | None:
        """The running process that holds the Lease; None while nobody does."""
        try:
            lease = self.cluster.rest.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{NAME}")
        except RestError:
            return None
        holder = lease["spec"].get("holderIdentity") or ""
        return next((index for index in self.running if holder.startswith(f"{self._pods[index]}_")), None)

    def wait_leader(self, *, other_than: int | None = None, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> int:
        """Until a running process (another one) leads; its index."""

        def found() -> bool:
            self._check_alive(self._metrics_ports, all_of_them=False)
            return self.leader() not in (None, other_than)

        self._await(found, "a leader", timeout_seconds)
        leader = self.leader()
        if leader is None:
            raise ClusterError("the leader was lost at once")
        return leader

    def page(self, index: int, path: str) -> str:
        """What one process answers on this path of its metrics port."""
        return self._get(index, path)[1]

    def metrics(self, index: int) -> Samples:
        """One scrape of one process."""
        return Samples.parse(self.page(index, "/metrics"))

    def total(self, name: str, **labels: str) -> float:
        """A counter's sum over all processes that run."""
        return sum(self.metrics(index).total(name, **labels) for index in self.running)

    def plans(self) -> list[Object]:
        """The scale-downs that the running processes planned, oldest first (`/debug/plans`)."""
        plans = [plan for index in self.running for plan in json.loads(self._get(index, "/debug/plans")[1])]
        return sorted(plans, key=lambda plan: plan["at"])

    def log_tails(self, lines: int = 30) -> str:
        """The last lines of each process's log."""
        parts = []
        for index in self._metrics_ports:
            path = self.log(index)
            tail = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
            parts.append("\n".join([f"--- {path}", *tail]))
        return "\n".join(parts)

    def url(self, index: int, path: str) -> str:
        """Where a process answers this path of its metrics port."""
        return f"http://127.0.0.1:{self._metrics_ports[index]}{path}"

    def _get(self, index: int, path: str) -> tuple[int, str]:
        is_probe = path in ("/healthz", "/readyz")
        headers = {} if is_probe else {"Authorization": f"Bearer {self.reader_token}"}
        # A probe of a process that hangs is asked again; a page is read once.
        patience = 5.0 if is_probe else DEFAULT_WAIT_SECONDS
        request = urllib.request.Request(self.url(index, path), headers=headers)  # noqa: S310  # loopback
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:  # noqa: S310  # loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _await(self, check: Callable[[], bool], what: str, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not check():
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {timeout_seconds:g} s without success for {what}\n{self.log_tails()}")
            time.sleep(_POLL_SECONDS)

    def kubeconfig_through(self, port: int, *, scheme: str = "https") -> Path:
        """A kubeconfig of the operator's that reaches the API server through another loopback port (a `Proxy`)."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        for entry in config["clusters"]:
            entry["cluster"]["server"] = f"{scheme}://127.0.0.1:{port}"
        path = self.folder / f"kubeconfig-{port}"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path


def install(
    cluster: ClusterApi,
    values: Mapping[str, Any] | None = None,
    *,
    replicas: int = 2,
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Installation:
    """Install the chart, start `replicas` processes and wait until they are ready."""
    installation = Installation(cluster, values, flags=flags, env=env, folder=folder)
    try:
        installation.apply()
        installation.start(replicas)
        if replicas:
            installation.wait_ready()
    except BaseException:
        installation.close(keep_logs=True)
        raise
    return installation


def _reader() -> list[Object]:
    """A ServiceAccount with the chart's role for readers."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER}
    subject = {"kind": "ServiceAccount", "name": READER, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": READER, "namespace": NAMESPACE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"harness-{READER}"},
            "roleRef": role,
            "subjects": [subject],
        },
    ]


def _enabled(values: Mapping[str, Any], name: str) -> bool:
    return bool(values.get(name, {}).get("enabled"))


def _name(index: int) -> str:
    return f"spillway-{index}"


def _command() -> list[str]:
    return [sys.executable, "-m", "spillway"]
