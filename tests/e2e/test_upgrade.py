"""A rolling upgrade of the operator behind a Service whose proxies learn late: no admission call is lost."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import Installation, Samples, ServiceProxy
from harness.scene import Scene
from localcluster import ClusterApi
from localcluster.ports import free_ports

DELAY_SECONDS = 2.0
"""Until the proxy knows which replicas are ready: what EndpointSlices and kube-proxy take on a busy cluster."""
DRAIN_SECONDS = 5.0
FEW, MANY = 6, 14
ROUND_SECONDS = 1.0


@pytest.mark.usefixtures("start")
def test_a_rolling_upgrade_loses_no_admission_call(
    installation: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    ports = dict(enumerate(free_ports(4)))

    begun: list[int] = []

    def begin(index: int) -> None:
        installation.start_one(index, flags=[f"--webhook-port={ports[index]}", f"--drain-seconds={DRAIN_SECONDS}"])
        begun.append(index)

    def ready() -> frozenset[int]:
        return frozenset(ports[index] for index in tuple(begun) if installation.ready(index))

    for index in (0, 1):
        begin(index)
    installation.wait_ready(0, 1)
    installation.wait_leader()
    with ServiceProxy(installation.webhook_port, ready, delay_seconds=DELAY_SECONDS):
        scene.add_policy()
        scene.wait_enforced()
        scene.deploy("web", FEW)
        scene.wait_ready("web", FEW)
        lost = _lost(cluster)
        with _load(scene) as rounds:
            for old, new in ((0, 2), (1, 3)):
                begin(new)
                installation.wait_ready(new)
                time.sleep(DELAY_SECONDS)  # the next replica goes when this one is known, as with `minReadySeconds`
                installation.kill(old, signal.SIGTERM)
        scene.wait_ready("web", MANY)

    assert rounds[0] > 5, "the load went on during the upgrade"
    assert _lost(cluster) == lost
    assert all(_answered(installation, index) > 0 for index in (2, 3)), "the new replicas took over"


@contextmanager
def _load(scene: Scene) -> Iterator[list[int]]:
    """Scale up and down until the block ends; the rounds so far."""
    rounds, ended = [0], threading.Event()

    def scale() -> None:
        while not ended.wait(ROUND_SECONDS):
            rounds[0] += 1
            scene.scale("web", MANY if rounds[0] % 2 else FEW)

    thread = threading.Thread(target=scale, name="load", daemon=True)
    thread.start()
    try:
        yield rounds
    finally:
        ended.set()
        thread.join()
        scene.scale("web", MANY)


def _lost(cluster: ClusterApi) -> dict[str, float]:
    """Calls of Spillway's webhooks that the API server gave up, by webhook."""
    samples = Samples.parse(cluster.rest.raw("GET", "/metrics").decode())
    names = ("apiserver_admission_webhook_fail_open_count_total", "apiserver_admission_webhook_rejection_count_total")
    return {
        f"{one.name} {one.labels['name']}": one.value
        for name in names
        for one in samples.select(name)
        if "spillway" in one.labels["name"]
    }


def _answered(installation: Installation, index: int) -> float:
    return installation.metrics(index).total("spillway_admission_outcomes_total")
