"""How even the real load of nodes is: the scheduler alone, with a descheduler, with soft means, and with moves.

`make bench-balance` → `build/bench/balance.json`. A real control plane with kwok's nodes and metrics-server. Each
contender has a pool of nodes in three zones and a namespace of its own with the same workloads and the same changes of
replicas, by the seed, side by side in one run; a policy governs the workloads of Spillway's contenders. What a pod uses
is in an annotation of its template, and differs from what it requests. The figures are computed from the pods on each
node, not from what metrics-server reports.
"""

import asyncio
import json
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import Annotated, Any, Final

import structlog
import typer
import yaml

from harness.operator import Installation, install
from localcluster import Cluster, Options
from localcluster.binaries import find
from localcluster.build import ensure_built
from localcluster.ports import free_ports
from spillway.domain.balance.skew import zone_skew
from spillway.domain.model.names import ZONE_LABEL
from spillway.domain.model.records import PodRecord
from spillway.kube.client import MERGE_PATCH, KubeClient
from spillway.kube.informer import Informers
from spillway.state.cluster import ClusterState
from tests.bench.progress import progress
from tests.bench.ran_on import ran_on
from tests.support.installed import deployment, policy

_say: Final = progress("bench-balance")
OUTPUT: Final = Path("build/bench/balance.json")
CONTENDERS: Final = ("plain", "descheduler", "soft", "spillway")
GOAL_POINTS: Final = 20
NODE_CORES: Final = 8.0
NODE_GIB: Final = 32.0
REQUESTS: Final = {"cpu": "600m", "memory": "1536Mi"}
SAMPLE_SECONDS: Final = 5.0
CHANGE_SECONDS: Final = 20.0
STEADY_SHARE: Final = 0.2
"""The last part of the run, whose mean is the steady state."""
PATIENCE_SECONDS: Final = 600.0
INTERVAL_SECONDS: Final = 60
MOVES_PER_INTERVAL: Final = 10
"""Of the descheduler, and as much as Spillway moves in the mean: three minutes pass between its bursts."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One workload, the same for every contender."""

    name: str
    replicas: int
    cores: float
    gib: float


def profiles(count: int, replicas: int, random_: random.Random) -> list[Profile]:
    """Workloads that use much CPU, much memory, or little of both."""
    found = []
    for index in range(count):
        kind = random_.choices(("cpu", "memory", "idle"), (0.4, 0.4, 0.2))[0]
        cores = {"cpu": (0.6, 1.0), "memory": (0.1, 0.3), "idle": (0.05, 0.15)}[kind]
        gib = {"cpu": (0.3, 0.6), "memory": (2.0, 4.0), "idle": (0.1, 0.3)}[kind]
        found.append(Profile(f"w{index:03}", replicas, random_.uniform(*cores), random_.uniform(*gib)))
    return found


@dataclass(slots=True)
class Watched:
    """What one contender's pods do: ready replicas by workload, against those that it should never fall below."""

    desired: dict[str, int]
    ready: Counter[str] = field(default_factory=Counter)
    floor: Counter[str] = field(default_factory=Counter)
    dips: int = 0

    @property
    def complete(self) -> bool:
        """Whether every replica is ready."""
        return all(self.ready[name] >= count for name, count in self.desired.items())

    def ask(self, workload: str, replicas: int) -> None:
        """Note that other replicas are asked for from now on; more count once they were ready."""
        self.desired[workload] = replicas
        self.floor[workload] = min(self.floor[workload], replicas)

    def change(self, workload: str, by: int) -> None:
        """Note that a replica became ready, or is so no longer."""
        before = self.ready[workload]
        self.ready[workload] += by
        if by < 0 and before >= self.floor[workload] > self.ready[workload]:
            self.dips += 1
        self.floor[workload] = max(self.floor[workload], min(self.ready[workload], self.desired[workload]))


@dataclass(frozen=True, slots=True)
class Sample:
    """The load of one contender's nodes at one time, in percent."""

    at: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]
    zones: Mapping[str, float]
    skew: int

    @property
    def imbalance(self) -> float:
        """Percentage points of CPU between the most and the least loaded node."""
        return spread(self.cpu.values())


def spread(values: Iterable[float]) -> float:
    """The difference between the largest and the smallest value."""
    found = list(values)
    return max(found) - min(found) if found else 0.0


class Scene:
    """The pods and nodes of all contenders, as a watch shows them."""

    def __init__(self, state: ClusterState, workloads: list[Profile], contenders: Iterable[str]) -> None:
        self.state = state
        self.profiles = {one.name: one for one in workloads}
        self.watched = {name: Watched({one.name: one.replicas for one in workloads}) for name in contenders}
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        state.subscribe(PodRecord, self._changed)

    def _changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        pod = new or old
        if pod is None or pod.namespace not in self.watched:
            return
        by = self._serves(new) - self._serves(old)
        if by:
            self.watched[pod.namespace].change(self._workload(pod), by)

    @staticmethod
    def _serves(pod: PodRecord | None) -> int:
        return int(pod is not None and pod.ready and pod.active)

    @staticmethod
    def _workload(pod: PodRecord) -> str:
        return pod.owner_name.rpartition("-")[0]

    def sample(self, contender: str, at: float) -> None:
        """Take a sample of one contender."""
        zone_of = {
            node.name: node.labels[ZONE_LABEL]
            for node in self.state.nodes.values()
            if node.labels.get("pool") == contender
        }
        cores: dict[str, float] = dict.fromkeys(zone_of, 0.0)
        gib: dict[str, float] = dict.fromkeys(zone_of, 0.0)
        zones: dict[str, Counter[str]] = defaultdict(Counter)
        for pod in self.state.pods.values():
            if pod.namespace == contender and pod.active and pod.node in zone_of:
                profile = self.profiles[self._workload(pod)]
                cores[pod.node] += profile.cores
                gib[pod.node] += profile.gib
                zones[profile.name][zone_of[pod.node]] += 1
        cpu = {str(name): 100 * cores[name] / NODE_CORES for name in zone_of}
        by_zone: dict[str, list[float]] = defaultdict(list)
        for name, zone in zone_of.items():
            by_zone[zone].append(cpu[name])
        every = sorted(by_zone)
        self.samples[contender].append(
            Sample(
                at,
                cpu,
                {str(name): 100 * gib[name] / NODE_GIB for name in zone_of},
                {zone: fmean(loads) for zone, loads in by_zone.items()},
                max((zone_skew(counts, every) for counts in zones.values()), default=0),
            )
        )


def figures(samples: list[Sample]) -> dict[str, Any]:
    """The figures of one contender; the first sample is taken before anything is moved."""
    steady = samples[-max(int(len(samples) * STEADY_SHARE), 1) :]
    even = next((one.at for one in samples if one.imbalance <= GOAL_POINTS), None)
    return {
        "node_imbalance_percent": round(fmean(one.imbalance for one in steady), 1),
        "node_imbalance_percent_before": round(samples[0].imbalance, 1),
        "node_imbalance_percent_peak": round(max(one.imbalance for one in samples), 1),
        "node_stdev_percent": round(fmean(pstdev(one.cpu.values()) for one in steady), 2),
        "node_stdev_percent_before": round(pstdev(samples[0].cpu.values()), 2),
        "busiest_node_percent": round(fmean(max(one.cpu.values()) for one in steady), 1),
        "memory_imbalance_percent": round(fmean(spread(one.memory.values()) for one in steady), 1),
        "zone_imbalance_percent": round(fmean(spread(one.zones.values()) for one in steady), 2),
        "zone_skew_max": max(one.skew for one in steady),
        "zone_skew_peak": max(one.skew for one in samples),
        "seconds_to_even_out": None if even is None else round(even),
    }


def balance(contender: str, *, moves: bool) -> dict[str, Any]:
    """The ZonalBalance of a contender."""
    rebalance = {
        "mode": "Active" if moves else "Disabled",
        "by": "Surge",
        "maxMovesPerMinute": 3 * MOVES_PER_INTERVAL,
        "settle": "30s",
    }
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": contender},
        "spec": {
            "nodeSelector": {"matchLabels": {"pool": contender}},
            "match": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": contender}}},
            "maxSkew": 1,
            "zoneSpread": {},
            "zonePreference": {},
            "load": {"refresh": "15s", "weights": {"cpu": 100, "memory": 0}},
            "target": {"maxImbalancePercent": GOAL_POINTS},
            "hotNodes": {"above": 60, "for": "30s"},
            "rebalance": rebalance,
        },
    }


def descheduler_policy() -> dict[str, Any]:
    """LowNodeUtilization on metrics, for one pool: nodes ten points above the mean give to those ten below it."""
    arguments = {
        "useDeviationThresholds": True,
        "thresholds": {"cpu": GOAL_POINTS / 2},
        "targetThresholds": {"cpu": GOAL_POINTS / 2},
        "metricsUtilization": {"source": "KubernetesMetrics"},
    }
    profile = {
        "name": "even",
        "pluginConfig": [
            {"name": "DefaultEvictor", "args": {"nodeFit": True}},
            {"name": "LowNodeUtilization", "args": arguments},
        ],
        "plugins": {"balance": {"enabled": ["LowNodeUtilization"]}},
    }
    return {
        "apiVersion": "descheduler/v1alpha2",
        "kind": "DeschedulerPolicy",
        "nodeSelector": "pool=descheduler",
        "maxNoOfPodsToEvictTotal": MOVES_PER_INTERVAL,
        "metricsProviders": [{"source": "KubernetesMetrics"}],
        "profiles": [profile],
    }


def start_descheduler(cluster: Cluster) -> None:
    """Start it beside the components."""
    policy = cluster.root / "descheduler.yaml"
    policy.write_text(yaml.safe_dump(descheduler_policy()))
    [port] = free_ports(1)
    cluster.start_process(
        "descheduler",
        [
            str(find("descheduler")),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--policy-config-file={policy}",
            f"--descheduling-interval={INTERVAL_SECONDS}s",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={cluster.root / 'descheduler-certificates'}",
        ],
    )


def workload(contender: str, profile: Profile) -> dict[str, Any]:
    """The Deployment of a contender."""
    found = deployment(contender, profile.name, profile.replicas, nodeSelector={"pool": contender})
    template = found["spec"]["template"]
    template["metadata"]["annotations"] = {
        "kwok.x-k8s.io/usage-cpu": f"{profile.cores * 1000:.0f}m",
        "kwok.x-k8s.io/usage-memory": f"{profile.gib * 1024:.0f}Mi",
    }
    template["spec"]["containers"][0]["resources"]["requests"] = REQUESTS
    found["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return found


def evictions(cluster: Cluster, contenders: Iterable[str]) -> Counter[str]:
    """The evictions that the API server allowed, by namespace."""
    found: Counter[str] = Counter()
    names = set(contenders)
    for path in cluster.audit_log.parent.glob(f"{cluster.audit_log.stem}*{cluster.audit_log.suffix}"):
        with path.open() as log:
            for line in log:
                if '"eviction"' not in line:
                    continue
                event = json.loads(line)
                about, status = event.get("objectRef") or {}, event.get("responseStatus") or {}
                ended = event.get("stage") == "ResponseComplete" and status.get("code") == 201
                if ended and about.get("subresource") == "eviction" and about.get("namespace") in names:
                    found[about["namespace"]] += 1
    return found


def main(
    *,
    contenders: Annotated[str, typer.Option(help="Who takes part, separated by commas.")] = ",".join(CONTENDERS),
    nodes: Annotated[int, typer.Option(help="Nodes of each contender.", min=3)] = 60,
    workloads: Annotated[int, typer.Option(help="Workloads of each contender.", min=1)] = 100,
    replicas: Annotated[int, typer.Option(help="Replicas of each workload at the beginning.", min=1)] = 6,
    seconds: Annotated[float, typer.Option(help="How long the run takes.", min=60.0)] = 1200.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same workloads and changes.")] = 1,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    taking_part: list[str] = [name for name in CONTENDERS if name in contenders.split(",")]
    if "descheduler" in taking_part:
        ensure_built(["descheduler"])
    machine, random_ = ran_on(), random.Random(seed)
    found = profiles(workloads, replicas, random_)
    options = Options(metrics_server=True, metric_resolution_seconds=15)
    with Cluster(options) as cluster, install(cluster, replicas=1, flags=["--status-seconds=10"]) as operator:
        operator.wait_leader()
        for name in taking_part:
            _say(f"{name}: {nodes} nodes, {workloads * replicas} pods")
            cluster.add_nodes(name, nodes, cpu=f"{NODE_CORES:g}", memory=f"{NODE_GIB:g}Gi")
            cluster.rest.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": {"team": name}}})
        with _resources(cluster, taking_part):
            measured = asyncio.run(_run(cluster, taking_part, found, random_, seconds))
            moved = _moves(operator, taking_part)
        evicted = evictions(cluster, taking_part)
    for name in taking_part:
        measured[name] |= {"evictions": evicted[name], "surges": moved.get(name, 0)}
    about = {"nodes": nodes, "pods": workloads * replicas, "workloads": workloads, "seconds": seconds, "seed": seed}
    text = json.dumps(measured | {"about": about | {"load_of": "CPU"}, "ran_on": machine}, indent=2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    print(text)  # noqa: T201 - what the command is for


@contextmanager
def _resources(cluster: Cluster, contenders: Iterable[str]) -> Iterator[None]:
    """The ZonalBalances, without moves until all pods run, and the policies of the same namespaces."""
    names = [name for name in contenders if name in {"soft", "spillway"}]
    ours = [made for name in names for made in (balance(name, moves=False), policy(name, namespace_label=name))]
    cluster.apply(ours)
    try:
        yield
    finally:
        cluster.delete(ours)


def _moves(operator: Installation, contenders: Iterable[str]) -> dict[str, int]:
    return {
        name: round(operator.total("spillway_balance_moves_total", balance=name, result="moved"))
        for name in contenders
        if name in {"soft", "spillway"}
    }


async def _run(
    cluster: Cluster, contenders: list[str], workloads: list[Profile], random_: random.Random, seconds: float
) -> dict[str, Any]:
    state = ClusterState(clock=time.monotonic, now=time.time)
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        watching = asyncio.create_task(Informers(client, state).run())
        try:
            await state.wait_synced(PATIENCE_SECONDS)
            scene = Scene(state, workloads, contenders)
            for name in contenders:
                await asyncio.to_thread(cluster.apply, [workload(name, one) for one in workloads])
            await _until_ready(scene, contenders)
            _say("all pods are ready")
            if "descheduler" in contenders:
                start_descheduler(cluster)
            if "spillway" in contenders:
                cluster.apply(balance("spillway", moves=True))
            await _live(client, scene, contenders, random_, seconds)
            return {name: figures(scene.samples[name]) | {"dips": scene.watched[name].dips} for name in contenders}
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _until_ready(scene: Scene, contenders: Iterable[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(not scene.watched[name].complete for name in contenders):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE_SECONDS:g} s without success for all pods to be ready")
        await asyncio.sleep(1.0)


async def _live(
    client: KubeClient, scene: Scene, contenders: list[str], random_: random.Random, seconds: float
) -> None:
    """Sample, and change the replicas of a workload now and then, the same for each contender."""
    began = time.monotonic()
    next_change = CHANGE_SECONDS
    names = list(scene.profiles)
    while (elapsed := time.monotonic() - began) < seconds:
        for name in contenders:
            scene.sample(name, elapsed)
        if elapsed >= next_change:
            next_change += CHANGE_SECONDS
            chosen = random_.choice(names)
            base = scene.profiles[chosen].replicas
            wanted = random_.choice((max(base - 2, 1), base, base + 2))
            for name in contenders:
                scene.watched[name].ask(chosen, wanted)
                path = f"/apis/apps/v1/namespaces/{name}/deployments/{chosen}/scale"
                await client.request("PATCH", path, body={"spec": {"replicas": wanted}}, content_type=MERGE_PATCH)
        if int(elapsed) % 60 < SAMPLE_SECONDS:
            now = ", ".join(f"{name} {scene.samples[name][-1].imbalance:.0f}" for name in contenders)
            _say(f"{elapsed:.0f} s: {now} points between nodes")
        await asyncio.sleep(SAMPLE_SECONDS)


if __name__ == "__main__":
    typer.run(main)
