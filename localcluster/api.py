"""The API that tests, benches and the demo use on a cluster of local processes, of kind, or of any kubeconfig."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from localcluster import karpenter, nodes
from localcluster.errors import ClusterError, FeatureMissing
from localcluster.rest import Object, Rest, RestError

T = TypeVar("T")

DEFAULT_WAIT_SECONDS = 180.0
"""A wait ends as soon as its answer comes; only one that never comes takes so long, and a busy machine is slow."""
_NOT_USABLE = ("node.kubernetes.io/not-", "node.kubernetes.io/unreachable")
"""What the keys of the taints of a node begin with that is not ready, or was not a moment ago."""
_POLL_SECONDS = 0.1
_UNREADY = {"status": "False", "reason": "NodeNotReady"}


class ClusterApi:
    """A cluster that is up. ``rest`` is a plain client with the administrator's rights."""

    def __init__(self, kubeconfig: Path, *, features: frozenset[str], kubectl: Path | str = "kubectl") -> None:
        self.kubeconfig = kubeconfig
        self.features = features
        self.rest = Rest(kubeconfig)
        self._kubectl = str(kubectl)
        self._pool_sizes: dict[str, int] = {}
        self.added_nodes: set[str] = set()

    def require(self, *features: str) -> None:
        """Raise ``FeatureMissing`` unless the cluster has them all."""
        missing = sorted(set(features) - self.features)
        if missing:
            raise FeatureMissing(
                f"this cluster has no {', '.join(missing)} (it has {', '.join(sorted(self.features))})"
            )

    def kubectl(self, *args: str, stdin: str | None = None, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> str:
        """Run kubectl; its standard output. Raises ``ClusterError`` with what it said if it fails."""
        argv = [self._kubectl, f"--kubeconfig={self.kubeconfig}", *args]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, objects: str | Path | Object | Iterable[Object], *args: str) -> str:
        """``kubectl apply`` of YAML text, a file or folder, one object, or several."""
        if isinstance(objects, Path):
            return self.kubectl("apply", "-f", str(objects), *args)
        return self.kubectl("apply", "-f", "-", *args, stdin=_yaml(objects))

    def delete(self, objects: str | Object | Iterable[Object], *args: str) -> str:
        """``kubectl delete`` of the same; what is gone already is no error."""
        return self.kubectl("delete", "--ignore-not-found", "-f", "-", *args, stdin=_yaml(objects))

    # Nodes

    def add_nodes(
        self,
        pool: str = "fixed",
        count: int = 1,
        *,
        zones: Sequence[str] = nodes.ZONES,
        cpu: str = "8",
        memory: str = "32Gi",
        pods: int = 110,
        labels: Mapping[str, str] | None = None,
        taints: Iterable[nodes.Taint] = (),
        annotations: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> list[str]:
        """Add ``count`` machines labelled ``pool=<pool>``, dealt to the zones in turn; returns their names."""
        self.require("kwok")
        first = max(self._pool_sizes.get(pool, 0), self._next_index(pool))
        self._pool_sizes[pool] = first + count
        named = nodes.node_names(pool, count, zones, first=first)
        taints = tuple(taints)
        self.rest.create_all(
            "/api/v1/nodes",
            [
                nodes.node(
                    name,
                    pool=pool,
                    zone=zone,
                    cpu=cpu,
                    memory=memory,
                    pods=pods,
                    labels=labels or {},
                    taints=taints,
                    annotations=annotations,
                )
                for name, zone in named
            ],
        )
        names = [name for name, _ in named]
        self.added_nodes.update(names)
        if wait:
            self.wait_nodes_ready(names)
        return names

    def add_virtual_nodes(
        self,
        pool: str = "virtual",
        count: int = 1,
        *,
        provider: str = "eci",
        zones: Sequence[str] = nodes.ZONES,
        cpu: str = "1000",
        memory: str = "4000Gi",
        pods: int = 5000,
        labels: Mapping[str, str] | None = None,
        taints: Iterable[nodes.Taint] = (),
        wait: bool = True,
    ) -> list[str]:
        """Add virtual nodes: labels ``type=virtual-kubelet``, ``provider=<provider>``, its NoSchedule taint."""
        return self.add_nodes(
            pool,
            count,
            zones=zones,
            cpu=cpu,
            memory=memory,
            pods=pods,
            labels={**nodes.virtual_labels(provider), **(labels or {})},
            taints=[nodes.virtual_taint(provider), *taints],
            wait=wait,
        )

    def _next_index(self, pool: str) -> int:
        """One more than the last of the pool's nodes that are there, whoever added them."""
        items = self.rest.items("/api/v1/nodes", labelSelector=f"{nodes.POOL_LABEL}={pool}")
        indexes = [item["metadata"]["name"].rpartition("-")[2] for item in items]
        return max((int(index) + 1 for index in indexes if index.isdecimal()), default=0)

    def delete_nodes(self, names: Iterable[str]) -> None:
        """Delete nodes, with the pods on them at once (the garbage collector would take most of a minute)."""
        doomed = set(names)
        if not doomed:
            return
        self.added_nodes -= doomed
        pods = [pod for pod in self.rest.items("/api/v1/pods") if pod["spec"].get("nodeName") in doomed]
        self.rest.delete_all(f"/api/v1/nodes/{name}" for name in doomed)
        self.rest.delete_all(
            f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}" for pod in pods
        )

    def fail_nodes(self, names: Iterable[str]) -> None:
        """Let nodes fail together: they become not ready, and stay so until ``heal_nodes``.

        Written is what the node lifecycle controller writes once it has not heard of a kubelet for long enough: the
        nodes are Unknown, their pods unready (here without its patience, `--node-monitor-grace-period`).
        """
        self.require("kwok")
        doomed = list(names)
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        dead = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": since}
        pods = [pod for pod in self.rest.items("/api/v1/pods") if pod["spec"].get("nodeName") in set(doomed)]
        with ThreadPoolExecutor(8) as pool:
            # kwok must stop managing them first, because it makes nodes ready again.
            list(pool.map(lambda name: self._mark_failed(name, "true"), doomed))
            list(pool.map(lambda name: self._set_condition(f"/api/v1/nodes/{name}", dead), doomed))
            list(pool.map(lambda path: self._set_condition(path, dead | _UNREADY), map(_path, pods)))

    def heal_nodes(self, names: Iterable[str]) -> None:
        """Bring nodes back that ``fail_nodes`` let die."""
        for name in names:
            self._mark_failed(name, None)

    def _mark_failed(self, name: str, value: str | None) -> None:
        self.rest.merge(f"/api/v1/nodes/{name}", {"metadata": {"annotations": {nodes.FAILED: value}}})

    def _set_condition(self, path: str, condition: Object) -> None:
        body = {"status": {"conditions": [condition]}}
        with _missing_ok():
            self.rest.raw("PATCH", f"{path}/status", body=body, content_type="application/strategic-merge-patch+json")

    def wait_nodes_ready(self, names: Iterable[str], *, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        """Until every node of these names is Ready, and the node lifecycle controller knows it: it has lost its taints.

        Before that, this controller may still mark pods on a node that was healed as not ready, which kwok never mends.
        """
        wanted = set(names)

        def ready() -> bool:
            return wanted <= {item["metadata"]["name"] for item in self.rest.items("/api/v1/nodes") if _usable(item)}

        self.wait_until(ready, f"{len(wanted)} nodes ready", timeout_seconds=timeout_seconds)

    def add_karpenter_pool(
        self,
        name: str = "elastic",
        *,
        zones: Sequence[str] = nodes.ZONES,
        labels: Mapping[str, str] | None = None,
        taints: Iterable[nodes.Taint] = (),
        cpus: Sequence[int] = (4,),
        consolidation: str = "WhenEmpty",
        consolidate_after: str = "5s",
        limit_cpu: int | None = None,
    ) -> None:
        """Add a Karpenter NodePool: machines of ``cpus`` CPUs labelled ``pool=<name>`` come for pending pods.

        With ``WhenEmpty`` one goes ``consolidate_after`` its last pod left.
        """
        self.require("karpenter")
        pool = karpenter.node_pool(
            name,
            zones=zones,
            labels=labels or {},
            taints=taints,
            cpus=cpus,
            consolidation=consolidation,
            consolidate_after=consolidate_after,
            limit_cpu=limit_cpu,
        )
        self.rest.create(karpenter.NODE_POOLS, pool)

    # Namespaces and identities

    def create_namespace(self, name: str | None = None, *, labels: Mapping[str, str] | None = None) -> str:
        """A namespace ready for pods (its default ServiceAccount exists); a unique name if none is given."""
        name = name or f"t-{uuid.uuid4().hex[:8]}"
        self.rest.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
        self.wait_until(
            lambda: self.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"),
            f"the default ServiceAccount of {name}",
        )
        return name

    @contextmanager
    def namespace(self, *, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """A namespace for the length of the block. Its removal is begun, not awaited."""
        name = self.create_namespace(labels=labels)
        try:
            yield name
        finally:
            self.rest.delete(f"/api/v1/namespaces/{name}")

    def service_account_token(self, namespace: str, name: str, *, seconds: int = 86400) -> str:
        """A token of an existing ServiceAccount, as a pod would be given one."""
        answer = self.rest.create(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )
        return str(answer["status"]["token"])

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path) -> Path:
        """Write a kubeconfig to ``path`` that acts as this ServiceAccount, with its rights and no more."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        token = self.service_account_token(namespace, name)
        current = next(entry for entry in config["contexts"] if entry["name"] == config["current-context"])
        config["users"] = [{"name": name, "user": {"token": token}}]
        config["contexts"] = [current | {"context": {"cluster": current["context"]["cluster"], "user": name}}]
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    # Looking and waiting

    def exists(self, path: str) -> bool:
        """Whether the API server has an object at this path."""
        try:
            self.rest.raw("GET", path)
        except RestError as error:
            if error.status == 404:
                return False
            raise
        return True

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Pods of a namespace that are not being deleted."""
        params = {"labelSelector": selector} if selector else {}
        items = self.rest.items(f"/api/v1/namespaces/{namespace}/pods", **params)
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    def wait_pods_ready(
        self, namespace: str, count: int, selector: str = "", *, timeout_seconds: float = DEFAULT_WAIT_SECONDS
    ) -> list[Object]:
        """Until exactly ``count`` pods are there and all are ready; returns them."""
        found: list[Object] = []

        def ready() -> bool:
            found[:] = self.pods(namespace, selector)
            return len(found) == count and all(_condition(pod, "Ready") for pod in found)

        self.wait_until(ready, f"{count} ready pods in {namespace}", timeout_seconds=timeout_seconds)
        return found

    def wait_established(self, definitions: Iterable[str], *, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        """Wait until the API server serves these CustomResourceDefinitions.

        `kubectl wait` ends with an error where a definition has no condition yet.
        """
        names = list(definitions)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

        def established() -> bool:
            return all(_condition(self.rest.get(f"{path}/{name}"), "Established") for name in names)

        self.wait_until(established, f"{', '.join(names)} to be established", timeout_seconds=timeout_seconds)

    def set_usage(self, namespace: str, pods: Iterable[str], *, cpu: str) -> None:
        """Simulate that each of these pods uses this much CPU (of all its containers)."""
        for pod in pods:
            self.rest.merge(
                f"/api/v1/namespaces/{namespace}/pods/{pod}", {"metadata": {"annotations": {nodes.USAGE_CPU: cpu}}}
            )

    def wait_until(self, check: Callable[[], T], what: str, *, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> T:
        """Ask until the answer is truthy and return it; a refusal or an unreachable server counts as "not yet"."""
        deadline = time.monotonic() + timeout_seconds
        trouble: Exception | None = None
        while True:
            try:
                if answer := check():
                    return answer
                trouble = None
            except (RestError, OSError) as error:
                trouble = error
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"waited {timeout_seconds:g} s without success for {what}{_because(trouble)}"
                ) from trouble
            time.sleep(_POLL_SECONDS)


@contextmanager
def _missing_ok() -> Iterator[None]:
    """What is gone already needs no change."""
    try:
        yield
    except RestError as error:
        if error.status != 404:
            raise


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _because(error: Exception | None) -> str:
    return f" ({error})" if error else ""


def _condition(item: Object, kind: str) -> bool:
    conditions: list[Any] = item.get("status", {}).get("conditions") or []
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _usable(item: Object) -> bool:
    taints: list[Any] = item["spec"].get("taints") or []
    return _condition(item, "Ready") and not any(taint["key"].startswith(_NOT_USABLE) for taint in taints)


def _yaml(objects: str | Object | Iterable[Object]) -> str:
    if isinstance(objects, str):
        return objects
    several = [objects] if isinstance(objects, dict) else list(objects)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": several})
