"""How long an uninstall takes: `spillway restore` on 60,000 pods that all carry marks, stopped once and run again.

`make bench-restore` → `build/bench/restore.json`. Only etcd and an API server run; the pods are written into etcd. The
command runs at its default rate and is stopped after `--stop-after` seconds, as by the time limit of Helm or of a Job;
the second run must continue there. The goal is that both together stay within the five minutes that Helm waits.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Final

import psutil

from harness.scene import COST, PREFIX
from localcluster import core
from localcluster.binaries import CORE, find
from localcluster.build import ensure_built
from localcluster.layout import LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Processes
from localcluster.rest import Object, Rest
from tests.bench.bench_informer import seed, wait_until_cached
from tests.bench.informer_objects import Shape
from tests.bench.ran_on import cpu_seconds, ran_on

ROOT: Final = Path(__file__).parents[2]
RESULT: Final = ROOT / "build/bench/restore.json"
LIMIT_SECONDS: Final = 300.0
"""The time that `helm uninstall` waits by default; the chart's Job may take twice as long."""
_LONGEST_SECONDS: Final = 1500.0
_RESTORED: Final = re.compile(r"(\d+) pods")


def main() -> None:
    """Seed, restore in two runs, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=60_000)
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--stop-after", type=float, default=40.0, help="seconds until the first run is stopped")
    arguments = parser.parse_args()
    ensure_built(CORE)
    machine = ran_on("kubernetes")
    shape = Shape(pods=arguments.pods, nodes=arguments.nodes)
    with ExitStack() as stack:
        layout = Layout(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-restore-"))))
        processes = Processes(layout.logs)
        stack.callback(processes.close)
        processes.start(core.etcd(layout, find))
        seeded = asyncio.run(seed(f"http://{LOOPBACK}:{layout.ports.etcd}", shape))
        processes.start(core.api_server(layout, Options(audit=False), find))
        wait_until_cached(Rest(layout.kubeconfig))
        pid = processes.pid("kube-apiserver")
        server = psutil.Process(pid)
        before = cpu_seconds(server)
        runs = [restored(layout.kubeconfig, arguments.stop_after), restored(layout.kubeconfig, _LONGEST_SECONDS)]
        result: dict[str, Any] = {
            "pods": arguments.pods,
            "seconds": round(sum(run["seconds"] for run in runs), 1),
            "limit_seconds": LIMIT_SECONDS,
            "runs": runs,
            "left_with_marks": left_with_marks(layout.kubeconfig),
            "api_server_cpu_s": round(cpu_seconds(server) - before, 1),
            "seeded": seeded,
            "ran_on": machine | {"load_after": os.getloadavg()},
        }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))  # noqa: T201 - what the command is for


def restored(kubeconfig: Path, stop_after: float) -> dict[str, Any]:
    """One `spillway restore`, stopped after so many seconds: its time, its CPU and what it did."""
    command = [sys.executable, "-m", "spillway", "restore", f"--kubeconfig={kubeconfig}", "--yes", "--quiet"]
    began = time.monotonic()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    )
    process, cpu = psutil.Process(child.pid), 0.0
    try:
        while child.poll() is None:
            time.sleep(0.2)
            cpu = cpu_seconds(process) if process.is_running() and child.poll() is None else cpu
            if time.monotonic() - began > stop_after:
                child.send_signal(signal.SIGTERM)
                break
        said, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    seconds = time.monotonic() - began
    found = _RESTORED.search(said)
    return {
        "seconds": round(seconds, 1),
        "exit_code": child.returncode,
        "pods": int(found.group(1)) if found else None,
        "cpu_s": round(cpu, 1),
        "said": said.strip()[-300:],
    }


def left_with_marks(kubeconfig: Path) -> int:
    """The pods, nodes and ReplicaSets that still carry anything of Spillway's, or a deletion cost."""
    rest = Rest(kubeconfig)
    try:
        paths = ("/api/v1/pods", "/api/v1/nodes", "/apis/apps/v1/replicasets")
        return sum(map(_is_marked, chain.from_iterable(_pages(rest, path) for path in paths)))
    finally:
        rest.close()


def _is_marked(item: Object) -> bool:
    taints = (taint["key"] for taint in (item.get("spec") or {}).get("taints") or ())
    return any(key.startswith(PREFIX) or key == COST for key in (*(item["metadata"].get("annotations") or ()), *taints))


def _pages(rest: Rest, path: str) -> Iterator[Object]:
    more = ""
    while True:
        page = json.loads(rest.raw("GET", f"{path}?limit=2000&continue={more}"))
        yield from page["items"]
        more = page["metadata"].get("continue", "")
        if not more:
            return


if __name__ == "__main__":
    main()
