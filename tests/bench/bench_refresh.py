"""The refresh of forecasts: 2,000 workloads with two weeks of history in a real Prometheus, until all of it is read.

Writes `build/bench/refresh.json`. The history is pushed into Prometheus before anything is measured: for all workloads
what the recording rules of the chart give, at every step of the grid, and for some of them the counters of their
containers. Then the controller of the operator asks the forecasting process, as a leader does, until no history is
missing, and after that for one step more. Memory is the highest resident set of each process. Beside it, the same
histories are read by both clients of Prometheus, each in a process of its own.
"""

import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import psutil
import typer

from harness.prometheus import Labels, PushedPrometheus, prometheus_running
from spillway.app import leader
from spillway.controllers.forecast.controller import ForecastController
from spillway.controllers.forecast.process import ForecastProcess
from spillway.domain.forecast.refresh import DemandSource, Refreshed, RefreshRequest
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS
from spillway.domain.model.names import OwnerUid
from spillway.sources.api_client import ApiClient
from spillway.sources.batches import Batches, Patience
from spillway.sources.connection import Connection
from spillway.sources.prometheus import Prometheus
from spillway.sources.prometheus_use import USE_BATCH, DemandQuery, demands
from spillway.state.catalog import Kind
from tests.bench.ran_on import cpu_seconds, ran_on
from tests.builders import make_pod, make_replicaset
from tests.support.fake_recorder import FakeRecorder
from tests.support.world import Record, make_world
from tests.support.world import resource as policy_of

OUTPUT: Final = Path("build/bench/refresh.json")
DAY: Final = 86_400.0
GOALS: Final = {"refresh_seconds_max": 600.0, "operator_and_process_mib_max": 600.0}
PODS: Final = 3
PAIR_WORKLOADS: Final = USE_BATCH
CLIENTS: Final[dict[str, Callable[[Connection], Any]]] = {"own decoder": Prometheus, "prometheus-api-client": ApiClient}


class Clock:
    """The time of the bench, which begins with the end of the history."""

    def __init__(self, start: float) -> None:
        self._start, self._begun = start, time.monotonic()
        self.ahead = 0.0

    def now(self) -> float:
        return self._start + self.ahead + time.monotonic() - self._begun


class CountedProcess(ForecastProcess):
    """The forecasting process, with the number of batches that it has read."""

    batches = 0

    async def refresh(self, request: RefreshRequest) -> Refreshed:
        found = await super().refresh(request)
        self.batches += found.requests
        return found


def main(
    *,
    workloads: Annotated[int, typer.Option(help="Workloads with a history.")] = 2000,
    days: Annotated[int, typer.Option(help="Days of history.")] = 14,
    by_container: Annotated[int, typer.Option(help="Workloads of which only the containers' counters are known.")] = 50,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Push, refresh, and write the figures."""
    machine = ran_on("numpy", "prometheus-api-client", "requests")
    now = time.time() // STEP_SECONDS * STEP_SECONDS + 60
    with prometheus_running() as server:
        pushed = _push(server, workloads, days, by_container, now)
        found = {
            "workloads": workloads,
            "days": days,
            "samples": pushed,
            "refresh": asyncio.run(_refresh(server, workloads, days, now)),
            "by_container": asyncio.run(_by_container(server, range(workloads, workloads + by_container), now)),
            "clients": {name: _in_process(name, server.url, days, now) for name in CLIENTS},
            "goals": GOALS,
            "ran_on": machine,
        }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))  # noqa: T201  that is what it is run for


def _name(index: int) -> str:
    return f"app-{index:04}"


def _push(server: PushedPrometheus, workloads: int, days: int, by_container: int, now: float) -> int:
    dice, samples = np.random.default_rng(1), 0
    ends = np.arange(now - days * DAY, now + STEP_SECONDS, STEP_SECONDS) // STEP_SECONDS * STEP_SECONDS
    wave = 1.2 + np.sin(2 * np.pi * ends / DAY)
    rule = {"__name__": "namespace_workload:spillway_used_cpu_cores:sum", "namespace": "shop"}
    series: list[tuple[Labels, Any, Any]] = []
    for index in range(workloads):
        cores = wave * dice.uniform(0.5, 3) * dice.lognormal(0, 0.1, ends.size)
        series.append((rule | {"workload": f"Deployment/{_name(index)}"}, ends, cores))
        samples += ends.size
    scrapes = np.arange(now - DAY, now, 30.0)
    for index in range(workloads, workloads + by_container):
        for pod in range(PODS):
            labels = {
                "__name__": "container_cpu_usage_seconds_total",
                "namespace": "shop",
                "pod": f"{_name(index)}-5d6f7b8c9d-2xk8{pod + 4}",
                "container": "main",
            }
            series.append((labels, scrapes, np.cumsum(dice.uniform(5, 25, scrapes.size))))
            samples += scrapes.size
    server.push(series)
    return samples


async def _refresh(server: PushedPrometheus, workloads: int, days: int, now: float) -> dict[str, Any]:
    """The leader's controller with so many workloads, and its forecasting process, until no history is missing."""
    clock = Clock(now)
    records: list[Record] = []
    for index in range(workloads):
        name = _name(index)
        uid = OwnerUid(f"rs-{name}")
        records.append(
            make_replicaset(f"{name}-5d6f7b8c9d", uid=uid, owner_uid=OwnerUid(name), owner_name=name, replicas=PODS)
        )
        records += [make_pod(f"{name}-{pod}", owner_uid=uid) for pod in range(PODS)]
    forecast = {"history": f"{days}d", "startup": "15m", "window": "1h"}
    scaling = {"target": {"metric": "cpu", "utilization": 60}, "forecast": forecast}
    policy = policy_of(
        Kind.ELASTIC_POLICY, "online", mode="Recommend", tiers={}, workloads=[{"name": "all", "scaling": scaling}]
    )
    world = make_world(records, [policy], clock)  # type: ignore[arg-type]  # a clock that is not stopped
    process = CountedProcess(Connection(url=server.url))
    controller = ForecastController(world, FakeRecorder(), process, offset_seconds=0.0, workload_series=1000)
    _forget_highest()
    rounds: list[float] = []
    begun = time.perf_counter()
    try:
        first = 0.0
        while not rounds or controller.report.backlog:
            await controller.reconcile("refresh")
            rounds.append(round(time.perf_counter() - begun, 1))
            first = first or rounds[-1]
            assert not controller.report.trouble, controller.report.message
        whole = time.perf_counter() - begun
        beside = psutil.Process(process.pid)
        cpu = cpu_seconds(beside)
        clock.ahead += STEP_SECONDS
        begun = time.perf_counter()
        await controller.reconcile("refresh")
        next_step = time.perf_counter() - begun
        own, others = _highest_mib("self"), _highest_mib(str(beside.pid))
        return {
            "seconds": round(whole, 1),
            "first_forecasts_seconds": first,
            "rounds": len(rounds),
            "cpu_seconds": round(cpu, 1),
            "batches": process.batches,
            "forecasts": len(world.board.forecasts),
            "next_step_seconds": round(next_step, 1),
            "next_step_cpu_seconds": round(cpu_seconds(beside) - cpu, 1),
            "operator_mib": own,
            "process_mib": others,
            "operator_and_process_mib": round(own + others, 1),
            "prometheus_cpu_seconds": round(_prometheus_cpu(), 1),
        }
    finally:
        await process.close()


async def _by_container(server: PushedPrometheus, indices: range, now: float) -> dict[str, Any]:
    """A day of workloads for which the recording rules have nothing, at a scrape every 30 s."""
    wanted = [DemandQuery(f"Deployment/shop/{_name(index)}", DemandSource.CPU) for index in indices]
    end = int(now // STEP_SECONDS)
    async with Prometheus(Connection(url=server.url)) as prometheus:
        before, begun = _prometheus_cpu(), time.perf_counter()
        batches = Batches[DemandQuery](prometheus.check, lambda one: one.workload, Patience())
        points = 0
        async for batch in demands(prometheus, batches, wanted, end - DAY_STEPS, end):
            points += sum(one.times.size for one in batch)
    return {
        "workloads": len(indices),
        "pods": PODS,
        "points": points,
        "seconds": round(time.perf_counter() - begun, 2),
        "prometheus_cpu_seconds": round(_prometheus_cpu() - before, 2),
    }


def _in_process(name: str, url: str, days: int, now: float) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_read_pair, name, url, days, now).result(timeout=600)


def _read_pair(name: str, url: str, days: int, now: float) -> dict[str, Any]:
    """The history of as many workloads as are in one batch, a day at a time, by one client."""

    async def read() -> tuple[int, int]:
        end = int(now // STEP_SECONDS)
        wanted = [DemandQuery(f"Deployment/shop/{_name(one)}", DemandSource.CPU) for one in range(PAIR_WORKLOADS)]
        points = requests = 0
        async with CLIENTS[name](Connection(url=url)) as prometheus:
            batches = Batches[DemandQuery](prometheus.check, lambda one: one.workload, Patience())
            for day in range(days):
                last = end - day * DAY_STEPS
                async for batch in demands(prometheus, batches, wanted, last - DAY_STEPS, last):
                    points += sum(one.times.size for one in batch)
                    requests += 1
        return points, requests

    own = psutil.Process()
    _forget_highest()
    memory, cpu, begun = _highest_mib("self"), cpu_seconds(own), time.perf_counter()
    points, requests = asyncio.run(read())
    seconds = time.perf_counter() - begun
    return {
        "workloads": PAIR_WORKLOADS,
        "points": points,
        "requests": requests,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds(own) - cpu, 2),
        "mib_more": round(_highest_mib("self") - memory, 1),
    }


def _forget_highest() -> None:
    """Let the highest resident set of this process start from the present one; what the operator imports is in it."""
    assert leader.__name__ in sys.modules
    Path("/proc/self/clear_refs").write_text("5")


def _highest_mib(pid: str) -> float:
    """The highest resident set of a process."""
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024, 1)


def _prometheus_cpu() -> float:
    children = psutil.Process().children(recursive=True)
    return sum(cpu_seconds(one) for one in children if one.name() == "prometheus")


if __name__ == "__main__":
    typer.run(main)
