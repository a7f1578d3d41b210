"""Where new replicas go when the traffic of one zone doubles, and when they relieve it: plain Kubernetes and Spillway.

`make bench-zones` → `build/bench/zones.json`. A real control plane with kwok's nodes, metrics-server and an HPA for
each service. Each contender has a pool of nodes in three zones and a namespace with the same services, side by side in
one run. Traffic stays in its zone: the ready replicas of a service in a zone share what arrives there. Each zone is the
busy one of a third of the services. The figures are computed from the pods and the traffic, not from what
metrics-server reports.
"""

import json
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Final

import structlog
import typer

from harness.operator import install
from localcluster import Cluster, Options
from localcluster.nodes import USAGE_CPU
from spillway.domain.balance.skew import zone_skew
from spillway.domain.model.names import ZONE_LABEL
from tests.bench.progress import progress
from tests.bench.ran_on import ran_on
from tests.support.installed import autoscaler, deployment
from tests.support.tight import is_ready

_say: Final = progress("bench-zones")
OUTPUT: Final = Path("build/bench/zones.json")
CONTENDERS: Final = ("plain", "spillway")
ZONES: Final = ("zone-a", "zone-b", "zone-c")
REQUEST_MILLIS: Final = 500
TARGET_PERCENT: Final = 60
"""Of the HPAs."""
TOLERANCE: Final = 1.1
"""An HPA does nothing below this multiple of its target."""
BEFORE_PERCENT: Final = 55
"""The use of each replica before the traffic changes."""
MOST_PERCENT: Final = 200
"""A replica uses no more: its CPU limit."""
GROWTH: Final = 2.0
MAX_SKEW: Final = 4
SAMPLE_SECONDS: Final = 5.0
WARM_UP_SECONDS: Final = 60.0
"""How long the HPAs and the operator read the load before the traffic changes."""
WRITERS: Final = 8


@dataclass(frozen=True, slots=True)
class Service:
    """One service, the same for every contender."""

    name: str
    in_each_zone: int
    """Its replicas in each zone at the beginning."""
    busy: str
    """The zone whose traffic grows."""

    def traffic(self, zone: str, growth: float) -> float:
        """What arrives in a zone, in millicores, when the busy one has got so many times its first traffic."""
        base = self.in_each_zone * REQUEST_MILLIS * BEFORE_PERCENT / 100
        return base * (growth if zone == self.busy else 1.0)


def services(count: int, random_: random.Random) -> list[Service]:
    """Services of different sizes; each zone is the busy one of a third of them."""
    return [Service(f"s{index:02}", random_.randint(2, 4), ZONES[index % len(ZONES)]) for index in range(count)]


def load_percent(service: Service, replicas: Mapping[str, int], zone: str, growth: float) -> float:
    """What each replica in a zone would need, in percent of its request; infinite where there is none."""
    count = replicas.get(zone, 0)
    needed = service.traffic(zone, growth)
    return 100 * needed / (count * REQUEST_MILLIS) if count else float("inf")


@dataclass(frozen=True, slots=True)
class Sample:
    """The ready replicas of each service by zone at one time."""

    at: float
    """Seconds since the traffic began to grow."""
    growth: float
    replicas: Mapping[str, Counter[str]]

    def busy(self, service: Service) -> float:
        """The load of the busy zone of a service, in percent."""
        return load_percent(service, self.replicas[service.name], service.busy, self.growth)


def figures(samples: list[Sample], found: list[Service]) -> dict[str, Any]:
    """The figures of one contender; the first sample is the one before the traffic grew."""
    first, last = samples[0].replicas, samples[-1].replicas
    new = sum(last[one.name].total() - first[one.name].total() for one in found)
    in_busy = sum(last[one.name][one.busy] - first[one.name][one.busy] for one in found)
    overloaded = [seconds_overloaded(samples, one) for one in found]
    at_the_end = [samples[-1].busy(one) for one in found]
    return {
        "new_replicas": new,
        "new_replicas_in_the_busy_zone_percent": round(100 * in_busy / new, 1) if new else None,
        "services_relieved_at_the_end": sum(load <= TARGET_PERCENT * TOLERANCE for load in at_the_end),
        "seconds_overloaded_mean": round(fmean(overloaded)),
        "seconds_overloaded_max": round(max(overloaded)),
        "busy_zone_load_percent_peak_mean": round(fmean(max(one.busy(each) for one in samples) for each in found), 1),
        "busy_zone_load_percent_at_the_end_mean": round(fmean(at_the_end), 1),
        "busy_zone_load_percent_at_the_end_max": round(max(at_the_end), 1),
        "zone_skew_at_the_beginning": max(zone_skew(counts, ZONES) for counts in first.values()),
        "zone_skew_max": max(zone_skew(counts, ZONES) for one in samples for counts in one.replicas.values()),
    }


def seconds_overloaded(samples: list[Sample], service: Service) -> float:
    """For how long the busy zone had more load than the HPA tolerates."""
    return sum(
        (after.at - before.at)
        for before, after in pairwise(samples)
        if before.busy(service) > TARGET_PERCENT * TOLERANCE
    )


class Scene:
    """The cluster of all contenders."""

    def __init__(self, cluster: Cluster, found: list[Service]) -> None:
        self._cluster = cluster
        self._services = {one.name: one for one in found}
        self._zone_of = {
            node["metadata"]["name"]: node["metadata"]["labels"][ZONE_LABEL]
            for node in cluster.rest.items("/api/v1/nodes")
        }

    def serve(self, contender: str, growth: float) -> dict[str, Counter[str]]:
        """Spread the traffic of each zone over its ready replicas; the ready replicas of each service by zone."""
        pods: dict[str, list[tuple[dict[str, Any], str]]] = defaultdict(list)
        for pod in self._cluster.pods(contender):
            zone = self._zone_of.get(pod["spec"].get("nodeName", ""))
            if zone and is_ready(pod) and "deletionTimestamp" not in pod["metadata"]:
                pods[pod["metadata"]["labels"]["app"]].append((pod["metadata"], zone))
        replicas = {name: Counter(zone for _, zone in pods[name]) for name in self._services}
        writes: dict[str, list[str]] = defaultdict(list)
        for name, service in self._services.items():
            for metadata, zone in pods[name]:
                percent = min(MOST_PERCENT, load_percent(service, replicas[name], zone, growth))
                usage = f"{round(percent * REQUEST_MILLIS / 100)}m"
                if (metadata.get("annotations") or {}).get(USAGE_CPU) != usage:
                    writes[usage].append(metadata["name"])
        with ThreadPoolExecutor(WRITERS) as pool:
            for usage, names in writes.items():
                pool.submit(self._cluster.set_usage, contender, names, cpu=usage)
        return replicas


def balance(contender: str) -> dict[str, Any]:
    """The ZonalBalance of Spillway's contender."""
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": contender},
        "spec": {
            "match": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": contender}}},
            "maxSkew": MAX_SKEW,
            "zoneSpread": {},
            "zonePreference": {},
            "load": {"refresh": "15s", "staleAfter": "2m"},
        },
    }


def workload(contender: str, service: Service) -> list[dict[str, Any]]:
    """The Deployment of a service and its HPA."""
    count = service.in_each_zone * len(ZONES)
    found = deployment(contender, service.name, count, nodeSelector={"pool": contender})
    container = found["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["requests"] = {"cpu": f"{REQUEST_MILLIS}m", "memory": "64Mi"}
    found["spec"]["template"]["metadata"]["annotations"] = {USAGE_CPU: f"{REQUEST_MILLIS * BEFORE_PERCENT // 100}m"}
    target = {"type": "Utilization", "averageUtilization": TARGET_PERCENT}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return [found, autoscaler(contender, service.name, count, 4 * count, metrics=metrics)]


def main(
    *,
    services_count: Annotated[int, typer.Option("--services", help="Services of each contender.", min=3)] = 12,
    nodes: Annotated[int, typer.Option(help="Nodes of each contender.", min=3)] = 18,
    seconds: Annotated[float, typer.Option(help="How long the run takes from the growth on.", min=60.0)] = 420.0,
    growth_seconds: Annotated[float, typer.Option(help="How long the traffic takes to double.", min=1.0)] = 240.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same services.")] = 1,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    machine = ran_on()
    found = services(services_count, random.Random(seed))
    options = Options(metrics_server=True, metric_resolution_seconds=15)
    with Cluster(options) as cluster, install(cluster, replicas=1, flags=["--status-seconds=10"]) as operator:
        operator.wait_leader()
        for name in CONTENDERS:
            cluster.add_nodes(name, nodes, cpu="16", memory="64Gi")
            cluster.rest.create("/api/v1/namespaces", {"metadata": {"name": name}})
        cluster.apply(balance("spillway"))
        for name in CONTENDERS:
            cluster.apply([made for one in found for made in workload(name, one)])
            cluster.wait_pods_ready(name, sum(one.in_each_zone for one in found) * len(ZONES))
        _say("all pods are ready")
        samples = _run(Scene(cluster, found), seconds, growth_seconds)
    measured: dict[str, Any] = {name: figures(samples[name], found) for name in CONTENDERS}
    about = {
        "services": services_count,
        "nodes": nodes,
        "seconds": seconds,
        "growth_seconds": growth_seconds,
        "seed": seed,
        "hpa_target_percent": TARGET_PERCENT,
        "load_percent_before": BEFORE_PERCENT,
        "growth_of_the_busy_zone": GROWTH,
        "max_skew": MAX_SKEW,
    }
    text = json.dumps(measured | {"about": about, "ran_on": machine}, indent=2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    print(text)  # noqa: T201 - what the command is for


def _run(scene: Scene, seconds: float, growth_seconds: float) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {name: [] for name in CONTENDERS}
    growth_begins = time.monotonic() + WARM_UP_SECONDS
    while (at := time.monotonic() - growth_begins) < seconds:
        growth = 1.0 + (GROWTH - 1.0) * min(max(at / growth_seconds, 0.0), 1.0)
        for name in CONTENDERS:
            replicas = scene.serve(name, growth)
            if at >= 0.0:
                samples[name].append(Sample(at, growth, replicas))
        counts = {name: sum(one.total() for one in got[-1].replicas.values()) for name, got in samples.items() if got}
        _say(f"{at:+.0f} s, {growth:.2f} times the traffic, replicas: {counts}")
        time.sleep(max(0.0, SAMPLE_SECONDS - (time.monotonic() - growth_begins - at)))
    return samples


if __name__ == "__main__":
    typer.run(main)
