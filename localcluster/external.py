"""An existing cluster, reached by its kubeconfig, or a cluster made by kind.

Its own nodes stay as they are; pretended nodes are added by a kwok process on this machine, which minds only nodes
that are marked as pretended.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from localcluster import argo_rollouts, binaries, build, core, karpenter, metrics_server
from localcluster.api import ClusterApi
from localcluster.errors import ClusterError
from localcluster.ports import free_ports
from localcluster.processes import Processes
from localcluster.rest import Rest, RestError

CHOICE = "CLUSTER"
BESIDE = ("kwok", "kubectl")
"""The programs of this machine that are used beside the cluster."""
_KIND_TIMEOUT_SECONDS = 600.0


class ExternalCluster(ClusterApi):
    """Any cluster, with simulated nodes and the features that it shows.

    Usage that drives an HPA, restarts, and webhooks on this host's loopback are not to be had there: tests that need
    them skip.
    """

    def __init__(self, kubeconfig: Path) -> None:
        build.ensure_built(BESIDE)
        self._root = Path(tempfile.mkdtemp(prefix="localcluster-"))
        self._processes = Processes(self._root, remove_when_orphaned=[self._root])
        try:
            features = {"kwok"} | _seen_in(kubeconfig)
            super().__init__(kubeconfig, features=frozenset(features), kubectl=binaries.find("kubectl"))
            self._processes.start(core.kwok_beside(kubeconfig, free_ports(1)[0], binaries.find))
        except BaseException:
            self._remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the pretended nodes that were added here and end the kwok process; the cluster itself stays."""
        self.delete_nodes(self.added_nodes)
        self.rest.close()
        self._remove()

    def _remove(self) -> None:
        self._processes.close()
        shutil.rmtree(self._root, ignore_errors=True)


def _seen_in(kubeconfig: Path) -> set[str]:
    rest = Rest(kubeconfig)
    try:
        return visible_features(rest.get)
    finally:
        rest.close()


def visible_features(get: Callable[[str], Any]) -> set[str]:
    """What a cluster shows of itself: `get` gives the object at a path, or raises ``RestError``."""
    found = set()
    with suppress(RestError):
        get(karpenter.NODE_CLASSES)
        found.add("karpenter")
    with suppress(RestError):
        get(argo_rollouts.ROLLOUTS)
        found.add("argo-rollouts")
    with suppress(RestError):
        conditions = get(metrics_server.API_SERVICE).get("status", {}).get("conditions") or []
        if any(one["type"] == "Available" and one["status"] == "True" for one in conditions):
            found.add("metrics-server")
    return found


@contextmanager
def kind_cluster() -> Iterator[ExternalCluster]:
    """A cluster made by kind for the length of the block. Raises ``ClusterError`` if there is no kind."""
    program = shutil.which("kind")
    if program is None:
        raise ClusterError(f"{CHOICE}=kind needs the program kind (https://kind.sigs.k8s.io) and a container runtime")
    name = f"localcluster-{uuid.uuid4().hex[:6]}"
    with tempfile.TemporaryDirectory(prefix="localcluster-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        at = ["--name", name, "--kubeconfig", str(kubeconfig)]
        try:
            subprocess.run(
                [program, "create", "cluster", *at, "--wait", "120s"], check=True, timeout=_KIND_TIMEOUT_SECONDS
            )
            with ExternalCluster(kubeconfig) as cluster:
                yield cluster
        except subprocess.CalledProcessError as error:
            raise ClusterError(f"kind create cluster ended with {error.returncode}") from error
        finally:
            subprocess.run([program, "delete", "cluster", *at], check=False, timeout=_KIND_TIMEOUT_SECONDS)


@contextmanager
def from_environment() -> Iterator[ExternalCluster | None]:
    """The cluster that ``CLUSTER`` names: ``local`` or unset (None), ``kind``, or ``external`` with ``KUBECONFIG``."""
    choice = os.environ.get(CHOICE, "local")
    if choice == "local":
        yield None
    elif choice == "kind":
        with kind_cluster() as made:
            yield made
    elif choice == "external":
        path = os.environ.get("KUBECONFIG")
        if not path:
            raise ClusterError(f"{CHOICE}=external needs KUBECONFIG")
        with ExternalCluster(Path(path)) as given:
            yield given
    else:
        raise ClusterError(f"{CHOICE}={choice}: there are local, kind and external")
