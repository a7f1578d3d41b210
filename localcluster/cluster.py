"""A cluster of local processes."""

import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from localcluster import argo_rollouts, binaries, cluster_autoscaler, core, karpenter, keda, metrics_server, prometheus
from localcluster.api import ClusterApi
from localcluster.build import ensure_built
from localcluster.errors import ClusterError
from localcluster.layout import LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Process, Processes
from localcluster.rest import Object, Rest

_START_TRIES = 3
_POLL_SECONDS = 0.05
_LOG_TAIL_LINES = 15


class Cluster(ClusterApi):
    """A control plane owned by this process: it ends with it.

    Use it as a context manager, or call ``stop``. Everything it writes is in one folder, ``root``, removed by ``stop``
    unless the logs are to be kept.
    """

    def __init__(self, options: Options | None = None, *, root: Path | None = None) -> None:
        self.options = options or Options()
        ensure_built(self.options.programs)
        for attempt in range(_START_TRIES):
            self.root = root or Path(tempfile.mkdtemp(prefix="localcluster-"))
            self.layout = Layout(self.root)
            self._processes = Processes(self.layout.logs, remove_when_orphaned=[self.layout.data])
            try:
                self._start()
                break
            except BaseException as error:
                taken = self._port_was_taken()
                self._processes.close()
                if not taken or attempt + 1 == _START_TRIES or not isinstance(error, ClusterError):
                    raise
                shutil.rmtree(self.root)
        super().__init__(self.layout.kubeconfig, features=self.options.features, kubectl=self.options.find("kubectl"))

    @property
    def logs_dir(self) -> Path:
        return self.layout.logs

    @property
    def audit_log(self) -> Path:
        """One JSON object a line (``audit.k8s.io/v1`` Event)."""
        return self.layout.audit_log

    @property
    def etcd_url(self) -> str:
        """Where etcd answers without credentials, its JSON gateway (``/v3/kv/…``) included: for seeding at scale."""
        return f"http://{LOOPBACK}:{self.layout.ports.etcd}"

    @property
    def supervisor_pid(self) -> int:
        return self._processes.supervisor_pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(keep_logs=error is not None)

    # Start and stop

    def _start(self) -> None:
        deadline = time.monotonic() + self.options.start_timeout_seconds
        layout, options, find = self.layout, self.options, self.options.find
        self._processes.start(core.etcd(layout, find))
        self._processes.start(core.api_server(layout, options, find))
        self._wait_served(["/readyz"], deadline)
        for process in (
            core.controller_manager(layout, options, find),
            core.scheduler(layout, options, find),
            core.kwok(layout, options, find),
        ):
            self._processes.start(process)
        self._start_optional(deadline)
        # The controllers work once they have made it, and a pod needs it.
        self._wait_served(["/api/v1/namespaces/default/serviceaccounts/default"], deadline)

    def _start_optional(self, deadline: float) -> None:
        layout, options, find = self.layout, self.options, self.options.find
        rest = Rest(layout.kubeconfig)
        if options.metrics_server:
            for path, body in metrics_server.objects(layout).items():
                rest.create(path, body)
            self._processes.start(metrics_server.process(layout, options, find))
        self._start_node_autoscalers(rest, deadline)
        if options.argo_rollouts:
            self._create_kinds(rest, argo_rollouts.NAME, [argo_rollouts.ROLLOUTS], deadline)
            self._processes.start(argo_rollouts.process(layout, find))
        if options.keda:
            kinds = [keda.SCALED_OBJECTS, keda.TRIGGER_AUTHENTICATIONS]
            self._create_kinds(rest, keda.OPERATOR, kinds, deadline)
            for path, body in keda.objects(layout).items():
                rest.create(path, body)
            self._processes.start(keda.operator(layout, find))
            self._processes.start(keda.adapter(layout, find))
        if options.prometheus:
            self._processes.start(prometheus.process(layout, options, find))
        # An aggregated API that is registered but away holds up discovery and the removal of namespaces.
        if options.metrics_server:
            self._wait_served([metrics_server.API], deadline)
        if options.keda:
            self._wait_served([keda.API], deadline)
        rest.close()

    def _start_node_autoscalers(self, rest: Rest, deadline: float) -> None:
        layout, options, find = self.layout, self.options, self.options.find
        if options.karpenter:
            self._create_kinds(rest, karpenter.NAME, [karpenter.NODE_POOLS, karpenter.NODE_CLASSES], deadline)
            node_class = karpenter.node_class(startup_seconds=options.node_startup_seconds)
            rest.create(karpenter.NODE_CLASSES, node_class)
            self._processes.start(karpenter.process(layout, options, find))
        if options.cluster_autoscaler:
            for path, bodies in cluster_autoscaler.objects(options.cluster_autoscaler).items():
                rest.create_all(path, bodies)
            self._processes.start(cluster_autoscaler.process(layout, options, find))

    def _create_kinds(self, rest: Rest, program: str, paths: Sequence[str], deadline: float) -> None:
        """Create the kinds that came with a program, and wait until the API server serves these."""
        definitions = binaries.custom_resource_definitions(program)
        rest.create_all("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definitions)
        self._wait_served(paths, deadline)

    def _wait_served(self, paths: Sequence[str], deadline: float) -> None:
        """Until the API server answers all of these; fails early when a component has ended."""
        rest = Rest(self.layout.kubeconfig)
        while not all(map(rest.answers, paths)):
            self._check_alive()
            if time.monotonic() > deadline:
                raise ClusterError(f"waited without success for {', '.join(paths)}\n{self.log_tails()}")
            time.sleep(_POLL_SECONDS)
        rest.close()

    def _check_alive(self) -> None:
        for name in self._processes.names():
            if (code := self._processes.return_code(name)) is not None:
                raise ClusterError(f"{name} ended with {code}\n{self.log_tails([name])}")

    def _port_was_taken(self) -> bool:
        return any(
            b"address already in use" in self._processes.log(name).read_bytes()
            for name in self._processes.names()
            if self._processes.log(name).exists()
        )

    def stop(self, *, keep_logs: bool = False) -> None:
        """Kill everything; remove the folder, or all of it but the logs."""
        self.rest.close()
        self._processes.close()
        if keep_logs:
            shutil.rmtree(self.layout.data, ignore_errors=True)
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    # Faults

    def components(self) -> tuple[str, ...]:
        return self._processes.names()

    def restart(self, component: str, *, kill: bool = False, wait: bool = True) -> None:
        """End a component (SIGTERM, or SIGKILL with ``kill``) and start it with the same ports and data."""
        self._processes.restart(component, kill=kill)
        if wait and component in {"kube-apiserver", "etcd"}:
            self._wait_served(["/readyz"], time.monotonic() + self.options.start_timeout_seconds)

    def use_scheduler_extenders(self, *extenders: Mapping[str, Any]) -> None:
        """Restart the scheduler with these ``extenders`` (`Options.scheduler_extenders`), for one that starts later."""
        self.options = replace(self.options, scheduler_extenders=extenders)
        core.scheduler(self.layout, self.options, self.options.find)
        self.restart("kube-scheduler")

    def use_cluster_autoscaler_flags(self, *flags: str) -> None:
        """Restart cluster-autoscaler with these flags (`Options.cluster_autoscaler_flags`); its nodes stay."""
        self.require(cluster_autoscaler.NAME)
        self.options = replace(self.options, cluster_autoscaler_flags=flags)
        self._processes.end(cluster_autoscaler.NAME, kill=True)
        self._processes.start(cluster_autoscaler.process(self.layout, self.options, self.options.find))

    def end(self, component: str, *, kill: bool = False) -> None:
        """End a component until ``restart``."""
        self._processes.end(component, kill=kill)

    def pause(self, component: str) -> None:
        """Freeze a component (SIGSTOP): its connections stay open and silent."""
        self._processes.send(component, signal.SIGSTOP)

    def resume(self, component: str) -> None:
        self._processes.send(component, signal.SIGCONT)

    def pid(self, component: str) -> int | None:
        return self._processes.pid(component)

    def start_process(self, name: str, argv: Sequence[str], env: dict[str, str] | None = None) -> int:
        """Run another program beside the components; its end, log, ``restart`` and ``pause`` are as theirs."""
        return self._processes.start(Process(name, argv, env or {}))

    # Prometheus

    @property
    def prometheus_url(self) -> str:
        self.require("prometheus")
        return f"http://{LOOPBACK}:{self.layout.ports.prometheus}"

    def prometheus_query(self, expression: str) -> list[Object]:
        """An instant query: the result vector."""
        self.require("prometheus")
        return prometheus.query(self.layout.ports.prometheus, expression)

    def scrape(self, name: str, targets: Sequence[str], labels: Mapping[str, str] | None = None) -> None:
        """Have Prometheus scrape ``host:port`` targets as job ``name`` from now on (again: replaces them)."""
        self.require("prometheus")
        prometheus.write_targets(prometheus.targets_dir(self.layout), name, targets, labels or {})

    # Logs

    def log(self, component: str) -> Path:
        return self._processes.log(component)

    def log_tails(self, components: Sequence[str] | None = None, *, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines of each component's log."""
        parts = []
        for name in components or self._processes.names():
            path = self._processes.log(name)
            tail = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
            parts.append("\n".join([f"--- {path}", *tail]))
        return "\n".join(parts)
