"""What it takes to operate Spillway: answers, the start of the command line, a report, install, upgrade and removal.

`make bench-operate` writes `build/bench/operate.json`. One API server has 10,000 governed pods, written to etcd. There
the commands of `explain` are called (the time is that of the whole command), then `report` with a Prometheus that holds
14 days of 200 workloads, and `restore`, as an uninstall does; `leftovers` counts the pods that still carry a mark. At
the end the policy only recommends, the chart's objects are applied with `explainApi`, one replica is started, and the
same commands of `explain` are called again (`with_api`). The operator's own count shows that it answered each of them.
On a whole control plane the chart's objects are applied and two replicas are started (`install_seconds`: until they are
ready and one leads; no image is pulled), and `explain` is asked for the ranks of all pods of a workload, which is then
scaled down step by step: `agreement_percent` is the share of the deleted pods that were the first in rank. On another
one Helm upgrades the operator from the version before, and rolls back, while a workload is scaled up and down:
`upgrade` has the API server's own counts of the calls of the webhooks, and of those that it gave up, in both rollouts.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
import yaml

from harness.operator import Installation, install
from harness.prometheus import Labels, PushedPrometheus, prometheus_running
from harness.scene import Scene
from localcluster import Cluster, ClusterApi, core
from localcluster.binaries import CORE, find
from localcluster.build import ensure_built
from localcluster.layout import LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Processes
from localcluster.rest import Rest, RestError
from spillway.domain.explain.served import API_SERVICE
from tests.bench.bench_informer import seed, wait_until_cached
from tests.bench.bench_restore import left_with_marks, restored
from tests.bench.informer_objects import Shape
from tests.bench.informer_operator import wait_until_quiet
from tests.bench.ran_on import ran_on
from tests.support.before import checked_out_before
from tests.support.prometheus import replicas_series
from tests.support.versions import upgraded_and_back

ROOT: Final = Path(__file__).parents[2]
OUTPUT: Final = Path("build/bench/operate.json")
GOALS: Final = {
    "explain.seconds_max": 1.0,
    "explain.with_api.seconds_max": 1.0,
    "explain.agreement_percent_min": 99.0,
    "cli_start_seconds_max": 0.4,
    "uninstall.leftovers_max": 0,
    "upgrade.lost_admissions_max": 0,
}
DAYS, WORKLOADS, SAMPLE_SECONDS = 14, 200, 300.0
GROUP: Final = "/apis/spillway.dev/v1alpha1"
STARTS, QUESTIONS = 10, 5
STEPS: Final = (15, 11, 8, 5, 2)
"""The replicas to which a workload of 18 is scaled, one after the other."""
_WAIT_SECONDS: Final = 120.0
_COMMAND_SECONDS: Final = 900.0


def main(
    *,
    pods: Annotated[int, typer.Option(help="Governed pods.", min=200)] = 10_000,
    rounds: Annotated[int, typer.Option(help="Workloads that are scaled down after a question.", min=1)] = 20,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure all of it and write the figures."""
    ensure_built([*CORE, "prometheus"])
    ran = ran_on("kubernetes", "typer", "plotly")
    start = _medians(STARTS, lambda: _spillway("version"))
    measured: dict[str, Any] = {f"cli_start_{name}": value for name, value in start.items()} | {"goals": GOALS}
    measured |= _at_scale(pods)
    measured |= _on_a_cluster(rounds, measured["explain"])
    measured["ran_on"] = ran | {"load_after": [round(load, 2) for load in os.getloadavg()]}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(measured, indent=2) + "\n")
    typer.echo(json.dumps(measured, indent=2))


def _spillway(*arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "spillway", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"spillway {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """The seconds of work that starts programs and waits for them, and the CPU seconds of the programs."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def _medians(times: int, work: Callable[[], object]) -> dict[str, float]:
    """The medians; CPU seconds say more on a machine with other load."""
    found = [_timed(work) for _ in range(times)]
    return {
        name: round(statistics.median(values), 3)
        for name, values in zip(("seconds", "cpu_seconds"), zip(*found, strict=True), strict=True)
    }


def _at_scale(pods: int) -> dict[str, Any]:
    """The figures of an API server with so many pods."""
    shape = Shape(pods=pods, nodes=max(50, pods // 30), pods_per_replicaset=50, namespaces=10)
    with ExitStack() as stack:
        layout = Layout(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-operate-"))))
        processes = Processes(layout.logs)
        stack.callback(processes.close)
        processes.start(core.etcd(layout, find))
        asyncio.run(seed(f"http://{LOOPBACK}:{layout.ports.etcd}", shape))
        processes.start(core.api_server(layout, Options(audit=False), find))
        wait_until_cached(Rest(layout.kubeconfig))
        rest = Rest(layout.kubeconfig)
        stack.callback(rest.close)
        _govern(rest)
        kubeconfig = f"--kubeconfig={layout.kubeconfig}"
        explain = explained(kubeconfig) | {"pods": pods}
        explain.pop("questions")
        with prometheus_running() as prometheus:
            samples = _history(prometheus)
            file = layout.logs / "report.html"
            asked = ("report", f"--file={file}", f"--prometheus-url={prometheus.url}", kubeconfig)
            report = {
                **_medians(1, lambda: _spillway(*asked)),
                "mib": round(file.stat().st_size / 2**20, 2),
                "days": DAYS,
                "workloads": WORKLOADS,
                "samples": samples,
            }
        run = restored(layout.kubeconfig, _COMMAND_SECONDS)
        uninstall = {"seconds": run["seconds"], "leftovers": left_with_marks(layout.kubeconfig), "pods": run["pods"]}
        # An operator that does not write while it is measured.
        rest.merge(f"{GROUP}/elasticpolicies/day", {"spec": {"mode": "Recommend"}})
        with answering(layout.kubeconfig) as answered:
            explain["with_api"] = explained(kubeconfig)
            if answered() != explain["with_api"].pop("questions"):
                raise RuntimeError("the operator did not answer each question")
    return {"explain": explain, "report": report, "uninstall": uninstall}


def explained(*flags: str) -> dict[str, Any]:
    """The times of the four commands, of `workload` without a key of its own, and how many of them were called."""
    flags = (*flags, "-o", "json")
    workload = ("explain", "workload", "service-00000", "--namespace=team-000", *flags)
    answer = json.loads(_spillway(*workload))
    first = answer["scaleDown"][0]
    others = {
        "pod": (first["pod"].partition("/")[2], "--namespace=team-000"),
        "node": (first["node"],),
        "pool": ("eci",),
    }
    found: dict[str, Any] = _medians(QUESTIONS, lambda: _spillway(*workload)) | {"ranked": len(answer["scaleDown"])}
    for what, words in others.items():
        found[what] = _medians(QUESTIONS, partial(_spillway, "explain", what, *words, *flags))
    return found | {"questions": 1 + QUESTIONS * (1 + len(others))}


@contextmanager
def answering(kubeconfig: Path) -> Iterator[Callable[[], int]]:
    """One replica that serves the API of `explain`, and at rest; what is yielded counts its answers."""
    cluster = ClusterApi(kubeconfig, features=frozenset({"loopback-webhooks"}), kubectl=find("kubectl"))
    with Installation(cluster, {"explainApi": {"enabled": True}}) as operator:
        operator.apply()
        operator.start(1)
        operator.wait_ready(0, timeout_seconds=_WAIT_SECONDS)
        operator.wait_leader()
        cluster.kubectl("wait", "--for=condition=Available", "--timeout=60s", f"apiservice/{API_SERVICE}")
        wait_until_quiet(operator)
        yield lambda: round(operator.total("spillway_explain_answers_total", result="answered"))


def _govern(rest: Rest) -> None:
    """The kinds, and a policy and a pool for everything that is there."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        rest.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(path.read_text()))
    price = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"}
    budget = {"nodeSelector": {"matchLabels": {"type": "virtual-kubelet"}}, "price": price, "limits": {"pods": 5000}}
    policy = {
        "mode": "Enforce",
        "tiers": {
            "fixed": {"price": {"nodeHour": "1.6", "currency": "CNY"}},
            "elastic": {"nodeSelector": {"matchLabels": {"pool": "elastic"}}},
            "virtual": {"budgets": ["eci"]},
        },
        "workloads": [{"name": "default", "threshold": {"mode": "Manual", "replicas": 10}}],
    }
    for plural, kind, name, spec in (
        ("virtualnodebudgets", "VirtualNodeBudget", "eci", budget),
        ("elasticpolicies", "ElasticPolicy", "day", policy),
    ):
        body = {"apiVersion": "spillway.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        _eventually(partial(rest.create, f"{GROUP}/{plural}", body))
    for plural in ("elasticpolicies", "virtualnodebudgets", "zonalbalances"):
        _eventually(partial(rest.get, f"{GROUP}/{plural}?resourceVersion=0"))


def _eventually(work: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            work()
        except RestError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _history(prometheus: PushedPrometheus) -> int:
    """The past that a report shows; how many samples it has."""
    now = time.time()
    times = np.arange(now - DAYS * 86_400, now, SAMPLE_SECONDS)
    wave = np.exp(-((((times % 86_400) / 3600 - 19) / 3) ** 2))
    series = list(_series(times, wave))
    prometheus.push(series)
    return sum(one[1].size for one in series)


def _series(times: Any, wave: Any) -> Iterator[tuple[Labels, Any, Any]]:
    def counter(name: str, rate: Any, **labels: str) -> tuple[Labels, Any, Any]:
        return {"__name__": name, **labels}, times, np.cumsum(rate * SAMPLE_SECONDS)

    for number in range(WORKLOADS):
        workload = f"Deployment/shop/service-{number:03d}"
        yield replicas_series(workload), times, np.ceil(4 + 12 * wave)
        for tier, cores in (("fixed", 2 + 0 * wave), ("elastic", 2 * wave), ("virtual", wave)):
            labels = {"namespace": "shop", "workload": workload, "tier": tier, "pool": "eci" * (tier == "virtual")}
            yield counter("spillway_consumed_cpu_seconds_total", cores, **labels)
            yield counter("spillway_consumed_memory_byte_seconds_total", cores * 4 * 2**30, **labels)
        labels = {"namespace": "shop", "workload": workload, "pool": "eci", "currency": "CNY"}
        yield counter("spillway_consumed_cost_total", wave * 0.5 / 3600, **labels)
    flat = np.ones_like(times)
    for tier, count in (("fixed", 16 * flat), ("elastic", np.ceil(16 * wave)), ("virtual", 2 * flat)):
        yield {"__name__": "spillway_nodes", "tier": tier}, times, count
    yield {"__name__": "spillway_threshold_owned_cores", "what": "capacity"}, times, 512 * flat
    yield {"__name__": "spillway_pool_limit_used_ratio", "pool": "eci", "limit": "pods"}, times, wave
    yield {"__name__": "spillway_balance_node_imbalance_ratio", "balance": "shop"}, times, 0.2 + 0.1 * wave
    yield counter("spillway_scale_down_planned_victims_total", wave / 60, tier="virtual", reason="Virtual")
    yield counter("spillway_balance_moves_total", wave / 600, balance="shop", result="evicted")


def _on_a_cluster(rounds: int, explain: dict[str, Any]) -> dict[str, Any]:
    """The figures of a whole control plane."""
    with Cluster() as cluster:
        began = time.perf_counter()
        with install(cluster) as operator:
            operator.wait_leader()
            installed = round(time.perf_counter() - began, 1)
            agreed = [_agreement(cluster) for _ in range(rounds)]
            operator.uninstall()
    with Cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        rollouts = upgraded_and_back(cluster, checked_out_before(Path(folder)))
    asked, right = (sum(one) for one in zip(*agreed, strict=True))
    explain |= {"agreement_percent": round(100 * right / asked, 2), "victims": asked}
    upgrade = {
        "lost_admissions": sum(one.calls.lost for one in rollouts),
        "admissions": sum(one.calls.made for one in rollouts),
        "scalings": sum(one.scalings for one in rollouts),
    }
    return {"install_seconds": installed, "explain": explain, "upgrade": upgrade}


def _agreement(cluster: Cluster) -> tuple[int, int]:
    """The victims of some scale-downs, and how many of them `explain` had named as the next ones."""
    asked = right = 0
    with Scene(cluster) as scene:
        scene.add_budget()
        scene.add_policy()
        scene.wait_enforced()
        before = {pod.name for pod in scene.fill("web")}
        for replicas in STEPS:
            command = ("explain", "workload", "deployment/web", f"--namespace={scene.namespace}")
            answer = json.loads(_spillway(*command, f"--kubeconfig={cluster.kubeconfig}", "-o", "json"))
            ranked = [one["pod"].partition("/")[2] for one in answer["scaleDown"]]
            scene.scale("web", replicas)
            after = {pod.name for pod in scene.wait_ready("web", replicas)}
            gone = before - after
            asked, right = asked + len(gone), right + len(gone & set(ranked[: len(gone)]))
            before = after
    return asked, right


if __name__ == "__main__":
    typer.run(main)
