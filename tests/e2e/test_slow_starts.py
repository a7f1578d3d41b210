"""Pods that are bound to a pool and start slowly, or never: which are replaced, and for whom the pool is closed.

The pods wait on their nodes until the test lets them start, as a provider does.
"""

import copy
import time
from typing import Any

from localcluster.rest import Object
from tests.support.stage import OwnedNodes, Stage

OWNED = OwnedNodes("owned-by-slow-starts", 1, cpu="100", pods=300)
START_AFTER_SECONDS = 30.0
"""The least that `startAfter` may be."""
ALWAYS = {"placement": {"virtual": "Always", "spillAfter": "0s"}}


def wait_where(stage: Stage, name: str, count: int, pool: str) -> list[Object]:
    """Until all of the workload's pods are on this pool."""
    found: list[Object] = []

    def there() -> bool:
        found[:] = stage.pods(name)
        bound = all(pod["spec"].get("nodeName") for pod in found)
        return bound and len(found) == count and stage.where(found) == {pool: count}

    stage.cluster.wait_until(there, f"{count} pods of {name} on {pool}")
    return found


def uids(pods: list[Object]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def test_pods_that_start_slowly_stay_whatever_spill_after_says(stage: Stage) -> None:
    stage.govern(ALWAYS)
    stage.deploy("slow", 4, starts=False)
    bound = wait_where(stage, "slow", 4, "a")
    deadline = time.monotonic() + 8.0
    while time.monotonic() < deadline:
        assert uids(stage.pods("slow")) == uids(bound), "none is replaced"
        time.sleep(0.5)
    stage.start(bound)
    stage.cluster.wait_pods_ready(stage.namespace, 4)
    assert uids(stage.pods("slow")) == uids(bound)


def test_one_broken_workload_leaves_a_pool_and_a_namespace_keeps_only_itself_out(stage: Stage) -> None:
    other = copy.copy(stage)
    other.namespace = stage.cluster.create_namespace(f"{stage.id}-other")
    stage.selects = {"stage-of": stage.id}
    for namespace in (stage.namespace, other.namespace):
        labels: dict[str, Any] = {"metadata": {"labels": stage.selects}}
        stage.cluster.rest.merge(f"/api/v1/namespaces/{namespace}", labels)
    stage.govern(ALWAYS, a={"failover": {"startAfter": f"{START_AFTER_SECONDS:.0f}s", "retryAfter": "10m"}})
    stage.deploy("broken", 4, starts=False)
    wait_where(stage, "broken", 4, "a")
    stage.start(wait_where(stage, "broken", 4, "b"))
    assert stage.pool_conditions().get("Accepting") == ("True", "Open"), "one workload on one node"

    stage.deploy("late", 2, starts=False)
    late = wait_where(stage, "late", 2, "a")
    stage.cluster.wait_until(
        lambda: stage.pool_conditions().get("Accepting") == ("True", "NamespacesKeptOut"),
        "the namespace to be kept out",
    )
    moved = wait_where(stage, "late", 2, "b")
    assert uids(moved).isdisjoint(uids(late))
    stage.start(moved)
    stage.deploy("web", 2)
    wait_where(stage, "web", 2, "b")
    other.deploy("web", 2)
    wait_where(other, "web", 2, "a")
    stage.cluster.rest.delete(f"/api/v1/namespaces/{other.namespace}")
