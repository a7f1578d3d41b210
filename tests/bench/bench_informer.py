"""How fast, how small: 150,000 pods in etcd, read by the operator's own informers, then by the whole operator.

`make bench-informer` → `build/bench/informer.json`. Only etcd and an API server run. Objects are written into etcd as
JSON; the reader is a fresh process, which then follows 2,000 changes a second. Changes are written straight into etcd
too: through the API server two cores would measure the API server. Afterwards the operator itself is measured at rest
(`informer_operator`). `--pods`, `--nodes` and `--seconds` make it smaller; `--only operator` leaves out the first part.
`--only policies` measures the operator with 1 to 500 policies (`informer_policies`).
"""

import argparse
import array
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from harness.chart import HELM
from localcluster import ClusterApi, core
from localcluster.binaries import CORE, find
from localcluster.build import ensure_built
from localcluster.layout import LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Processes
from localcluster.rest import Rest, RestError
from tests.bench import informer_operator, informer_policies
from tests.bench.etcd_gateway import EtcdGateway, Pipeline
from tests.bench.informer_objects import Shape, objects, pod_key, pod_value
from tests.bench.ran_on import cpu_seconds, ran_on

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build/bench/informer.json"
PARTS = ("informer", "operator")
ON_REQUEST = ("policies",)
_READ_SECONDS = 300.0
_START_SECONDS = 600.0
_API_SERVER_MEMORY = "14GiB"
"""From here on its garbage collector works harder: the machine may have other work."""
_TICK_SECONDS = 0.05
_SETTLE_SECONDS = 30


def main() -> None:
    arguments = _arguments()
    marked = "informer" in arguments.only
    shape = Shape(
        pods=arguments.pods,
        nodes=arguments.nodes,
        namespaces=arguments.namespaces,
        pod_bytes=arguments.pod_bytes,
        marked=marked,
    )
    ensure_built([*CORE, HELM])
    machine = _machine()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-informer-")))
        layout = Layout(root)
        processes = Processes(layout.logs)
        stack.callback(processes.close)
        etcd = f"http://{LOOPBACK}:{layout.ports.etcd}"
        processes.start(core.etcd(layout, find))
        seeded = asyncio.run(seed(etcd, shape))
        # The audit log would only cost the API server time: no one reads it here.
        api_server = core.api_server(layout, Options(audit=False), find)
        processes.start(replace(api_server, env={"GOMEMLIMIT": _API_SERVER_MEMORY}))
        _say("waiting until the API server has read it all")
        ready_seconds = wait_until_cached(Rest(layout.kubeconfig))
        pids = {name: processes.pid(name) for name in ("etcd", "kube-apiserver")}
        result: dict[str, Any] = {}
        if "informer" in arguments.only:
            result |= asyncio.run(_measure(arguments, shape, layout, pids))
        if "operator" in arguments.only:
            if shape.marked:
                # Without their policy the operator would take the marks off for minutes, and would not be at rest.
                _say("taking the marks off")
                asyncio.run(seed(etcd, replace(shape, marked=False)))
            _say("starting the operator")
            features = Options().features
            result["operator"] = informer_operator.measure(
                ClusterApi(layout.kubeconfig, features=features, kubectl=find("kubectl"))
            )
        if "policies" in arguments.only:
            cluster = ClusterApi(layout.kubeconfig, features=Options().features, kubectl=find("kubectl"))

            def change() -> int:
                return asyncio.run(_changes(layout, shape, arguments))

            result["policies"] = informer_policies.measure(cluster, shape.namespaces, change)
        result |= {
            "seeded": seeded,
            "api_server": {
                "cache_filled_s": ready_seconds,
                "rss_mib": round(psutil.Process(pids["kube-apiserver"]).memory_info().rss / 2**20),
            },
            "ran_on": machine,
        }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))  # noqa: T201 - what the command is for


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=150_000)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--pod-bytes", type=int, default=Shape.pod_bytes)
    parser.add_argument("--rate", type=int, default=2_000, help="pod changes a second")
    parser.add_argument("--seconds", type=int, default=60, help="of changes")
    parser.add_argument("--namespaces", type=int, default=Shape.namespaces)
    parser.add_argument("--only", nargs="+", choices=(*PARTS, *ON_REQUEST), default=PARTS, help="parts to measure")
    return parser.parse_args()


async def seed(etcd: str, shape: Shape) -> dict[str, Any]:
    started = time.monotonic()
    async with EtcdGateway(etcd) as gateway:
        await gateway.wait(_START_SECONDS)
        _say(f"writing {shape.pods} pods on {shape.nodes} nodes into etcd")
        count, size = await gateway.put_all(objects(shape))
    return {"objects": count, "mib": round(size / 2**20), "pod_bytes": len(pod_value(shape, 0, 0)),
            "seconds": round(time.monotonic() - started, 1)}  # fmt: skip


def wait_until_cached(rest: Rest) -> float:
    """Until every kind is served from the API server's cache: reading it in is not the informer's time."""
    started = time.monotonic()
    for path in ("/readyz", "/api/v1/namespaces", "/api/v1/nodes", "/apis/apps/v1/replicasets", "/api/v1/pods"):
        while True:
            try:
                rest.raw("GET", path if path == "/readyz" else f"{path}?limit=1&resourceVersion=0")
                break
            except (RestError, OSError):
                if time.monotonic() - started > _START_SECONDS:
                    raise
                time.sleep(0.2)
    rest.close()
    return round(time.monotonic() - started, 1)


async def _measure(
    arguments: argparse.Namespace, shape: Shape, layout: Layout, pids: dict[str, int | None]
) -> dict[str, Any]:
    _say("reading")
    reader = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("informer_reader.py")),
        str(layout.kubeconfig),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        limit=2**20,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    try:
        listed = json.loads(await asyncio.wait_for(reader.stdout.readline(), _READ_SECONDS))
        _say(f"read in {listed['wall_s']} s; now {arguments.rate} changes a second for {arguments.seconds} s")
        reader.stdin.write(b"begin\n")
        others = {name: psutil.Process(pid) for name, pid in pids.items()} | {"bench": psutil.Process()}
        before = {name: cpu_seconds(process) for name, process in others.items()}
        async with Pipeline(LOOPBACK, layout.ports.etcd) as pipeline:
            written = await _change(pipeline, shape, arguments.rate, arguments.seconds)
        spent = {name: round(cpu_seconds(process) - before[name], 1) for name, process in others.items()}
        path = layout.root / "written"
        path.write_bytes(written.tobytes())
        reader.stdin.write(f"{path} {len(written)} {_SETTLE_SECONDS}\n".encode())
        followed = json.loads(await asyncio.wait_for(reader.stdout.readline(), _READ_SECONDS))
        reader.stdin.write(b"\n")
        await asyncio.wait_for(reader.wait(), 30)
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.wait()
    achieved = len(written) / (written[-1] - written[0])
    cpu_per_event = followed["cpu_s"] / max(1, followed["events"])
    span = followed["span_s"]
    return {
        "pods": listed["pods"],
        "wall_s": listed["wall_s"],
        "cpu_s": listed["cpu_s"],
        "max_rss_mib": max(listed["max_rss_mib"], followed["max_rss_mib"]),
        "events_per_s": round(followed["events"] / span, 1) if span else 0.0,
        "listed": listed,
        "changes": {
            "asked_per_s": arguments.rate,
            "written": len(written),
            "written_per_s": round(achieved, 1),
            "cpu_share_of_a_core": round(followed["cpu_s"] / followed["wall_s"], 3),
            "cpu_us_per_event": round(cpu_per_event * 1e6, 1),
            **followed,
            "cpu_s_of_others": spent,
        },
    }


async def _changes(layout: Layout, shape: Shape, arguments: argparse.Namespace) -> int:
    async with Pipeline(LOOPBACK, layout.ports.etcd) as pipeline:
        return len(await _change(pipeline, shape, arguments.rate, arguments.seconds))


async def _change(etcd: Pipeline, shape: Shape, rate: int, seconds: int) -> "array.array[float]":
    """Rewrite pods at `rate`, each with the number of the change as its deletion cost; when each was sent."""
    written: array.array[float] = array.array("d")
    batch = max(1, round(rate * _TICK_SECONDS))
    started = time.monotonic()
    for tick in range(round(seconds / _TICK_SECONDS)):
        pairs = []
        for number in range(tick * batch, (tick + 1) * batch):
            index = number * 7919 % shape.pods  # a prime: changes fall all over the cluster
            pairs.append((pod_key(shape, index), pod_value(shape, index, number + 1)))
        pause = started + tick * _TICK_SECONDS - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        written.extend([time.monotonic()] * len(pairs))
        await etcd.put(pairs)
    return written


def _machine() -> dict[str, Any]:
    cpu = Path("/proc/cpuinfo").read_text().splitlines()
    return ran_on("kubernetes") | {
        "cpu": next((line.split(":")[1].strip() for line in cpu if "model name" in line), platform.machine()),
        "components": "etcd and kube-apiserver only, on the same machine",
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    main()
