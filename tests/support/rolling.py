"""A rolling upgrade of the operator under load, behind a Service whose proxies learn late.

Contract: the replicas of the installation are not started before. The load scales one workload up and down, so that the
API server calls the webhooks for pods, bindings and scale-downs all the time.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from harness import Installation, Samples, ServiceProxy
from harness.scene import Scene
from localcluster import ClusterApi
from localcluster.ports import free_ports

DELAY_SECONDS: Final = 2.0
"""Until the proxy knows which replicas are ready: what EndpointSlices and kube-proxy take on a busy cluster."""
DRAIN_SECONDS: Final = 5.0
FEW, MANY = 6, 14
ROUND_SECONDS: Final = 1.0
LEAST_ROUNDS: Final = 6
"""A rollout may be over within seconds: the load then goes on, so that the last replica to end is called as well."""
_LOST: Final = (
    "apiserver_admission_webhook_fail_open_count_total",
    "apiserver_admission_webhook_rejection_count_total",
)
_CALLS: Final = "apiserver_admission_webhook_admission_duration_seconds_count"


@dataclass(frozen=True, slots=True)
class WebhookCalls:
    """The calls of Spillway's webhooks, as the API server has counted them."""

    made: int
    lost: int
    """Calls that the API server gave up."""

    def __sub__(self, before: Self) -> "WebhookCalls":
        return WebhookCalls(self.made - before.made, self.lost - before.lost)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a rollout of the operator did to the webhooks' calls."""

    scalings: int
    """How often the load scaled."""
    meanwhile: int
    """How often of these the rollout was not over yet."""
    calls: WebhookCalls


def roll_under_load(cluster: ClusterApi, installation: Installation, scene: Scene) -> tuple[Rollout, tuple[int, ...]]:
    """Replace both replicas, one after the other, while the load goes on; also how many calls each new one answered."""
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
        before = webhook_calls(cluster)
        with load(scene) as rounds:
            for old, new in ((0, 2), (1, 3)):
                begin(new)
                installation.wait_ready(new)
                time.sleep(DELAY_SECONDS)  # the next replica goes when this one is known, as with `minReadySeconds`
                installation.kill(old, signal.SIGTERM)
            meanwhile = rounds[0]
        scene.wait_ready("web", MANY)
        calls = webhook_calls(cluster) - before
        answered = tuple(
            int(installation.metrics(index).total("spillway_admission_outcomes_total")) for index in (2, 3)
        )
    return Rollout(rounds[0], meanwhile, calls), answered


def webhook_calls(cluster: ClusterApi) -> WebhookCalls:
    """The calls since the API server started."""
    return WebhookCalls(_total(cluster, _CALLS), _total(cluster, *_LOST))


@contextmanager
def load(scene: Scene) -> Iterator[list[int]]:
    """Scale `web` up and down until the block ends, `LEAST_ROUNDS` at least, and up at the end; the rounds so far."""
    rounds, ended = [0], threading.Event()

    def scale() -> None:
        while not ended.is_set() or rounds[0] < LEAST_ROUNDS:
            time.sleep(ROUND_SECONDS)
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


def _total(cluster: ClusterApi, *names: str) -> int:
    """The calls of Spillway's webhooks that the API server counted under these names."""
    samples = Samples.parse(cluster.rest.raw("GET", "/metrics").decode())
    return int(
        sum(one.value for name in names for one in samples.select(name) if "spillway" in one.labels.get("name", ""))
    )
