"""Waiting pods after their pools were withdrawn, on the real control plane: replaced by what the present policies say.

No one schedules the pods of these scenarios, so they wait for as long as they are there.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.support.installed import wait_marked_only_in
from tests.support.stage import GROUP_PATH, Stage

REPLICAS, THRESHOLD = 6, 2
NO_SCHEDULER = "no-scheduler"


@pytest.fixture
def stage(operator: Installation, cluster: ClusterApi) -> Iterator[Stage]:
    made = Stage(cluster, "nowhere")
    yield made
    made.close()


def _fill(stage: Stage) -> tuple[set[str], set[str]]:
    """Six waiting pods; the uids of those decided physical, and of those sent to the pools."""
    stage.govern({"threshold": {"mode": "Manual", "replicas": THRESHOLD}, "placement": {"virtual": "Overflow"}})
    stage.deploy("web", REPLICAS, schedulerName=NO_SCHEDULER)
    found: list[Object] = []

    def all_there() -> bool:
        found[:] = stage.pods("web")
        return len(found) == REPLICAS

    stage.cluster.wait_until(all_there, "the pods")
    sent = {pod["metadata"]["uid"] for pod in found if _affinity(pod)}
    physical = {pod["metadata"]["uid"] for pod in found} - sent
    assert (len(physical), len(sent)) == (THRESHOLD, REPLICAS - THRESHOLD), "undecided pods stay physical"
    return physical, sent


def _affinity(pod: Object) -> Any:
    return (pod["spec"].get("affinity") or {}).get("nodeAffinity")


def _marks(pod: Object) -> set[str]:
    return {key for key in pod["metadata"].get("annotations") or {} if key.startswith("spillway.dev/")}


def _is_plain(pod: Object) -> bool:
    tolerated = {one["key"] for one in pod["spec"].get("tolerations") or []}
    return not _affinity(pod) and not _marks(pod) and not {key for key in tolerated if "virtual" in key}


def _wait_plain(stage: Stage, physical: set[str], sent: set[str]) -> None:
    """Until every pod is as its user wrote it; those that were physical are the same ones, without marks."""

    def plain() -> bool:
        pods = stage.pods("web")
        uids = {pod["metadata"]["uid"] for pod in pods}
        return len(pods) == REPLICAS and all(map(_is_plain, pods)) and physical < uids and uids.isdisjoint(sent)

    stage.cluster.wait_until(plain, "plain pods in place of those that waited")


@pytest.mark.parametrize(
    "withdraw",
    [
        pytest.param(
            lambda stage: stage.cluster.rest.delete(f"{GROUP_PATH}/elasticpolicies/{stage.id}"), id="policy deleted"
        ),
        pytest.param(
            lambda stage: stage.cluster.rest.merge(
                f"{GROUP_PATH}/elasticpolicies/{stage.id}", {"spec": {"mode": "Recommend"}}
            ),
            id="policy only recommends",
        ),
        pytest.param(
            lambda stage: stage.cluster.rest.merge(
                f"/api/v1/namespaces/{stage.namespace}", {"metadata": {"labels": {"stage-of": "another"}}}
            ),
            id="namespace no longer selected",
        ),
    ],
)
def test_what_waits_becomes_plain_and_what_is_physical_stays(stage: Stage, withdraw: Callable[[Stage], Any]) -> None:
    labelled = {"metadata": {"labels": {"stage-of": stage.id}}}
    stage.cluster.rest.merge(f"/api/v1/namespaces/{stage.namespace}", labelled)
    stage.selects = {"stage-of": stage.id}
    physical, sent = _fill(stage)
    withdraw(stage)
    _wait_plain(stage, physical, sent)

    def told() -> set[str]:
        return {about for about, note in stage.events("PodsReplaced") if "no policy" in note}

    assert stage.cluster.wait_until(told, "the Event") == {"Deployment/web"}


@pytest.mark.parametrize("how", ["budget deleted", "no longer listed"])
def test_without_one_pool_the_pods_wait_for_the_other_alone(stage: Stage, how: str) -> None:
    _, sent = _fill(stage)
    gone, left = stage.pools["b"], stage.pools["a"]
    if how == "budget deleted":
        stage.cluster.rest.delete(f"{GROUP_PATH}/virtualnodebudgets/{gone}")
    else:
        tiers = {"spec": {"tiers": {"virtual": {"budgets": [left]}}}}
        stage.cluster.rest.merge(f"{GROUP_PATH}/elasticpolicies/{stage.id}", tiers)

    def replaced() -> bool:
        pods = stage.pods("web")
        named = [pod["metadata"]["annotations"].get("spillway.dev/pools") for pod in pods if _affinity(pod)]
        uids = {pod["metadata"]["uid"] for pod in pods}
        return len(pods) == REPLICAS and uids.isdisjoint(sent) and named == [left] * (REPLICAS - THRESHOLD)

    stage.cluster.wait_until(replaced, "pods for the other pool")
    assert not any(gone in str(_affinity(pod)) for pod in stage.pods("web"))


def test_restore_replaces_them_as_well(operator: Installation, stage: Stage) -> None:
    physical, sent = _fill(stage)
    wait_marked_only_in(stage.cluster, stage.namespace)
    operator.stop()
    said = operator.restore()
    assert f"{len(sent)} pods that waited for virtual nodes and never started replaced" in said
    _wait_plain(stage, physical, sent)
