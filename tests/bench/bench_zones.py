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
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any, Final

import structlog
import typer

from harness.operator import install
from localcluster import Cluster, Options
from localcluster.nodes import USAGE_CPU
from spillway.domain.balance.skew import zone_skew
from spillway.domain.model.names import ZONE_LABEL
from tests.bench.ran_on import ran_on
from tests.support.installed import autoscaler, deployment
from tests.support.tight import is_ready

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

    def traffic(self, zone: str, *, grown: bool) -> float:
        """What arrives in a zone, in millicores."""
        base = self.in_each_zone * REQUEST_MILLIS * BEFORE_PERCENT / 100
        return base * (GROWTH if grown and zone == self.busy else 1.0)


def services(count: int, random_: random.Random) -> list[Service]:
    """Services of different sizes; each zone is the busy one of a third of them."""
    return [Service(f"s{index:02}", random_.randint(2, 4), ZONES[index % len(ZONES)]) for index in range(count)]


def load_percent(service: Service, replicas: Mapping[str, int], zone: str, *, grown: bool) -> float:
    """What each replica in a zone would need, in percent of its request; infinite where there is none."""
    count = replicas.get(zone, 0)
    needed = service.traffic(zone, grown=grown)
    return 100 * needed / (count * REQUEST_MILLIS) if count else float("inf")


@dataclass(slots=True)
class Watched:
    """The ready replicas of each service by zone, as they were at each time."""

    samples: list[tuple[float, dict[str, Counter[str]]]] = field(default_factory=list)

    def figures(self, found: list[Service]) -> dict[str, Any]:
        """The figures of one contender; the first sample is the one before the traffic grew."""
        first, last = self.samples[0][1], self.samples[-1][1]
        relieved = {one.name: self._relieved(one) for one in found}
        times = [at for at in relieved.values() if at is not None]
        new = sum((last[one.name] - first[one.name]).total() for one in found)
        in_busy = sum(max(0, last[one.name][one.busy] - first[one.name][one.busy]) for one in found)
        return {
            "new_replicas": new,
            "new_replicas_in_the_busy_zone_percent": round(100 * in_busy / new, 1) if new else None,
            "services_relieved": len(times),
            "seconds_until_relieved_median": round(median(times)) if times else None,
            "seconds_until_relieved_max": round(max(times)) if times else None,
            "busy_zone_load_percent_at_growth": self._busy(found, 0),
            "busy_zone_load_percent_after_60_s": self._busy(found, self._index(60.0)),
            "busy_zone_load_percent_after_120_s": self._busy(found, self._index(120.0)),
            "busy_zone_load_percent_at_the_end": self._busy(found, -1),
            "busy_zone_load_percent_at_the_end_max": round(
                max(load_percent(one, last[one.name], one.busy, grown=True) for one in found), 1
            ),
            "zone_skew_max": max(
                zone_skew(counts, ZONES) for _, replicas in self.samples for counts in replicas.values()
            ),
        }

    def _relieved(self, service: Service) -> float | None:
        """Seconds until the load of the busy zone stayed within the HPA's tolerance; None if it never did."""
        since: float | None = None
        for at, replicas in self.samples:
            load = load_percent(service, replicas[service.name], service.busy, grown=True)
            if load > TARGET_PERCENT * TOLERANCE:
                since = None
            elif since is None:
                since = at
        return since

    def _index(self, seconds: float) -> int:
        return next((index for index, (at, _) in enumerate(self.samples) if at >= seconds), -1)

    def _busy(self, found: list[Service], index: int) -> float:
        replicas = self.samples[index][1]
        return round(fmean(load_percent(one, replicas[one.name], one.busy, grown=True) for one in found), 1)


class Scene:
    """The cluster of all contenders."""

    def __init__(self, cluster: Cluster, found: list[Service]) -> None:
        self._cluster = cluster
        self._services = {one.name: one for one in found}
        self._zone_of = {
            node["metadata"]["name"]: node["metadata"]["labels"][ZONE_LABEL]
            for node in cluster.rest.items("/api/v1/nodes")
        }

    def serve(self, contender: str, *, grown: bool) -> dict[str, Counter[str]]:
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
                percent = min(MOST_PERCENT, load_percent(service, replicas[name], zone, grown=grown))
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
    seconds: Annotated[float, typer.Option(help="How long the run takes after the growth.", min=60.0)] = 300.0,
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
        watched = _run(Scene(cluster, found), seconds)
    measured: dict[str, Any] = {name: watched[name].figures(found) for name in CONTENDERS}
    about = {
        "services": services_count,
        "nodes": nodes,
        "seconds": seconds,
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


def _run(scene: Scene, seconds: float) -> dict[str, Watched]:
    watched = {name: Watched() for name in CONTENDERS}
    began = time.monotonic()
    grown_at = began + WARM_UP_SECONDS
    while (now := time.monotonic()) < grown_at + seconds:
        grown = now >= grown_at
        for name in CONTENDERS:
            replicas = scene.serve(name, grown=grown)
            if grown:
                watched[name].samples.append((now - grown_at, replicas))
        _say(f"{now - grown_at:+.0f} s: " + ", ".join(_line(watched[name]) for name in CONTENDERS if grown))
        time.sleep(max(0.0, SAMPLE_SECONDS - (time.monotonic() - now)))
    return watched


def _line(watched: Watched) -> str:
    return f"{sum(counts.total() for counts in watched.samples[-1][1].values())} replicas"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    typer.run(main)
