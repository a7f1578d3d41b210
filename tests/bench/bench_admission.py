"""What the webhooks cost: added latency of bindings and scale-downs, what becomes of pods without the operator.

`make bench-admission` → `build/bench/admission.json`. etcd, an API server and the operator's processes under the
chart's rights run; 2,000 nodes and 30,000 pods stand in the informer, their costs as Spillway would have stamped
them. No scheduler and no controllers run: on two cores they would be what is measured. This program creates and binds
200 pods a second itself, in slices with the webhook and without it, in turn; what is added is the difference of the
quantiles.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from harness.operator import Installation, install
from harness.samples import Samples
from localcluster import ClusterApi, core
from localcluster.binaries import CORE, find
from localcluster.build import ensure_built
from localcluster.layout import LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Processes
from localcluster.rest import Rest, RestError
from spillway.domain.model.names import Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.scale_down.costs import initial_cost
from spillway.kube.client import KubeClient
from tests.bench import informer_objects
from tests.bench.admission_load import CONNECTIONS, Load, Timings, quantile, slices
from tests.bench.etcd_gateway import EtcdGateway
from tests.bench.informer_objects import Shape
from tests.bench.ran_on import ran_on

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build/bench/admission.json"
TIMEOUT_SECONDS = 2
"""`timeoutSeconds` of the chart's webhooks."""
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/spillway"
BINDINGS, REPLICASETS = "bindings.spillway.dev", "replicasets.spillway.dev"
SCALE_RATE = 10
SCALE_BY = 3
POLICY = """
apiVersion: spillway.dev/v1alpha1
kind: ElasticPolicy
metadata: {name: day}
spec:
  mode: Enforce
  tiers: {elastic: {nodeSelector: {matchLabels: {pool: elastic}}, softTaint: true}}
  workloads: [{name: all}]
"""
_START_SECONDS = 120.0
_QUIET_SECONDS = 5.0


def main() -> None:
    arguments = _arguments()
    shape = Shape(pods=arguments.pods, nodes=arguments.nodes)
    ensure_built([*CORE, "helm", "kubectl"])
    machine = ran_on()
    with ExitStack() as stack:
        cluster = _cluster(stack, shape)
        operator = stack.enter_context(install(cluster, replicas=arguments.replicas))
        cluster.apply(POLICY)
        _wait_until_quiet(operator)
        result = asyncio.run(_measure(arguments, shape, cluster, operator))
    result["ran_on"] = machine
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))  # noqa: T201 - what the command is for


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=30_000)
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--rate", type=int, default=200, help="pods a second")
    parser.add_argument("--seconds", type=int, default=10, help="of one slice")
    parser.add_argument("--rounds", type=int, default=4, help="slices with the webhook, and as many without")
    parser.add_argument("--replicas", type=int, default=2, help="of the operator")
    return parser.parse_args()


def _cluster(stack: ExitStack, shape: Shape) -> ClusterApi:
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-admission-")))
    layout = Layout(root)
    processes = Processes(layout.logs)
    stack.callback(processes.close)
    processes.start(core.etcd(layout, find))
    _say(f"writing {shape.pods} pods on {shape.nodes} nodes into etcd")
    asyncio.run(_seed(f"http://{LOOPBACK}:{layout.ports.etcd}", shape))
    # No one makes ServiceAccounts here, and the audit log would only take time.
    options = Options(audit=False, api_server_args=("--disable-admission-plugins=ServiceAccount",))
    processes.start(core.api_server(layout, options, find))
    rest = Rest(layout.kubeconfig)
    _wait(lambda: _answers(rest, "/readyz") and _answers(rest, "/api/v1/pods?limit=1&resourceVersion=0"), "API server")
    rest.close()
    return ClusterApi(layout.kubeconfig, features=options.features, kubectl=find("kubectl"))


async def _seed(etcd: str, shape: Shape) -> None:
    async with EtcdGateway(etcd) as gateway:
        for _ in range(100):
            try:
                await gateway.put([("/bench", b"1")])
                break
            except (OSError, RuntimeError):
                await asyncio.sleep(0.1)
        await gateway.put_all(_objects(shape))


def _objects(shape: Shape) -> Iterator[tuple[str, bytes]]:
    """As `informer_objects`, with the costs of birth: a scale-down then finds the order that it plans."""
    costs = _initial_costs(shape)
    for key, value in informer_objects.objects(shape):
        if not key.startswith("/registry/pods/"):
            yield key, value
    for index, cost in enumerate(costs):
        yield informer_objects.pod_key(shape, index), informer_objects.pod_value(shape, index, cost)


def _initial_costs(shape: Shape) -> list[int]:
    counts: dict[tuple[int, str, bool], int] = defaultdict(int)
    elastic_rank = {node: rank for rank, node in enumerate(range(0, shape.nodes, 5))}
    costs = []
    for index in range(shape.pods):
        node, zone, elastic = informer_objects.pod_place(shape, index)
        place = NodePlace(tier=Tier.ELASTIC if elastic else Tier.FIXED, zone=Zone(zone))
        key = (index // shape.pods_per_replicaset, zone, elastic)
        costs.append(initial_cost(place, index_in_zone=counts[key], node_order=elastic_rank.get(node, 0)))
        counts[key] += 1
    return costs


async def _measure(
    arguments: argparse.Namespace, shape: Shape, cluster: ClusterApi, operator: Installation
) -> dict[str, Any]:
    client = await KubeClient.connect(str(cluster.kubeconfig), connections=CONNECTIONS)
    try:
        async with Load(client, shape) as load:
            _say("warming up")
            warming = Timings()
            await load.bind_pods(arguments.rate, 5, warming)
            await load.scale_down(1, 1, SCALE_BY, warming)
            if warming.failures:
                raise SystemExit(f"{len(warming.failures)} requests failed, the first: {warming.failures[0]}")
            binding = await _binding(arguments, load, cluster, operator)
            scaling = await _scaling(arguments, load, cluster, operator)
            away = await _away(arguments, load, operator)
    finally:
        await client.close()
    return {
        "binding": binding,
        "replicasets": scaling,
        "pods_lost": away["pods_lost"],
        "operator_away": away,
        "load": {
            "pods_in_informer": shape.pods,
            "nodes": shape.nodes,
            "pods_per_second": arguments.rate,
            "scale_downs_per_second": SCALE_RATE,
            "operator_replicas": arguments.replicas,
            "slice_seconds": arguments.seconds,
            "rounds": arguments.rounds,
        },
    }


async def _binding(
    arguments: argparse.Namespace, load: Load, cluster: ClusterApi, operator: Installation
) -> dict[str, Any]:
    met: dict[str, list[Timings]] = {"with": [], "without": []}
    for kind in slices(("without", "with"), arguments.rounds):
        await asyncio.to_thread(switch, cluster, BINDINGS, on=kind == "with")
        _say(f"{arguments.rate} bindings a second {kind} the webhook")
        timings = Timings()
        await load.bind_pods(arguments.rate, arguments.seconds, timings)
        met[kind].append(timings)
    await asyncio.to_thread(switch, cluster, BINDINGS, on=True)
    lost, unstamped = await load.unstamped([pod for timings in met["with"] for pod in timings.pods])
    return _added(met, "bind_ms") | {
        "pods": sum(len(timings.pods) for timings in met["with"]),
        "not_bound": lost,
        "not_stamped": unstamped,
        "failures": sum(len(timings.failures) for kind in met.values() for timings in kind),
        "in_the_operator": served(operator, "bindings"),
        "as_the_api_server_saw_it": seen_by_the_api_server(cluster, BINDINGS),
    }


async def _scaling(
    arguments: argparse.Namespace, load: Load, cluster: ClusterApi, operator: Installation
) -> dict[str, Any]:
    met: dict[str, list[Timings]] = {"with": [], "without": []}
    for kind in slices(("without", "with"), arguments.rounds):
        await asyncio.to_thread(switch, cluster, REPLICASETS, on=kind == "with")
        _say(f"{SCALE_RATE} scale-downs and {arguments.rate} bindings a second, scale-downs {kind} the webhook")
        timings = Timings()
        await asyncio.gather(
            load.scale_down(SCALE_RATE, arguments.seconds, SCALE_BY, timings),
            load.bind_pods(arguments.rate, arguments.seconds, timings),
        )
        met[kind].append(timings)
    await asyncio.to_thread(switch, cluster, REPLICASETS, on=True)
    return _added(met, "scale_ms") | {
        "victims_each": SCALE_BY,
        "in_the_operator": served(operator, "replicasets"),
        "as_the_api_server_saw_it": seen_by_the_api_server(cluster, REPLICASETS),
    }


def _added(met: dict[str, list[Timings]], name: str) -> dict[str, Any]:
    """Medians over the slices, of each quantile; added is with less without."""
    result: dict[str, Any] = {}
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        by_kind = {
            kind: median(quantile(getattr(timings, name), share) for timings in all_) for kind, all_ in met.items()
        }
        result[f"{label}_ms"] = round(by_kind["with"] - by_kind["without"], 2)
        result[f"{label}_ms_with"] = round(by_kind["with"], 2)
        result[f"{label}_ms_without"] = round(by_kind["without"], 2)
    result["requests_with"] = sum(len(getattr(timings, name)) for timings in met["with"])
    return result


async def _away(arguments: argparse.Namespace, load: Load, operator: Installation) -> dict[str, Any]:
    """Kill every process of the operator twice while pods are made, each time for some seconds."""
    _say("killing and restarting the operator under load")
    timings = Timings()

    async def kill_and_restart() -> None:
        for _ in range(2):
            await asyncio.sleep(3)
            for index in range(arguments.replicas):
                await asyncio.to_thread(operator.kill, index)
            await asyncio.sleep(3)
            await asyncio.to_thread(operator.start, arguments.replicas)
            # Under this load a list of everything that was made since takes its time.
            await asyncio.to_thread(operator.wait_ready, timeout_seconds=_START_SECONDS)

    killing = asyncio.create_task(kill_and_restart())
    while not killing.done():
        await load.bind_pods(arguments.rate, 1, timings)
    await killing
    await load.bind_pods(arguments.rate, 2, timings)
    lost, unstamped = await load.unstamped(timings.pods)
    return {
        "pods": len(timings.pods),
        "pods_lost": lost,
        "failures": timings.failures[:10],
        "delayed_beyond_timeout": sum(ms > TIMEOUT_SECONDS * 1000 for ms in timings.bind_ms),
        "bind_max_ms": round(max(timings.bind_ms), 1),
        "bind_p99_ms": quantile(timings.bind_ms, 0.99),
        "bound_without_cost": unstamped,
    }


def seen_by_the_api_server(cluster: ClusterApi, webhook: str) -> dict[str, Any]:
    """How long the API server waited for the webhook, by its own histogram: call, TLS, answer; no queue of its own."""
    samples = Samples.parse(cluster.rest.raw("GET", "/metrics").decode())
    name = "apiserver_admission_webhook_admission_duration_seconds"
    count = samples.total(f"{name}_count", name=webhook)
    bounds = {one.labels["le"] for one in samples.select(f"{name}_bucket", name=webhook)} - {"+Inf"}
    return {
        "calls": count,
        "mean_ms": round(1000 * samples.total(f"{name}_sum", name=webhook) / max(count, 1), 2),
        "within_s": {
            bound: round(samples.total(f"{name}_bucket", name=webhook, le=bound) / max(count, 1), 4)
            for bound in sorted(bounds, key=float)
        },
        "let_through_unanswered": samples.total("apiserver_admission_webhook_fail_open_count_total", name=webhook),
    }


def served(operator: Installation, webhook: str) -> dict[str, Any]:
    """What the operator itself counted: the share of requests that it answered within a time, and why it let go."""
    name = "spillway_admission_hold_seconds"
    count = operator.total(f"{name}_count", webhook=webhook)
    bounds = ("0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.5", "1.0")
    return {
        "answered": count,
        "within_s": {
            bound: round(operator.total(f"{name}_bucket", webhook=webhook, le=bound) / count, 4) for bound in bounds
        },
        "let_go": operator.total("spillway_admission_let_go_total", webhook=webhook),
    }


def switch(cluster: ClusterApi, name: str, *, on: bool) -> None:
    """Take the webhook of this name out of the way, or back, by its namespaceSelector."""
    webhooks = cluster.rest.get(CONFIGURATION)["webhooks"]
    index = [webhook["name"] for webhook in webhooks].index(name)
    selector = webhooks[index].get("namespaceSelector") or {}
    labels = {} if on else {"bench/none": "has-it"}
    patch = [
        {
            "op": "add",
            "path": f"/webhooks/{index}/namespaceSelector",
            "value": {"matchExpressions": selector.get("matchExpressions", []), "matchLabels": labels},
        }
    ]
    cluster.rest.raw("PATCH", CONFIGURATION, body=patch, content_type="application/json-patch+json")
    # The API server follows its webhook configurations by a watch.
    time.sleep(1.5)


def _wait_until_quiet(operator: Installation) -> None:
    """Until the operator has nothing left to repair: its first look at the cluster is not what is measured."""
    _say("waiting until the operator has nothing left to write")
    since, writes = time.monotonic(), -1.0
    began = since
    while time.monotonic() - since < _QUIET_SECONDS:
        now = operator.total("spillway_writes_total", resource="pods")
        if now != writes:
            since, writes = time.monotonic(), now
        if time.monotonic() - began > _START_SECONDS:
            raise SystemExit("the operator went on writing")
        time.sleep(0.5)


def _answers(rest: Rest, path: str) -> bool:
    try:
        rest.raw("GET", path)
    except (RestError, OSError):
        return False
    return True


def _wait(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited without success for: {what}")
        time.sleep(0.2)


def _say(text: str) -> None:
    print(f"bench-admission: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    main()
