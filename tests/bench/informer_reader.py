"""The reader whose cost is measured, a fresh process: the operator's client, informers and state, and nothing else.

Prints one JSON line when it has synced. Then, for each line on standard input, one more about what came since the last:
events, their lag (the deletion cost is the number of the change, whose time of writing the file named on the line has),
CPU and memory.
"""

import array
import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from spillway import logs
from spillway.app.memory import use_one_heap
from spillway.domain.model.records import PodRecord
from spillway.kube.client import KubeClient
from spillway.kube.informer import Informers
from spillway.state.cluster import ClusterState


def memory_mib(field: str) -> float:
    """VmHWM (the most ever resident) or VmRSS of this process. Not rusage's: exec hands the parent's on."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError(f"no {field} in /proc/self/status")


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


class Changes:
    """Which change of a pod was seen when."""

    def __init__(self, state: ClusterState) -> None:
        self.numbers = array.array("l")
        self.times = array.array("d")
        self._leave: Callable[[], None] = state.subscribe(PodRecord, self._heard)

    def _heard(self, _: PodRecord | None, new: PodRecord | None) -> None:
        if new is not None and new.deletion_cost is not None and new.deletion_cost > 0:
            self.numbers.append(new.deletion_cost)
            self.times.append(time.monotonic())

    async def seen(self, count: int) -> None:
        """Until so many changes came."""
        while len(self.numbers) < count:  # noqa: ASYNC110 - a bench must not cost the listener anything
            await asyncio.sleep(0.1)

    def take(self, written: Path) -> dict[str, Any]:
        """What was seen, laid beside the times at which it was written (one double a change, from number 1)."""
        sent = array.array("d")
        sent.frombytes(written.read_bytes())
        lags = sorted(at - sent[number - 1] for number, at in zip(self.numbers, self.times, strict=True))
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return {
            "events": len(lags),
            "span_s": round(span, 3),
            "lag_p50_ms": _ms(lags, 0.5),
            "lag_p99_ms": _ms(lags, 0.99),
            "lag_max_ms": _ms(lags, 1.0),
        }


def _ms(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1) if ordered else None


async def main(kubeconfig: str) -> None:
    started, cpu = time.monotonic(), cpu_seconds()
    state = ClusterState(clock=time.monotonic, now=time.time)
    client = await KubeClient.connect(kubeconfig)
    running = asyncio.create_task(Informers(client, state).run())
    await state.wait_synced()
    tell(
        wall_s=round(time.monotonic() - started, 2),
        cpu_s=round(cpu_seconds() - cpu, 2),
        cpu_with_imports_s=round(cpu_seconds(), 2),
        max_rss_mib=memory_mib("VmHWM"),
        pods=len(state.pods),
        nodes=len(state.nodes),
        replicasets=len(state.replicasets),
        pods_on_nodes=sum(state.node_usage.on_node(name).pods for name in state.nodes),
        pods_by_tier=Counter(pod.tier for pod in state.pods.values()),
    )
    changes = Changes(state)
    cpu, wall = cpu_seconds(), time.monotonic()
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if line == "begin":
            cpu, wall = cpu_seconds(), time.monotonic()
            continue
        written, count, patience = line.rsplit(" ", 2)
        with suppress(TimeoutError):
            await asyncio.wait_for(changes.seen(int(count)), float(patience))
        spent = {"cpu_s": round(cpu_seconds() - cpu, 2), "wall_s": round(time.monotonic() - wall, 2)}
        memory = {"max_rss_mib": memory_mib("VmHWM"), "rss_mib": memory_mib("VmRSS")}
        tell(**spent, **memory, **changes.take(Path(written)))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await client.close()


def tell(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    use_one_heap()
    logs.configure("json", "info")
    gc.freeze()
    uvloop.run(main(sys.argv[1]))
