"""The whole operator on the cluster of `bench_informer`: until it is ready, its memory, and what it costs at rest.

Contract: one replica under the chart's rights, with a policy in Recommend that governs everything. Nothing changes in
the cluster while it is measured at rest, and the operator itself has stopped writing: what it writes all the same is
reported. It is measured with the policy alone, and then with a pool that has a price, whose nodes a fifth of the pods
are on.
"""

import time
from typing import Any, Final

import psutil

from harness.operator import Installation
from localcluster import ClusterApi
from tests.bench.ran_on import cpu_seconds

REST_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 30.0
"""Without a write, before it counts as at rest: a status is written within ten."""
_SETTLE_SECONDS: Final = 300.0
_READY_SECONDS: Final = 300.0
POLICY: Final = """
apiVersion: spillway.dev/v1alpha1
kind: ElasticPolicy
metadata: {name: everything}
spec:
  mode: Recommend
  tiers: {elastic: {nodeSelector: {matchLabels: {pool: elastic}}, softTaint: true}}
  workloads: [{name: all}]
"""
POLICY_WITH_POOL: Final = """
apiVersion: spillway.dev/v1alpha1
kind: VirtualNodeBudget
metadata: {name: pool}
spec:
  nodeSelector: {matchLabels: {pool: elastic}}
  limits: {pods: 100000}
  price: {currency: USD, cpuHour: "0.05", memoryGiBHour: "0.005", minimumSeconds: 60}
---
apiVersion: spillway.dev/v1alpha1
kind: ElasticPolicy
metadata: {name: everything}
spec:
  mode: Recommend
  tiers: {virtual: {budgets: [pool]}}
  workloads:
    - name: all
      placement: {virtual: Overflow}
      threshold: {mode: Manual, replicas: 3}
"""


def measure(cluster: ClusterApi) -> dict[str, Any]:
    """Start the operator and measure it; it ends with this call."""
    with Installation(cluster) as operator:
        operator.apply()
        cluster.apply(POLICY)
        began = time.monotonic()
        operator.start(1)
        operator.wait_ready(0, timeout_seconds=_READY_SECONDS)
        ready_s = time.monotonic() - began
        operator.wait_leader()
        figures = {"ready_s": round(ready_s, 1)} | at_rest(operator)
        began = time.monotonic()
        page = operator.page(0, "/metrics")
        figures["metrics"] = {
            "bytes": len(page.encode()),
            "series": sum(not line.startswith("#") for line in page.splitlines()),
            "scrape_ms": round(1000 * (time.monotonic() - began)),
        }
        cluster.apply(POLICY_WITH_POOL)
        return figures | {"with_pool": at_rest(operator)}


def at_rest(operator: Installation, seconds: float = REST_SECONDS) -> dict[str, Any]:
    """Memory, and CPU and writes while nothing changes."""
    wait_until_quiet(operator)
    pid = operator.pid(0)
    if pid is None:
        raise SystemExit("the operator has ended")
    process = psutil.Process(pid)
    written = _writes(operator)
    before, began = cpu_seconds(process), time.monotonic()
    time.sleep(seconds)
    idle = (cpu_seconds(process) - before) / (time.monotonic() - began)
    return {
        "rss_mib": round(process.memory_info().rss / 2**20),
        "idle_cpu_percent": round(100 * idle, 2),
        "writes_at_rest": _writes(operator) - written,
    }


def wait_until_quiet(operator: Installation) -> None:
    """It takes the lead, counts everything once and writes its statuses. A cluster that never rests is measured too."""
    ends = time.monotonic() + _SETTLE_SECONDS
    written, since = -1, time.monotonic()
    while time.monotonic() < min(ends, since + _QUIET_SECONDS):
        time.sleep(2.0)
        if (now := _writes(operator)) != written:
            written, since = now, time.monotonic()


def _writes(operator: Installation) -> int:
    return round(operator.total("spillway_writes_total"))
