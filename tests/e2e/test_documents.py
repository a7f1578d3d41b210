"""Every console block of the documents, as a reader runs it: page by page, from top to bottom.

Contract: the pages run one after the other on a playground with the operator, those about Helm on a cluster of their
own, where kwok pretends that the operator's pods run. What a page prints is compared with what the command prints. A
command that cannot run here, or not exactly as the page has it, is listed below with the reason.
"""

import base64
import itertools
import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml

from harness import Installation
from harness.__main__ import HELM_OPTIONS, WELCOME, WELCOME_HELM, playground, playground_for_helm
from harness.operator import NAMESPACE
from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster import Cluster, ClusterApi, ClusterFactory, Options, binaries
from localcluster.nodes import UNSTARTED
from localcluster.ports import free_ports
from tests.support import port_forward
from tests.support.console import PROJECT, Block, Command, Console, blocks, has_keys_of, matches, pages
from tests.support.console_manifests import CART, CERT_MANAGER, SHOP
from tests.support.installed import eventually
from tests.support.prometheus import replicas_series

pytestmark = pytest.mark.xdist_group("documents")

NOT_RUN: Final = {
    "make demo": "takes ten minutes; test_demo.py runs a short one",
    "make build && .venv/bin/python -m demo": "the same, with a third contender",
    "make test": "runs this test",
    "make lint": "`make test` runs it before this test",
    "make unit": "the same",
    "head -3 load.csv": "the user's own recording, which the page describes",
    "spillway forecast load.csv": "the same; tests/unit/cli/test_forecast.py runs it on recordings",
    "head -3 forecast.csv": "what that command writes",
    "spillway backtest --folder demand": "the user's own recordings; tests/unit/cli/test_backtest.py runs it on others",
    "make playground": f"runs until Ctrl-C; the pages use what it starts ({playground.__name__})",
    "kubectl get --raw /api/v1/nodes/NODE/proxy": "kube-apiserver forwards to no loopback address, where kwok is",
    "docker build": "no container engine",
    "docker push": "no container engine",
    "helm test spillway -n spillway-system --logs": "kwok runs no pod; the page adopt.md runs it with a kubelet",
    "kubectl -n spillway-system logs": "kwok's pods have no log",
    "kubectl config view --kubeconfig /etc/kubernetes/scheduler.conf": "a file of kubeadm",
}
"""Commands, by their beginning, that no test runs."""

EXAMPLES: Final = (
    "kubectl get vnb eci-a",
    "kubectl get elasticpolicy online -o jsonpath",
    "kubectl spillway status",
)
"""Commands whose output has numbers and times that are only examples."""

FIELDS: Final = (
    "kubectl get elasticpolicy online -o jsonpath='{.status.forecasts}'",
    "kubectl get elasticpolicy thresholds -o yaml",
    "kubectl get vnb eci-a -o jsonpath='{.status.drain}'",
    "kubectl get vnb eci-a -o jsonpath='{.status.namespaceHealth}'",
)
"""Commands of whose output the page shows some fields."""

FORWARD: Final = "kubectl -n spillway-system port-forward"
"""The beginning of a command that another program takes the place of."""

REFUSED: Final = "kubectl annotate --overwrite deployment cart spillway.dev/threshold=many"
"""The command that shows an error."""


@dataclass(frozen=True)
class Shop:
    """The playground, its console, and a Prometheus with a past."""

    cluster: ClusterApi
    operator: Installation
    console: Console
    prometheus: PushedPrometheus
    local_port: int
    """In place of 8080, which may be in use on this machine."""

    def kubectl(self, *args: str) -> str:
        return self.cluster.kubectl(*args)

    def patch(self, kind: str, name: str, patch: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", f"--patch={patch}")

    def wait(self, what: str, condition: str) -> None:
        self.kubectl("wait", what, f"--for={condition}", "--timeout=180s")


@dataclass(frozen=True)
class Release:
    """A cluster in which Helm installs the chart."""

    cluster: ClusterApi
    console: Console

    def install(self) -> None:
        install_as(self.console, "docs/how-to/install.md")


@pytest.fixture(scope="module")
def shop(cluster_factory: ClusterFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with cluster_factory(Options()) as cluster, prometheus_running() as prometheus:
        cluster.require("loopback-webhooks")
        flags = [f"--prometheus-url={prometheus.url}", "--status-seconds=1"]
        with playground(cluster, flags) as operator:
            console = Console(tmp_path_factory.mktemp("shop"), {"KUBECONFIG": str(cluster.kubeconfig)})
            yield Shop(cluster, operator, console, prometheus, *free_ports(1))


@pytest.fixture(scope="module")
def release(cluster_factory: ClusterFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with cluster_factory(Options()) as cluster:
        cluster.add_nodes("fixed", 2)
        yield Release(cluster, Console(tmp_path_factory.mktemp("release"), {"KUBECONFIG": str(cluster.kubeconfig)}))


@pytest.fixture(scope="module")
def helm_shop(cluster_factory: ClusterFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console of a playground in which Helm installs the operator, and a kubelet runs it."""
    with cluster_factory(HELM_OPTIONS) as cluster:
        cluster.require("loopback-webhooks", "prometheus")
        assert isinstance(cluster, Cluster)
        with playground_for_helm(cluster) as variables:
            folder = tmp_path_factory.mktemp("helm-shop")
            yield Console(folder, {"KUBECONFIG": str(cluster.kubeconfig), **variables})


@pytest.fixture
def elsewhere(tmp_path: Path) -> Console:
    """A console without a cluster; one that a page starts is kept apart from those of the user."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for entry in binaries.cache_dir().iterdir():
        if entry.name != "clusters":
            (cache / entry.name).symlink_to(entry)
    return Console(tmp_path, {"LOCALCLUSTER_CACHE": str(cache)})


def install_as(console: Console, page: str) -> None:
    """Install the chart as the page does, unless it is there."""
    if console.run("helm status spillway -n spillway-system")[0] != 0:
        [command] = [one for one in commands(page) if one.text.startswith("helm install")]
        console.check(command.text, None)


def commands(page: str) -> list[Command]:
    return [command for block in blocks(page) for command in block.commands]


def run(
    block: Block,
    console: Console,
    prepare: Callable[[str], str] = str,
    *,
    left_out: Iterable[str] = NOT_RUN,
) -> None:
    """Run the commands of a block; `prepare` brings about what a command needs, and returns it as it can run here."""
    for command in block.commands:
        if command.text.startswith(tuple(left_out)):
            continue
        text = prepare(command.text)
        if text.startswith("export "):
            console.export(text)
            continue
        fits = None
        if command.text.startswith(FIELDS):
            fits = partial(has_keys_of, command.output)
        elif command.output:
            fits = partial(matches, command.output, masked=command.text.startswith(EXAMPLES))
        try:
            console.check(text, fits, fails=command.text == REFUSED)
        except AssertionError as error:
            shown = "\n".join(command.output)
            raise AssertionError(f"{block.where}: {error}\n--- the page shows\n{shown}") from None


# Pages of the playground


@contextmanager
def pools(shop: Shop) -> Iterator[None]:
    """Two pools, a policy in Enforce, and a Deployment of which four replicas are on the first pool."""
    nodes = [
        name
        for pool, count in (("eci-a", 3), ("tke-b", 1))
        for name in shop.cluster.add_virtual_nodes(pool, count, provider=pool)
    ]
    try:
        shop.cluster.apply(SHOP)
        shop.wait("elp/online", "condition=Ready")
        for pool in ("eci-a", "tke-b"):
            shop.wait(f"vnb/{pool}", "condition=Accepting")
        shop.cluster.apply(CART.replace("NAMESPACE", "default"))
        shop.kubectl("rollout", "status", "deployment/cart", "--timeout=180s")
        shop.wait("vnb/eci-a", "jsonpath={.status.used.pods}=4")
        yield
    finally:
        shop.kubectl("delete", "pdb,pod,deployment", "--all", "--wait=false")
        shop.kubectl("delete", "elp,vnb", "--all")
        eventually(lambda: not shop.cluster.pods("default"), "the end of the pods")
        shop.cluster.delete_nodes(nodes)


@contextmanager
def deployment(shop: Shop) -> Iterator[None]:
    """The operator's Deployment, for commands that name it: kwok pretends that its pods run."""
    shop.cluster.apply(shop.operator.chart.one("Deployment"))
    try:
        yield
    finally:
        shop.kubectl("delete", "deployment", "spillway", "--namespace=spillway-system")


@contextmanager
def thresholds(shop: Shop) -> Iterator[None]:
    """The policy of the example, two workloads that it governs, and a past of one of them."""
    now = datetime.now(UTC).timestamp()
    times = np.arange(now - 3 * 86_400, now, 60.0)
    replicas = np.where(times % 86_400 < 14_400, 40.0, 8.0)
    shop.prometheus.push([(replicas_series("Deployment/shop/cart"), times, replicas)])
    example = (PROJECT / "examples/10-thresholds.yaml").read_text()
    cart = CART.replace("NAMESPACE", "shop")
    objects = "\n---\n".join([cart, cart.replace("cart", "young"), example])
    shop.cluster.apply(CART.replace("NAMESPACE", "default"))
    shop.cluster.apply(objects)
    try:
        yield
    finally:
        shop.cluster.delete(objects)
        shop.cluster.delete(CART.replace("NAMESPACE", "default"))


@contextmanager
def governed(shop: Shop, **spec: Any) -> Iterator[None]:
    """The policy `online` with these fields in mode Enforce, and the Deployment `cart` in the namespace `shop`."""
    match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    workloads = [{"name": "default", "match": match, **spec.pop("class_", {})}]
    kind = {"apiVersion": "spillway.dev/v1alpha1", "kind": "ElasticPolicy", "metadata": {"name": "online"}}
    policy = {**kind, "spec": {"mode": "Enforce", **spec, "workloads": workloads}}
    cart = CART.replace("NAMESPACE", "shop")
    shop.cluster.apply(cart)
    shop.cluster.apply(policy)
    try:
        yield
    finally:
        shop.cluster.delete(policy)
        shop.cluster.delete(cart)


@contextmanager
def headroom(shop: Shop) -> Iterator[None]:
    """A policy that keeps two units of one core on elastic nodes."""
    tiers = {"elastic": {"nodeSelector": {"matchLabels": {"pool": "elastic"}}}}
    unit = {"cpu": "1", "memory": "1Gi"}
    with governed(shop, tiers=tiers, headroom={"from": "Fixed", "min": {"pods": 2}, "unit": unit}):
        yield


@contextmanager
def scaled(shop: Shop) -> Iterator[None]:
    """A schedule that is always active, and an HPA of the workload, which has no metrics to scale by."""
    schedule = {"name": "evening", "start": "0 0 * * *", "duration": "24h", "replicas": 40}
    target = {"metric": "cpu", "utilization": 60}
    with governed(shop, class_={"scaling": {"target": target, "schedules": [schedule]}}):
        shop.kubectl("-n", "shop", "autoscale", "deployment", "cart", "--cpu=60%", "--min=2", "--max=100")
        try:
            yield
        finally:
            shop.kubectl("-n", "shop", "delete", "hpa", "cart")


@contextmanager
def forecast(shop: Shop) -> Iterator[None]:
    """Three days of a queue that is long for four hours of each, and its forecast."""
    times = np.arange(datetime.now(UTC).timestamp() - 3 * 86_400, datetime.now(UTC).timestamp(), 60.0)
    length = np.where(times % 86_400 < 14_400, 3000.0, 1200.0)
    shop.prometheus.push([({"__name__": "queue", "queue": "cart"}, times, length)])
    target = {"query": 'max(queue{queue="$(workload)"})', "perReplica": "100"}
    scaling = {"target": target, "forecast": {"startup": "3m", "window": "30m"}}
    with governed(shop, class_={"scaling": scaling}):
        path = "/apis/spillway.dev/v1alpha1/elasticpolicies/online"
        eventually(lambda: shop.cluster.rest.get(path)["status"]["forecasts"], "a forecast")
        yield


def before(shop: Shop, command: str) -> str:
    """Bring about what a command of a page needs; the command as it can run here."""
    for part, prepare in NEEDS.items():
        if part in command:
            prepare(shop)
    if FORWARD in command:
        command = _forwarded(shop, command)
    if "POD" in command:  # stands for the name of a pod
        command = re.sub(r"\bPOD\b", shop.cluster.pods("default")[0]["metadata"]["name"], command)
    return command.replace("http://localhost:9090", shop.prometheus.url)


def _forwarded(shop: Shop, command: str) -> str:
    """The command with a forward that can reach the replicas, which are processes: kwok's pods serve no port."""
    operator = shop.operator
    replicas = [operator.metrics_port(index) for index in operator.running]
    ports = {f"pod/{operator.pod(index)}": operator.metrics_port(index) for index in operator.running}
    of_kwok = shop.kubectl("-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name")
    ports |= dict(zip(of_kwok.split(), itertools.cycle(replicas), strict=False))
    if "/metrics" not in command:  # what it answers depends on the replica, so a page has to choose one
        ports["deployment/spillway"] = replicas[0]
    forward = shlex.join([sys.executable, "-m", port_forward.__name__, json.dumps(ports)])
    return command.replace("8080", str(shop.local_port)).replace(FORWARD, forward)


def _marked(shop: Shop) -> None:
    """The page: half a minute later the pods that were there have their deletion cost."""

    def all_marked() -> bool:
        pods = shop.cluster.pods("shop")
        return all("spillway.dev/deletion-cost" in (pod["metadata"].get("annotations") or {}) for pod in pods)

    eventually(all_marked, "the deletion costs of the pods that were there")


def _closed(shop: Shop) -> None:
    """No pool takes a pod: one is at its limit, the other one is held."""
    shop.patch("vnb", "eci-a", '{"spec":{"limits":{"cpu":"1"}}}')
    shop.patch("vnb", "tke-b", '{"spec":{"cordon":"Hold"}}')
    shop.wait("vnb/tke-b", "condition=Accepting=False")
    shop.wait("vnb/eci-a", "condition=AtLimit")
    shop.kubectl("scale", "deployment", "cart", "--replicas=8")


def _broken(shop: Shop) -> None:
    """Pods of one namespace that are bound to the pool and do not start."""
    marked = f"metadata: {{annotations: {{{UNSTARTED}: 'true'}}, labels"
    broken = CART.replace("cart", "broken").replace("NAMESPACE", "default").replace("metadata: {labels", marked)
    assert UNSTARTED in broken
    shop.cluster.apply(broken)


def _drained(shop: Shop) -> None:
    """A drain that waits for a disruption budget, and spares a pod without an owner."""
    container = {"name": "main", "image": "debug"}
    spec = {"nodeName": _nodes(shop)[0], "containers": [container]}
    metadata = {"name": "debug", "namespace": "default"}
    shop.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    shop.kubectl("create", "pdb", "cart", "--selector=app=cart", "--min-available=100%")
    shop.patch("vnb", "eci-a", '{"spec":{"cordon":"HoldAndDrain"}}')


def _next_second(_: Shop) -> None:
    """The pages of the runbooks restart one Deployment, and kubectl refuses to do that twice within a second."""
    time.sleep(1.1)


NEEDS: Final[dict[str, Callable[[Shop], object]]] = {
    "kubectl scale -n shop deployment/web --replicas=30": _marked,
    "kubectl describe deployment cart": _closed,
    "rollout restart": _next_second,
    "--for=condition=NearLimit": lambda shop: shop.patch("vnb", "eci-a", '{"spec":{"limits":{"pods":5}}}'),
    "{.status.drain}": _drained,
    "{.status.health}": lambda shop: shop.cluster.fail_nodes(_nodes(shop)),
    "--for=condition=Healthy": lambda shop: shop.cluster.heal_nodes(_nodes(shop)),
    "{.status.namespaceHealth}": _broken,
    "head -3 demand.csv": lambda shop: _write_demand(shop.console.folder / "demand.csv"),
}
"""What is brought about before a command, by a part of it."""


def _nodes(shop: Shop) -> list[str]:
    return shop.kubectl("get", "nodes", "-lpool=eci-a", "-ojsonpath={.items[*].metadata.name}").split()


def _write_demand(path: Path) -> None:
    """A week of a service that needs 28 replicas, and 40 from 18:00 to 22:00."""
    start = datetime(2026, 1, 5, tzinfo=UTC)
    moments = [start + timedelta(minutes=5 * step) for step in range(7 * 288)]
    lines = [f"Deployment/shop/cart,{one:%Y-%m-%dT%H:%M:%SZ},{40 if 18 <= one.hour < 22 else 28}" for one in moments]
    path.write_text("\n".join(["workload,time,replicas", *lines, ""]))


Setup = Callable[[Shop], AbstractContextManager[None]]
NOTHING: Final[Setup] = lambda _: nullcontext()  # noqa: E731

PLAYGROUND: Final[dict[str, Setup]] = {
    "docs/tutorial/first-policy.md": NOTHING,
    "docs/reference/kubectl-spillway.md": pools,
    "docs/explanation/placement.md": pools,
    "docs/explanation/scale-down-order.md": pools,
    "docs/how-to/budgets.md": pools,
    "docs/how-to/consolidation.md": pools,
    "docs/how-to/cordon.md": pools,
    "docs/how-to/failover.md": pools,
    "docs/how-to/forecasts.md": forecast,
    "docs/how-to/headroom.md": headroom,
    "docs/how-to/hot-nodes.md": NOTHING,
    "docs/how-to/load-classes.md": NOTHING,
    "docs/how-to/parity.md": pools,
    "docs/how-to/providers.md": pools,
    "docs/how-to/rebalance.md": NOTHING,
    "docs/how-to/scaling.md": scaled,
    "docs/how-to/scheduler-extender.md": NOTHING,
    "docs/how-to/zones.md": NOTHING,
    "docs/how-to/tiers-and-taints.md": pools,
    "docs/how-to/virtual-nodes.md": pools,
    "docs/how-to/thresholds.md": thresholds,
    "docs/reference/observability.md": NOTHING,
}
RUNBOOKS: Final = tuple(page for page in pages() if page.startswith("docs/runbooks/"))
HELM: Final = (
    "docs/how-to/install.md",
    "docs/how-to/upgrade.md",
    "docs/explanation/security.md",
    "docs/how-to/uninstall.md",
)
HELM_PLAYGROUND: Final = ("docs/how-to/adopt.md",)
NO_CLUSTER: Final = (
    "README.md",
    "docs/tutorial/demo.md",
    "docs/how-to/local-cluster.md",
    "docs/how-to/forecast.md",
    "docs/how-to/backtest.md",
    "CONTRIBUTING.md",
)


@pytest.mark.parametrize("page", HELM)
def test_the_blocks_of_a_page_about_helm(page: str, release: Release) -> None:
    def prepare(command: str) -> str:
        if command.startswith(("helm upgrade", "helm uninstall", "spillway restore --dry-run")):
            release.install()
        if "certManager" in command:
            for kind in ("Certificate", "Issuer"):
                definition = CERT_MANAGER.replace("KIND", kind).replace("PLURAL", f"{kind.lower()}s")
                release.cluster.apply(definition)
                release.cluster.wait_established([f"{kind.lower()}s.cert-manager.io"])
        if "--from-file=ca.crt" in command:
            release.install()
            config = yaml.safe_load(release.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
            authority = base64.b64decode(config["certificate-authority-data"])
            (release.console.folder / "ca.crt").write_bytes(authority)
        # It asks, and a test has no terminal.
        return f"{command} --yes" if command.startswith("spillway restore --stop-deployment") else command

    for block in blocks(page):
        run(block, release.console, prepare)


@pytest.mark.parametrize("page", HELM_PLAYGROUND)
def test_the_blocks_of_a_page_on_the_playground_for_helm(page: str, helm_shop: Console) -> None:
    for block in blocks(page):
        run(block, helm_shop, left_out=["make playground"])


def test_helm_upgrades_rolls_back_and_uninstalls_what_a_kubelet_runs(helm_shop: Console) -> None:
    """The pages about it, and nothing of Spillway is left on nodes."""
    install_as(helm_shop, "docs/how-to/adopt.md")
    for page in ("docs/how-to/upgrade.md", "docs/how-to/uninstall.md"):
        for block in blocks(page):
            run(block, helm_shop, left_out=[*NOT_RUN, "spillway restore --stop-deployment"])
    assert "spillway.dev" not in helm_shop.run("kubectl get nodes -o yaml")[1]


@pytest.mark.parametrize("page", PLAYGROUND)
def test_the_blocks_of_a_page_on_the_playground(page: str, shop: Shop, request: pytest.FixtureRequest) -> None:
    with PLAYGROUND[page](shop):
        for block in blocks(page):
            if block.commands[0].text.startswith("helm "):
                release: Release = request.getfixturevalue("release")
                release.install()
                run(block, release.console)
            else:
                run(block, shop.console, partial(before, shop))


def test_the_blocks_of_the_runbooks(shop: Shop) -> None:
    """In one test: each page alone would take longer to prepare than to run."""
    with pools(shop), deployment(shop):
        for page in RUNBOOKS:
            for block in blocks(page):
                run(block, shop.console, partial(before, shop))


@pytest.mark.parametrize("page", NO_CLUSTER)
def test_the_blocks_of_a_page_without_a_cluster(page: str, elsewhere: Console) -> None:
    try:
        for block in blocks(page):
            run(block, elsewhere)
    finally:
        if page == "docs/how-to/local-cluster.md":
            elsewhere.run(".venv/bin/python -m localcluster down")


def test_every_page_with_a_console_block_is_run() -> None:
    assert sorted(pages()) == sorted([*PLAYGROUND, *HELM_PLAYGROUND, *RUNBOOKS, *HELM, *NO_CLUSTER])


def test_every_exception_is_needed() -> None:
    texts = [command.text for page in pages() for command in commands(page)]
    for beginning in (*NOT_RUN, *EXAMPLES, *FIELDS, REFUSED):
        assert any(text.startswith(beginning) for text in texts), beginning


def test_the_playground_prints_what_the_page_shows() -> None:
    for page, text, welcome in (
        ("docs/tutorial/first-policy.md", "make playground", WELCOME),
        ("docs/how-to/adopt.md", "make playground HELM=1", WELCOME_HELM),
    ):
        [command] = [one for one in commands(page) if one.text == text]
        assert command.output[0] == welcome
