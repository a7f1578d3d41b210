"""What the webhooks cost: latency that they add to creations, bindings and scale-downs, and CPU for each decision.

`make bench-admission` → `build/bench/admission.json`; what the keys say is in docs/explanation/benchmarks.md. The
load is an open loop at a rate that leaves some of the machine idle: the bench finds that rate first, because on a
saturated machine a latency measures the queue for a core. The contenders (`admission_contenders`) take turns in rounds
of one run. Afterwards every process of the operator is killed twice under load: no pod may be lost.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from harness.chart import HELM
from harness.operator import Installation, install
from harness.samples import Samples
from localcluster import ClusterApi
from localcluster.binaries import CORE
from localcluster.build import ensure_built
from spillway.kube.client import KubeClient
from tests.bench import admission_cluster
from tests.bench.admission_cluster import AdmissionCluster
from tests.bench.admission_contenders import CONTENDERS, Contenders, Spent, start_noop
from tests.bench.admission_figures import KINDS, Met, figures
from tests.bench.admission_load import CONNECTIONS, Load, Timings, quantile
from tests.bench.informer_objects import Shape
from tests.bench.progress import progress
from tests.bench.ran_on import ran_on

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build/bench/admission.json"
_say: Final = progress("bench-admission")
TIMEOUT_SECONDS: Final = 2
"""`timeoutSeconds` of the chart's webhooks."""
IDLE_PERCENT: Final = 30.0
"""What has to stay idle while Spillway answers; the rate is sought with `_MARGIN_PERCENT` more."""
SCALE_DOWNS_PER_SECOND: Final = 4
SCALE_BY: Final = 3
_MARGIN_PERCENT: Final = 5.0
_RATES: Final = (150, 120, 100, 80, 70, 60, 50, 40, 30, 20, 10)
_PROBE_SECONDS: Final = 6
_START_SECONDS: Final = 120.0
_QUIET_SECONDS: Final = 5.0


def main() -> None:
    arguments = _arguments()
    shape = Shape(pods=arguments.pods, nodes=arguments.nodes, replicas_asked=admission_cluster.REPLICAS_ASKED)
    ensure_built([*CORE, HELM, "noop-webhook"])
    machine = ran_on()
    with ExitStack() as stack:
        _say(f"writing {shape.pods} pods on {shape.nodes} nodes into etcd")
        cluster = admission_cluster.start(stack, shape)
        operator = stack.enter_context(install(cluster.api, replicas=arguments.replicas))
        cluster.api.apply(admission_cluster.resources(shape))
        _wait_until_quiet(operator)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-noop-")))
        contenders = Contenders(cluster, operator, start_noop(stack, cluster, folder))
        result = asyncio.run(_measure(arguments, shape, cluster, operator, contenders))
    result["ran_on"] = machine
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))  # noqa: T201 - what the command is for


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=30_000)
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--rate", type=int, default=0, help="pods a second; 0 finds the rate")
    parser.add_argument("--seconds", type=int, default=10, help="of one slice")
    parser.add_argument("--rounds", type=int, default=6, help="slices of each contender")
    parser.add_argument("--replicas", type=int, default=2, help="of the operator")
    return parser.parse_args()


async def _measure(
    arguments: argparse.Namespace,
    shape: Shape,
    cluster: AdmissionCluster,
    operator: Installation,
    contenders: Contenders,
) -> dict[str, Any]:
    async with (
        await KubeClient.connect(str(cluster.api.kubeconfig), connections=CONNECTIONS) as client,
        Load(client, shape, cluster.virtual_nodes) as load,
    ):
        await asyncio.to_thread(contenders.switch, "spillway")
        await _warm_up(load)
        rate = arguments.rate or await _find_rate(load, contenders)
        load.placed.clear()
        met: Met = {name: [] for name in CONTENDERS}
        for turn in range(arguments.rounds):
            # Each round begins with another contender, so that drift affects all alike.
            first = turn % len(CONTENDERS)
            for name in (*CONTENDERS[first:], *CONTENDERS[:first]):
                await asyncio.to_thread(contenders.switch, name)
                _say(f"round {turn + 1} of {arguments.rounds}: {rate} pods a second, {name}")
                met[name].append(await _slice(load, contenders, rate, arguments.seconds))
        await asyncio.to_thread(contenders.switch, "spillway")
        ours = [pod for timings, _ in met["spillway"] for pod in timings.pods]
        not_bound, not_stamped = await load.unstamped(ours)
        placed = {name or "without_the_webhook": count for name, count in load.placed.items()}
        answers = {kind: served(operator, webhook) for kind, (_, webhook) in KINDS.items()}
        calls = {
            kind: seen_by_the_api_server(cluster.api, f"{webhook}.spillway.dev") for kind, (_, webhook) in KINDS.items()
        }
        away = await _away(arguments, load, operator, rate)
    return {
        "rate_per_s": rate,
        **figures(met),
        "pods_lost": away["pods_lost"],
        "failures": sum(len(timings.failures) for slices in met.values() for timings, _ in slices),
        "pods": {"spillway": len(ours), "not_bound": not_bound, "not_stamped": not_stamped, "placed": placed},
        "in_the_operator": answers,
        "as_the_api_server_saw_it": calls,
        "operator_away": away,
        "load": {
            "pods_in_informer": shape.pods,
            "nodes": shape.nodes,
            "scale_downs_per_second": SCALE_DOWNS_PER_SECOND,
            "victims_each": SCALE_BY,
            "operator_replicas": arguments.replicas,
            "slice_seconds": arguments.seconds,
            "rounds": arguments.rounds,
        },
    }


async def _warm_up(load: Load) -> None:
    _say("warming up")
    warming = Timings()
    await load.bind_pods(40, 5, warming)
    await load.scale_down(1, 1, SCALE_BY, warming)
    if warming.failures:
        raise SystemExit(f"{len(warming.failures)} requests failed, the first: {warming.failures[0]}")


async def _find_rate(load: Load, contenders: Contenders) -> int:
    """The highest rate at which Spillway leaves enough of the machine idle."""
    for rate in _RATES:
        _, spent = await _slice(load, contenders, rate, _PROBE_SECONDS, scale_downs=0)
        _say(f"at {rate} pods a second {spent.idle_percent:.0f} % of the machine is idle")
        if spent.idle_percent >= IDLE_PERCENT + _MARGIN_PERCENT:
            return rate
    most = f"less than {IDLE_PERCENT:g} % of the machine is idle even at {_RATES[-1]} pods a second"
    raise SystemExit(f"{most}: something else is running")


async def _slice(
    load: Load, contenders: Contenders, rate: float, seconds: float, scale_downs: float = SCALE_DOWNS_PER_SECOND
) -> tuple[Timings, Spent]:
    timings, before = Timings(), contenders.spent()
    await asyncio.gather(
        load.bind_pods(rate, seconds, timings), load.scale_down(scale_downs, seconds, SCALE_BY, timings)
    )
    return timings, contenders.spent() - before


async def _away(arguments: argparse.Namespace, load: Load, operator: Installation, rate: int) -> dict[str, Any]:
    """Kill every process of the operator twice while pods are created, each time for some seconds."""
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
        await load.bind_pods(rate, 1, timings)
    await killing
    await load.bind_pods(rate, 2, timings)
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
            bound: round(operator.total(f"{name}_bucket", webhook=webhook, le=bound) / max(count, 1), 4)
            for bound in bounds
        },
        "let_go": operator.total("spillway_admission_let_go_total", webhook=webhook),
    }


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


if __name__ == "__main__":
    main()
