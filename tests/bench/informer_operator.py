"""The whole operator on the cluster of `bench_informer`: until it is ready, its memory, and what it costs at rest.

Contract: one replica under the chart's rights, with a policy in Recommend that governs everything, so that it writes to
no pod. Nothing changes in the cluster while it is measured at rest.
"""

import time
from typing import Any, Final

import psutil

from harness.operator import Installation
from localcluster import ClusterApi
from tests.bench.ran_on import cpu_seconds

REST_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 60.0
"""After it is ready: it takes the lead, counts everything once and writes its statuses."""
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
        time.sleep(_SETTLE_SECONDS)
        pid = operator.pid(0)
        if pid is None:
            raise SystemExit("the operator has ended")
        process = psutil.Process(pid)
        before, began = cpu_seconds(process), time.monotonic()
        time.sleep(REST_SECONDS)
        idle = (cpu_seconds(process) - before) / (time.monotonic() - began)
        began = time.monotonic()
        page = operator.page(0, "/metrics")
        scrape_s = time.monotonic() - began
        return {
            "ready_s": round(ready_s, 1),
            "rss_mib": round(process.memory_info().rss / 2**20),
            "idle_cpu_percent": round(100 * idle, 2),
            "metrics": {
                "bytes": len(page.encode()),
                "series": sum(not line.startswith("#") for line in page.splitlines()),
                "scrape_ms": round(1000 * scrape_s),
            },
        }
