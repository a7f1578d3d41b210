"""What ElasticPolicies cost the operator: memory, CPU at rest and CPU of a change of a pod, by their number.

Contract: on the cluster of `bench_informer`, one replica under the chart's rights for each number of policies. The
policies are in Recommend, and share out the namespaces evenly.
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import psutil

from harness.operator import Installation
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.bench.informer_operator import at_rest, wait_until_quiet
from tests.bench.ran_on import cpu_seconds

NUMBERS: Final = (1, 10, 100, 500)
REST_SECONDS: Final = 30.0
_VALUES: Final = 32
"""The values that a requirement of a selector may have."""


def measure(cluster: ClusterApi, namespaces: int, change: Callable[[], int]) -> list[dict[str, Any]]:
    """The figures of each number of policies; `change` rewrites pods for a while, and says how many."""
    return list(_figures(cluster, namespaces, change))


def _figures(cluster: ClusterApi, namespaces: int, change: Callable[[], int]) -> Iterator[dict[str, Any]]:
    for number in NUMBERS:
        with Installation(cluster) as operator:
            operator.apply()
            cluster.apply(
                json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_policies(number, namespaces))})
            )
            began = time.monotonic()
            operator.start(1)
            operator.wait_ready(0)
            ready_s = time.monotonic() - began
            operator.wait_leader()
            # Statuses are written ten a second, and the first one may take longer than what counts as quiet.
            cluster.wait_until(partial(_all_have_a_status, cluster, number), "a status of every policy")
            figures = {"policies": number, "ready_s": round(ready_s, 1)} | at_rest(operator, REST_SECONDS)
            pid = operator.pid(0)
            if pid is None:
                raise SystemExit("the operator has ended")
            process = psutil.Process(pid)
            before = cpu_seconds(process)
            changes = change()
            wait_until_quiet(operator)
            spent = cpu_seconds(process) - before
            yield figures | {"changes": changes, "cpu_us_per_change": round(spent / changes * 1e6)}


def _all_have_a_status(cluster: ClusterApi, number: int) -> bool:
    policies = cluster.rest.items("/apis/spillway.dev/v1alpha1/elasticpolicies")
    return len(policies) == number and all("status" in one for one in policies)


def _policies(number: int, namespaces: int) -> Iterator[Object]:
    for index in range(number):
        mine = [str(team) for team in range(index, namespaces, number)]
        yield {
            "apiVersion": "spillway.dev/v1alpha1",
            "kind": "ElasticPolicy",
            "metadata": {"name": f"policy-{index}"},
            "spec": {
                "mode": "Recommend",
                "tiers": {"elastic": {"nodeSelector": {"matchLabels": {"pool": "elastic"}}}},
                "workloads": [
                    {
                        "name": f"class-{part}",
                        "match": {
                            "namespaces": {"matchExpressions": [{"key": "team", "operator": "In", "values": values}]}
                        },
                    }
                    for part, values in enumerate(mine[at : at + _VALUES] for at in range(0, len(mine), _VALUES))
                ],
            },
        }
