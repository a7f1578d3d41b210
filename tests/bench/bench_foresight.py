"""Foresight on the real control plane: an HPA on CPU, the same with recommended replicas, and with headroom as well.

Runs the contenders side by side in one cluster, with the same demand, in real time. Writes
`build/bench/foresight.json`; the figures are explained in docs/explanation/benchmarks.md.
"""

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import structlog
import typer

from demo.driver import usage_millis
from demo.foresight import forecasts_complete
from harness import Installation
from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster import Cluster, ClusterError, Options
from localcluster.nodes import USAGE_CPU
from localcluster.rest import Object, RestError
from spillway.api.scalars import Duration
from tests.bench import foresight_stage as stage
from tests.bench.foresight_day import modelled_day, owned_nodes
from tests.bench.foresight_demand import PLAYED_MINUTES, DailyDemand, services
from tests.bench.foresight_measure import Moment, Seen, figures, goals, is_ready
from tests.bench.foresight_stage import CORES_PER_REPLICA, PER_REPLICA, REQUEST_CORES, Foresight
from tests.bench.ran_on import ran_on

OUTPUT: Final = Path("build/bench/foresight.json")
SETUP_SECONDS: Final = 480.0
"""Between the push of the history and the begin of the played part: the operator reads two weeks in it, and an elastic
node of each contender comes and goes."""
PUSH_SECONDS: Final = 15.0
TICK_SECONDS: Final = 2.0
TELL_SECONDS: Final = 60.0
DRIVE_SECONDS: Final = 5.0
TOLERANCE: Final = 0.04
"""The usage of a pod is written again when it moved by more than this."""
POLICIES: Final = "/apis/spillway.dev/v1alpha1/elasticpolicies"
CLAIMS: Final = "/apis/karpenter.sh/v1/nodeclaims"
API_SERVICE: Final = "apiservice/v1beta1.external.metrics.k8s.io"

Pods = dict[Foresight, dict[str, list[Object]]]


def main(
    *,
    minutes: Annotated[float, typer.Option(help="How long the played part takes.", min=2.0)] = PLAYED_MINUTES,
    workloads: Annotated[int, typer.Option(help="Workloads of each contender.")] = 6,
    days: Annotated[int, typer.Option(help="Days of history.")] = 14,
    seed: Annotated[int, typer.Option(help="The same seed gives the same demand.")] = 1,
    node_startup_seconds: Annotated[int, typer.Option(help="From Karpenter's order until the node is there.")] = 180,
    startup: Annotated[str, typer.Option(help="`forecast.startup` of the policies.")] = "4m",
    window: Annotated[str, typer.Option(help="`forecast.window` of the policies.")] = "10m",
    setup_seconds: Annotated[float, typer.Option(help="Time for the operator to read the history.")] = SETUP_SECONDS,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    machine = ran_on("numpy")
    options = Options(
        metrics_server=True,
        karpenter=True,
        hpa_sync_seconds=15.0,
        hpa_downscale_stabilization_seconds=300.0,
        metric_resolution_seconds=15,
        node_startup_seconds=node_startup_seconds,
        karpenter_env={"LOG_LEVEL": "error"},
        audit=False,
    )
    demand = DailyDemand(time.time() + setup_seconds, minutes, days, seed, services(workloads, seed))
    owned = owned_nodes(demand)
    with ExitStack() as stack:
        _say("starting the control plane and Prometheus, with the history of the demand")
        cluster = stack.enter_context(Cluster(options))
        server = stack.enter_context(prometheus_running())
        server.push([(_labels(demand, index), *_history(demand, index)) for index in range(workloads)])
        run = ForesightRun(cluster, server, demand, owned)
        run.lay_ground()
        stack.enter_context(run.pushing())
        operator = stack.enter_context(_operator(cluster, server.url))
        cluster.apply(
            [stage.policy(one, startup=startup, window=window, days=days) for one in Foresight if one.foresees]
        )
        run.see_elastic_nodes()
        run.wait_forecasts(operator)
        run.autoscale()
        _say(f"waiting {demand.start - time.time():.0f} s for the begin of the played part")
        run.play()
        found = {one.value: figures(run.seen[one], demand.start, run.ended) for one in Foresight}
        status = {one.value: _status(cluster, one) for one in Foresight if one.foresees}
    day = modelled_day(
        demand,
        owned,
        startup_seconds=float(Duration(startup).seconds),
        window_seconds=float(Duration(window).seconds),
        node_startup_seconds=float(node_startup_seconds),
    )
    about = {
        "minutes": minutes,
        "workloads": workloads,
        "history_days": days,
        "seed": seed,
        "node_startup_seconds": node_startup_seconds,
        "forecast": {"startup": startup, "window": window},
        "hpa": {
            "sync_seconds": 15,
            "downscale_stabilization_seconds": 300,
            "cpu_target_percent": stage.TARGET_UTILIZATION,
        },
        "nodes": f"{owned} owned and others elastic, {stage.NODE_CORES:g} CPU allocatable on each, WhenEmpty",
        "ran_on": machine,
        "load_after": round(ran_on()["load_before"][0], 2),
    }
    measured = {
        "about": about,
        **found,
        "day_modelled": day,
        "goals": goals(found, day),
        "status_after": status,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(measured, indent=2) + "\n")
    for name, values in found.items():
        _say(name + ": " + ", ".join(f"{key} {value}" for key, value in values.items() if key != "series"))
    for name, values in day.items():
        _say(f"{name}, the whole day in the simulator: {values}")
    _say(f"figures: {output}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201  that is what it is run for


def _labels(demand: DailyDemand, index: int) -> dict[str, str]:
    return {"__name__": stage.SERIES, "workload": demand.services[index].name}


def _history(demand: DailyDemand, index: int) -> tuple[Any, Any]:
    times, values = demand.history(index)
    past = times <= time.time()
    return times[past], PER_REPLICA * values[past]


@contextmanager
def _operator(cluster: Cluster, url: str) -> Iterator[Installation]:
    flags = [f"--prometheus-url={url}", "--status-seconds=2"]
    with Installation(cluster, {"externalMetrics": {"enabled": True}}, flags=flags) as installed:
        installed.apply()
        installed.start(1)
        installed.wait_ready()
        installed.wait_leader()
        cluster.kubectl("wait", "--for=condition=Available", "--timeout=60s", API_SERVICE)
        yield installed


def _status(cluster: Cluster, contender: Foresight) -> Object:
    found: Object = cluster.rest.get(f"{POLICIES}/{contender.value}").get("status") or {}
    return {key: found[key] for key in ("conditions", "headroom") if key in found}


@dataclass
class ForesightRun:
    """One run: the stage, the demand that goes on, and what is seen."""

    cluster: Cluster
    server: PushedPrometheus
    demand: DailyDemand
    owned_nodes: int
    seen: dict[Foresight, Seen] = field(default_factory=lambda: {one: Seen() for one in Foresight})
    ended: float = 0.0
    _written: dict[str, int] = field(default_factory=dict)
    """The usage that was written last, by a pod's uid, in thousandths of a core."""
    _driven: float = 0.0

    def lay_ground(self) -> None:
        """Add the contenders' nodes, pools and workloads, as the valley needs them."""
        pods = 0
        for one in Foresight:
            self.cluster.create_namespace(one.namespace, labels=one.labels)
            self.cluster.add_nodes(
                f"{one.value}-owned", self.owned_nodes, cpu=f"{stage.NODE_CORES:g}", labels=one.labels, wait=False
            )
            self.cluster.add_karpenter_pool(
                f"{one.value}-elastic",
                labels={**one.labels, stage.ELASTIC: one.value},
                taints=stage.elastic_taints(one),
                cpus=[stage.ELASTIC_CPU],
                consolidate_after=stage.CONSOLIDATE_AFTER,
            )
            for service in self.demand.services:
                replicas = max(stage.MIN_REPLICAS, round(service.valley + 0.5))
                self.cluster.rest.create(
                    f"/apis/apps/v1/namespaces/{one.namespace}/deployments",
                    stage.deployment(one, service.name, replicas),
                )
                pods += replicas
        for one in Foresight:
            self.cluster.wait_pods_ready(one.namespace, pods // len(Foresight))

    @contextmanager
    def pushing(self) -> Iterator[None]:
        """Go on pushing the demand for the length of the block."""
        done = threading.Event()

        def push() -> None:
            while not done.wait(PUSH_SECONDS):
                now = np.array([time.time()])
                count = len(self.demand.services)
                self.server.push(
                    [(_labels(self.demand, one), now, PER_REPLICA * self.demand.at(one, now)) for one in range(count)]
                )

        thread = threading.Thread(target=push, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(PUSH_SECONDS)

    def wait_forecasts(self, operator: Installation) -> None:
        """Until every workload has a forecast from its whole history."""
        wanted = len(self.demand.services) * sum(one.foresees for one in Foresight)
        left = max(self.demand.start - time.time(), 10.0)
        self.cluster.wait_until(
            lambda: forecasts_complete(operator, wanted), "the forecasts of all workloads", timeout_seconds=left
        )
        _say("every workload has a forecast from its whole history")

    def see_elastic_nodes(self) -> None:
        """Let one elastic node of each contender come and go, as on every day before."""
        pods = [stage.visitor(one) for one in Foresight]
        self.cluster.apply(pods)
        for one in Foresight:
            path = f"/api/v1/namespaces/{one.namespace}/pods/{stage.VISITOR}"
            self.cluster.wait_until(
                lambda path=path: self.cluster.rest.get(path)["spec"].get("nodeName"),  # type: ignore[misc]
                f"an elastic node of {one.value}",
                timeout_seconds=SETUP_SECONDS,
            )
        time.sleep(PUSH_SECONDS)  # the operator looks at nodes every few seconds
        self.cluster.delete(pods)
        self.cluster.wait_until(
            lambda: not self.cluster.rest.items("/api/v1/nodes", labelSelector=stage.ELASTIC),
            "no elastic nodes",
            timeout_seconds=SETUP_SECONDS,
        )
        _say("every contender has had an elastic node")

    def autoscale(self) -> None:
        """Create the HPAs, which begin to act."""
        for one in Foresight:
            self.cluster.rest.create_all(
                f"/apis/autoscaling/v2/namespaces/{one.namespace}/horizontalpodautoscalers",
                [stage.autoscaler(one, service.name) for service in self.demand.services],
            )

    def play(self) -> None:
        """Follow the contenders until the end of the played part; what comes before it is not counted."""
        end = self.demand.start + 60 * self.demand.minutes
        told = 0.0
        with ThreadPoolExecutor(8) as pool:
            while (now := time.time()) < end:
                self._patiently(lambda: self._tick(pool))
                if now - told >= TELL_SECONDS:
                    told = now
                    self._tell()
                time.sleep(max(TICK_SECONDS - (time.time() - now), 0.1))
        self.ended = time.time()

    def _tell(self) -> None:
        for one, seen in self.seen.items():
            if seen.moments:
                last = seen.moments[-1]
                waiting = sum(wait.ready is None for wait in seen.waits.values())
                _say(
                    f"{(last.at - self.demand.start) / 60:4.1f} min {one:9} demand {last.demand:5.1f} "
                    f"unmet {last.unmet:4.1f} replicas {last.replicas} ready {last.ready} waiting {waiting} "
                    f"nodes {last.elastic_nodes} headroom {last.headroom_ready} of {last.headroom}"
                )

    def _patiently(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (RestError, ClusterError, OSError) as error:
            # One look less: the moment before counts a little longer.
            _say(f"not read: {error}")

    def _tick(self, pool: ThreadPoolExecutor) -> None:
        rest = self.cluster.rest
        nodes = rest.items("/api/v1/nodes")
        claims = rest.items(CLAIMS)
        kept = _headroom(rest.get(f"{POLICIES}/{Foresight.SPILLWAY.value}"))
        ready: Pods = {}
        now = time.time()
        for one in Foresight:
            pods = rest.items(f"/api/v1/namespaces/{one.namespace}/pods")
            asked = {
                item["metadata"]["name"]: int(item["spec"]["replicas"])
                for item in rest.items(f"/apis/apps/v1/namespaces/{one.namespace}/deployments")
            }
            now = time.time()
            ready[one] = _ready_by_workload(pods)
            if now < self.demand.start:
                for workload, replicas in asked.items():
                    self.seen[one].replicas[workload] = [(now, replicas)]
                continue
            own = [claim for claim in claims if claim["metadata"]["labels"].get(stage.CONTENDER) == one.value]
            seen = self.seen[one]
            seen.pods(pods, self.demand.start, now)
            seen.claims(own, now)
            for workload, replicas in asked.items():
                seen.asked(workload, replicas, now)
            seen.moments.append(
                self._moment(
                    now,
                    {name: len(members) for name, members in ready[one].items()},
                    replicas=sum(asked.values()),
                    allocatable=_allocatable(nodes, one),
                    elastic_nodes=len(own),
                    **(kept if one is Foresight.SPILLWAY else {}),
                )
            )
        if now - self._driven >= DRIVE_SECONDS:
            self._driven = now
            self._drive(pool, ready, now)

    def _moment(
        self, now: float, ready: Mapping[str, int], *, replicas: int, allocatable: float, **seen: int
    ) -> Moment:
        demand = used = 0.0
        for index, service in enumerate(self.demand.services):
            cores = self.demand.now(index, now) * CORES_PER_REPLICA
            demand += cores
            used += min(cores, ready.get(service.name, 0) * REQUEST_CORES)
        return Moment(
            now,
            demand,
            demand - used,
            used,
            allocatable,
            replicas=replicas,
            ready=sum(ready.values()),
            **seen,
        )

    def _drive(self, pool: ThreadPoolExecutor, ready: Pods, now: float) -> None:
        """Write what the ready pods use."""
        due: list[tuple[Object, int]] = []
        for workloads in ready.values():
            for index, service in enumerate(self.demand.services):
                pods = workloads.get(service.name, [])
                share = usage_millis(self.demand.now(index, now) * CORES_PER_REPLICA, len(pods))
                due += [(pod, share) for pod in pods if self._moved(pod, share)]
        list(pool.map(self._write, due))

    def _moved(self, pod: Object, share: int) -> bool:
        written = self._written.get(pod["metadata"]["uid"])
        return written is None or abs(share - written) > TOLERANCE * max(written, 1)

    def _write(self, due: tuple[Object, int]) -> None:
        pod, share = due
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        try:
            self.cluster.rest.merge(path, {"metadata": {"annotations": {USAGE_CPU: f"{share}m"}}})
        except RestError as error:
            if error.status != 404:
                raise
        self._written[meta["uid"]] = share


def _ready_by_workload(pods: list[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = defaultdict(list)
    for pod in pods:
        if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]:
            found[pod["metadata"]["labels"]["app"]].append(pod)
    return found


def _allocatable(nodes: list[Object], contender: Foresight) -> float:
    """The cores of a contender's ready nodes."""
    return sum(
        _cores(node["status"]["allocatable"]["cpu"])
        for node in nodes
        if node["metadata"]["labels"].get(stage.CONTENDER) == contender.value and is_ready(node)
    )


def _cores(quantity: str) -> float:
    return float(quantity.removesuffix("m")) / 1000 if quantity.endswith("m") else float(quantity)


def _headroom(policy: Object) -> dict[str, int]:
    """The headroom of a policy, as `Moment` names it."""
    found = (policy.get("status") or {}).get("headroom") or {}
    return {"headroom": int(found.get("pods", 0)), "headroom_ready": int(found.get("ready", 0))}


if __name__ == "__main__":
    typer.run(main)
