"""The admission path fails: it must never hold up a pod, and what was missed is made up for."""

import base64
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from harness import Installation
from harness.scene import Scene, by_tier, tier_violations
from localcluster import ClusterApi
from spillway.admission.authority import Lifetimes, begin
from spillway.admission.certificates import service_names
from tests.support.e2e import WEBHOOK_TIMEOUT_SECONDS, Start

SECRET = "/api/v1/namespaces/spillway-system/secrets/spillway-webhook-tls"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/spillway"
CHART_TIMEOUT_SECONDS = 2
HANGING_SECONDS = 30.0
"""Two seconds a call that hangs, and the deployment controller's own pace."""


def test_nobody_there_pods_come_and_go_undisturbed(start: Start, scene: Scene) -> None:
    operator = start()
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    for index in operator.running:
        operator.kill(index)

    scene.scale("web", 13)
    after = scene.wait_ready("web", 13)
    scene.scale("web", 15)
    scene.wait_ready("web", 15)

    assert not tier_violations(before, after)


@pytest.fixture
def chart_timeouts(installation: Installation, cluster: ClusterApi) -> Iterator[None]:
    """The API server waits as long as the chart says."""

    def set_all(seconds: int) -> None:
        webhooks = cluster.rest.get(CONFIGURATION)["webhooks"]
        cluster.rest.merge(CONFIGURATION, {"webhooks": [{**one, "timeoutSeconds": seconds} for one in webhooks]})

    set_all(CHART_TIMEOUT_SECONDS)
    yield
    set_all(WEBHOOK_TIMEOUT_SECONDS)


@pytest.mark.usefixtures("chart_timeouts")
def test_hanging_replicas_delay_a_pod_by_the_timeout_and_no_more(
    operator: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    for index in operator.running:
        operator.kill(index, signal.SIGSTOP)
    try:
        scene.scale("web", 16)
        after = scene.wait_ready("web", 16, timeout_seconds=HANGING_SECONDS)
        assert not tier_violations(before, after)
        scene.scale("web", 18)
        scene.wait_ready("web", 18, timeout_seconds=HANGING_SECONDS)
    finally:
        for index in (0, 1):
            operator.kill(index, signal.SIGCONT)
    assert by_tier(scene.pods("web"))["virtual"] == 6


@pytest.mark.parametrize("fault", ["expired", "another key"])
def test_a_certificate_that_nobody_can_use_is_replaced(
    fault: str, start: Start, scene: Scene, cluster: ClusterApi
) -> None:
    operator = start()
    operator.stop()
    names = ["spillway-webhook.spillway-system.svc", "localhost"]
    long_ago = datetime.now(UTC) - timedelta(days=40)
    lifetimes = Lifetimes(authority=timedelta(days=30), serving=timedelta(days=10))
    data = begin(names, lifetimes, long_ago).as_secret()
    if fault == "another key":
        other = begin(names, Lifetimes(), datetime.now(UTC)).as_secret()
        data = begin(service_names("spillway-webhook", "spillway-system"), Lifetimes(), datetime.now(UTC)).as_secret()
        data["tls.key"] = other["tls.key"]
    cluster.rest.merge(SECRET, {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}})

    operator = start()
    scene.add_policy()
    scene.wait_enforced()

    cluster.wait_until(
        lambda: operator.total("spillway_serving_certificate_expiry_timestamp_seconds") / 2 > time.time(),
        "both replicas to serve a fresh certificate",
    )

    def born_stamped() -> bool:
        # A pod bound a moment after the API server learned of the new authority.
        scene.deploy(name := f"web-{time.time_ns()}", 1)
        [pod] = scene.wait_ready(name, 1)
        return bool(pod.marks)

    cluster.wait_until(born_stamped, "a pod that got its cost when it was bound")
